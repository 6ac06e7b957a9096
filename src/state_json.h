/* SPDX-License-Identifier: Apache-2.0 */
/* state_json.h - what the parts that read and write the state file's JSON share; private
 * to state. */
#ifndef DSHARD_STATE_JSON_H
#define DSHARD_STATE_JSON_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/murmur3.h"

#include <jansson.h>

/* Over the compact dump with sorted keys; root has no "checksum". */
void ds_state_checksum(const json_t *root, char out[DS_DIGEST_MAX]);

/* A state file's text as an object of a format that is known; new.  NULL with DS_E_FORMAT
   or DS_E_NEWER otherwise. */
json_t *ds_state_text_to_json(const char *text, size_t len, struct ds_error *err)
    DS_NODISCARD;

/* What is in a state file. */
enum ds_state_object {
    DS_STATE_ROOT,
    DS_STATE_SERVER,
    DS_STATE_CHANGE,
    DS_STATE_FROZEN,
    DS_STATE_OPERATION,
};

/* json_unpack() of an object that must have all its keys, each of its type, and no other;
   DS_E_FORMAT says which key is wrong.  What comes out is borrowed from json. */
int ds_state_unpack(json_t *json, enum ds_state_object object, struct ds_error *err,
                    const char *fmt, ...) DS_NODISCARD;

static inline void ds_auto_json(json_t **json)
{
    json_decref(*json);
}

#endif
