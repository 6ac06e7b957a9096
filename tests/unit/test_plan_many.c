/* SPDX-License-Identifier: Apache-2.0 */
/* Many groups on many servers: what is merged, counted and put in order. */
#include "test.h"

#include "fleet.h"

#include <stdlib.h>

enum { GROUPS = 400, FLEETS = 200 };

static void sort_fleet(struct fleet *fleet)
{
    for (size_t i = 0; i < FLEET; i++)
        if (fleet->inventories[i].n)
            qsort(fleet->inventories[i].groups, fleet->inventories[i].n,
                  sizeof *fleet->inventories[i].groups, ds_group_compare);
}

static void deletes_come_first_then_posts_then_puts(void **state)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    struct fleet fleet;
    uint32_t hash;
    char got[256];

    (void)state;
    fleet_start(&fleet);
    hash = fleet_hash(&fleet, A);
    fleet_add(&fleet, "job=1", hash, 0, "B x@-100");
    fleet_add(&fleet, "job=2", hash, 0, "A x@-100; B x@-700 y@-700");
    fleet_add(&fleet, "job=3", hash, 0, "A x@-100; B x@-700");
    fleet_add(&fleet, "job=4", hash, 0, "C fail@-700");
    fleet_add(&fleet, "job=5", hash, 0, "C x@-100");
    fleet_add(&fleet, "job=6", hash, 0, "A x@-100; C z@-700");
    sort_fleet(&fleet);
    ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
    fleet_tell(&plan, got, sizeof got);
    assert_string_equal(got, "B>A; C!; B>A y; C>A z; B=>A; C=>A");
    for (size_t i = 0; i + 1 < plan.n_moves; i++)
        assert_ptr_not_equal(plan.moves[i].group, plan.moves[i + 1].group);
    fleet_end(&fleet);
}

static void the_figures_are_of_groups_not_of_copies(void **state)
{
    static const enum ds_plan_mode modes[] = {DS_PLAN_LOOK, DS_PLAN_DEDUPE, DS_PLAN_MOVE};
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    fleet_add(&fleet, "job=at home", fleet_hash(&fleet, A), 0, "A x@-100");
    fleet_add(&fleet, "job=doubled", fleet_hash(&fleet, A), 0,
              "A x@-100; B x@-900; C x@-900");
    fleet_add(&fleet, "job=lone", fleet_hash(&fleet, B), 0, "C x@-100");
    fleet_add(&fleet, "job=lone, fresh", fleet_hash(&fleet, B), 0, "C x@-10");
    sort_fleet(&fleet);
    for (size_t i = 0; i < DS_COUNT(modes); i++) {
        DS_AUTO(plan) struct ds_plan plan = {0};
        bool is_dedupe = modes[i] == DS_PLAN_DEDUPE;

        fleet.config.mode = modes[i];
        ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
        assert_int_equal(plan.n_groups, 4);
        assert_int_equal(plan.n_copies, 2);
        assert_int_equal(plan.n_misplaced, 3);
        assert_int_equal(plan.n_waiting, !is_dedupe);
        assert_true(plan.due_ms == (is_dedupe ? INT64_MAX : NOW_MS + 50000));
        assert_int_equal(plan.n_moves, modes[i] == DS_PLAN_LOOK ? 0 : is_dedupe ? 2 : 3);
    }
    fleet_end(&fleet);
}

static void without_a_ring_nothing_is_misplaced(void **state)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    struct fleet fleet;
    char got[64];

    (void)state;
    fleet_start(&fleet);
    fleet.config.ring = NULL;
    fleet_add(&fleet, "job=1", 1, 0, "C x@-100; D x@-200 y@-200");
    fleet_add(&fleet, "job=2", 1, 0, "D x@-9999");
    ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
    fleet_tell(&plan, got, sizeof got);
    assert_string_equal(got, "D>C y");
    assert_int_equal(plan.n_misplaced, 0);
    assert_int_equal(plan.n_ownerless, 0);
    assert_int_equal(plan.n_copies, 1);
    fleet_end(&fleet);
}

static void an_owner_that_is_not_asked_is_none(void **state)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    struct fleet fleet;
    struct ds_group group = {0};

    (void)state;
    fleet_start(&fleet);
    group.hash = fleet_hash(&fleet, C);
    assert_int_equal(ds_plan_owner(fleet.ring, fleet.servers, FLEET, &group), C);
    assert_int_equal(ds_plan_owner(fleet.ring, fleet.servers, C, &group), C);
    assert_int_equal(ds_plan_owner(fleet.ring, fleet.servers + 1, FLEET - 1, &group),
                     C - 1);
    assert_int_equal(ds_plan_owner(NULL, fleet.servers, FLEET, &group), FLEET);
    assert_int_equal(ds_plan_owner(fleet.ring, fleet.servers, 0, &group), 0);
    fleet_add(&fleet, "job=1", group.hash, 0, "A x@-999; B x@-99");
    ds_plan_make(&plan, &fleet.config, fleet.servers, C);
    assert_int_equal(plan.n_ownerless, 1);
    assert_int_equal(plan.n_waiting, 1);
    assert_int_equal(plan.n_moves, 0);
    fleet_end(&fleet);
}

