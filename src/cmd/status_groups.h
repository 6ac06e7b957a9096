/* SPDX-License-Identifier: Apache-2.0 */
/* status_groups.h - what `status` tells of the groups, where the servers say it. */
#ifndef DSHARD_CMD_STATUS_GROUPS_H
#define DSHARD_CMD_STATUS_GROUPS_H

#include "cmd.h"
#include "dshard/mover.h"
#include "dshard/status.h"
#include "json.h"

struct ds_cmd_status_groups {
    bool asked;
    bool told; /* by one server at least */
    struct ds_mover_report report;
};

/* Asks the servers side by side, shortly, and adds to the problems what is wrong with
   their groups.  A server that does not answer is none of them. */
void ds_cmd_status_groups_ask(struct ds_cmd_status_groups *groups,
                              const struct ds_cmd_context *ctx,
                              const struct ds_config *config,
                              const struct ds_state *state, struct ds_status *status);
/* A line with the sums; nothing when nobody was asked. */
void ds_cmd_status_groups_text(const struct ds_cmd_status_groups *groups,
                               struct ds_buf *out);
/* Adds "groups", "misplaced" and "copies" to an object: those of a server, or the sums
   when address is NULL; null when they are not known.  Returns it. */
json_t *ds_cmd_status_groups_add_json(const struct ds_cmd_status_groups *groups,
                                      const char *address, json_t *object);
void ds_cmd_status_groups_release(struct ds_cmd_status_groups *groups);

#endif
