/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation.h - what runs now, as the state file tells: `operation`, with kind, step,
 * since when and by whom.  Who was killed leaves it behind: `status` tells so.
 */
#ifndef DSHARD_OPERATION_H
#define DSHARD_OPERATION_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/state.h"

/* Writes kind (see aim.h) and step ("moving groups"), each of at most DS_AIM_KIND_MAX
   bytes; since when is kept while kind and `by` are the same, and the same again is not
   written.  A kind without servers leaves a dead one alone whose servers or groups are
   not where they should be.  The state file must be there. */
int ds_operation_set(const char *state_path, const char *kind, const char *step,
                     struct ds_error *err) DS_NODISCARD;
/* Ends it, if it is ours.  For this and the next three: no file is nothing to end. */
int ds_operation_end(const char *state_path, struct ds_error *err) DS_NODISCARD;
/* Ours ends before it has reached its aim: it stays, for `status` to tell what to run,
   unless nothing of it is left to do. */
int ds_operation_leave(const char *state_path, struct ds_error *err) DS_NODISCARD;
/* Ends one of this kind that a dead process left: for who finds that nothing of it is
   left to do. */
int ds_operation_end_dead(const char *state_path, const char *kind, struct ds_error *err)
    DS_NODISCARD;
/* Every group lies where it should: ends a dead one that had only that left to do. */
int ds_operation_groups_done(const char *state_path, struct ds_error *err) DS_NODISCARD;
/* Takes a dead one that is over (aim.h) out of a state that is about to be written. */
void ds_operation_tidy(struct ds_state *state);
/* Whether the process that `operation` names has ended (as far as this host knows). */
bool ds_operation_is_dead(const struct ds_state *state);

#endif
