/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of a fleet: pushes, changes of the ring, servers that die and come
 * back with old data, clocks an hour apart and set to and fro, and plans that are carried
 * out in part, with pushes in between.  After some quiet time all has to be in place.
 *
 * What has to hold:
 *  - no family is lost but what a server lost in its own crash, or a PUT dropped (such a
 *    one may reappear, with any value);
 *  - every family has the value of its last push that worked.  That cannot be demanded
 *    where nobody can know it ("in doubt"): pushes to two servers within a few seconds,
 *    a value that was copied while the server with a newer one was away, stamps by a
 *    clock that has been set since; until the owner gets the next push;
 *  - in move mode the owner's copy is never deleted.
 */
#include "test.h"

#include "dshard/plan.h"
#include "members.h"

enum { SERVERS = 5, GROUPS = 4, FAMILIES = 3, HISTORIES = 8000, EVENTS = 80 };
enum { GRACE_MS = 5000, PATIENCE_MS = 60000, HOUR_MS = 3600000 };
enum { DOUBT_MS = 6000 }; /* a tie, and what two Date headers leave open */

static const char *const NAMES[FAMILIES] = {"x", "y", "z"};
static const char *const IDENTITIES[GROUPS] = {"job=0", "job=1", "job=2", "job=3"};

struct value {
    bool is_there, is_odd; /* odd: its server's clock has been set since */
    unsigned version;
    int64_t pushed_us; /* its server's clock */
    int64_t true_ms;
};

struct copy {
    bool is_there;
    int64_t pushed_us, failed_us;
    unsigned n_client; /* pushes by clients */
    struct value values[FAMILIES];
};

struct machine {
    bool is_up, is_member, is_drained;
    int64_t offset_ms; /* of its clock */
    struct copy copies[GROUPS], saved[GROUPS];
};

struct want {
    bool exists, in_doubt;
    unsigned version;
};

struct world {
    struct random *r;
    int64_t now_ms, changed_ms;
    unsigned n_pushes;
    enum ds_plan_mode mode;
    bool clocks_step;
    struct machine machines[SERVERS];
    struct ds_server servers[SERVERS];
    uint32_t hashes[GROUPS];
    struct ds_ring *ring, *before;
    struct want wants[GROUPS][FAMILIES];
    size_t n_sure; /* checks of values that were in no doubt */
};

/* What the plan sees, and what it says. */
struct view {
    struct ds_inventory inventories[SERVERS];
    struct ds_group groups[SERVERS][GROUPS];
    struct ds_family families[SERVERS][GROUPS][FAMILIES];
    struct ds_plan_server servers[SERVERS];
    struct copy seen[SERVERS][GROUPS];
    struct ds_plan_config config;
    struct ds_plan plan;
};

static bool chance(struct world *w, size_t one_in)
{
    return random_below(w->r, one_in) == 0;
}

static int64_t clock_us(struct world *w, size_t server)
{
    /* No two pushes at one moment. */
    return (w->now_ms + w->machines[server].offset_ms) * 1000 + w->n_pushes % 1000;
}

static size_t owner_in(const struct world *w, const struct ds_ring *ring, size_t group)
{
    const char *address = ds_ring_owner_of_hash(ring, w->hashes[group])->address;
    size_t i = 0;

    while (strcmp(w->servers[i].address, address) != 0)
        i++;
    return i;
}

/* ---- what may be demanded -----------------------------------------------------------
 */

static struct value *value_at(struct world *w, size_t server, size_t group, size_t family)
{
    struct copy *copy = &w->machines[server].copies[group];

    return copy->is_there && copy->values[family].is_there ? &copy->values[family] : NULL;
}

/* Nobody can tell which of the two came later. */
static bool is_unclear(const struct value *newest, const struct value *other)
{
    return newest->is_odd || other->is_odd || other->true_ms > newest->true_ms - DOUBT_MS;
}

static bool owner_rules(struct world *w, size_t server, size_t group,
                        const struct value *v)
{
    return server == owner_in(w, w->ring, group) && !v->is_odd &&
           v->true_ms > w->changed_ms + GRACE_MS + 2000;
}

