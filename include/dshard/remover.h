/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remover.h - deletes groups, with all their copies, on every server of a fleet.
 *
 * What goes is what somebody has looked at: before a DELETE the servers that hold copies
 * of its group, and the owner, are read again (a reading is good for many: mover.h, 3),
 * and a group that has been pushed since, or has come to its owner, is left alone with
 * all its copies.  Afterwards the servers are read until the copies are gone.  It can be
 * killed anywhere and run again.  The caller holds the fleet lock.
 */
#ifndef DSHARD_REMOVER_H
#define DSHARD_REMOVER_H

#include "dshard/base.h"
#include "dshard/mover.h"

enum ds_removal_end {
    DS_REMOVAL_OPEN,      /* nothing has been tried */
    DS_REMOVAL_GONE,      /* no server that answers has it */
    DS_REMOVAL_PUSHED,    /* it is there, and was pushed since the look */
    DS_REMOVAL_UNNAMED,   /* no URL can say its labels: left alone */
    DS_REMOVAL_STAYS,     /* its server took the DELETE, and has it still */
    DS_REMOVAL_UNREACHED, /* a server failed on the way */
};
const char *ds_removal_end_name(enum ds_removal_end end); /* "deleted", ... */

/* One group. */
struct ds_removal {
    const struct ds_mover_place *copies; /* borrowed */
    size_t n_copies;
    enum ds_removal_end end;
    size_t server;    /* where it is still: PUSHED, STAYS, UNREACHED */
    size_t n_deleted; /* copies that got a DELETE */
};

/*
 * From all places that a report has, those groups whose newest copy is older than that
 * (0: all).  With an age, a group whose owner was not read is left out: it may have a
 * newer copy; and so is one with a push time in the future.  A new array, to free().
 */
struct ds_removal *ds_remover_choose(const struct ds_mover_report *report,
                                     const struct ds_mover_place *places, size_t n_places,
                                     int64_t older_than_ms, int64_t now_ms, size_t *n)
    DS_NODISCARD;

/*
 * Deletes them.  report: of the look, where the copies' pointers lead; servers that fail
 * now count as not reached in it.  options: timeout_ms, progress and stop.  0 also when
 * something stays, as each `end` says; -1: the lock is lost (DS_E_TEMP).
 */
int ds_remover_run(const struct ds_config *config, struct ds_fleet_lock *lock,
                   const struct ds_mover_options *options, struct ds_mover_report *report,
                   struct ds_removal *removals, size_t n, struct ds_error *err)
    DS_NODISCARD;

#endif
