/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/table.h"

enum { TEXT_MAX = 10000 };

static void columns_are_as_wide_as_they_need_to_be(void **state)
{
    static const char *const headings[] = {"SERVER", ">POINTS", "WHY"};
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_table_init(&table, headings, DS_COUNT(headings));
    ds_table_add(&table, "10.0.0.1:9091");
    ds_table_addf(&table, "%d", 500);
    ds_table_add(&table, "");
    ds_table_add(&table, "a:1");
    ds_table_addf(&table, "%d", 15000000);
    ds_table_add(&table, "connect: refused");
    ds_table_format(&table, &out);
    assert_string_equal(out.data, "SERVER           POINTS  WHY\n"
                                  "10.0.0.1:9091       500\n"
                                  "a:1            15000000  connect: refused\n");
}

static void a_table_without_rows_has_its_headings(void **state)
{
    static const char *const headings[] = {"A", ">BB"};
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_table_init(&table, headings, DS_COUNT(headings));
    ds_table_format(&table, &out);
    assert_string_equal(out.data, "A  BB\n");
}

static void characters_count_and_not_bytes(void **state)
{
    static const char *const headings[] = {"NAME", "X"};
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_table_init(&table, headings, DS_COUNT(headings));
    ds_table_add(&table, "\xC3\xA4\xC3\xB6\xC3\xBC\xE2\x82\xAC\xC3\x9F");
    ds_table_add(&table, "1");
    ds_table_add(&table, "abcde");
    ds_table_add(&table, "2");
    ds_table_format(&table, &out);
    assert_string_equal(out.data, "NAME   X\n"
                                  "\xC3\xA4\xC3\xB6\xC3\xBC\xE2\x82\xAC\xC3\x9F  1\n"
                                  "abcde  2\n");
}

static void lines_have_no_spaces_at_their_ends(void **state)
{
    static const char *const headings[] = {"A", "B", "C"};
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_table_init(&table, headings, DS_COUNT(headings));
    for (int i = 0; i < 3; i++)
        ds_table_add(&table, "");
    ds_table_add(&table, "long cell");
    ds_table_add(&table, "");
    ds_table_add(&table, "");
    ds_table_format(&table, &out);
    assert_string_equal(out.data, "A          B  C\n\nlong cell\n");
}

static void the_table_is_appended(void **state)
{
    static const char *const headings[] = {"A"};
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_buf_adds(&out, "before\n");
    ds_table_init(&table, headings, 1);
    ds_table_add(&table, ">a"); /* a mark in headings only */
    ds_table_format(&table, &out);
    assert_string_equal(out.data, "before\nA\n>a\n");
}

static void as_many_columns_as_there_may_be(void **state)
{
    static const char *headings[DS_TABLE_COLUMNS_MAX];
    DS_AUTO(table) struct ds_table table;
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    for (size_t i = 0; i < DS_COUNT(headings); i++)
        headings[i] = "x";
    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < DS_COUNT(headings); i++)
        ds_table_addf(&table, "%zu", i);
    ds_table_format(&table, &out);
    assert_string_equal(out.data,
                        "x  x  x  x  x  x  x  x  x  x  x   x   x   x   x   x\n"
                        "0  1  2  3  4  5  6  7  8  9  10  11  12  13  14  15\n");
    ds_table_release(&table);
    ds_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_they_need_to_be),
        cmocka_unit_test(a_table_without_rows_has_its_headings),
        cmocka_unit_test(characters_count_and_not_bytes),
        cmocka_unit_test(lines_have_no_spaces_at_their_ends),
        cmocka_unit_test(the_table_is_appended),
        cmocka_unit_test(as_many_columns_as_there_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
