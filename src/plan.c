/* SPDX-License-Identifier: Apache-2.0 */
/* see plan.h */
#include "plan_impl.h"

#include <assert.h>
#include <stdlib.h>

static size_t find_server(const struct ds_plan_server *servers, size_t n,
                          const char *address)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(servers[middle].inventory->address, address);

        if (!order)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return n;
}

size_t ds_plan_owner(const struct ds_ring *ring, const struct ds_plan_server *servers,
                     size_t n, const struct ds_group *group)
{
    if (!ring)
        return n;
    return find_server(servers, n, ds_ring_owner_of_hash(ring, group->hash)->address);
}

/* ---- what is done about one group ----------------------------------------------- */

/* Otherwise the group waits, and that time counts for due_ms. */
static bool is_due(struct ds_planner *p, int64_t due_ms)
{
    if (due_ms <= p->config->now_ms)
        return true;
    p->waits = true;
    p->plan->due_ms = ds_plan_min(p->plan->due_ms, due_ms);
    return false;
}

/* Takes the families of `copy` over. */
static void add_move(struct ds_planner *p, struct ds_plan_copy *copy,
                     const struct ds_group *kept, size_t to)
{
    struct ds_plan *plan = p->plan;
    struct ds_move move = {
        .group = copy->group, .kept = kept, .from = copy->server, .to = to};

    if (p->config->mode == DS_PLAN_LOOK)
        return;
    if (copy->n_families) {
        move.n_families = copy->n_families;
        move.families = ds_steal(&copy->families);
        copy->n_families = copy->cap_families = 0;
    }
    if (plan->n_moves == p->cap_moves) {
        p->cap_moves = p->cap_moves ? 2 * p->cap_moves : 64;
        plan->moves = ds_xreallocarray(plan->moves, p->cap_moves, sizeof *plan->moves);
    }
    plan->moves[plan->n_moves++] = move;
}

/* Nothing is lost with it, but who pushes in vain would miss it. */
static void plan_phantom(struct ds_planner *p, struct ds_plan_copy *copy)
{
    int64_t due_ms =
        ds_plan_max(ds_plan_grace_ends_ms(p),
                    ds_plan_silent_ms(p, copy->server, copy->group->failed_us));

    if (is_due(p, due_ms))
        add_move(p, copy, NULL, copy->server);
}

static bool is_left(const struct ds_planner *p, const struct ds_plan_copy *copy)
{
    int64_t age_ms = p->config->leave_older_than_ms;

    return age_ms > 0 && !copy->pushed.future &&
           ds_plan_later(ds_plan_most_ms(&copy->pushed), age_ms) < p->config->now_ms;
}

/* The only copy, and not at the owner, which lacks it. */
static void plan_lone(struct ds_planner *p, struct ds_plan_copy *copy)
{
    int64_t due_ms =
        ds_plan_max(ds_plan_grace_ends_ms(p),
                    ds_plan_silent_ms(p, copy->server, copy->group->pushed_us));

    if (p->servers[copy->server].settles)
        p->waits = true; /* until it is a member, and may well be the owner */
    else if (ds_plan_is_phantom(copy->group))
        plan_phantom(p, copy);
    else if (is_left(p, copy))
        p->plan->n_left++;
    else if (is_due(p, due_ms))
        add_move(p, copy, NULL, p->owner);
}

/* `sure_ms`: from when on `kept` is known to be the one that stays; -1: not asked yet. */
static int64_t loser_due_ms(const struct ds_planner *p, const struct ds_plan_copy *kept,
                            struct ds_plan_copy *copy, int64_t sure_ms)
{
    int64_t grace_ends_ms = ds_plan_grace_ends_ms(p);
    bool is_phantom = ds_plan_is_phantom(copy->group);
    int order = is_phantom || sure_ms >= 0 ? 1
                : ds_plan_is_phantom(kept->group)
                    ? -1
                    : ds_plan_compare(&kept->pushed, &copy->pushed);

    /* Where no family is in doubt, it does not matter which group is the newer one. */
    if ((!order || sure_ms > 0) && !copy->ties)
        return grace_ends_ms;
    if (!order)
        sure_ms = ds_plan_tie_ends_ms(p, kept, copy);
    copy->open = sure_ms > p->config->now_ms;
    if (!order)
        return ds_plan_max(grace_ends_ms, sure_ms);
    if (is_phantom && copy->server == p->owner)
        return ds_plan_max(grace_ends_ms,
                           ds_plan_silent_ms(p, copy->server, copy->group->failed_us));
    if (order > 0 && kept->server == p->owner && !copy->n_families)
        grace_ends_ms =
            ds_plan_later(p->config->ring_changed_ms, p->config->grace_ms / 4);
    return ds_plan_max(grace_ends_ms, sure_ms);
}

