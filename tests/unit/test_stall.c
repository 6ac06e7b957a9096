/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/stall.h"

enum { LIMIT_MS = 60000 };

struct pass {
    int64_t at_ms;
    uint64_t generation;
    size_t n_open;
    bool lasts;
};

static void check(const struct pass *passes, size_t n)
{
    struct ds_stall stall = {0};

    for (size_t i = 0; i < n; i++) {
        bool lasts = ds_stall_lasts(&stall, passes[i].generation, passes[i].n_open,
                                    LIMIT_MS, passes[i].at_ms);

        if (lasts != passes[i].lasts)
            fail_msg("pass %zu: %s", i, lasts ? "a stall" : "no stall");
    }
}

static void a_group_that_ties_is_a_stall_after_the_limit(void **state)
{
    static const struct pass passes[] = {{5, 1, 9, false},     {1000, 1, 1, false},
                                         {2000, 1, 1, false},  {60999, 1, 1, false},
                                         {61000, 1, 1, true},  {62000, 1, 1, true},
                                         {63000, 1, 0, false}, {200000, 1, 0, false}};

    (void)state;
    check(passes, DS_COUNT(passes));
}

/* Each pass moves it, and the next one finds it there again. */
static void a_client_that_pushes_past_the_frontends_is_a_stall(void **state)
{
    static const struct pass passes[] = {{0, 1, 3, false},     {1000, 1, 2, false},
                                         {2000, 1, 3, false},  {30000, 1, 2, false},
                                         {60000, 1, 7, false}, {61000, 1, 2, true}};

    (void)state;
    check(passes, DS_COUNT(passes));
}

static void as_long_as_less_and_less_is_open_it_goes_on(void **state)
{
    struct ds_stall stall = {0};
    size_t n = 100;

    (void)state;
    for (int64_t at_ms = 0; n; at_ms += LIMIT_MS - 1)
        assert_false(ds_stall_lasts(&stall, 1, n--, LIMIT_MS, at_ms));
}

static void another_ring_begins_anew(void **state)
{
    static const struct pass passes[] = {{0, 1, 2, false},       {60000, 2, 40, false},
                                         {119999, 2, 40, false}, {120000, 2, 40, true},
                                         {120001, 1, 40, false}, {180001, 1, 41, true},
                                         {180002, 1, 39, false}, {180003, 1, 39, false}};

    (void)state;
    check(passes, DS_COUNT(passes));
}

static void without_a_limit_the_second_look_ends_it(void **state)
{
    struct ds_stall stall = {0};

    (void)state;
    assert_false(ds_stall_lasts(&stall, 0, 1, 0, 7));
    assert_true(ds_stall_lasts(&stall, 0, 1, 0, 7));
    assert_false(ds_stall_lasts(&stall, 0, SIZE_MAX, INT64_MAX, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_that_ties_is_a_stall_after_the_limit),
        cmocka_unit_test(a_client_that_pushes_past_the_frontends_is_a_stall),
        cmocka_unit_test(as_long_as_less_and_less_is_open_it_goes_on),
        cmocka_unit_test(another_ring_begins_anew),
        cmocka_unit_test(without_a_limit_the_second_look_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
