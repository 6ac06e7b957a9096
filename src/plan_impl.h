/* SPDX-License-Identifier: Apache-2.0 */
/* plan_impl.h - what the parts of the plan share; private to them. */
#ifndef DSHARD_PLAN_IMPL_H
#define DSHARD_PLAN_IMPL_H

#include "dshard/plan.h"

/* When something was pushed: between the two, on our clock. */
struct ds_plan_time {
    int64_t least_us, most_us;
    bool future; /* its server's clock has not come to that time: it was set back */
    bool ruled;  /* by rule 1: the ring of today sent this push to the owner */
    bool yields;
};

/* One copy of the group in hand. */
struct ds_plan_copy {
    const struct ds_group *group;
    size_t server;
    struct ds_plan_time pushed;
    size_t next_family; /* while the families of all copies are walked */
    const char *
        *families; /* those that the copy to keep is to get from this one; owned */
    size_t n_families, cap_families;
    int64_t given_ms; /* when the latest of them was pushed, at the latest; our clock */
    bool relies; /* a newer one of its families is to be given by another copy: it stays
               until that is done */
    bool ties;   /* one of its families may be as new as that which would stay */
    bool open;   /* and which copy is to stay is not sure before the end of the tie */
};

struct ds_planner {
    const struct ds_plan_config *config;
    const struct ds_plan_server *servers;
    size_t n_servers;
    size_t owner; /* of the group in hand; n_servers: none that we can ask */
    struct ds_plan_copy *copies; /* of the group in hand, by server; room for n_servers */
    size_t n_copies;
    bool waits; /* one of them does */
    struct ds_plan *plan;
    size_t cap_moves, cap_ties;
};

/* Sums of times, up to "never". */
static inline int64_t ds_plan_later(int64_t ms, int64_t by_ms)
{
    return ms > INT64_MAX - by_ms ? INT64_MAX : ms + by_ms;
}

static inline int64_t ds_plan_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t ds_plan_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* From then on every push follows the ring of today. */
static inline int64_t ds_plan_grace_ends_ms(const struct ds_planner *p)
{
    return ds_plan_later(p->config->ring_changed_ms, p->config->grace_ms);
}

/* No push has ever worked for it.  Without push_time_seconds, but with metrics, it is a
   group all the same, and a very old one. */
static inline bool ds_plan_is_phantom(const struct ds_group *group)
{
    return group->pushed_us <= 0 && !group->n_families;
}

/* What a time on a server's clock is on ours. */
struct ds_plan_time ds_plan_time_of(const struct ds_planner *p, size_t server,
                                    int64_t us);
/* In whole milliseconds, rounded up: the latest that it may have been. */
int64_t ds_plan_most_ms(const struct ds_plan_time *time);
/* When a time that is in the future now will not be any more. */
int64_t ds_plan_trusted_ms(const struct ds_plan_time *time);
/* From when on a copy that lies where nobody pushes to counts as silent.  A time that
   cannot be trusted does not put it off for ever: nobody has pushed there since the ring
   settled. */
int64_t ds_plan_silent_ms(const struct ds_planner *p, size_t server, int64_t us);
/* > 0: a is newer; < 0: b is; 0: a tie. */
int ds_plan_compare(const struct ds_plan_time *a, const struct ds_plan_time *b);
/* When the tie of these two is over; when it is not yet, then the first time at which
   that has to be looked at again. */
int64_t ds_plan_tie_ends_ms(const struct ds_planner *p, const struct ds_plan_copy *a,
                            const struct ds_plan_copy *b);
/* The copy that is to stay, by times alone; *sure_ms as of ds_plan_tie_ends_ms(), 0 when
   there is no tie.  Of phantoms alone: any. */
struct ds_plan_copy *ds_plan_newest(const struct ds_planner *p, int64_t *sure_ms);
/* Into plan->ties. */
void ds_plan_add_tie(struct ds_planner *p, const struct ds_plan_copy *copy);
/* Fills `families` and `relies` of all copies: who gives what to the one that is kept. */
void ds_plan_give_families(struct ds_planner *p, const struct ds_plan_copy *kept);

#endif
