/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/date.h"

#include <stdlib.h>
#include <time.h>

struct row {
    const char *text;
    int64_t want;
};

static void a_date_header_is_read(void **state)
{
    static const struct row rows[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777000)},
        {"Thu, 29 Feb 2024 12:34:56 GMT", INT64_C(1709210096000)},
        {"Sat, 31 Dec 2016 23:59:60 GMT", INT64_C(1483228800000)},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799000)},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++)
        assert_int_equal(ds_date_parse_http(rows[i].text), rows[i].want);
}

static void what_is_no_date_header_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        "now",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GM",
        "Sun, 06 Nov 1994 08-49-37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Feb 2024 12:34:56 GMT",
        "Sat, 31 Feb 2024 12:34:56 GMT",
        "Wed, 29 Feb 2023 12:34:56 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Sun, 06 unN 1994 08:49:37 GMT",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        if (ds_date_parse_http(rows[i]) != -1)
            fail_msg("'%s' was read", rows[i]);
    }
}

static void a_time_of_go_is_read(void **state)
{
    static const struct row rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000000999Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"2026-11-22T18:35:55.983651137Z", INT64_C(1795372555983651)},
        {"2026-11-22T15:05:55.983651137-03:30", INT64_C(1795372555983651)},
        {"2026-11-23T00:05:55.983651137+05:30", INT64_C(1795372555983651)},
        {"2026-11-22T18:35:55.98365113712345678901234567890+00:00",
         INT64_C(1795372555983651)},
        {"2026-11-22T18:35:55.9Z", INT64_C(1795372555900000)},
        {"2026-11-22T18:35:55Z", INT64_C(1795372555000000)},
        {"2024-02-29T23:59:60Z", INT64_C(1709251200000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++)
        assert_int_equal(ds_date_parse_rfc3339(rows[i].text, strlen(rows[i].text)),
                         rows[i].want);
}

static void what_is_no_time_of_go_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        "2026",
        "2026-11-22",
        "2026-11-22T18:35:55",
        "2026-11-22T18:35:55.Z",
        "2026-11-22T18:35:55.5",
        "2026-11-22T18:35:55,5Z",
        "2026-11-22T18:35:55z",
        "2026-11-22t18:35:55Z",
        "2026-11-22 18:35:55Z",
        "2026-11-22T18:35:55ZZ",
        "2026-11-22T18:35:55+0530",
        "2026-11-22T18:35:55+05",
        "2026-11-22T18:35:55+24:00",
        "2026-11-22T18:35:55+05:60",
        "2026-11-22T18:35:55 05:30",
        "2026-13-22T18:35:55Z",
        "2026-00-22T18:35:55Z",
        "2026-02-29T18:35:55Z",
        "2026-11-31T18:35:55Z",
        "2026-11-00T18:35:55Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T18:60:00Z",
        "2026-11-22T18:35:61Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "0001-01-01T00:00:00Z",
        "-026-11-22T18:35:55Z",
        "12026-11-22T18:35:55Z",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        if (ds_date_parse_rfc3339(rows[i], strlen(rows[i])) != -1)
            fail_msg("'%s' was read", rows[i]);
    }
}

static void every_day_until_2400_is_what_the_c_library_says(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 430 * 366; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        char http[64], go[64];
        struct tm tm;

        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(http, sizeof http, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
        assert_true(strftime(go, sizeof go, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
        assert_int_equal(ds_date_parse_http(http), (int64_t)seconds * 1000);
        assert_int_equal(ds_date_parse_rfc3339(go, strlen(go)),
                         (int64_t)seconds * 1000000);
    }
}

static void no_byte_behind_the_text_is_looked_at(void **state)
{
    static const char text[] = "2026-11-22T18:35:55.5Z";

    (void)state;
    for (size_t len = 0; len < strlen(text); len++) {
        char *exact = ds_xmalloc(len + 1);

        memcpy(exact, text, len);
        assert_int_equal(ds_date_parse_rfc3339(exact, len), -1);
        free(exact);
    }
    assert_int_equal(ds_date_parse_rfc3339(text, 19), -1);
}

static void a_time_is_written_so_that_it_can_be_read_again(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782400999, "2000-02-29T00:00:00Z"},
        {1764000030000, "2025-11-24T16:00:30Z"},
        {253402300799999, "9999-12-31T23:59:59Z"},
        {253402300800000, "?"},
        {INT64_MAX, "?"},
        {-1, "?"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char text[DS_DATE_TEXT_MAX];

        ds_date_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
        if (text[0] != '?')
            assert_int_equal(ds_date_parse_rfc3339(text, strlen(text)),
                             rows[i].ms / 1000 * 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_header_is_read),
        cmocka_unit_test(what_is_no_date_header_is_none),
        cmocka_unit_test(a_time_of_go_is_read),
        cmocka_unit_test(what_is_no_time_of_go_is_none),
        cmocka_unit_test(every_day_until_2400_is_what_the_c_library_says),
        cmocka_unit_test(no_byte_behind_the_text_is_looked_at),
        cmocka_unit_test(a_time_is_written_so_that_it_can_be_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
