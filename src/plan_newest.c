/* SPDX-License-Identifier: Apache-2.0 */
/* Which copy, and which family of several copies, is the newest; see plan.h. */
#include "plan_impl.h"

#include <stdlib.h>

static const int64_t US = 1000; /* in a millisecond */
/* What a server can tell us must not overflow sums. */
static const int64_t PUSHED_MAX_US = INT64_MAX / 4, SKEW_MAX_MS = INT64_MAX / 8 / 1000;

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return ds_plan_max(least, ds_plan_min(value, most));
}

/* After this time on our clock (if it is known), for certain. */
static bool is_after(const struct ds_plan_time *time, int64_t ms)
{
    return !time->future && (time->least_us - 1) / US >= ms;
}

/* Came to a server that was no member, when the ring had sent every push elsewhere for a
   while: it waited at one that hung, and a later one may have been taken elsewhere. */
static bool is_belated(const struct ds_planner *p, size_t server,
                       const struct ds_plan_time *time)
{
    return p->servers[server].settles && p->config->ring_changed_ms > 0 &&
           is_after(time, ds_plan_grace_ends_ms(p));
}

struct ds_plan_time ds_plan_time_of(const struct ds_planner *p, size_t server, int64_t us)
{
    const struct ds_plan_server *at = &p->servers[server];
    int64_t least_ms = clamp(at->inventory->skew_least_ms, -SKEW_MAX_MS, SKEW_MAX_MS);
    int64_t most_ms = clamp(at->inventory->skew_most_ms, -SKEW_MAX_MS, SKEW_MAX_MS);
    bool is_owner = server == p->owner && p->config->ring_changed_ms > 0;
    struct ds_plan_time time = {0};

    us = clamp(us, 0, PUSHED_MAX_US);
    time.least_us = us - most_ms * US;
    time.most_us = us - least_ms * US;
    time.future = time.least_us > (p->config->now_ms + DS_PLAN_TIE_MS) * US;
    time.ruled = is_owner && is_after(&time, ds_plan_grace_ends_ms(p));
    time.yields =
        (at->yields && !(is_owner && is_after(&time, p->config->ring_changed_ms))) ||
        is_belated(p, server, &time);
    return time;
}

static int64_t up_to_ms(int64_t us)
{
    return us / US + (us % US > 0);
}

int64_t ds_plan_most_ms(const struct ds_plan_time *time)
{
    return up_to_ms(time->most_us);
}

int64_t ds_plan_trusted_ms(const struct ds_plan_time *time)
{
    return up_to_ms(time->least_us) - DS_PLAN_TIE_MS;
}

int ds_plan_compare(const struct ds_plan_time *a, const struct ds_plan_time *b)
{
    if (a->ruled != b->ruled)
        return a->ruled ? 1 : -1;
    if (a->yields != b->yields)
        return a->yields ? -1 : 1;
    if (a->future || b->future)
        return 0;
    if (a->least_us > b->most_us + DS_PLAN_TIE_MS * US)
        return 1;
    return b->least_us > a->most_us + DS_PLAN_TIE_MS * US ? -1 : 0;
}

int64_t ds_plan_silent_ms(const struct ds_planner *p, size_t server, int64_t us)
{
    struct ds_plan_time time = ds_plan_time_of(p, server, us);
    int64_t due_ms = ds_plan_later(ds_plan_most_ms(&time), p->config->patience_ms);
    int64_t since_ring_ms =
        ds_plan_later(ds_plan_grace_ends_ms(p), p->config->patience_ms);

    if (time.future && since_ring_ms < ds_plan_trusted_ms(&time))
        return ds_plan_min(due_ms, since_ring_ms);
    return due_ms;
}

