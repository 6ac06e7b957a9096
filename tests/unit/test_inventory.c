/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/inventory.h"
#include "random.h"

static void ds_auto_inventory(struct ds_inventory *inventory)
{
    ds_inventory_release(inventory);
}

static void add(struct ds_inventory *inventory, const char *identity, size_t len,
                int64_t pushed_us, unsigned flags)
{
    struct ds_group group = {.identity_len = len, .pushed_us = pushed_us, .flags = flags};

    group.identity = ds_xmalloc(len + 1);
    memcpy(group.identity, identity, len);
    ds_inventory_add(inventory, &group);
    assert_null(group.identity);
}

static void groups_are_found_by_their_identity(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (size_t n = 0; n < 200; n += 1 + n / 8) {
        DS_AUTO(inventory) struct ds_inventory inventory = {0};
        uint32_t wanted[200] = {0};

        ds_inventory_init(&inventory, "a:1");
        for (size_t i = 0; i < n; i++) {
            /* Bytes of one, two and three, with NULs among them. */
            wanted[i] = (uint32_t)i << 8 | (uint32_t)random_below(&r, 256);
            add(&inventory, (const char *)&wanted[i], 4, (int64_t)i + 1, 0);
        }
        ds_inventory_sort(&inventory);
        assert_int_equal(inventory.n, n);
        for (size_t i = 1; i < n; i++)
            assert_true(ds_group_compare(&inventory.groups[i - 1], &inventory.groups[i]) <
                        0);
        for (size_t i = 0; i < n; i++) {
            const struct ds_group *found =
                ds_inventory_find(&inventory, (const char *)&wanted[i], 4);

            assert_non_null(found);
            assert_int_equal(found->pushed_us, i + 1);
            assert_null(ds_inventory_find(&inventory, (const char *)&wanted[i], 3));
        }
        assert_null(ds_inventory_find(&inventory, "", 0));
        assert_null(ds_inventory_find(&inventory, "\xFF\xFF\xFF\xFF\xFF", 5));
    }
}

static void a_prefix_is_another_group(void **state)
{
    DS_AUTO(inventory) struct ds_inventory inventory = {0};

    (void)state;
    ds_inventory_init(&inventory, "a:1");
    add(&inventory, "ab", 2, 2, 0);
    add(&inventory, "a", 1, 1, 0);
    add(&inventory, "abc", 3, 3, 0);
    ds_inventory_sort(&inventory);
    for (size_t len = 1; len <= 3; len++)
        assert_int_equal(ds_inventory_find(&inventory, "abc", len)->pushed_us, len);
    assert_null(ds_inventory_find(&inventory, "abcd", 4));
    assert_null(ds_inventory_find(&inventory, "b", 1));
}

static void of_groups_that_look_the_same_the_last_push_stays_flagged(void **state)
{
    DS_AUTO(inventory) struct ds_inventory inventory = {0};

    (void)state;
    ds_inventory_init(&inventory, "a:1");
    add(&inventory, "b", 1, 1, 0);
    add(&inventory, "a", 1, 5, 0);
    add(&inventory, "a", 1, 7, DS_GROUP_REPLACED);
    add(&inventory, "a", 1, 6, 0);
    add(&inventory, "c", 1, 2, 0);
    ds_inventory_sort(&inventory);
    assert_int_equal(inventory.n, 3);
    assert_int_equal(inventory.groups[0].pushed_us, 7);
    assert_int_equal(inventory.groups[0].flags, DS_GROUP_REPLACED | DS_GROUP_GUESSED);
    assert_int_equal(inventory.groups[1].flags, 0);
    assert_int_equal(inventory.groups[2].pushed_us, 2);
}

static void a_date_bounds_the_difference_of_the_clocks(void **state)
{
    static const struct {
        int64_t date, sent, received, least, most;
    } rows[] = {
        {10000, 10000, 10000, 0, 0},
        {10000, 10500, 10501, 0, 0},
        {10000, 10999, 10999, 0, 0},
        {10000, 11000, 11000, -1000, -1},
        {10000, 9999, 9999, 1, 1000},
        {10000, 9000, 10000, 0, 0},
        {10000, 9000, 9999, 1, 1999},
        {10000, 10000, 70000, 0, 0},
        {10000, 3610000, 3610500, -3600500, -3599001},
        {3610000, 10000, 10500, 3599500, 3600999},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_inventory inventory = {.skew_least_ms = 77, .skew_most_ms = 77};

        ds_inventory_set_clock(&inventory, rows[i].date, rows[i].sent, rows[i].received);
        assert_int_equal(inventory.skew_least_ms, rows[i].least);
        assert_int_equal(inventory.skew_most_ms, rows[i].most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_found_by_their_identity),
        cmocka_unit_test(a_prefix_is_another_group),
        cmocka_unit_test(of_groups_that_look_the_same_the_last_push_stays_flagged),
        cmocka_unit_test(a_date_bounds_the_difference_of_the_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
