/* SPDX-License-Identifier: Apache-2.0 */
/* groups_result.h - what `groups move` and `groups dedupe` say in the end. */
#ifndef DSHARD_CMD_GROUPS_RESULT_H
#define DSHARD_CMD_GROUPS_RESULT_H

#include "groups.h"

/* What the passes of one command did. */
struct ds_cmd_moved {
    const char *command; /* "groups move" */
    enum ds_plan_mode mode;
    bool dry_run, stopped;
    size_t n_passes;
    size_t n_done; /* moves dealt with: the next three, and what came to nothing */
    size_t n_deleted, n_merged, n_copied, n_raced;
    size_t
        n_vanished; /* groups that a pass left in place, and the next one did not find */
};

void ds_cmd_moved_add(struct ds_cmd_moved *total, const struct ds_mover_report *report);
/* The result, and the exit status: rc and err are those of the passes.  All is in place:
   0; DS_E_FAILED: something was refused, or has vanished; DS_E_TEMP: try again; DS_E_NO:
   something waits.
 */
int ds_cmd_moved_show(struct ds_cmd_context *ctx, const struct ds_cmd_moved *total,
                      const struct ds_mover_report *report, int rc, struct ds_error *err)
    DS_NODISCARD;

#endif