/* A POST to where clients push could replace theirs, in the few milliseconds after the
   last look: what they push often they bring themselves. */
static int64_t give_due_ms(const struct ds_planner *p, const struct ds_plan_copy *kept,
                           const struct ds_plan_copy *copy)
{
    if (!copy->n_families || kept->server != p->owner)
        return INT64_MIN;
    return ds_plan_later(copy->given_ms, p->config->grace_ms);
}

static struct ds_plan_copy *copy_at_owner(const struct ds_planner *p)
{
    for (size_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].server == p->owner)
            return &p->copies[i];
    return NULL;
}

/* Nobody has ever pushed any of it successfully, and the owner knows nothing of it. */
static bool are_stray_phantoms(const struct ds_planner *p)
{
    for (size_t i = 0; i < p->n_copies; i++)
        if (!ds_plan_is_phantom(p->copies[i].group))
            return false;
    return true;
}

static void plan_losers(struct ds_planner *p, const struct ds_plan_copy *kept,
                        int64_t sure_ms)
{
    bool any_ties = false;

    ds_plan_give_families(p, kept);
    for (size_t i = 0; i < p->n_copies; i++) {
        struct ds_plan_copy *copy = &p->copies[i];
        int64_t due_ms;

        if (copy == kept)
            continue;
        due_ms =
            ds_plan_max(loser_due_ms(p, kept, copy, sure_ms), give_due_ms(p, kept, copy));
        if (copy->open)
            ds_plan_add_tie(p, copy);
        any_ties |= copy->open;
        if (copy->relies)
            p->waits = true;
        else if (is_due(p, due_ms))
            add_move(p, copy, kept->group, kept->server);
    }
    if (any_ties)
        ds_plan_add_tie(p, kept);
}

static void plan_several(struct ds_planner *p)
{
    bool moves_home = p->config->mode != DS_PLAN_DEDUPE && p->owner < p->n_servers;
    struct ds_plan_copy *kept = moves_home ? copy_at_owner(p) : NULL;
    int64_t sure_ms = -1;

    if (!kept && moves_home && are_stray_phantoms(p)) {
        for (size_t i = 0; i < p->n_copies; i++)
            plan_lone(p, &p->copies[i]);
        return;
    }
    if (!kept) {
        kept = ds_plan_newest(p, &sure_ms);
        p->waits |= moves_home; /* it goes to its owner as soon as it is alone */
    }
    plan_losers(p, kept, sure_ms);
}

static bool is_stuck(const struct ds_planner *p)
{
    for (size_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].group->flags & DS_GROUP_STUCK)
            return true;
    return false;
}

static void plan_group(struct ds_planner *p)
{
    struct ds_plan *plan = p->plan;
    bool is_ownerless, is_misplaced;

    p->owner =
        ds_plan_owner(p->config->ring, p->servers, p->n_servers, p->copies[0].group);
    if (p->owner < p->n_servers && !p->servers[p->owner].inventory->reached)
        p->owner = p->n_servers;
    is_ownerless = p->config->ring && p->owner == p->n_servers;
    is_misplaced =
        p->config->ring && (p->n_copies > 1 || p->copies[0].server != p->owner);
    plan->n_groups++;
    plan->n_copies += p->n_copies - 1;
    plan->n_ownerless += is_ownerless;
    plan->n_misplaced += is_misplaced;
    if (p->n_copies == 1 && (!is_misplaced || p->config->mode == DS_PLAN_DEDUPE))
        return;
    p->waits = false;
    for (size_t i = 0; i < p->n_copies; i++)
        p->copies[i].pushed =
            ds_plan_time_of(p, p->copies[i].server, p->copies[i].group->pushed_us);
    if (is_stuck(p))
        plan->n_stuck++;
    else if (is_ownerless)
        p->waits = true; /* it may have a newer one, and a copy made now would beat it */
    else if (p->n_copies == 1)
        plan_lone(p, &p->copies[0]);
    else
        plan_several(p);
    plan->n_waiting += p->waits;
}

/* ---- all groups, in the order of their identities -------------------------------- */

/* The inventories that are not used up, in a heap by their next group. */
struct merge {
    const struct ds_plan_server *servers;
    size_t *next; /* group of each server */
    size_t *heap; /* servers */
    size_t n;
};

