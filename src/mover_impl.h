/* SPDX-License-Identifier: Apache-2.0 */
/* mover_impl.h - what the parts of the mover share; private to them. */
#ifndef DSHARD_MOVER_IMPL_H
#define DSHARD_MOVER_IMPL_H

#include "dshard/mover.h"
#include "dshard/pushgateway.h"

enum {
    DS_MOVER_BATCH_MAX = 50, /* DELETEs after the reading that allows them, */
    DS_MOVER_BATCH_MS = 250, /* and for how long it does */
};

#define DS_MOVER_NEVER_MS (INT64_MIN / 2)

/* What is known of one server beside the report. */
struct ds_mover_peer {
    struct ds_pushgateway *gateway; /* owned; NULL: it was not reached */
    struct ds_inventory now;        /* the last reading */
    int64_t read_at_ms;             /* when that began, by our clock that never steps; or
                                       DS_MOVER_NEVER_MS */
    const char
        *doubted;       /* the words of a refusal that may be its own failure; borrowed */
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

/* Deletes the copy that goes (only its group and `from` count); false: the server failed,
 * and is broken now. */
bool ds_mover_delete(struct ds_mover *mover, const struct ds_move *move);
/* Counts a move as dealt with, however it ended. */
void ds_mover_step(struct ds_mover *mover);
void ds_mover_refuse(struct ds_mover *mover, const struct ds_move *move, const char *why);
/* Takes back the refusal whose words these are. */
void ds_mover_report_forgive(struct ds_mover_report *report, const char *why);

/* Makes it a push that fails when the group is there; only where ds_mover_can_guard(). */
void ds_mover_guard(struct ds_payload *payload);
bool ds_mover_can_guard(struct ds_mover *mover, size_t server);
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
bool ds_mover_report_has_refused(const struct ds_mover_report *report,
                                 const struct ds_move *move);
/* Empties it, but for the refusals. */
void ds_mover_report_clear(struct ds_mover_report *report);

#endif
