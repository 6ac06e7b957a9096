/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relocate.h - runs passes of the mover until the groups are where they belong, or only
 * those are left that cannot be moved.
 *
 * Groups that are being pushed move with their next push, the others once they have been
 * silent for long enough; so it waits, and holds the fleet lock meanwhile.
 */
#ifndef DSHARD_RELOCATE_H
#define DSHARD_RELOCATE_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/fleet_lock.h"
#include "dshard/mover.h"

/* A pass that did nothing, because what is left is not due yet. */
struct ds_relocate_wait {
    const char *text; /* how many groups, and the first of them */
    int64_t due_ms;   /* unix time at which something is due; INT64_MAX: not known */
};

struct ds_relocate {
    struct ds_config *config;   /* borrowed; the state is read anew for each pass */
    struct ds_fleet_lock *lock; /* borrowed */
    struct ds_mover_options options;
    const char *const *leaving; /* servers that must end empty */
    size_t n_leaving;
    bool leaving_only; /* whatever may be misplaced elsewhere */
    /* After each pass; NULL: none.  wait: NULL unless it waits. */
    void (*after)(void *arg, const struct ds_mover_report *report,
                  const struct ds_relocate_wait *wait);
    void *after_arg;
};

/*
 * 0: done.  DS_E_FAILED: some groups cannot be moved, and the text names one; the report
 * has them all.  DS_E_TEMP: the lock is lost, a server does not answer for long, it was
 * stopped, or groups wait for longer than anything that they can wait for takes.  report:
 * initialised; that of the last pass.
 */
int ds_relocate_run(const struct ds_relocate *relocate, struct ds_mover_report *report,
                    struct ds_error *err) DS_NODISCARD;

#endif
