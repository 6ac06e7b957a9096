/* SPDX-License-Identifier: Apache-2.0 */
/* state_json.h - what the two halves of the state file's JSON share; private to state. */
#ifndef DSHARD_STATE_JSON_H
#define DSHARD_STATE_JSON_H

#include "dshard/base.h"
#include "dshard/murmur3.h"

#include <jansson.h>

/* Over the compact dump with sorted keys; root has no "checksum". */
void ds_state_checksum(const json_t *root, char out[DS_DIGEST_MAX]);

static inline void ds_auto_json(json_t **json)
{
    json_decref(*json);
}

#endif
