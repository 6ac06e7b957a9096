/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/twins.h"
#include "fleet.h"

/* A group as a server lists it: made and pushed when it says, by its first family. */
static void add(struct fleet *fleet, const char *identity, const char *copies)
{
    fleet_add(fleet, identity, 1, 0, copies);
    for (size_t i = 0; i < FLEET; i++) {
        struct ds_inventory *inventory = &fleet->inventories[i];
        struct ds_group *last =
            inventory->n ? &inventory->groups[inventory->n - 1] : NULL;

        if (last && strcmp(last->identity, identity) == 0) {
            last->stamped_us = last->pushed_us;
            last->created_us = NOW_MS * 1000 - INT64_C(3600000000);
        }
    }
}

static void assert_suspects(const struct fleet *fleet, const char *wanted)
{
    bool suspects[FLEET];

    ds_twins_suspect(fleet->inventories, FLEET, suspects);
    for (size_t i = 0; i < FLEET; i++) {
        if (suspects[i] != (strchr(wanted, (char)('A' + i)) != NULL))
            fail_msg("%c is %sa suspect, not as in '%s'", (int)('A' + i),
                     suspects[i] ? "" : "no ", wanted);
    }
}

static bool look_alike(const struct fleet *fleet, size_t a, size_t b)
{
    bool alike = ds_twins_look_alike(&fleet->inventories[a], &fleet->inventories[b]);

    assert_int_equal(alike,
                     ds_twins_look_alike(&fleet->inventories[b], &fleet->inventories[a]));
    return alike;
}

/* What is pushed between the readings, or made, or deleted, is not the same in both. */
static void two_names_of_one_server_look_alike(void **state)
{
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    add(&fleet, "a", "A x@-60; C x@-10");
    add(&fleet, "b", "A x@-50; B x@-50; C x@-50 y@-40");
    add(&fleet, "c", "C x@-1");
    add(&fleet, "d", "A x@-30 y@-20; B x@-31 y@-20; C x@-30 y@-20");
    add(&fleet, "e", "A x@-1; D x@-3");
    assert_suspects(&fleet, "ABC");
    assert_true(look_alike(&fleet, A, C));
    assert_true(look_alike(&fleet, A, B));
    assert_false(look_alike(&fleet, B, C));
    assert_false(look_alike(&fleet, A, D));
    fleet_end(&fleet);
}

static void copies_of_a_group_do_not(void **state)
{
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    assert_suspects(&fleet, "");
    assert_false(look_alike(&fleet, A, B));
    add(&fleet, "a", "A x@-60; B x@-59.999999; C x@-60 y@-60; D z@-60");
    add(&fleet, "b", "A x@-60");
    add(&fleet, "c", "B x@-60; C fail@-60");
    assert_suspects(&fleet, "");
    assert_false(look_alike(&fleet, A, B));
    fleet_end(&fleet);
}

static void a_group_that_was_made_at_another_time_is_another_one(void **state)
{
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    add(&fleet, "a", "A x@-60; B x@-60");
    fleet.inventories[B].groups[0].created_us++;
    assert_suspects(&fleet, "");
    fleet.inventories[B].groups[0].created_us--;
    assert_suspects(&fleet, "AB");
    fleet.inventories[B].groups[0].stamped_us++;
    assert_suspects(&fleet, "");
    fleet_end(&fleet);
}

/* A server that tells no times cannot be known by its groups. */
static void without_times_nobody_is_suspected(void **state)
{
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    fleet_add(&fleet, "a", 1, 0, "A; B; C");
    assert_suspects(&fleet, "");
    assert_false(look_alike(&fleet, A, B));
    fleet_end(&fleet);
}

/* Phantoms, which no push has worked for, are made at a time, too. */
static void a_phantom_is_seen_under_both_names(void **state)
{
    struct fleet fleet;

    (void)state;
    fleet_start(&fleet);
    add(&fleet, "a", "B fail@-60; D fail@-60");
    assert_suspects(&fleet, "BD");
    assert_true(look_alike(&fleet, B, D));
    fleet_end(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_names_of_one_server_look_alike),
        cmocka_unit_test(copies_of_a_group_do_not),
        cmocka_unit_test(a_group_that_was_made_at_another_time_is_another_one),
        cmocka_unit_test(without_times_nobody_is_suspected),
        cmocka_unit_test(a_phantom_is_seen_under_both_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
