/* SPDX-License-Identifier: Apache-2.0 */
/* mover_report.c - what a pass found and did; see mover.h. */
#include "dshard/clock.h"
#include "mover_impl.h"

#include <stdlib.h>

enum {
    PAUSE_MIN_MS = 1000,
    PAUSE_DUE_MIN_MS = 200,
    PAUSE_READINGS = 4,
};

void ds_mover_report_init(struct ds_mover_report *report)
{
    *report = (struct ds_mover_report){.plan.due_ms = INT64_MAX};
}

void ds_mover_report_clear(struct ds_mover_report *report)
{
    struct ds_mover_refusal *refusals = report->refusals;
    size_t n_refusals = report->n_refusals;
    struct ds_mover_trace *traces = report->traces;
    size_t n_traces = report->n_traces, cap_traces = report->cap_traces;

    ds_plan_release(&report->plan);
    for (size_t i = 0; i < report->n_servers; i++) {
        if (report->inventories)
            ds_inventory_release(&report->inventories[i]);
        if (report->gone)
            free(report->gone[i]);
    }
    free(report->inventories);
    free(report->gone);
    free(report->servers);
    free(report->made);
    ds_ring_free(report->ring);
    ds_mover_report_init(report);
    report->refusals = refusals;
    report->n_refusals = n_refusals;
    report->traces = traces;
    report->n_traces = report->n_old_traces = n_traces;
    report->cap_traces = cap_traces;
}

void ds_mover_report_release(struct ds_mover_report *report)
{
    ds_mover_report_clear(report);
    for (size_t i = 0; i < report->n_refusals; i++) {
        free(report->refusals[i].identity);
        free(report->refusals[i].why);
    }
    free(report->refusals);
    ds_mover_report_forget(report);
    ds_mover_report_init(report);
}

void ds_auto_mover_report(struct ds_mover_report *report)
{
    ds_mover_report_release(report);
}

const struct ds_mover_server *ds_mover_report_find(const struct ds_mover_report *report,
                                                   const char *address)
{
    for (size_t i = 0; i < report->n_servers; i++) {
        if (strcmp(report->servers[i].address, address) == 0)
            return &report->servers[i];
    }
    return NULL;
}

/* ---- what the pass does -------------------------------------------------------------
 */

void ds_mover_report_gone(struct ds_mover_report *report, size_t server,
                          const struct ds_group *group)
{
    const struct ds_inventory *inventory = &report->inventories[server];

    if (!report->gone)
        report->gone = ds_xcalloc(report->n_servers, sizeof *report->gone);
    if (!report->gone[server])
        report->gone[server] = ds_xcalloc(inventory->n, sizeof *report->gone[server]);
    report->gone[server][group - inventory->groups] = true;
}

void ds_mover_report_made(struct ds_mover_report *report, size_t server,
                          const struct ds_group *group)
{
    report->made =
        ds_xreallocarray(report->made, report->n_made + 1, sizeof *report->made);
    report->made[report->n_made++] =
        (struct ds_mover_place){.group = group, .server = server};
}

bool ds_mover_report_has_refused(const struct ds_mover_report *report,
                                 const struct ds_move *move)
{
    for (size_t i = 0; i < report->n_refusals; i++) {
        const struct ds_mover_refusal *refusal = &report->refusals[i];

        if (refusal->identity_len == move->group->identity_len &&
            memcmp(refusal->identity, move->group->identity, refusal->identity_len) ==
                0 &&
            strcmp(refusal->from, report->servers[move->from].address) == 0 &&
            strcmp(refusal->to, report->servers[move->to].address) == 0)
            return true;
    }
    return false;
}

void ds_mover_report_forgive(struct ds_mover_report *report, const char *why)
{
    size_t at = 0;

    while (report->refusals[at].why != why)
        at++;
    free(report->refusals[at].identity);
    free(report->refusals[at].why);
    report->n_refusals--;
    memmove(&report->refusals[at], &report->refusals[at + 1],
            (report->n_refusals - at) * sizeof *report->refusals);
}

