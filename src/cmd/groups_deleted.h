/* SPDX-License-Identifier: Apache-2.0 */
/* groups_deleted.h - what `groups delete` and `groups expire` say. */
#ifndef DSHARD_CMD_GROUPS_DELETED_H
#define DSHARD_CMD_GROUPS_DELETED_H

#include "dshard/remover.h"
#include "groups.h"

struct ds_cmd_deleted {
    const char *command; /* "groups delete" */
    bool by_age, dry_run, stopped;
    struct ds_removal *removals; /* owned */
    size_t n;
};

/* What is about to be deleted, on stderr: figures, and the first names. */
void ds_cmd_deleted_preview(const struct ds_cmd_deleted *total,
                            const struct ds_mover_report *report);
/*
 * The result, and the exit status: rc and err are those of the deleting.  DS_E_FAILED:
 * something could not be deleted; DS_E_TEMP: try again; DS_E_NO: something was pushed
 * meanwhile and is there, unless it was about the age of groups, because then it is not
 * old any more.
 */
int ds_cmd_deleted_show(struct ds_cmd_context *ctx, const struct ds_cmd_deleted *total,
                        const struct ds_mover_report *report, int rc,
                        struct ds_error *err) DS_NODISCARD;

#endif
