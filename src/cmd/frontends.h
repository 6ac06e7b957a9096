/* SPDX-License-Identifier: Apache-2.0 */
/* frontends.h - the other frontends of one Consul service, for `status`. */
#ifndef DSHARD_CMD_FRONTENDS_H
#define DSHARD_CMD_FRONTENDS_H

#include "dshard/accord.h"
#include "json.h"

/* How many of them apply another ring than this digest. */
size_t ds_cmd_frontends_astray(const struct ds_frontends *frontends, const char *digest);

/* Whether the one of this configuration is among them. */
bool ds_cmd_frontends_have_here(const struct ds_frontends *frontends);

void ds_cmd_frontends_text(const struct ds_frontends *frontends, const char *digest,
                           int64_t now_ms, struct ds_buf *out);
json_t *ds_cmd_frontends_json(const struct ds_frontends *frontends);

#endif
