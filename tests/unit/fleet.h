/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet.h - four servers A to D with groups, in a short notation, for tests of plans.
 *
 * Copies of a group: "A x@-10 y@-20; B x@-30": on A with the families x and y, pushed 10
 * and 20 s before now by A's own clock; its push_time_seconds is that of the latest one,
 * or what "push@-5" says.  "C fail@-3": a phantom.
 * Moves: "A>B" a DELETE on A, B keeps a copy; "A>B x,y" a POST of x and y before; "A=>B"
 * a PUT to B before; "A!" a phantom dropped.
 */
#ifndef DSHARD_TEST_FLEET_H
#define DSHARD_TEST_FLEET_H

#include "dshard/plan.h"
#include "members.h"

enum { A, B, C, D, FLEET };

static const int64_t NOW_MS = INT64_C(1700000000000);

struct fleet {
    struct ds_inventory inventories[FLEET];
    struct ds_plan_server servers[FLEET];
    struct ds_ring *ring; /* A, B, C */
    struct ds_plan_config config;
};

static inline void fleet_start(struct fleet *fleet)
{
    struct ds_server members[FLEET];

    memset(fleet, 0, sizeof *fleet);
    for (size_t i = 0; i < FLEET; i++) {
        struct ds_inventory *inventory = &fleet->inventories[i];

        snprintf(inventory->address, sizeof inventory->address, "10.0.0.%zu:9091", i + 1);
        inventory->reached = true;
        fleet->servers[i].inventory = inventory;
        set_server(&members[i], inventory->address, 1);
    }
    fleet->ring = build(members, 3, 8);
    fleet->config = (struct ds_plan_config){
        .mode = DS_PLAN_MOVE,
        .now_ms = NOW_MS,
        .ring_changed_ms = NOW_MS - 600000,
        .grace_ms = 5000,
        .patience_ms = 60000,
        .ring = fleet->ring,
    };
}

static inline void fleet_end(struct fleet *fleet)
{
    for (size_t i = 0; i < FLEET; i++) {
        struct ds_inventory *inventory = &fleet->inventories[i];

        for (size_t k = 0; k < inventory->n; k++)
            ds_group_release(&inventory->groups[k]);
        free(inventory->groups);
    }
    ds_ring_free(fleet->ring);
}

/* A hash that this server (A to C) owns. */
static inline uint32_t fleet_hash(const struct fleet *fleet, size_t owner)
{
    struct random r = {owner};

    for (;;) {
        uint32_t hash = (uint32_t)random_next(&r);

        if (strcmp(ds_ring_owner_of_hash(fleet->ring, hash)->address,
                   fleet->inventories[owner].address) == 0)
            return hash;
    }
}

static inline void add_family(struct ds_group *group, const char *name, size_t len,
                              int64_t us)
{
    if (len == 4 && memcmp(name, "fail", 4) == 0) {
        group->failed_us = us;
        return;
    }
    if (us > group->pushed_us)
        group->pushed_us = us;
    if (len == 4 && memcmp(name, "push", 4) == 0)
        return;
    group->families =
        ds_xreallocarray(group->families, group->n_families + 1, sizeof *group->families);
    group->families[group->n_families++] =
        (struct ds_family){.name = ds_xstrndup(name, len), .pushed_us = us};
}

/* Reads "x@-10 y@-20" up to a ';' or the end. */
static inline const char *read_families(struct ds_group *group, const char *text)
{
    while (*(text += strspn(text, " ")) && *text != ';') {
        size_t len = strcspn(text, "@");
        char *end = NULL;
        double seconds = strtod(text + len + 1, &end);

        add_family(group, text, len, NOW_MS * 1000 + (int64_t)(seconds * 1e6));
        text = end;
    }
    return text;
}

/* Puts the copies of one group into the fleet; groups are added in their order. */
static inline void fleet_add(struct fleet *fleet, const char *identity, uint32_t hash,
                             unsigned flags, const char *copies)
{
    while (*(copies += strspn(copies, "; "))) {
        struct ds_inventory *inventory = &fleet->inventories[*copies - 'A'];
        struct ds_group group = {.identity = ds_xstrdup(identity),
                                 .identity_len = strlen(identity),
                                 .hash = hash,
                                 .flags = flags};

        copies = read_families(&group, copies + 1);
        inventory->groups = ds_xreallocarray(inventory->groups, inventory->n + 1,
                                             sizeof *inventory->groups);
        inventory->groups[inventory->n++] = group;
    }
}

/* The moves in the notation above, one a group of words, joined by "; ". */
static inline void fleet_tell(const struct ds_plan *plan, char *out, size_t size)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < plan->n_moves && at < size; i++) {
        const struct ds_move *move = &plan->moves[i];

        at += (size_t)snprintf(out + at, size - at, "%s%c", i ? "; " : "",
                               (int)('A' + move->from));
        if (move->from == move->to)
            at += (size_t)snprintf(out + at, size - at, "!");
        else
            at += (size_t)snprintf(out + at, size - at, "%s%c", move->kept ? ">" : "=>",
                                   (int)('A' + move->to));
        for (size_t k = 0; k < move->n_families && at < size; k++)
            at += (size_t)snprintf(out + at, size - at, "%c%s", k ? ',' : ' ',
                                   move->families[k]);
    }
    assert_true(at < size);
}

#endif