static void doubt(struct world *w, size_t group, size_t family)
{
    struct want *want = &w->wants[group][family];
    bool is_somewhere = false, is_whole = false, is_clear = true, is_ruled = false;

    for (size_t i = 0; i < SERVERS; i++) {
        const struct value *newest = value_at(w, i, group, family);

        is_somewhere |= newest != NULL;
        if (!newest || newest->version != want->version)
            continue;
        is_whole = true;
        is_ruled |= owner_rules(w, i, group, newest);
        for (size_t k = 0; k < SERVERS; k++) {
            const struct value *other = value_at(w, k, group, family);

            if (other && other->version != want->version)
                is_clear &= !is_unclear(newest, other);
        }
    }
    want->exists &= is_somewhere;
    want->in_doubt |= !is_whole || (!is_ruled && !is_clear);
}

static void doubt_all(struct world *w)
{
    for (size_t group = 0; group < GROUPS; group++)
        for (size_t family = 0; family < FAMILIES; family++)
            doubt(w, group, family);
}

static bool is_known(struct world *w, size_t group, size_t family)
{
    return w->wants[group][family].exists && !w->wants[group][family].in_doubt;
}

/* How many servers have the family, in any version or in the newest. */
static size_t count(struct world *w, size_t group, size_t family, bool newest, bool up)
{
    size_t n = 0;

    for (size_t i = 0; i < SERVERS; i++) {
        const struct value *value = value_at(w, i, group, family);

        n += value && (!up || w->machines[i].is_up) &&
             (!newest || value->version == w->wants[group][family].version);
    }
    return n;
}

/* ---- what happens -------------------------------------------------------------------
 */

static void write_value(struct world *w, size_t server, size_t group, size_t family,
                        unsigned version)
{
    struct copy *copy = &w->machines[server].copies[group];

    copy->is_there = true;
    copy->pushed_us = clock_us(w, server);
    copy->values[family] = (struct value){.is_there = true,
                                          .version = version,
                                          .pushed_us = copy->pushed_us,
                                          .true_ms = w->now_ms};
}

/* A client's PUT or POST, where some frontend sends it. */
static void push(struct world *w, size_t group)
{
    bool is_late =
        w->before && w->now_ms < w->changed_ms + GRACE_MS - 100 && chance(w, 2);
    size_t server = owner_in(w, is_late ? w->before : w->ring, group);
    struct copy *copy = &w->machines[server].copies[group];
    size_t families = 1 + random_below(w->r, (1 << FAMILIES) - 1);
    bool is_put = chance(w, 3);

    if (!w->machines[server].is_up)
        return;
    w->n_pushes++;
    copy->n_client++;
    if (chance(w, 20)) {
        copy->is_there = true;
        copy->failed_us = clock_us(w, server);
        return;
    }
    for (size_t family = 0; family < FAMILIES; family++) {
        if (families >> family & 1) {
            write_value(w, server, group, family, w->n_pushes);
            w->wants[group][family] =
                (struct want){.exists = true, .version = w->n_pushes};
        } else if (is_put) {
            copy->values[family].is_there = false;
            w->wants[group][family].exists = false;
        }
    }
}

static void change_ring(struct world *w)
{
    struct ds_server members[SERVERS];
    size_t n = 0;

    for (size_t i = 0; i < SERVERS; i++)
        if (w->machines[i].is_member)
            members[n++] = w->servers[i];
    ds_ring_free(w->before);
    w->before = w->ring;
    w->ring = build(members, n, 4);
    w->changed_ms = w->now_ms;
}

static void crash(struct world *w, struct machine *machine)
{
    static const struct copy none = {0};
    size_t fate = random_below(w->r, 3);

    for (size_t group = 0; group < GROUPS; group++)
        if (fate)
            machine->copies[group] = fate == 1 ? machine->saved[group] : none;
}

static size_t count_members(const struct world *w)
{
    size_t n = 0;

    for (size_t i = 0; i < SERVERS; i++)
        n += w->machines[i].is_member;
    return n;
}

static void set_member(struct world *w, struct machine *machine, bool is_member)
{
    if (machine->is_member == is_member || (!is_member && count_members(w) == 1))
        return;
    machine->is_member = is_member;
    change_ring(w);
}

static void set_clock(struct world *w, struct machine *machine)
{
    machine->offset_ms += (int64_t)random_below(w->r, 2 * HOUR_MS) - HOUR_MS;
    for (size_t group = 0; group < GROUPS; group++)
        for (size_t family = 0; family < FAMILIES; family++)
            machine->copies[group].values[family].is_odd =
                machine->saved[group].values[family].is_odd = true;
}

