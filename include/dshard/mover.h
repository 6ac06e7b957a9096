/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover.h - puts the groups of a fleet where the ring says, without losing one.
 *
 * A pass reads what every server holds, plans (plan.h) and carries out what is due:
 *  1. A copy is exact but for push_time_seconds.
 *  2. First the owner gets it, then it is deleted where it lay.  Whether our PUT created
 *     the group tells whether a push slipped in between; then that is reported, and heals
 *     with the next push.
 *  3. Before a batch of DELETEs both copies are read again: the one to go must be
 *     unchanged, the one to stay there.  Batches of at most 50, and of 250 ms.
 *  4. A refused PUT leaves a phantom: that is removed, and the group stays where it was.
 *  5. One push at a time, and as long as it took nothing, so that clients get half of the
 *     server at least.
 * A pass can be killed anywhere and run again.  The caller holds the fleet lock.
 */
#ifndef DSHARD_MOVER_H
#define DSHARD_MOVER_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/fleet_lock.h"
#include "dshard/plan.h"
#include "dshard/state.h"

struct ds_mover_progress {
    size_t n_done, n_todo; /* moves of this pass */
};
typedef void ds_mover_progress_fn(void *arg, const struct ds_mover_progress *progress);

/* Whether a pass may touch this group (a --match). NULL: all. */
typedef bool ds_mover_match_fn(void *arg, const struct ds_group *group);

struct ds_mover_options {
    enum ds_plan_mode mode;
    int64_t patience_ms, leave_older_than_ms;
    int64_t timeout_ms; /* of one request */
    int64_t budget_ms;  /* no new batch of copies after that; 0: until all is done */
    bool dry_run;       /* plans only; report->plan has the moves */
    const char *const *yields; /* addresses whose copies never win */
    size_t n_yields;
    ds_mover_match_fn *match;
    void *match_arg;
    ds_mover_progress_fn *progress;
    void *progress_arg;
};

/* A group that could not be moved; stays where it was. */
struct ds_mover_refusal {
    char *identity; /* owned */
    size_t identity_len;
    char from[DS_ADDRESS_MAX], to[DS_ADDRESS_MAX];
    char *why; /* owned */
};

struct ds_mover_server {
    char address[DS_ADDRESS_MAX];
    enum ds_intent intent;
    bool member, reached;
    char why[DS_WHY_MAX]; /* not reached */
    size_t n_groups;      /* when it was read */
    size_t n_misplaced;   /* of them, that belong elsewhere */
    size_t n_copies; /* of them, that a copy elsewhere beats, and that are still here */
};

struct ds_mover_report {
    struct ds_inventory *inventories; /* as read at the start; servers[i] is about [i] */
    struct ds_mover_server *servers;  /* sorted by address; without those that are out */
    size_t n_servers;
    struct ds_plan plan; /* its pointers lead into inventories */
    size_t n_deleted, n_merged, n_copied;
    size_t n_raced;  /* a push came in between: left for the next pass */
    size_t n_undone; /* moves that the budget left over */
    struct ds_mover_refusal *refusals;
    size_t n_refusals;
};

/*
 * One pass over the servers of `state`.  Refusals that are in *report already (from a
 * pass before) are not tried again.  0 also when something was refused, raced or left;
 * -1: the lock is lost, or nothing could be read at all; the report says what was done.
 * lock may be NULL when mode is DS_PLAN_LOOK or for a dry run.
 */
int ds_mover_pass(const struct ds_config *config, const struct ds_state *state,
                  struct ds_fleet_lock *lock, const struct ds_mover_options *options,
                  struct ds_mover_report *report, struct ds_error *err) DS_NODISCARD;
/* Whether all is where it belongs (in dedupe mode: nothing is there twice), as far as it
   could be read. */
bool ds_mover_is_done(const struct ds_mover_report *report, enum ds_plan_mode mode);
/* How long to wait before the next pass: grows with the time that reading took. */
int64_t ds_mover_pause_ms(const struct ds_mover_report *report);

void ds_mover_report_init(struct ds_mover_report *report);
void ds_mover_report_release(struct ds_mover_report *report);
void ds_auto_mover_report(struct ds_mover_report *report);

#endif