static void nothing_is_planned_for_nothing(void **state)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    ds_plan_make(&plan, &fleet.config, NULL, 0);
    assert_int_equal(plan.n_groups, 0);
    ds_plan_release(&plan);
    ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
    assert_int_equal(plan.n_moves, 0);
    assert_true(plan.due_ms == INT64_MAX);
    ds_plan_release(&plan);
    ds_plan_release(&plan);
    fleet_end(&fleet);
}

/* Each group alone in a fleet, and all of them together, must come to the same. */
struct alone {
    struct ds_plan sum;
    char *moves[GROUPS]; /* owned */
};

static void random_copies(struct random *r, char *text, size_t size)
{
    size_t at = 0;

    text[0] = '\0';
    for (size_t server = 0; server < FLEET; server++)
        if (random_below(r, 3) == 0)
            at += (size_t)snprintf(text + at, size - at, "%c x@-%zu y@-%zu;",
                                   (int)('A' + server), random_below(r, 700),
                                   random_below(r, 700));
}

static void plan_alone(struct alone *alone, size_t i, const char *identity, uint32_t hash,
                       const char *copies)
{
    DS_AUTO(plan) struct ds_plan plan = {0};
    struct fleet fleet;
    char got[256];

    fleet_start(&fleet);
    fleet_add(&fleet, identity, hash, 0, copies);
    ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
    fleet_tell(&plan, got, sizeof got);
    ds_set_str(&alone->moves[i], got);
    alone->sum.n_moves += plan.n_moves;
    alone->sum.n_groups += plan.n_groups;
    alone->sum.n_misplaced += plan.n_misplaced;
    alone->sum.n_copies += plan.n_copies;
    alone->sum.n_waiting += plan.n_waiting;
    if (plan.due_ms < alone->sum.due_ms)
        alone->sum.due_ms = plan.due_ms;
    fleet_end(&fleet);
}

static void check_together(const struct alone *alone, const struct ds_plan *plan)
{
    assert_int_equal(plan->n_moves, alone->sum.n_moves);
    assert_int_equal(plan->n_groups, alone->sum.n_groups);
    assert_int_equal(plan->n_misplaced, alone->sum.n_misplaced);
    assert_int_equal(plan->n_copies, alone->sum.n_copies);
    assert_int_equal(plan->n_waiting, alone->sum.n_waiting);
    assert_true(plan->due_ms == alone->sum.due_ms);
    for (size_t i = 0; i < plan->n_moves; i++) {
        struct ds_plan one = {.moves = &plan->moves[i], .n_moves = 1};
        size_t group = strtoul(plan->moves[i].group->identity + 4, NULL, 10);
        char got[256];

        fleet_tell(&one, got, sizeof got);
        assert_non_null(strstr(alone->moves[group], got));
        if (plan->moves[i].kept)
            assert_string_equal(plan->moves[i].kept->identity,
                                plan->moves[i].group->identity);
    }
}

static void each_group_is_planned_as_if_it_were_alone(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < FLEETS; round++) {
        struct alone alone = {.sum.due_ms = INT64_MAX};
        DS_AUTO(plan) struct ds_plan plan = {0};
        size_t n = 1 + random_below(&r, GROUPS / 20);
        struct fleet fleet;

        fleet_start(&fleet);
        for (size_t i = 0; i < n; i++) {
            char identity[32], copies[128];
            uint32_t hash = (uint32_t)random_next(&r);

            random_copies(&r, copies, sizeof copies);
            snprintf(identity, sizeof identity, "job=%zu", i);
            plan_alone(&alone, i, identity, hash, copies);
            fleet_add(&fleet, identity, hash, 0, copies);
        }
        sort_fleet(&fleet);
        ds_plan_make(&plan, &fleet.config, fleet.servers, FLEET);
        check_together(&alone, &plan);
        for (size_t i = 0; i < n; i++)
            free(alone.moves[i]);
        fleet_end(&fleet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deletes_come_first_then_posts_then_puts),
        cmocka_unit_test(the_figures_are_of_groups_not_of_copies),
        cmocka_unit_test(without_a_ring_nothing_is_misplaced),
        cmocka_unit_test(an_owner_that_is_not_asked_is_none),
        cmocka_unit_test(nothing_is_planned_for_nothing),
        cmocka_unit_test(each_group_is_planned_as_if_it_were_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
