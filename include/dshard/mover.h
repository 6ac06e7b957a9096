/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover.h - puts the groups of a fleet where the ring says, without losing one.
 *
 * A pass reads what every server holds, plans (plan.h) and carries out what is due:
 *  1. A copy is exact but for push_time_seconds.
 *  2. First the owner gets it, then it is deleted where it lay.  The PUT is one that
 *     only creates (mover_guard.c), so that no push that comes in between is replaced.
 *     Where a server does not check what is pushed, one may be: that is noticed, and
 *     heals with the next push.
 *  3. Before a DELETE both copies are read again: the one to go must be unchanged, the
 *     one to stay must be there and lack nothing (ds_plan_may_delete).  A reading is
 *     good for 50 DELETEs, and from when it began for 250 ms beside the time that one
 *     usually takes; so one during which this process slept is not, and a server whose
 *     list takes longer than 250 ms is dealt with all the same.  At the owner, where
 *     clients push, a reading is good for one DELETE.
 *  4. A refused PUT leaves a phantom: that is removed, and the group stays where it was.
 *  5. One push at a time, and as long as it took nothing, so that clients get half of the
 *     server at least.
 * A pass can be killed anywhere and run again.  Who changes anything has the fleet lock.
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

/* Whether a pass is about this group (a --match); NULL: all.  It must look at the
   identity alone, so that all copies of a group are in or none. */
typedef bool ds_mover_match_fn(void *arg, const struct ds_group *group);
/* Asked between two steps; true: finish what has been begun, and end the pass. */
typedef bool ds_mover_stop_fn(void *arg);

struct ds_mover_options {
    enum ds_plan_mode mode;
    int64_t patience_ms, leave_older_than_ms; /* as in plan.h */
    int64_t timeout_ms;                       /* of one request */
    int64_t budget_ms; /* no new batch of copies after that, or after twice the time that
                          reading took if that is longer, from the first copy on; 0: until
                          all is done */
    bool dry_run;      /* plans only; report->plan has the moves */
    const char *const *yields; /* addresses whose copies never win */
    size_t n_yields;
    ds_mover_match_fn *match;
    void *match_arg;
    ds_mover_progress_fn *progress; /* NULL: none.  First called with n_done 0, before the
                                       first move; not when nothing is due */
    void *progress_arg;
    ds_mover_stop_fn *stop; /* NULL: never */
    void *stop_arg;
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
    bool member;
    bool down;            /* its health is: it was not asked */
    bool reached;         /* it was read, and answered until the end */
    char why[DS_WHY_MAX]; /* not reached */
    size_t n_groups;      /* these four are as the pass leaves them */
    size_t n_misplaced;   /* of them, that belong elsewhere */
    size_t n_copies;      /* of them, that a copy elsewhere beats */
    size_t n_ties;        /* of those copies, that may be as new as what beats them */
};

/* One copy of a group. */
struct ds_mover_place {
    const struct ds_group *group; /* borrowed from report->inventories */
    size_t server;                /* where it lies, of report->servers */
    size_t owner;   /* who owns its key; report->n_servers: nobody, or none of these */
    bool misplaced; /* it lies elsewhere */
    bool beaten;    /* a copy elsewhere is the one that stays */
};

/* A copy that got a DELETE. */
struct ds_mover_trace {
    char *identity; /* owned */
    size_t identity_len;
    uint32_t hash;
    char from[DS_ADDRESS_MAX], to[DS_ADDRESS_MAX]; /* where it lay, and what stays */
    int64_t pushed_us, failed_us, created_us, stamped_us; /* the copy, as in group.h */
    int64_t at_ms;                                        /* when, ds_clock_boot_ms() */
    unsigned n;                                           /* how often */
    bool settled; /* the group was looked for afterwards, or need not be */
};

