/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/counters.h"

static void methods_are_told_apart_as_http_writes_them(void **state)
{
    static const struct {
        const char *text;
        enum ds_method method;
        bool push;
    } cases[] = {
        {"DELETE", DS_METHOD_DELETE, true}, {"GET", DS_METHOD_GET, false},
        {"HEAD", DS_METHOD_HEAD, false},    {"POST", DS_METHOD_POST, true},
        {"PUT", DS_METHOD_PUT, true},       {"PATCH", DS_METHOD_OTHER, false},
        {"put", DS_METHOD_OTHER, false},    {"PUTS", DS_METHOD_OTHER, false},
        {"other", DS_METHOD_OTHER, false},  {"PU", DS_METHOD_OTHER, false},
        {"", DS_METHOD_OTHER, false},       {NULL, DS_METHOD_OTHER, false},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        enum ds_method method = ds_method_of(cases[i].text);

        assert_int_equal(method, cases[i].method);
        assert_int_equal(ds_method_is_push(method), cases[i].push);
        if (method != DS_METHOD_OTHER)
            assert_string_equal(ds_method_name(method), cases[i].text);
    }
    assert_string_equal(ds_method_name(DS_METHOD_OTHER), "other");
}

static void every_refusal_has_a_word_of_its_own_and_a_counted_status(void **state)
{
    (void)state;
    for (int i = 1; i < DS_N_REFUSALS; i++) {
        const char *name = ds_refusal_name((enum ds_refusal)i);
        unsigned status = ds_refusal_status((enum ds_refusal)i);

        assert_true(strlen(name) > 3);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        assert_true(status >= 400);
        assert_int_equal(ds_counted_status(ds_counted_status_index(status)), status);
        for (int j = 1; j < i; j++)
            assert_string_not_equal(name, ds_refusal_name((enum ds_refusal)j));
    }
}

static void every_status_has_its_index(void **state)
{
    (void)state;
    for (size_t i = 0; i < DS_N_STATUSES; i++)
        assert_int_equal(ds_counted_status_index(ds_counted_status(i)), i);
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    assert_int_equal(ds_duration_bucket(0), 0);
    for (size_t i = 0; i < DS_N_BOUNDS; i++) {
        assert_int_equal(ds_duration_bucket(ds_duration_bounds[i]), i);
        assert_int_equal(ds_duration_bucket(ds_duration_bounds[i] + 1), i + 1);
    }
    assert_int_equal(ds_duration_bucket(UINT64_MAX), DS_N_BUCKETS - 1);
}

static void release_may_be_called_twice(void **state)
{
    struct ds_counters counters = {.n_pushes = 1};

    (void)state;
    counters.pushes = ds_xcalloc(1, sizeof *counters.pushes);
    ds_counters_release(&counters);
    ds_counters_release(&counters);
    assert_int_equal(counters.n_pushes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_are_told_apart_as_http_writes_them),
        cmocka_unit_test(every_refusal_has_a_word_of_its_own_and_a_counted_status),
        cmocka_unit_test(every_status_has_its_index),
        cmocka_unit_test(a_bound_belongs_to_its_bucket),
        cmocka_unit_test(release_may_be_called_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
