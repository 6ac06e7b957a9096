/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/utf8.h"

#include <stdlib.h>

static void the_edges_of_each_length_are_valid(void **state)
{
    static const struct {
        const char *s;
        size_t len;
    } rows[] = {
        {"\0", 1},
        {"\x7F", 1},
        {"\xC2\x80", 2},
        {"\xDF\xBF", 2},
        {"\xE0\xA0\x80", 3},
        {"\xED\x9F\xBF", 3},
        {"\xEE\x80\x80", 3},
        {"\xEF\xBF\xBF", 3},
        {"\xF0\x90\x80\x80", 4},
        {"\xF4\x8F\xBF\xBF", 4},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        assert_int_equal(ds_utf8_len(rows[i].s, rows[i].len), rows[i].len);
        for (size_t cut = 1; cut < rows[i].len; cut++)
            assert_int_equal(ds_utf8_len(rows[i].s, cut), 0);
    }
    assert_int_equal(ds_utf8_len("", 0), 0);
}

static void what_go_calls_invalid_is_invalid(void **state)
{
    static const char *const rows[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC2",
        "\xC2\x41",
        "\xE0\x9F\xBF",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xE1\x80\x41",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xF8\x88\x80\x80",
        "\xFE",
        "\xFF",
        "\xF1\x80\x80\x41",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char text[16] = "ok";

        memcpy(text + 2, rows[i], strlen(rows[i]) + 1);
        assert_int_equal(ds_utf8_len(rows[i], strlen(rows[i])), 0);
        assert_false(ds_utf8_is_valid(text, strlen(text)));
        assert_true(ds_utf8_is_valid(text, 2));
    }
}

/* Encodes every code point and checks it against the definition. */
static void exactly_the_code_points_are_valid(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char s[4] = {(char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 63)),
                     (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))};
        char three[3] = {(char)(0xE0 | c >> 12), s[2], s[3]};
        bool four_ok = c >= 0x10000 && c <= 0x10FFFF;
        bool three_ok = c >= 0x800 && c <= 0xFFFF && (c < 0xD800 || c > 0xDFFF);

        if (ds_utf8_is_valid(s, 4) != four_ok)
            fail_msg("U+%04X in four bytes", c);
        if (c <= 0xFFFF && ds_utf8_is_valid(three, 3) != three_ok)
            fail_msg("U+%04X in three bytes", c);
    }
}

static void cut_never_splits_a_character(void **state)
{
    static const char text[] = "a\xC3\xA4\xF0\x9F\x98\x80z";
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8, 8};

    (void)state;
    for (size_t max = 0; max < DS_COUNT(want); max++)
        assert_int_equal(ds_utf8_cut(text, sizeof text - 1, max), want[max]);
}

static void cleaned_text_is_one_valid_line_that_fits(void **state)
{
    static const struct {
        const char *text;
        size_t len, size;
        const char *want;
    } rows[] = {
        {"", 0, 1, ""},
        {"abc", 3, 1, ""},
        {"abc", 3, 3, "ab"},
        {"abc", 3, 4, "abc"},
        {"abc", 2, 9, "ab"},
        {"a\tb\nc\x7F\x1B[2J", 10, 99, "a?b?c??[2J"},
        {"a\0b", 3, 99, "a?b"},
        {"\xC3\xA4", 2, 99, "\xC3\xA4"},
        {"\xC3\xA4", 1, 99, "?"},
        {"\xC3\xA4", 2, 2, ""},
        {"x\xF0\x9F\x98\x80", 5, 6, "x\xF0\x9F\x98\x80"},
        {"x\xF0\x9F\x98\x80", 5, 5, "x"},
        {"\xED\xA0\x80", 3, 99, "???"},
        {"\xFF\xFE", 2, 99, "??"},
        {"a\xE2\x80\xAE"
         "b\xE2\x81\xA6",
         8, 99, "a?b?"},
        {"\xE2\x80\xAE", 3, 2, "?"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char *out = ds_xmalloc(rows[i].size); /* so that a write behind it is seen */

        ds_utf8_clean(out, rows[i].size, rows[i].text, rows[i].len);
        assert_string_equal(out, rows[i].want);
        free(out);
    }
}

/* All of them, and none of their neighbours. */
static void what_turns_a_text_is_known(void **state)
{
    char text[3] = "\xE2";
    size_t n = 0;

    (void)state;
    for (int c = 0x2000; c < 0x2100; c++) {
        bool turns = c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
                     (c >= 0x2066 && c <= 0x2069);

        text[1] = (char)(0x80 | (c >> 6 & 0x3F));
        text[2] = (char)(0x80 | (c & 0x3F));
        assert_int_equal(ds_utf8_is_turning(text, 3), turns);
        assert_false(ds_utf8_is_turning(text, 1));
        n += turns;
    }
    assert_int_equal(n, 11);
    assert_false(ds_utf8_is_turning("\xE3\x80\xAE", 3));
    for (int c = 0x80; c < 0x800; c++) {
        const char two[] = {(char)(0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};

        assert_int_equal(ds_utf8_is_turning(two, 2), c == 0x61C);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_edges_of_each_length_are_valid),
        cmocka_unit_test(what_go_calls_invalid_is_invalid),
        cmocka_unit_test(exactly_the_code_points_are_valid),
        cmocka_unit_test(cut_never_splits_a_character),
        cmocka_unit_test(cleaned_text_is_one_valid_line_that_fits),
        cmocka_unit_test(what_turns_a_text_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
