/* SPDX-License-Identifier: Apache-2.0 */
/* scale_impl.h - what the files of scale share; private to them. */
#ifndef DSHARD_SCALE_IMPL_H
#define DSHARD_SCALE_IMPL_H

#include "dshard/scale.h"

void ds_scale_warn(const struct ds_scale *scale, const char *fmt, ...) DS_PRINTF(2, 3);
void ds_scale_note(const struct ds_scale *scale, const char *fmt, ...) DS_PRINTF(2, 3);

/* Whether the lock is ours still, and nobody wants us to stop; in every loop that waits.
 */
int ds_scale_may_go_on(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;

/* Says in the state file what is done now, and that the lock is still ours.  `shown`: it
   is a step of its own for who looks on. */
int ds_scale_enter(struct ds_scale *scale, const char *what, bool shown,
                   struct ds_error *err) DS_NODISCARD;

/* The change of the configuration that the operation ends with, or the part of it that
   adds.  Arrays are new, and owned by the two lists. */
enum ds_scale_edit { DS_SCALE_EDIT_ADD, DS_SCALE_EDIT_REMOVE, DS_SCALE_EDIT_BOTH };
void ds_scale_edit(const struct ds_scale *scale, enum ds_scale_edit which,
                   struct ds_confedit *edit, void **add_list, void **remove_list);

/* Does one thing to some servers (those that `wanted` picks) and fails with the first
   failure. */
typedef bool ds_scale_pick_fn(const struct ds_scale_server *server);
int ds_scale_apply(struct ds_scale *scale, enum ds_act_kind kind,
                   const struct ds_scale_server *servers, size_t n,
                   ds_scale_pick_fn *wanted, struct ds_error *err) DS_NODISCARD;

/* What was there when it began, by identity; phantoms, which no push ever worked for, are
   nobody's loss. */
struct ds_census {
    struct ds_group *groups; /* identities only, sorted and unique; owned */
    size_t n;
};
void ds_auto_census(struct ds_census *census);
void ds_scale_take_census(struct ds_census *census, const struct ds_mover_report *report);
/* What the servers hold now. */
int ds_scale_look(struct ds_scale *scale, struct ds_mover_report *report,
                  struct ds_error *err) DS_NODISCARD;

/* Newcomers that hold something, whose copies never win; a new array. */
const char **ds_scale_yields(const struct ds_scale *scale, size_t *n) DS_NODISCARD;
/* In every loop that waits: removes copies that are too many, now and then, as a watch
   would.  turns: only while a server is held. */
void ds_scale_tend(struct ds_scale *scale, bool turns);
/* Waits, and tends meanwhile. */
int ds_scale_pause(struct ds_scale *scale, int64_t ms, struct ds_error *err) DS_NODISCARD;

/* Steps 2 and 3. */
int ds_scale_join(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;
/* Step 4; who serves is asked before anything is changed. */
int ds_scale_meet_frontends(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;
int ds_scale_turn(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;
/* Steps 5 and 6. */
int ds_scale_move(struct ds_scale *scale, const struct ds_census *before,
                  struct ds_error *err) DS_NODISCARD;
/* Until the state file and every frontend show who has come and, if `drained`, who has
   gone. */
int ds_scale_await_ring(struct ds_scale *scale, bool drained, struct ds_error *err)
    DS_NODISCARD;

#endif
