/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - results as JSON: one object with "format": 1, indented, keys sorted. */
#ifndef DSHARD_CMD_JSON_H
#define DSHARD_CMD_JSON_H

#include "cmd.h"

#include <jansson.h>

/* Takes root, adds "format": 1 and appends the text to ctx->out. */
void ds_cmd_add_json(struct ds_cmd_context *ctx, json_t *root_take);

/* A string from bytes of any kind: what is not UTF-8 becomes U+FFFD. */
json_t *ds_cmd_json_string(const char *data, size_t len);

#endif
