/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_view.h - what would move if the ring became another one: shares of the key space,
 * the groups (if the servers could be asked), how long it would take.
 */
#ifndef DSHARD_CMD_PLAN_VIEW_H
#define DSHARD_CMD_PLAN_VIEW_H

#include "cmd.h"
#include "dshard/mover.h"
#include "json.h"

struct ds_plan_view;

/* The members of both rings; n_before may be 0. */
struct ds_plan_view *ds_plan_view_new(const struct ds_server *before, size_t n_before,
                                      const struct ds_server *after, size_t n_after,
                                      unsigned replicas, struct ds_error *err)
    DS_NODISCARD;
void ds_plan_view_free(struct ds_plan_view *view);
void ds_auto_plan_view(struct ds_plan_view **view);

/* What the servers hold, borrowed from now on; patience_ms: how long a group that is not
   pushed is left alone. */
void ds_plan_view_take(struct ds_plan_view *view, const struct ds_mover_report *report,
                       int64_t patience_ms);

void ds_plan_view_add_text(const struct ds_plan_view *view, bool with_groups,
                           struct ds_buf *out);
json_t *ds_plan_view_json(const struct ds_plan_view *view); /* new */

#endif
