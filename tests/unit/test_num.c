/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/num.h"
#include "random.h"

static void whole_numbers_in_range_are_read(void **state)
{
    struct ds_error err = DS_ERROR_INIT;
    uint64_t n;

    (void)state;
    assert_ok(ds_num_parse("0", 0, 5, &n, &err), &err);
    assert_int_equal(n, 0);
    assert_ok(ds_num_parse("65535", 1, 65535, &n, &err), &err);
    assert_int_equal(n, 65535);
    assert_ok(ds_num_parse("18446744073709551615", 0, UINT64_MAX, &n, &err), &err);
    assert_true(n == UINT64_MAX);
}

static void loose_numbers_are_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "'' is not a whole number"},
        {" 5", "' 5' is not a whole number"},
        {"5 ", "'5 ' is not a whole number"},
        {"+5", "'+5' is not a whole number"},
        {"-5", "'-5' is not a whole number"},
        {"5x", "'5x' is not a whole number"},
        {"0x5", "'0x5' is not a whole number"},
        {"5.0", "'5.0' is not a whole number"},
        {"1e3", "'1e3' is not a whole number"},
        {"0", "'0' is out of range: 1 to 100"},
        {"101", "'101' is out of range: 1 to 100"},
        {"18446744073709551616", "'18446744073709551616' is out of range: 1 to 100"},
        {"99999999999999999999999",
         "'99999999999999999999999' is out of range: 1 to 100"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        uint64_t n = 77;

        assert_int_equal(ds_num_parse(rows[i].text, 1, 100, &n, &err), -1);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_string_equal(err.text, rows[i].error);
        assert_int_equal(n, 77);
    }
}

static void hex_digits_have_their_value(void **state)
{
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

    (void)state;
    for (int i = 0; i < 16; i++) {
        assert_int_equal(ds_num_hex(digits[i]), i);
        assert_int_equal(ds_num_hex(upper[i]), i);
    }
    assert_int_equal(ds_num_hex('g'), -1);
    assert_int_equal(ds_num_hex('@'), -1);
    assert_int_equal(ds_num_hex('/'), -1);
    assert_int_equal(ds_num_hex('\0'), -1);
    assert_int_equal(ds_num_hex('\xFF'), -1);
}

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500},
        {"5s", 5000},
        {"1m", 60000},
        {"1m30s", 90000},
        {"1.5s", 1500},
        {"0.001s", 1},
        {"2h45m", 9900000},
        {"1d", 86400000},
        {"1w", 604800000},
        {"1w2d3h4m5s6ms", 788645006},
        {"0.5d", 43200000},
        {"0.000001h", -1}, /* 3.6 ms are not whole */
        {"0.25ms", -1},
        {"", -1},
        {"5", -1},
        {"s", -1},
        {"5 s", -1},
        {" 5s", -1},
        {"-5s", -1},
        {"+5s", -1},
        {"5S", -1},
        {"5sec", -1},
        {"5us", -1},
        {"1.s", -1},
        {".5s", -1},
        {"1.0000001s", -1},
        {"off", -1},
        {"5s,", -1},
        {"11y", -1},
        {"600w", -1},
        {"99999999999999999999s", -1},
        {"3660d", 316224000000},
        {"3660d1ms", -1},
        {"3661d", -1},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;
        int64_t ms = -1;
        int rc = ds_duration_parse(rows[i].text, &ms, &err);

        if (rc != (rows[i].ms < 0 ? -1 : 0) || ms != rows[i].ms)
            fail_msg("'%s' gives %d and %" PRId64, rows[i].text, rc, ms);
        if (rc < 0) {
            assert_int_equal(err.code, DS_E_FORMAT);
            assert_non_null(
                strstr(err.text, "is not a duration like 500ms, 5s or 1m30s"));
        }
    }
}

static void durations_are_written(void **state)
{
    static const struct {
        int64_t ms;
        const char *exact, *brief;
    } rows[] = {
        {-5, "0s", "0s"},      {0, "0s", "0s"},         {500, "500ms", "0s"},
        {1000, "1s", "1s"},    {90000, "1m30s", "1m"},  {61001, "1m1s1ms", "1m"},
        {3600000, "1h", "1h"}, {86400000, "24h", "1d"}, {694861001, "193h1m1s1ms", "8d"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char text[DS_DURATION_TEXT_MAX];

        ds_duration_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].exact);
        ds_duration_format_short(rows[i].ms, text);
        assert_string_equal(text, rows[i].brief);
    }
}

static void what_is_written_reads_back(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)(random_next(&r) >> 24 >> random_below(&r, 39)), back = -1;
        struct ds_error err = DS_ERROR_INIT;
        char text[DS_DURATION_TEXT_MAX];

        if (ms > INT64_C(316224000000))
            continue;
        ds_duration_format(ms, text);
        assert_ok(ds_duration_parse(text, &back, &err), &err);
        assert_true(back == ms);
    }
}

static void seconds_are_read_as_go_prints_them(void **state)
{
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"1", 1000000},
        {"1.7953722386114395e+09", INT64_C(1795372238611440)},
        {"1795372238.611439", INT64_C(1795372238611439)},
        {"1.7953722386114394e+09", INT64_C(1795372238611439)},
        {"1.5e+00", 1500000},
        {"5e-07", 1},
        {"4.9e-07", 0},
        {"5e-324", 0},
        {"9.2e+12", INT64_C(9200000000000000000)},
        {"0.00000149999999999999999999999999999", 1},
        {"100000000000000000000000e-20", 1000000000},
        {"9.3e+12", -1},
        {"1.7976931348623157e+308", -1},
        {"", -1},
        {"-", -1},
        {".", -1},
        {"e5", -1},
        {"1e", -1},
        {"1e+", -1},
        {"1e99999", -1},
        {"1E5", -1},
        {"1.2.3", -1},
        {" 1", -1},
        {"1 ", -1},
        {"+1", -1},
        {"0x10", -1},
        {"1,5", -1},
        {"NaN", -1},
        {"+Inf", -1},
    };
    int64_t us;

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        us = -1;
        if (ds_seconds_parse(rows[i].text, strlen(rows[i].text), &us) !=
            (rows[i].us >= 0))
            fail_msg("'%s'", rows[i].text);
        assert_int_equal(us, rows[i].us);
    }
    assert_true(ds_seconds_parse("-1.5e+00", 8, &us));
    assert_int_equal(us, -1500000);
}

/* As Go prints a float: the fewest digits that read back as the same. */
static void print_shortest(char out[40], double f)
{
    int digits = 10;

    do
        snprintf(out, 40, "%.*e", digits, f);
    while (strtod(out, NULL) != f && ++digits);
}

static void floats_a_microsecond_apart_are_told_apart(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        double a = 1.1e9 + (double)(random_next(&r) >> 11) / 6e6, b = a;
        char one[40], two[40];
        int64_t one_us, two_us;

        while (b - a < 1e-6)
            b += 2.4e-7; /* at least half of what tells two floats apart */
        print_shortest(one, a);
        print_shortest(two, b);
        assert_true(ds_seconds_parse(one, strlen(one), &one_us));
        assert_true(ds_seconds_parse(two, strlen(two), &two_us));
        if (one_us >= two_us)
            fail_msg("%s and %s", one, two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_in_range_are_read),
        cmocka_unit_test(loose_numbers_are_refused),
        cmocka_unit_test(hex_digits_have_their_value),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(durations_are_written),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(seconds_are_read_as_go_prints_them),
        cmocka_unit_test(floats_a_microsecond_apart_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
