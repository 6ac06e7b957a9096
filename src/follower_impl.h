/* SPDX-License-Identifier: Apache-2.0 */
/* follower_impl.h - what the parts of the follower share; private to them. */
#ifndef DSHARD_FOLLOWER_IMPL_H
#define DSHARD_FOLLOWER_IMPL_H

#include "dshard/follower.h"

/* 1: the state has a ring to publish; 0: nothing can be said yet; -1: it cannot be built.
 */
int ds_follower_decide(struct ds_follower *follower, struct ds_error *err) DS_NODISCARD;

/* The history's entries that are younger than this generation, oldest first. */
void ds_follower_log_changes(const struct ds_state *state, uint64_t generation);

#endif