static void trouble(struct world *w)
{
    struct machine *machine = &w->machines[random_below(w->r, SERVERS)];

    switch (random_below(w->r, 7)) {
    case 0: /* dies; the last member stays in the ring */
        machine->is_up = false;
        crash(w, machine);
        set_member(w, machine, false);
        break;
    case 1: /* and is back before anybody has noticed */
        crash(w, machine);
        break;
    case 2: /* comes back, and is no member for a while */
        machine->is_up = true;
        break;
    case 3:
        machine->is_drained = !machine->is_drained;
        set_member(w, machine, machine->is_up && !machine->is_drained);
        break;
    case 4:
        if (w->clocks_step)
            set_clock(w, machine);
        break;
    case 5:
        memcpy(machine->saved, machine->copies, sizeof machine->saved);
        break;
    default:
        set_member(w, machine, machine->is_up && !machine->is_drained);
    }
}

/* ---- plans, carried out -------------------------------------------------------------
 */

static struct ds_group group_of(const struct copy *copy, size_t group,
                                struct ds_family families[FAMILIES])
{
    struct ds_group seen = {.identity = (char *)(uintptr_t)IDENTITIES[group],
                            .identity_len = strlen(IDENTITIES[group]),
                            .pushed_us = copy->pushed_us,
                            .failed_us = copy->failed_us,
                            .families = families};

    for (size_t family = 0; family < FAMILIES; family++)
        if (copy->values[family].is_there)
            families[seen.n_families++] = (struct ds_family){
                (char *)(uintptr_t)NAMES[family], copy->values[family].pushed_us};
    return seen;
}

/* What a Date header leaves open of a clock, as inventory.h has it. */
static void look_at_clock(struct world *w, struct ds_inventory *inventory,
                          int64_t offset_ms)
{
    int64_t date_ms = (w->now_ms + offset_ms) / 1000 * 1000;

    inventory->skew_least_ms = date_ms - w->now_ms;
    inventory->skew_most_ms =
        date_ms + 999 - w->now_ms + (int64_t)random_below(w->r, 100);
    if (inventory->skew_least_ms <= 0 && inventory->skew_most_ms >= 0)
        inventory->skew_least_ms = inventory->skew_most_ms = 0;
}

static void look(struct world *w, struct view *view)
{
    memset(view, 0, sizeof *view);
    for (size_t i = 0; i < SERVERS; i++) {
        const struct machine *machine = &w->machines[i];
        struct ds_inventory *inventory = &view->inventories[i];

        memcpy(inventory->address, w->servers[i].address, sizeof inventory->address);
        inventory->groups = view->groups[i];
        inventory->reached = machine->is_up;
        look_at_clock(w, inventory, machine->offset_ms);
        memcpy(view->seen[i], machine->copies, sizeof view->seen[i]);
        for (size_t group = 0; group < GROUPS; group++)
            if (machine->copies[group].is_there) {
                view->groups[i][inventory->n] =
                    group_of(&machine->copies[group], group, view->families[i][group]);
                view->groups[i][inventory->n++].hash = w->hashes[group];
            }
        view->servers[i] = (struct ds_plan_server){.inventory = inventory,
                                                   .settles = !machine->is_member &&
                                                              !machine->is_drained};
    }
    view->config = (struct ds_plan_config){.mode = w->mode,
                                           .now_ms = w->now_ms,
                                           .ring_changed_ms = w->changed_ms,
                                           .grace_ms = GRACE_MS,
                                           .patience_ms = PATIENCE_MS,
                                           .ring = w->ring};
    ds_plan_make(&view->plan, &view->config, view->servers, SERVERS);
}

/* As the mover sees to it: no client has pushed, and no crash has undone anything. */
static bool is_as_seen(struct world *w, const struct view *view, size_t server,
                       size_t group)
{
    const struct copy *now = &w->machines[server].copies[group];
    const struct copy *seen = &view->seen[server][group];

    return w->machines[server].is_up && now->is_there == seen->is_there &&
           now->n_client == seen->n_client && now->pushed_us >= seen->pushed_us;
}

