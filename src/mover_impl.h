/* SPDX-License-Identifier: Apache-2.0 */
/* mover_impl.h - what the parts of the mover share; private to them. */
#ifndef DSHARD_MOVER_IMPL_H
#define DSHARD_MOVER_IMPL_H

#include "dshard/mover.h"
#include "dshard/pushgateway.h"

enum {
    DS_MOVER_BATCH_MAX = 50, /* DELETEs after the reading that allows them, */
    DS_MOVER_BATCH_MS = 250, /* and for how long it does, beside the time it took */
};

#define DS_MOVER_NEVER_MS (INT64_MIN / 2)

/* What is known of one server beside the report. */
struct ds_mover_peer {
    struct ds_pushgateway *gateway; /* owned; NULL: it was not reached */
    struct ds_inventory now;        /* the last reading */
    int64_t read_at_ms;             /* when that began, by ds_clock_boot_ms(); or
                                       DS_MOVER_NEVER_MS */
    int64_t took_ms, before_ms;     /* how long it took, and the one before that */
    unsigned n_uses;                /* DELETEs that went by it */
    int64_t started_us; /* the server, as it says, if `asked`; 0: it did not */
    const char
        *doubted;       /* the words of a refusal that may be its own failure; borrowed */
    int64_t ran_at_ms;  /* the reading for which `runs_on` was found out */
    bool runs_on;       /* it is the process that was asked at first */
    bool asked, checks; /* it says that it checks what is pushed, if it has been asked */
    bool broken;        /* it failed on the way: no more is asked of it */
};

struct ds_mover {
    const struct ds_mover_options *options;
    struct ds_fleet_lock *lock;
    struct ds_mover_report *report;
    struct ds_mover_peer *peers; /* peers[i] is about report->servers[i]; owned */
    struct ds_move **todo;       /* of report->plan, in the plan's order; owned array */
    size_t n_todo, n_done;
    int64_t ends_ms; /* no new batch of copies after that; our clock that never steps */
};

/* By source, target and group: one batch then needs two servers read. */
void ds_mover_sort(struct ds_move **moves, size_t n);

/* Makes `peers`, with a gateway for each server of the report that is not down. */
int ds_mover_connect(struct ds_mover *mover, const struct ds_config *config,
                     struct ds_error *err) DS_NODISCARD;
void ds_mover_disconnect(struct ds_mover *mover);

/* Reads these servers anew, side by side. */
void ds_mover_read(struct ds_mover *mover, const size_t *servers, size_t n);
/* The group as the last reading has it; NULL: not there. */
const struct ds_group *ds_mover_now(const struct ds_mover *mover, size_t server,
                                    const struct ds_group *group);
/* Nothing more is asked of it in this pass. */
void ds_mover_break(struct ds_mover *mover, size_t server, const struct ds_error *err);
bool ds_mover_can_do(const struct ds_mover *mover, const struct ds_move *move);
bool ds_mover_must_stop(const struct ds_mover *mover);

/* How long a reading of it takes: the shorter of the last two, since what holds one up
   may be this process, asleep. */
int64_t ds_mover_reading_ms(const struct ds_mover *mover, size_t server);
/* Reads those again whose last reading is too old to delete by; false: one of them has
   failed, or no reading comes in time. */
bool ds_mover_look(struct ds_mover *mover, const size_t *servers, size_t n) DS_NODISCARD;

/* A copy that is to be deleted. */
struct ds_mover_deletion {
    const struct ds_move *move;  /* `group` counts for its identity only, */
    const struct ds_group *seen; /* because the copy must still be this one */
    /* What the copy at move->to must be beside what the plan wants; NULL: nothing. */
    bool (*suffices)(struct ds_mover *mover, const void *arg,
                     const struct ds_group *stays);
    const void *arg;
    bool in_bulk; /* somebody has asked for it: no reading of its own at the owner */
};
enum ds_mover_end {
    DS_MOVER_DELETED,
    DS_MOVER_RACED,   /* it may not be deleted any more */
    DS_MOVER_REFUSED, /* the server does not do it; that is reported */
    DS_MOVER_LEFT,    /* not now: a server has failed, or the lock is lost */
};
/* The one way to a DELETE: what is known of both copies is fresh, and the lock was ours
   after they had been read; then the copy goes if the plan may delete it. */
enum ds_mover_end ds_mover_delete(struct ds_mover *mover,
                                  const struct ds_mover_deletion *deletion) DS_NODISCARD;
/* Counts a move as dealt with, however it ended. */
void ds_mover_step(struct ds_mover *mover);
void ds_mover_refuse(struct ds_mover *mover, const struct ds_move *move, const char *why);
/* Takes back the refusal whose words these are. */
void ds_mover_report_forgive(struct ds_mover_report *report, const char *why);

/* Makes it a push that fails when the group is there; only where ds_mover_can_guard(). */
void ds_mover_guard(struct ds_payload *payload);
bool ds_mover_can_guard(struct ds_mover *mover, size_t server);
/* Whether the words of a refusal speak of the guard. */
bool ds_mover_is_guards(const char *why);
/* Whether the last reading is of the same process that was asked first; false also when
   the server does not say. */
bool ds_mover_has_run_on(struct ds_mover *mover, size_t server);
/* Sets push_failure_time_seconds to 0: as if no push had failed. */
void ds_mover_clear_failure(struct ds_mover *mover, size_t server,
                            const struct ds_group *group);
/* The same for groups where a guard was taken as it is.  -1: the lock is lost. */
int ds_mover_mend(struct ds_mover *mover, struct ds_error *err) DS_NODISCARD;

/* Moves that are only a DELETE; those with copying.  -1: the lock is lost. */
int ds_mover_run_deletes(struct ds_mover *mover, struct ds_move **moves, size_t n,
                         struct ds_error *err) DS_NODISCARD;
int ds_mover_run_copies(struct ds_mover *mover, struct ds_move **moves, size_t n,
                        struct ds_error *err) DS_NODISCARD;

/* report: servers, and inventories that have been read; the figures are filled in. */
void ds_mover_report_count(struct ds_mover_report *report);
/* Remembers that this copy is gone, or that there is one more, at `server`. */
void ds_mover_report_gone(struct ds_mover_report *report, size_t server,
                          const struct ds_group *group);
void ds_mover_report_made(struct ds_mover_report *report, size_t server,
                          const struct ds_group *group);
/* Remembers a DELETE; how many passes before have sent one for this same copy, and how
   long ago the last. */
void ds_mover_report_sent(struct ds_mover_report *report, const struct ds_move *move,
                          const struct ds_group *seen);
unsigned ds_mover_report_count_sent(const struct ds_mover_report *report, size_t server,
                                    const struct ds_group *group, int64_t *ago_ms);
bool ds_mover_report_has_refused(const struct ds_mover_report *report,
                                 const struct ds_move *move);
void ds_mover_report_forget(struct ds_mover_report *report); /* the DELETEs */
/* Empties it, but for the refusals and the DELETEs. */
void ds_mover_report_clear(struct ds_mover_report *report);

#endif
