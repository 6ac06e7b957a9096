/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aim.h - what the state's `operation` was for: its kind names the servers ("scale up
 * 10.0.0.5:9091"), so that the state shows whether that has come about when the process
 * that was at it is gone.
 */
#ifndef DSHARD_AIM_H
#define DSHARD_AIM_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/state.h"

enum ds_aim {
    DS_AIM_NONE,   /* it names no intent of servers, such as "groups move" */
    DS_AIM_OPEN,   /* a server stands between two intents */
    DS_AIM_GROUPS, /* servers are where they should be, groups perhaps not yet */
    DS_AIM_OVER,   /* reached, never begun, or given up by an operator */
};
enum { DS_AIM_KIND_MAX = 200 }; /* bytes of a kind */

/* Of the state's operation; DS_AIM_NONE also when there is none. */
enum ds_aim ds_aim_of(const struct ds_state *state);
/* Whether a kind is about servers, and so about more than groups. */
bool ds_aim_is_servers(const char *kind) DS_NODISCARD;
/* "KIND SERVER...", new; what is longer than DS_AIM_KIND_MAX ends with "...". */
char *ds_aim_kind(const char *kind, const char *const *servers, size_t n) DS_NODISCARD;
/* "run it again: dshard scale up S, or give it up: dshard deregister S" */
void ds_aim_add_advice(const struct ds_state *state, struct ds_buf *out);

#endif
