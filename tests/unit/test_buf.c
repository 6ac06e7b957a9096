/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/buf.h"

#include <stdlib.h>

static void a_fresh_buffer_is_an_empty_string(void **state)
{
    struct ds_buf buf = DS_BUF_INIT(10);

    (void)state;
    assert_string_equal(buf.data, "");
    assert_int_equal(buf.len, 0);
    ds_buf_release(&buf);
    ds_buf_release(&buf);
    assert_string_equal(buf.data, "");
}

static void additions_follow_each_other(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(1000);

    (void)state;
    ds_buf_add(&buf, "ab\0c", 4);
    ds_buf_adds(&buf, "de");
    ds_buf_addc(&buf, 'f');
    ds_buf_addf(&buf, "%d-%s", 7, "g");
    ds_buf_addu(&buf, 0);
    ds_buf_addu(&buf, UINT64_MAX);
    assert_int_equal(buf.len, 4 + 2 + 1 + 3 + 1 + 20);
    assert_memory_equal(buf.data, "ab\0cdef7-g018446744073709551615", buf.len + 1);
}

static void it_grows_to_its_maximum_and_no_further(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(1000);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    for (int i = 0; i < 1000; i++)
        ds_buf_addc(&buf, 'x');
    assert_int_equal(buf.len, 1000);
    assert_ok(ds_buf_check(&buf, "the text", &err), &err);
    ds_buf_addc(&buf, 'y');
    assert_int_equal(buf.len, 1000);
    assert_true(buf.over);
    assert_int_equal(ds_buf_check(&buf, "the text", &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    assert_string_equal(err.text, "the text is longer than 1000 bytes");
}

static void what_does_not_fit_is_not_cut_but_left_out(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(5);

    (void)state;
    ds_buf_adds(&buf, "abc");
    ds_buf_adds(&buf, "def");
    assert_string_equal(buf.data, "abc");
    ds_buf_addc(&buf, 'd'); /* would fit, but something before it is missing */
    assert_string_equal(buf.data, "abc");
    ds_buf_clear(&buf);
    assert_false(buf.over);
    ds_buf_addf(&buf, "%s", "123456");
    assert_true(buf.over);
    assert_string_equal(buf.data, "");
}

static void clear_keeps_the_memory(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(100);
    const char *data;

    (void)state;
    ds_buf_adds(&buf, "something");
    data = buf.data;
    ds_buf_clear(&buf);
    assert_string_equal(buf.data, "");
    ds_buf_adds(&buf, "else");
    assert_ptr_equal(buf.data, data);
}

static void truncate_cuts_and_never_grows(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(100);

    (void)state;
    ds_buf_adds(&buf, "abcdef");
    ds_buf_truncate(&buf, 10);
    assert_string_equal(buf.data, "abcdef");
    ds_buf_truncate(&buf, 2);
    assert_string_equal(buf.data, "ab");
    assert_int_equal(buf.len, 2);
}

static void reserve_stops_at_the_maximum(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(100);

    (void)state;
    ds_buf_reserve(&buf, 1000000);
    assert_in_range(buf.cap, 101, 300);
    assert_string_equal(buf.data, "");
}

static void steal_gives_the_bytes_away(void **state)
{
    DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(100);
    DS_AUTO(str) char *nothing = ds_buf_steal(&buf);
    char *bytes;

    (void)state;
    assert_string_equal(nothing, "");
    ds_buf_adds(&buf, "abc");
    bytes = ds_buf_steal(&buf);
    assert_string_equal(bytes, "abc");
    assert_string_equal(buf.data, "");
    free(bytes);
    ds_buf_adds(&buf, "again");
    assert_string_equal(buf.data, "again");
}

static void escapes(void **state)
{
    static const struct {
        void (*add)(struct ds_buf *, const char *, size_t);
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {ds_buf_add_json, "", 0, "\"\""},
        {ds_buf_add_json, "a\"b\\c\n\r\t", 8, "\"a\\\"b\\\\c\\n\\r\\t\""},
        {ds_buf_add_json, "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\""},
        {ds_buf_add_json, "\xC3\xA4/", 3, "\"\xC3\xA4/\""},
        {ds_buf_add_json, "a\xFFz\xC3", 4, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\""},
        {ds_buf_add_html, "<a href=\"x\">'&'", 15,
         "&#60;a href=&#34;x&#34;&#62;&#39;&#38;&#39;"},
        {ds_buf_add_html, "\n\t\x01\0\xE2\x9C\x93\xE2", 8,
         "\n\t\xEF\xBF\xBD\xEF\xBF\xBD\xE2\x9C\x93\xEF\xBF\xBD"},
        {ds_buf_add_html, "\xC2\x80\xC2\xA0\x7F\xEF\xBF\xBF\xEF\xBF\xBD", 11,
         "\xEF\xBF\xBD\xC2\xA0\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {ds_buf_add_html,
         "a\xE2\x80\xAE"
         "b",
         5,
         "a\xEF\xBF\xBD"
         "b"},
        {ds_buf_add_quoted, "", 0, "\"\""},
        {ds_buf_add_quoted, "a\r\nb\"\\\t", 7, "\"a\\r\\nb\\\"\\\\\\t\""},
        {ds_buf_add_quoted, "\0\x1b[1m\x7f", 6, "\"\\x00\\x1b[1m\\x7f\""},
        {ds_buf_add_quoted, "a\xE2\x80\xAE\xD8\x9C\xE2\x81\xA9z", 10,
         "\"a\\xe2\\x80\\xae\\xd8\\x9c\\xe2\\x81\\xa9z\""},
        {ds_buf_add_quoted, "\xE2\x80\x8F\xE2\x80\x90", 6, /* and not its neighbour */
         "\"\\xe2\\x80\\x8f\xE2\x80\x90\""},
        {ds_buf_add_quoted,
         "\xC2\x9B"
         "2J\xC2\xA0",
         6, "\"\\xc2\\x9b2J\xC2\xA0\""},
        {ds_buf_add_quoted, "\xFF\xC3\xA4\xC0\x80", 5, "\"\\xff\xC3\xA4\\xc0\\x80\""},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf buf = DS_BUF_INIT(200);

        rows[i].add(&buf, rows[i].in, rows[i].len);
        assert_string_equal(buf.data, rows[i].out);
        assert_int_equal(buf.len, strlen(rows[i].out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_buffer_is_an_empty_string),
        cmocka_unit_test(additions_follow_each_other),
        cmocka_unit_test(it_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(what_does_not_fit_is_not_cut_but_left_out),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(truncate_cuts_and_never_grows),
        cmocka_unit_test(reserve_stops_at_the_maximum),
        cmocka_unit_test(steal_gives_the_bytes_away),
        cmocka_unit_test(escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
