/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/clock.h"

static void stamps_are_rfc_3339_in_utc(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {1764000030123, "2025-11-24T16:00:30.123Z"},
        {1709210096999, "2024-02-29T12:34:56.999Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char text[DS_CLOCK_TEXT_MAX];

        ds_clock_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    int64_t last = ds_clock_mono_ms();

    (void)state;
    for (int i = 0; i < 100000; i++) {
        int64_t now = ds_clock_mono_ms();

        assert_true(now >= last);
        last = now;
    }
}

static void nanoseconds_and_milliseconds_are_of_one_clock(void **state)
{
    int64_t before_ms = ds_clock_mono_ms(), ns = ds_clock_mono_ns();

    (void)state;
    assert_true(ns / 1000000 >= before_ms);
    assert_true(ns / 1000000 <= ds_clock_mono_ms());
    assert_true(before_ms <= ds_clock_boot_ms());
}

static void the_last_tick_was_not_long_ago(void **state)
{
    int64_t mono_ms = ds_clock_mono_ms(), wall_ms = ds_clock_wall_ms();

    (void)state;
    assert_in_range(ds_clock_mono_tick_ms() - mono_ms + 11, 0, 5000);
    assert_in_range(ds_clock_wall_tick_ms() - wall_ms + 11, 0, 5000);
    assert_true(ds_clock_mono_tick_ms() <= ds_clock_mono_ms());
}

static void the_wall_clock_is_of_this_century(void **state)
{
    (void)state;
    assert_true(ds_clock_wall_ms() > INT64_C(1700000000000));
    assert_true(ds_clock_wall_ms() < INT64_C(4102444800000));
}

static void sleep_takes_its_time(void **state)
{
    int64_t start = ds_clock_mono_ms();

    (void)state;
    ds_clock_sleep_ms(0);
    ds_clock_sleep_ms(-1000);
    assert_true(ds_clock_mono_ms() - start < 1000);
    ds_clock_sleep_ms(30);
    assert_true(ds_clock_mono_ms() - start >= 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_are_rfc_3339_in_utc),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(nanoseconds_and_milliseconds_are_of_one_clock),
        cmocka_unit_test(the_last_tick_was_not_long_ago),
        cmocka_unit_test(the_wall_clock_is_of_this_century),
        cmocka_unit_test(sleep_takes_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
