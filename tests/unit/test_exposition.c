/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/exposition.h"

#define TEXT(name)                                                                       \
    DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(64 * 1024);                            \
    struct ds_exposition to = DS_EXPOSITION_INIT(&name)

static void a_family_has_its_help_and_type_once(void **state)
{
    TEXT(text);
    struct ds_sample_label a[] = {{"x", "1"}}, b[] = {{"x", "1"}, {"y", ""}};

    (void)state;
    ds_exposition_family(&to, "a_total", DS_FAMILY_COUNTER, "What it is.");
    ds_exposition_sample(&to, NULL, 0, 1, 0);
    ds_exposition_sample(&to, a, DS_COUNT(a), 2, 0);
    ds_exposition_sample(&to, b, DS_COUNT(b), 3, 0);
    assert_string_equal(text.data, "# HELP a_total What it is.\n"
                                   "# TYPE a_total counter\n"
                                   "a_total 1\n"
                                   "a_total{x=\"1\"} 2\n"
                                   "a_total{x=\"1\",y=\"\"} 3\n");
}

static void a_family_of_one_sample_is_one_call(void **state)
{
    TEXT(text);

    (void)state;
    ds_exposition_gauge(&to, "b_seconds", "B.", 1500, DS_DECIMALS_MS);
    ds_exposition_counter(&to, "c_total", "C.", 7);
    assert_string_equal(text.data, "# HELP b_seconds B.\n"
                                   "# TYPE b_seconds gauge\n"
                                   "b_seconds 1.5\n"
                                   "# HELP c_total C.\n"
                                   "# TYPE c_total counter\n"
                                   "c_total 7\n");
}

static void values_are_exact(void **state)
{
    static const struct {
        uint64_t value;
        unsigned decimals;
        const char *text;
    } cases[] = {
        {0, 0, "0"},
        {0, 9, "0"},
        {1, 0, "1"},
        {1, 3, "0.001"},
        {1, 9, "0.000000001"},
        {10, 1, "1"},
        {10, 2, "0.1"},
        {1000, 3, "1"},
        {1001, 3, "1.001"},
        {1010, 3, "1.01"},
        {1764000000123, 3, "1764000000.123"},
        {999999999, 9, "0.999999999"},
        {9007199254740993, 0, "9007199254740993"}, /* more than a double holds */
        {UINT64_MAX, 0, "18446744073709551615"},
        {UINT64_MAX, 18, "18.446744073709551615"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        TEXT(text);
        DS_AUTO(str) char *expected = NULL;

        ds_exposition_gauge(&to, "v", "V.", cases[i].value, cases[i].decimals);
        expected = ds_xasprintf("# HELP v V.\n# TYPE v gauge\nv %s\n", cases[i].text);
        assert_string_equal(text.data, expected);
    }
}

static void label_values_are_escaped(void **state)
{
    static const struct {
        const char *value, *text;
    } cases[] = {
        {"", ""},
        {"plain:9091", "plain:9091"},
        {"\"", "\\\""},
        {"\\", "\\\\"},
        {"\n", "\\n"},
        {"\"\"\\\n\"", "\\\"\\\"\\\\\\n\\\""},
        {"a\"} 1\nb{x=\"", "a\\\"} 1\\nb{x=\\\""},
        {"{},= \t\r'", "{},= \t\r'"},
        {"\xC3\xA4", "\xC3\xA4"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        TEXT(text);
        struct ds_sample_label label = {"l", cases[i].value};
        DS_AUTO(str) char *expected = ds_xasprintf("v{l=\"%s\"} 1\n", cases[i].text);

        to.family = "v";
        ds_exposition_sample(&to, &label, 1, 1, 0);
        assert_string_equal(text.data, expected);
    }
}

static void a_help_text_stays_on_its_line(void **state)
{
    TEXT(text);

    (void)state;
    ds_exposition_family(&to, "v", DS_FAMILY_GAUGE, "a \"b\"\nv 1\\");
    assert_string_equal(text.data, "# HELP v a \"b\"\\nv 1\\\\\n# TYPE v gauge\n");
}

static void a_histogram_adds_its_buckets_up(void **state)
{
    TEXT(text);
    static const uint64_t bounds[] = {2500, 10000, 1000000000}, counts[] = {1, 0, 2, 4};
    struct ds_histogram histogram = {.bounds = bounds,
                                     .counts = counts,
                                     .n_bounds = DS_COUNT(bounds),
                                     .sum = 12000000001,
                                     .decimals = DS_DECIMALS_NS};
    struct ds_sample_label label = {"kind", "\"x\""};

    (void)state;
    ds_exposition_family(&to, "d_seconds", DS_FAMILY_HISTOGRAM, "D.");
    ds_exposition_histogram(&to, &label, &histogram);
    assert_string_equal(text.data,
                        "# HELP d_seconds D.\n"
                        "# TYPE d_seconds histogram\n"
                        "d_seconds_bucket{kind=\"\\\"x\\\"\",le=\"0.0000025\"} 1\n"
                        "d_seconds_bucket{kind=\"\\\"x\\\"\",le=\"0.00001\"} 1\n"
                        "d_seconds_bucket{kind=\"\\\"x\\\"\",le=\"1\"} 3\n"
                        "d_seconds_bucket{kind=\"\\\"x\\\"\",le=\"+Inf\"} 7\n"
                        "d_seconds_sum{kind=\"\\\"x\\\"\"} 12.000000001\n"
                        "d_seconds_count{kind=\"\\\"x\\\"\"} 7\n");
}

static void what_does_not_fit_is_noticed(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(40);
    struct ds_exposition to = DS_EXPOSITION_INIT(&text);

    (void)state;
    ds_exposition_gauge(&to, "a_long_name_of_a_metric", "And a long help.", 1, 0);
    assert_true(text.over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_has_its_help_and_type_once),
        cmocka_unit_test(a_family_of_one_sample_is_one_call),
        cmocka_unit_test(values_are_exact),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(a_help_text_stays_on_its_line),
        cmocka_unit_test(a_histogram_adds_its_buckets_up),
        cmocka_unit_test(what_does_not_fit_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