static bool may_delete(struct world *w, const struct ds_move *move, size_t group)
{
    const struct machine *from = &w->machines[move->from], *to = &w->machines[move->to];
    struct ds_family families[2][FAMILIES];
    struct ds_group goes = group_of(&from->copies[group], group, families[0]);
    struct ds_group stays = group_of(&to->copies[group], group, families[1]);

    return from->is_up && to->is_up &&
           ds_plan_may_delete(move, from->copies[group].is_there ? &goes : NULL,
                              to->copies[group].is_there ? &stays : NULL);
}

static void copy_value(struct world *w, const struct view *view, size_t from, size_t to,
                       size_t group, size_t family)
{
    const struct value *value = value_at(w, from, group, family);
    unsigned newest = w->wants[group][family].version;

    assert_non_null(value);
    assert_true(w->now_ms >= w->changed_ms + GRACE_MS);
    for (size_t i = 0; i < SERVERS; i++) {
        const struct value *better = value_at(w, i, group, family);

        if (is_known(w, group, family) && better && better->version == newest &&
            value->version != newest && view->inventories[i].reached &&
            w->machines[i].is_up && view->seen[i][group].values[family].version == newest)
            fail_msg("an old value of group %zu is copied from %zu to %zu", group, from,
                     to);
    }
    write_value(w, to, group, family, value->version);
}

static void carry_over(struct world *w, const struct view *view,
                       const struct ds_move *move, size_t group)
{
    struct copy *to = &w->machines[move->to].copies[group];

    w->n_pushes++;
    to->is_there = true;
    to->pushed_us = clock_us(w, move->to);
    for (size_t family = 0; family < FAMILIES; family++)
        if (!move->kept && value_at(w, move->from, group, family))
            copy_value(w, view, move->from, move->to, group, family);
    for (size_t i = 0; i < move->n_families; i++)
        copy_value(w, view, move->from, move->to, group,
                   (size_t)(*move->families[i] - 'x'));
}

static void delete_copy(struct world *w, const struct ds_move *move, size_t group)
{
    static const struct copy none = {0};
    struct copy gone = w->machines[move->from].copies[group];

    if (w->mode == DS_PLAN_MOVE)
        assert_int_not_equal(move->from, owner_in(w, w->ring, group));
    w->machines[move->from].copies[group] = none;
    for (size_t family = 0; family < FAMILIES; family++) {
        if (!gone.values[family].is_there)
            continue;
        if (w->wants[group][family].exists && !count(w, group, family, false, true))
            fail_msg("the last copy of a family of group %zu is deleted on %zu", group,
                     move->from);
        if (is_known(w, group, family) && !count(w, group, family, true, false))
            fail_msg("the newest value of group %zu is deleted on %zu", group,
                     move->from);
    }
}

static void make_move(struct world *w, const struct view *view,
                      const struct ds_move *move, bool in_peace)
{
    size_t group = (size_t)(move->group->identity[4] - '0');
    bool copies = move->from != move->to && (!move->kept || move->n_families);

    if (!is_as_seen(w, view, move->from, group))
        return;
    if (copies && is_as_seen(w, view, move->to, group)) {
        carry_over(w, view, move, group);
        doubt_all(w);
    } else if (copies) {
        return;
    }
    if (!in_peace && chance(w, 10))
        return;
    if (!in_peace && chance(w, 10))
        push(w, group);
    if (may_delete(w, move, group))
        delete_copy(w, move, group);
}

static void pass(struct world *w)
{
    struct view view;

    look(w, &view);
    w->now_ms++;
    for (size_t i = 0; i < view.plan.n_moves && !chance(w, 8); i++) {
        if (chance(w, 10))
            push(w, random_below(w->r, GROUPS));
        if (chance(w, 30))
            trouble(w);
        doubt_all(w);
        if (w->changed_ms != view.config.ring_changed_ms) /* what was planned is void */
            break;
        make_move(w, &view, &view.plan.moves[i], false);
    }
    ds_plan_release(&view.plan);
}

/* ---- a history ----------------------------------------------------------------------
 */

static void begin(struct world *w, bool clocks_step, enum ds_plan_mode mode)
{
    struct random *r = w->r;

    memset(w, 0, sizeof *w);
    w->r = r;
    w->now_ms = INT64_C(1700000000000) + (int64_t)random_below(r, 1000);
    w->mode = mode;
    w->clocks_step = clocks_step;
    for (size_t i = 0; i < SERVERS; i++) {
        char address[32];

        snprintf(address, sizeof address, "10.0.0.%zu:9091", i + 1);
        set_server(&w->servers[i], address, 1);
        w->machines[i].is_up = w->machines[i].is_member = true;
        w->machines[i].offset_ms = chance(w, 2)
                                       ? (int64_t)random_below(r, 2 * HOUR_MS) - HOUR_MS
                                       : (int64_t)random_below(r, 400) - 200;
    }
    for (size_t group = 0; group < GROUPS; group++)
        w->hashes[group] = (uint32_t)random_next(r);
    change_ring(w);
}