void ds_plan_add_tie(struct ds_planner *p, const struct ds_plan_copy *copy)
{
    struct ds_plan *plan = p->plan;

    if (plan->n_ties == p->cap_ties) {
        p->cap_ties = p->cap_ties ? 2 * p->cap_ties : 64;
        plan->ties = ds_xreallocarray(plan->ties, p->cap_ties, sizeof(struct ds_group *));
    }
    plan->ties[plan->n_ties++] = copy->group;
}

/* A tie of any number of copies. */
struct tie {
    int64_t most_ms;    /* the latest push that has a time */
    int64_t trusted_ms; /* when the first of those that have none will have one */
    bool future;
};

static const struct tie NO_TIE = {.most_ms = INT64_MIN, .trusted_ms = INT64_MAX};

static void join_tie(struct tie *tie, const struct ds_plan_copy *copy)
{
    if (copy->pushed.future) {
        tie->future = true;
        tie->trusted_ms = ds_plan_min(tie->trusted_ms, ds_plan_trusted_ms(&copy->pushed));
    } else {
        tie->most_ms = ds_plan_max(tie->most_ms, ds_plan_most_ms(&copy->pushed));
    }
}

/* Who pushes goes to the owner once the ring has settled: so a time that cannot be
   trusted says at least that a copy elsewhere is not younger than that. */
static int64_t end_of_tie(const struct ds_planner *p, const struct tie *tie)
{
    int64_t from_ms = tie->most_ms, ends_ms;

    if (tie->future)
        from_ms = ds_plan_max(from_ms, ds_plan_grace_ends_ms(p));
    ends_ms = ds_plan_later(from_ms, DS_PLAN_TIE_LASTS_MS);
    return ends_ms <= p->config->now_ms ? ends_ms : ds_plan_min(ends_ms, tie->trusted_ms);
}

int64_t ds_plan_tie_ends_ms(const struct ds_planner *p, const struct ds_plan_copy *a,
                            const struct ds_plan_copy *b)
{
    struct tie tie = NO_TIE;

    join_tie(&tie, a);
    join_tie(&tie, b);
    return end_of_tie(p, &tie);
}

/* A copy that no other beats.  (Nothing is beaten by what it ties with and does not beat
   itself, so one look at each is enough.) */
static struct ds_plan_copy *unbeaten(const struct ds_planner *p)
{
    struct ds_plan_copy *best = NULL;

    for (size_t i = 0; i < p->n_copies; i++) {
        struct ds_plan_copy *copy = &p->copies[i];
        int order;

        if (ds_plan_is_phantom(copy->group))
            continue;
        order = best ? ds_plan_compare(&copy->pushed, &best->pushed) : 1;
        /* A time that is known, and the latest one, lets fewer others tie with it. */
        if (order > 0 || (!order && best->pushed.future && !copy->pushed.future) ||
            (!order && best->pushed.future == copy->pushed.future &&
             copy->pushed.least_us > best->pushed.least_us))
            best = copy;
    }
    return best;
}

struct ds_plan_copy *ds_plan_newest(const struct ds_planner *p, int64_t *sure_ms)
{
    struct ds_plan_copy *best = unbeaten(p), *kept = NULL;
    struct tie tie = NO_TIE;
    size_t n = 0;

    for (size_t i = 0; i < p->n_copies; i++) {
        struct ds_plan_copy *copy = &p->copies[i];

        if (best && (ds_plan_is_phantom(copy->group) ||
                     ds_plan_compare(&copy->pushed, &best->pushed) < 0))
            continue;
        n++;
        join_tie(&tie, copy);
        if (!kept || kept->server != p->owner)
            kept = copy;
    }
    *sure_ms = best && n > 1 ? end_of_tie(p, &tie) : 0;
    return kept;
}

static struct ds_plan_time family_time(const struct ds_planner *p,
                                       const struct ds_plan_copy *copy)
{
    int64_t us = copy->group->families[copy->next_family].pushed_us;

    return ds_plan_time_of(p, copy->server, us > 0 ? us : copy->group->pushed_us);
}

