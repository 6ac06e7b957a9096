/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/slots.h"

static void slots_follow_the_descriptors(void **state)
{
    static const struct {
        uint64_t fds;
        size_t n;
        bool names;
        size_t most, most_slow;
    } rows[] = {
        {1048, 1000, false, 1000, 1000}, /* enough: the slow take nothing from others */
        {1047, 1000, false, 999, 749},
        {3048, 1000, true, 1000, 1000},
        {3047, 1000, true, 999, 749},
        {88, 200, false, 40, 30},
        {88, 200, true, 13, 9},
        {56, 200, false, 8, 6},
        {54, 200, true, 2, 1},
        {52, 200, false, 4, 3},
        {49, 200, false, 1, 1},
        {48, 200, false, 1, 1},
        {0, 200, true, 1, 1},
        {7, 1, true, 1, 1},
        {7, 0, false, 1, 1},
        {UINT64_MAX, 1000, true, 1000, 1000},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_slots slots = ds_slots_share(rows[i].fds, rows[i].n, rows[i].names);

        if (slots.most != rows[i].most || slots.most_slow != rows[i].most_slow)
            fail_msg("row %zu: %zu, %zu", i, slots.most, slots.most_slow);
    }
}

static void what_is_wanted_is_enough_and_one_less_is_not(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 1000; n++) {
        for (int names = 0; names <= 1; names++) {
            size_t fds = ds_slots_fds(n, names);

            assert_int_equal(ds_slots_share(fds, n, names).most, n);
            assert_int_equal(ds_slots_share(fds - 1, n, names).most, n - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_follow_the_descriptors),
        cmocka_unit_test(what_is_wanted_is_enough_and_one_less_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