static void live(struct world *w)
{
    for (int i = 0; i < EVENTS; i++) {
        size_t what = random_below(w->r, 10);

        w->now_ms += 1 + (int64_t)random_below(w->r, chance(w, 8) ? 200000 : 3000);
        if (what < 4)
            push(w, random_below(w->r, GROUPS));
        else if (what < 8)
            pass(w);
        else
            trouble(w);
        doubt_all(w);
    }
}

/* All servers are back, and nobody pushes. */
static void calm_down(struct world *w)
{
    for (size_t i = 0; i < SERVERS; i++) {
        w->machines[i].is_up = true;
        set_member(w, &w->machines[i], !w->machines[i].is_drained);
    }
    doubt_all(w);
    for (int i = 0;; i++) {
        struct view view;
        size_t n_moves, n_waiting;
        int64_t due_ms;

        look(w, &view);
        for (size_t k = 0; k < view.plan.n_moves; k++)
            make_move(w, &view, &view.plan.moves[k], true);
        n_moves = view.plan.n_moves;
        n_waiting = view.plan.n_waiting;
        due_ms = view.plan.due_ms;
        ds_plan_release(&view.plan);
        if (!n_moves && !n_waiting)
            return;
        if (!n_moves && due_ms == INT64_MAX)
            fail_msg("something waits and nothing will end it");
        if (i == 60)
            fail_msg("it never ends");
        /* What a Date header says shifts within its second, and with it the time. */
        w->now_ms += 1000;
        if (!n_moves && due_ms > w->now_ms)
            w->now_ms = due_ms;
    }
}

static void check_group(struct world *w, size_t group)
{
    size_t n = 0, at = 0;
    bool has_any = false;

    for (size_t i = 0; i < SERVERS; i++)
        if (w->machines[i].copies[group].is_there) {
            n++;
            at = i;
        }
    for (size_t family = 0; family < FAMILIES; family++) {
        const struct value *value = value_at(w, at, group, family);

        if (!w->wants[group][family].exists)
            continue;
        has_any = true;
        assert_non_null(value);
        if (w->wants[group][family].in_doubt)
            continue;
        assert_int_equal(value->version, w->wants[group][family].version);
        w->n_sure++;
    }
    assert_true(n == 1 || (n == 0 && !has_any));
    if (n && w->mode == DS_PLAN_MOVE)
        assert_int_equal(at, owner_in(w, w->ring, group));
}

static void run(struct random *r, bool clocks_step, enum ds_plan_mode mode)
{
    size_t n_sure = 0;

    for (int i = 0; i < HISTORIES / 4; i++) {
        struct random own = {random_next(r)};
        struct world w = {.r = &own};

        begin(&w, clocks_step, mode);
        live(&w);
        calm_down(&w);
        for (size_t group = 0; group < GROUPS; group++)
            check_group(&w, group);
        n_sure += w.n_sure;
        ds_ring_free(w.ring);
        ds_ring_free(w.before);
    }
    print_message("%zu values were in no doubt\n", n_sure);
    assert_true(n_sure > HISTORIES / 4);
}

static void whatever_happens_moving_brings_every_group_home_whole(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    run(&r, false, DS_PLAN_MOVE);
}

static void whatever_happens_dedupe_leaves_one_whole_copy(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    run(&r, false, DS_PLAN_DEDUPE);
}

static void clocks_that_are_set_lose_no_family_when_moving(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    run(&r, true, DS_PLAN_MOVE);
}

static void clocks_that_are_set_lose_no_family_in_dedupe(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    run(&r, true, DS_PLAN_DEDUPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_moving_brings_every_group_home_whole),
        cmocka_unit_test(whatever_happens_dedupe_leaves_one_whole_copy),
        cmocka_unit_test(clocks_that_are_set_lose_no_family_when_moving),
        cmocka_unit_test(clocks_that_are_set_lose_no_family_in_dedupe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