/* The next family of this copy has this name. */
static bool has_family(const struct ds_plan_copy *copy, const char *name)
{
    return copy->next_family < copy->group->n_families &&
           strcmp(copy->group->families[copy->next_family].name, name) == 0;
}

static const char *first_family(const struct ds_planner *p)
{
    const char *first = NULL;

    for (size_t i = 0; i < p->n_copies; i++) {
        const struct ds_plan_copy *copy = &p->copies[i];
        const char *name;

        if (copy->next_family == copy->group->n_families)
            continue;
        name = copy->group->families[copy->next_family].name;
        if (!first || strcmp(name, first) < 0)
            first = name;
    }
    return first;
}

/* The giver's own name: what goes lives as long as its inventory. */
static void give(const struct ds_planner *p, struct ds_plan_copy *from)
{
    struct ds_plan_time time = family_time(p, from);

    if (from->n_families == from->cap_families) {
        from->cap_families = from->cap_families ? 2 * from->cap_families : 4;
        from->families =
            ds_xreallocarray(from->families, from->cap_families, sizeof *from->families);
    }
    from->families[from->n_families++] = from->group->families[from->next_family].name;
    if (!time.future)
        from->given_ms = ds_plan_max(from->given_ms, ds_plan_most_ms(&time));
}

static bool is_better(const struct ds_plan_time *time, const struct ds_plan_time *best)
{
    int order = ds_plan_compare(time, best);

    return order > 0 || (!order && best->future && !time->future);
}

/* One copy gives it: the newest of those that are newer than what is kept.  The others of
   them rely on that.  In a tie what is kept stays, if the copy goes at all. */
static struct ds_plan_copy *giver(struct ds_planner *p, const struct ds_plan_copy *kept,
                                  const char *name)
{
    struct ds_plan_time at_kept = {0}, at_best = {0};
    struct ds_plan_copy *best = NULL;
    bool is_there = has_family(kept, name);

    if (is_there)
        at_kept = family_time(p, kept);
    for (size_t i = 0; i < p->n_copies; i++) {
        struct ds_plan_copy *copy = &p->copies[i], *other = best;
        struct ds_plan_time time;
        int order;

        if (copy == kept || !has_family(copy, name))
            continue;
        time = family_time(p, copy);
        order = is_there ? ds_plan_compare(&time, &at_kept) : 1;
        copy->ties |= !order;
        if (order <= 0)
            continue;
        if (best && !ds_plan_compare(&time, &at_best))
            copy->ties = best->ties = true;
        if (!best || is_better(&time, &at_best)) {
            best = copy;
            at_best = time;
        } else {
            other = copy;
        }
        if (other)
            other->relies = true;
    }
    return best;
}

/* In a circle (each has a family that the other has newer) somebody has to begin. */
static void break_circle(struct ds_planner *p, const struct ds_plan_copy *kept)
{
    struct ds_plan_copy *first = NULL;

    for (size_t i = 0; i < p->n_copies; i++) {
        struct ds_plan_copy *copy = &p->copies[i];

        if (copy == kept || !copy->n_families)
            continue;
        if (!copy->relies)
            return;
        if (!first)
            first = copy;
    }
    if (first)
        first->relies = false;
}

void ds_plan_give_families(struct ds_planner *p, const struct ds_plan_copy *kept)
{
    const char *name;

    for (size_t i = 0; i < p->n_copies; i++) {
        p->copies[i].next_family = p->copies[i].n_families = 0;
        p->copies[i].relies = p->copies[i].ties = p->copies[i].open = false;
        p->copies[i].given_ms = INT64_MIN / 2;
    }
    while ((name = first_family(p))) {
        struct ds_plan_copy *from = giver(p, kept, name);

        if (from)
            give(p, from);
        for (size_t i = 0; i < p->n_copies; i++)
            p->copies[i].next_family += has_family(&p->copies[i], name);
    }
    break_circle(p, kept);
}