struct ds_mover_report {
    struct ds_inventory *inventories; /* as read at the start; servers[i] is about [i] */
    struct ds_mover_server *servers;  /* sorted by address; without those that are out */
    size_t n_servers;
    struct ds_ring *ring; /* NULL: there is none */
    struct ds_plan plan; /* its pointers lead into inventories; from and to are indexes of
                            servers here */
    size_t n_deleted, n_merged, n_copied; /* moves that were made, by kind: see plan.h */
    size_t n_raced;  /* a push came in between: what that left open, the next pass does */
    size_t n_done;   /* moves that have been dealt with, however it ended */
    size_t n_undone; /* moves that the budget, a stop or a server's failure left over */
    struct ds_mover_refusal *refusals;
    size_t n_refusals;
    size_t n_groups, n_misplaced, n_copies; /* as plan.h counts, but after the pass */
    int64_t read_ms;                        /* the longest reading of a list */
    bool **gone; /* private: gone[i][k]: inventories[i].groups[k] has been deleted */
    struct ds_mover_place *made; /* private: copies that this pass has made */
    size_t n_made;
    struct ds_mover_trace
        *traces; /* private: DELETEs of this pass, and of those before */
    size_t n_traces, n_old_traces, cap_traces;
};

/*
 * One pass over the servers of `state`.  *report: initialised, or that of a pass before;
 * then its refusals stay and are not tried again, what it has deleted is remembered, and
 * all else is new.  0 also when something was refused, raced or left; -1: the lock is
 * lost (DS_E_TEMP), no server could be read (DS_E_NET), two of them are one (DS_E_FAILED,
 * but not when mode is DS_PLAN_LOOK), or the configuration cannot be used; the report
 * says what was done.  lock may be NULL when mode is DS_PLAN_LOOK or for a dry run.
 */
int ds_mover_pass(const struct ds_config *config, const struct ds_state *state,
                  struct ds_fleet_lock *lock, const struct ds_mover_options *options,
                  struct ds_mover_report *report, struct ds_error *err) DS_NODISCARD;
/* Whether all is where it belongs (in dedupe mode: nothing is there twice), as far as it
   could be read, and but for what --leave-older-than left. */
bool ds_mover_is_done(const struct ds_mover_report *report, enum ds_plan_mode mode);
/* A group of which a copy was deleted in a pass before, and which this one has found
   nowhere: somebody has deleted it, or its server has lost it.  Each is told once; NULL:
   no more. */
const struct ds_mover_trace *ds_mover_next_vanished(struct ds_mover_report *report);
/* The row of a server; NULL: it was out, or is unknown. */
const struct ds_mover_server *ds_mover_report_find(const struct ds_mover_report *report,
                                                   const char *address);
/* Whether it is no member yet and about to be one (joining, held): see plan.h. */
bool ds_mover_settles(const struct ds_mover_server *server);
/* Every copy of every group, by identity and then by server; a new array, to free(). */
struct ds_mover_place *ds_mover_places(const struct ds_mover_report *report, size_t *n)
    DS_NODISCARD;
/* Where the copies of the group at places[at] end, of n. */
size_t ds_mover_group_end(const struct ds_mover_place *places, size_t n, size_t at);
/* The one of n copies of a group that was pushed last, each by its server's clock; a push
   that failed counts only where none has worked. */
const struct ds_mover_place *ds_mover_newest(const struct ds_mover_report *report,
                                             const struct ds_mover_place *places,
                                             size_t n);
/* How long ago a copy was pushed, by its server's clock, by the last try when none has
   worked; negative: not known, or a time in the future. */
int64_t ds_mover_age_ms(const struct ds_mover_report *report,
                        const struct ds_mover_place *place, int64_t now_ms);
/* How long to wait before the next pass: grows with the time that reading took, and ends
   when something is due. */
int64_t ds_mover_pause_ms(const struct ds_mover_report *report);

void ds_mover_report_init(struct ds_mover_report *report);
void ds_mover_report_release(struct ds_mover_report *report);
void ds_auto_mover_report(struct ds_mover_report *report);

#endif