/* ---- where the groups are -----------------------------------------------------------
 */

static int by_place(const void *a, const void *b)
{
    const struct ds_mover_place *x = a, *y = b;
    int order = ds_group_compare(x->group, y->group);

    if (order)
        return order;
    return x->server < y->server ? -1 : x->server > y->server;
}

static struct ds_mover_place *collect(const struct ds_mover_report *report, size_t *n)
{
    struct ds_mover_place *places;
    size_t room = report->n_made;

    *n = 0;
    for (size_t i = 0; i < report->n_servers; i++)
        room += report->inventories[i].n;
    places = ds_xcalloc(room, sizeof *places);
    for (size_t i = 0; i < report->n_servers; i++) {
        const bool *gone = report->gone ? report->gone[i] : NULL;

        for (size_t k = 0; k < report->inventories[i].n; k++) {
            if (!gone || !gone[k])
                places[(*n)++] = (struct ds_mover_place){
                    .group = &report->inventories[i].groups[k], .server = i};
        }
    }
    for (size_t i = 0; i < report->n_made; i++)
        places[(*n)++] = report->made[i];
    qsort(places, *n, sizeof *places, by_place);
    return places;
}

static bool is_same_group(const struct ds_mover_place *a, const struct ds_mover_place *b)
{
    return ds_group_compare(a->group, b->group) == 0;
}

/* A copy that was made where a phantom lay is one group. */
static size_t unite(struct ds_mover_place *places, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (!kept || by_place(&places[kept - 1], &places[i]) != 0)
            places[kept++] = places[i];
    }
    return kept;
}

bool ds_mover_settles(const struct ds_mover_server *server)
{
    return !server->member && server->intent != DS_INTENT_DRAINING;
}

static bool settles(const struct ds_mover_report *report,
                    const struct ds_mover_place *place)
{
    return ds_mover_settles(&report->servers[place->server]);
}

/* Whether the plan would rather keep a than b.  It knows better where two servers' clocks
   differ; here it is for the eye, and for the question whether a server is clean: whoever
   is about to come in has nothing that counts as long as somebody else has it. */
static bool is_better(const struct ds_mover_report *report,
                      const struct ds_mover_place *a, const struct ds_mover_place *b)
{
    if (settles(report, a) != settles(report, b))
        return settles(report, b);
    if (!a->group->pushed_us != !b->group->pushed_us)
        return a->group->pushed_us != 0;
    if (a->misplaced != b->misplaced)
        return b->misplaced;
    return a->group->pushed_us > b->group->pushed_us;
}

static void mark_owners(const struct ds_mover_report *report,
                        struct ds_mover_place *places, size_t n)
{
    DS_AUTO(ptr)
    void *list = ds_xcalloc(report->n_servers, sizeof(struct ds_plan_server));
    struct ds_plan_server *servers = list;

    for (size_t i = 0; i < report->n_servers; i++)
        servers[i].inventory = &report->inventories[i];
    for (size_t i = 0; i < n; i++) {
        if (i && is_same_group(&places[i - 1], &places[i]))
            places[i].owner = places[i - 1].owner;
        else if (report->ring)
            places[i].owner =
                ds_plan_owner(report->ring, servers, report->n_servers, places[i].group);
        else
            places[i].owner = report->n_servers;
        places[i].misplaced = report->ring && places[i].owner != places[i].server;
    }
}

size_t ds_mover_group_end(const struct ds_mover_place *places, size_t n, size_t at)
{
    size_t end = at + 1;

    while (end < n && is_same_group(&places[at], &places[end]))
        end++;
    return end;
}

static void mark_beaten(const struct ds_mover_report *report,
                        struct ds_mover_place *places, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++) {
        if (is_better(report, &places[i], &places[best]))
            best = i;
    }
    for (size_t i = 0; i < n; i++)
        places[i].beaten = i != best;
}

struct ds_mover_place *ds_mover_places(const struct ds_mover_report *report, size_t *n)
{
    struct ds_mover_place *places = collect(report, n);