static const struct ds_group *next_group(const struct merge *merge, size_t server)
{
    return &merge->servers[server].inventory->groups[merge->next[server]];
}

/* Groups that are one come by server. */
static bool comes_first(const struct merge *merge, size_t a, size_t b)
{
    int order = ds_group_compare(next_group(merge, a), next_group(merge, b));

    return order ? order < 0 : a < b;
}

static void sink(struct merge *merge, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1, server = merge->heap[at];

        if (child >= merge->n)
            return;
        if (child + 1 < merge->n &&
            comes_first(merge, merge->heap[child + 1], merge->heap[child]))
            child++;
        if (!comes_first(merge, merge->heap[child], server))
            return;
        merge->heap[at] = merge->heap[child];
        merge->heap[child] = server;
        at = child;
    }
}

static void merge_start(struct merge *merge, const struct ds_plan_server *servers,
                        size_t n)
{
    merge->servers = servers;
    merge->next = ds_xcalloc(n, sizeof *merge->next);
    merge->heap = ds_xcalloc(n, sizeof *merge->heap);
    for (size_t i = 0; i < n; i++)
        if (servers[i].inventory->reached && servers[i].inventory->n)
            merge->heap[merge->n++] = i;
    for (size_t at = merge->n / 2; at-- > 0;)
        sink(merge, at);
}

/* Takes the first server's next group. */
static const struct ds_group *merge_take(struct merge *merge)
{
    size_t server = merge->heap[0];
    const struct ds_group *group = next_group(merge, server);

    if (++merge->next[server] == merge->servers[server].inventory->n)
        merge->heap[0] = merge->heap[--merge->n];
    if (merge->n)
        sink(merge, 0);
    return group;
}

static void plan_all(struct ds_planner *p)
{
    struct merge merge = {0};

    merge_start(&merge, p->servers, p->n_servers);
    while (merge.n) {
        p->n_copies = 0;
        do {
            struct ds_plan_copy *copy = &p->copies[p->n_copies++];

            copy->n_families = 0;
            copy->server = merge.heap[0];
            copy->group = merge_take(&merge);
        } while (merge.n && ds_group_compare(p->copies[0].group,
                                             next_group(&merge, merge.heap[0])) == 0);
        plan_group(p);
    }
    free(merge.next);
    free(merge.heap);
}

/* ---- the plan --------------------------------------------------------------------- */

/* What makes a server busy comes last: DELETE, POST, PUT. */
static unsigned class_of(const struct ds_move *move)
{
    if (move->from == move->to)
        return 0;
    return !move->kept ? 2 : move->n_families > 0;
}

static void sort_moves(struct ds_plan *plan)
{
    struct ds_move *sorted = ds_xcalloc(plan->n_moves, sizeof *sorted);
    size_t n = 0;

    for (unsigned class = 0; class < 3; class ++)
        for (size_t i = 0; i < plan->n_moves; i++)
            if (class_of(&plan->moves[i]) == class)
                sorted[n++] = plan->moves[i];
    free(plan->moves);
    plan->moves = sorted;
}

void ds_plan_make(struct ds_plan *plan, const struct ds_plan_config *config,
                  const struct ds_plan_server *servers, size_t n)
{
    struct ds_plan_config sane = *config;
    struct ds_planner p = {
        .config = &sane, .servers = servers, .n_servers = n, .plan = plan};

    for (size_t i = 1; i < n; i++)
        assert(strcmp(servers[i - 1].inventory->address, servers[i].inventory->address) <
               0);
    *plan = (struct ds_plan){.due_ms = INT64_MAX};
    /* Our clock was put back since: when it was is not known, and must not hold up all.
     */
    if (sane.ring_changed_ms > ds_plan_later(sane.now_ms, sane.grace_ms))
        sane.ring_changed_ms = 0;
    p.copies = ds_xcalloc(n, sizeof *p.copies);
    plan_all(&p);
    for (size_t i = 0; i < n; i++)
        free(p.copies[i].families);
    free(p.copies);
    sort_moves(plan);
}

void ds_plan_release(struct ds_plan *plan)
{
    for (size_t i = 0; i < plan->n_moves; i++)
        free(plan->moves[i].families);
    free(plan->moves);
    free(plan->ties);
    *plan = (struct ds_plan){0};
}

void ds_auto_plan(struct ds_plan *plan)
{
    ds_plan_release(plan);
}