    *n = unite(places, *n);
    mark_owners(report, places, *n);
    for (size_t i = 0; i < *n;) {
        size_t end = ds_mover_group_end(places, *n, i);

        mark_beaten(report, places + i, end - i);
        i = end;
    }
    return places;
}

/* ---- how old a group is -------------------------------------------------------------
 */

/* When it was pushed, by our clock; by the last try when none has worked. */
static int64_t pushed_ms(const struct ds_mover_report *report,
                         const struct ds_mover_place *place)
{
    const struct ds_inventory *inventory = &report->inventories[place->server];
    const struct ds_group *group = place->group;
    int64_t at_us = group->pushed_us;

    if (!at_us)
        at_us = group->failed_us ? group->failed_us : group->created_us;
    if (!at_us)
        return DS_MOVER_NEVER_MS;
    return at_us / 1000 - (inventory->skew_least_ms + inventory->skew_most_ms) / 2;
}

int64_t ds_mover_age_ms(const struct ds_mover_report *report,
                        const struct ds_mover_place *place, int64_t now_ms)
{
    int64_t at_ms = pushed_ms(report, place);

    return at_ms == DS_MOVER_NEVER_MS ? -1 : now_ms - at_ms;
}

const struct ds_mover_place *ds_mover_newest(const struct ds_mover_report *report,
                                             const struct ds_mover_place *places,
                                             size_t n)
{
    const struct ds_mover_place *newest = places;

    for (size_t i = 1; i < n; i++) {
        bool worked = places[i].group->pushed_us != 0;

        if (worked != (newest->group->pushed_us != 0)
                ? worked
                : pushed_ms(report, &places[i]) > pushed_ms(report, newest))
            newest = &places[i];
    }
    return newest;
}

static int by_pointer(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const struct ds_group *const *)a;
    uintptr_t y = (uintptr_t) * (const struct ds_group *const *)b;

    return x < y ? -1 : x > y;
}

static bool does_tie(const struct ds_plan *plan, const struct ds_mover_place *place)
{
    return place->beaten && plan->n_ties &&
           bsearch(&place->group, plan->ties, plan->n_ties, sizeof *plan->ties,
                   by_pointer);
}

static void sort_ties(struct ds_plan *plan)
{
    if (plan->n_ties)
        qsort(plan->ties, plan->n_ties, sizeof *plan->ties, by_pointer);
}

void ds_mover_report_count(struct ds_mover_report *report)
{
    size_t n;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;

    sort_ties(&report->plan);
    for (size_t i = 0; i < n;) {
        size_t end = ds_mover_group_end(places, n, i);
        bool misplaced = false;

        for (size_t k = i; k < end; k++) {
            struct ds_mover_server *row = &report->servers[places[k].server];

            row->n_groups++;
            row->n_misplaced += places[k].misplaced;
            row->n_copies += places[k].beaten;
            row->n_ties += does_tie(&report->plan, &places[k]);
            misplaced = misplaced || places[k].misplaced;
        }
        report->n_groups++;
        report->n_misplaced += misplaced;
        report->n_copies += end - i - 1;
        i = end;
    }
}

bool ds_mover_is_done(const struct ds_mover_report *report, enum ds_plan_mode mode)
{
    if (mode == DS_PLAN_MOVE)
        return report->n_misplaced <= report->plan.n_left && !report->n_copies;
    return !report->n_copies;
}

int64_t ds_mover_pause_ms(const struct ds_mover_report *report)
{
    int64_t pause_ms = report->read_ms * PAUSE_READINGS;
    int64_t due_in_ms;

    if (pause_ms < PAUSE_MIN_MS)
        pause_ms = PAUSE_MIN_MS;
    if (report->plan.due_ms == INT64_MAX)
        return pause_ms;
    due_in_ms = report->plan.due_ms - ds_clock_wall_ms();
    if (due_in_ms < PAUSE_DUE_MIN_MS)
        due_in_ms = PAUSE_DUE_MIN_MS;
    return due_in_ms < pause_ms ? due_in_ms : pause_ms;
}
