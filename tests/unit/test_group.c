/* SPDX-License-Identifier: Apache-2.0 */
/* One group from its text.  In identities '|' stands for 0xFF. */
#include "test.h"

#include "dshard/buf.h"
#include "dshard/group.h"
#include "dshard/murmur3.h"

#define TIME(name, stamp, value)                                                         \
    "\"" name "\":{\"time_stamp\":\"" stamp "\",\"type\":\"GAUGE\",\"metrics\":"         \
    "[{\"labels\":{\"instance\":\"\",\"job\":\"a\",\"x\":\"1\"},\"value\":\"" value      \
    "\"}]}"
#define PUSHED TIME("push_time_seconds", "1970-01-01T00:00:02Z", "1.5e+00")
#define FAILED TIME("push_failure_time_seconds", "1970-01-01T00:00:01Z", "0")
#define LABELS(text)                                                                     \
    "{\"labels\":{" text "},\"last_push_successful\":true," FAILED "," PUSHED "}"

static void ds_auto_group(struct ds_group *group)
{
    ds_group_release(group);
}

static int parse(struct ds_group *group, const char *json, struct ds_error *err)
{
    return ds_group_parse(group, json, strlen(json), err);
}

static void must_parse(struct ds_group *group, const char *json)
{
    struct ds_error err = DS_ERROR_INIT;

    if (parse(group, json, &err) < 0)
        fail_msg("%s: %s", json, err.text);
}

static void expect_identity(const struct ds_group *group, const char *want)
{
    assert_int_equal(group->identity_len, strlen(want));
    for (size_t i = 0; i < group->identity_len; i++)
        assert_int_equal((unsigned char)group->identity[i],
                         want[i] == '|' ? 0xFF : (unsigned char)want[i]);
}

static void a_group_has_times_families_and_series(void **state)
{
    static const char json[] =
        "{\"labels\":{\"x\":\"1\",\"job\":\"a\"}, \"last_push_successful\":true,"
        "\"m\":{\"time_stamp\":\"2026-11-22T18:30:38.611439323Z\",\"type\":\"GAUGE\","
        "\"help\":\"[{\\\"\",\"metrics\":[{\"labels\":{},\"value\":\"1\"},{},{}]},"
        "\"b\\u003c\":{\"time_stamp\":\"0001-01-01T00:00:00Z\",\"metrics\":null},"
        "\"z\":{\"type\":\"HISTOGRAM\",\"metrics\":[{\"buckets\":[[0,\"1\",\"2\"]]}]},"
        "\"later\":[1,-2.5e+3,null,{\"metrics\":{}}],\"what\":{\"metrics\":{}}," FAILED
        "," PUSHED "} ";
    DS_AUTO(group) struct ds_group group = {0};

    (void)state;
    must_parse(&group, json);
    expect_identity(&group, "job|a|x|1");
    assert_int_equal(group.hash, ds_murmur3("/metrics/job/a/x/1", 18, 0));
    assert_int_equal(group.pushed_us, 1500000);
    assert_int_equal(group.stamped_us, 2000000);
    assert_int_equal(group.failed_us, 0);
    assert_int_equal(group.created_us, 1000000);
    assert_int_equal(group.n_families, 3);
    assert_int_equal(group.n_series, 4);
    assert_int_equal(group.flags, 0);
    assert_string_equal(group.families[0].name, "b<");
    assert_int_equal(group.families[0].pushed_us, 0); /* never */
    assert_string_equal(group.families[1].name, "m");
    assert_int_equal(group.families[1].pushed_us, INT64_C(1795372238611439));
    assert_string_equal(group.families[2].name, "z");
    assert_int_equal(group.families[2].pushed_us, 0);
    ds_group_release(&group);
    ds_group_release(&group);
}

static void labels_give_identity_and_flags(void **state)
{
    static const struct {
        const char *labels, *identity;
        unsigned flags;
    } rows[] = {
        {"\"job\":\"a\"", "job|a", 0},
        {"\"job\":\"a\",\"instance\":\"\"", "instance||job|a", 0},
        {"\"z\":\"\",\"job\":\"a\",\"B\":\"2\"", "B|2|job|a|z|", 0},
        {"\"job\":\"\\u00e4\\\"\\\\\\/\\b\\f\\n\\r\\t\\ud83d\\ude00\"",
         "job|\xC3\xA4\"\\/\b\f\n\r\t\xF0\x9F\x98\x80", 0},
        {"\"job\":\"\xC3\xA4\\u20ac\\u003c\\u0026\"", "job|\xC3\xA4\xE2\x82\xAC<&", 0},
        {"\"job\":\"a\",\"foo.bar\":\"1\"", "foo.bar|1|job|a", DS_GROUP_ODD_NAME},
        {"\"job\":\"a\",\"__x\":\"1\"", "__x|1|job|a", DS_GROUP_ODD_NAME},
        {"\"job\":\"\"", "job|", DS_GROUP_ODD_NAME},
        {"\"x\":\"1\"", "job||x|1", DS_GROUP_ODD_NAME},
        {"\"job\":\"a\\ufffd\"", "job|a\xEF\xBF\xBD", DS_GROUP_REPLACED},
        {"\"job\":\"\xEF\xBF\xBD\",\"a b\":\"\"", "a b||job|\xEF\xBF\xBD",
         DS_GROUP_REPLACED | DS_GROUP_ODD_NAME},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str)
        char *json = ds_xasprintf("{\"labels\":{%s},%s}", rows[i].labels, PUSHED);
        DS_AUTO(group) struct ds_group group = {0};

        must_parse(&group, json);
        expect_identity(&group, rows[i].identity);
        assert_int_equal(group.flags, rows[i].flags);
    }
}

static void a_nul_byte_in_a_label_is_kept(void **state)
{
    DS_AUTO(group) struct ds_group group = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100);

    (void)state;
    must_parse(&group, LABELS("\"job\":\"a\",\"x\":\"\\u0000b\""));
    assert_int_equal(group.identity_len, 10);
    assert_memory_equal(group.identity,
                        "job\xFF"
                        "a\xFFx\xFF\0b",
                        10);
    ds_group_add_text(&group, &text);
    assert_string_equal(text.data, "{job=\"a\",x=\"\\x00b\"}");
}

static void a_family_called_labels_hides_the_labels_and_they_are_guessed(void **state)
{
    static const char json[] =
        "{\"labels\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"type\":\"GAUGE\","
        "\"metrics\":[{},{}]},\"last_push_successful\":{\"time_stamp\":"
        "\"1970-01-01T00:00:03Z\",\"type\":\"GAUGE\",\"metrics\":[{}]}," FAILED "," PUSHED
        "}";
    DS_AUTO(group) struct ds_group group = {0};

    (void)state;
    must_parse(&group, json);
    expect_identity(&group, "job|a|x|1");
    assert_int_equal(group.flags, DS_GROUP_GUESSED);
    assert_int_equal(group.n_families, 2);
    assert_int_equal(group.n_series, 3);
    assert_string_equal(group.families[0].name, "labels");
    assert_int_equal(group.families[0].pushed_us, 2000000);
    assert_string_equal(group.families[1].name, "last_push_successful");
    assert_int_equal(group.families[1].pushed_us, 3000000);
}

static void hidden_labels_with_an_instance_are_certain(void **state)
{
    static const char json[] =
        "{\"labels\":{\"type\":\"GAUGE\",\"metrics\":[{}]}," FAILED
        ",\"push_time_seconds\":{\"time_stamp\":\"1970-01-01T00:00:03Z\",\"type\":"
        "\"GAUGE\",\"metrics\":[{\"labels\":{\"instance\":\"i\",\"job\":\"a\"},"
        "\"value\":\"3\"}]}}";
    DS_AUTO(group) struct ds_group group = {0};

    (void)state;
    must_parse(&group, json);
    expect_identity(&group, "instance|i|job|a");
    assert_int_equal(group.flags, 0);
}

/* Every client can push such a family; it must not hide the server's list from us. */
static void families_of_any_name_are_read(void **state)
{
    static const char json[] =
        "{\"labels\":{\"job\":\"a\"},\"a\\u0000b\":{\"metrics\":[{}]},"
        "\"\":{\"metrics\":[{}]},\"\\ufffd\":{\"time_stamp\":\"1970-01-01T00:00:02Z\","
        "\"metrics\":[{}]},\"\\ufffd\":{\"time_stamp\":\"1970-01-01T00:00:05Z\","
        "\"metrics\":[{}]},\"\\ufffd\":{\"time_stamp\":\"1970-01-01T00:00:01Z\","
        "\"metrics\":[{}]},\"z/\\u001b\":{\"metrics\":[]}," PUSHED "}";
    static const char *const names[] = {"", "a\300\200b", "z/\x1B", "\xEF\xBF\xBD"};
    DS_AUTO(group) struct ds_group group = {0};

    (void)state;
    must_parse(&group, json);
    assert_int_equal(group.n_families, DS_COUNT(names));
    for (size_t i = 0; i < DS_COUNT(names); i++)
        assert_string_equal(group.families[i].name, names[i]);
    assert_int_equal(group.families[3].pushed_us, 5000000);
    assert_int_equal(group.n_series, 5);
}

static void labels_called_like_the_keys_of_a_family_are_labels(void **state)
{
    DS_AUTO(group) struct ds_group group = {0};

    (void)state;
    must_parse(&group, LABELS("\"job\":\"a\",\"metrics\":\"[]\",\"time_stamp\":\"x\","
                              "\"type\":\"GAUGE\",\"labels\":\"l\""));
    expect_identity(&group, "job|a|labels|l|metrics|[]|time_stamp|x|type|GAUGE");
    assert_int_equal(group.flags, 0);
    assert_int_equal(group.n_families, 0);
}

static void what_is_no_group_is_refused(void **state)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"", "a group: byte 1: an object is expected, and the text ends"},
        {"[]", "a group: byte 1: an object is expected"},
        {"{}", "a group: it has no labels"},
        {"{\"labels\":{}", "a group: byte 13: a comma or the closing bracket is expected,"
                           " and the text ends"},
        {"{" PUSHED "}", "a group: it has no labels"},
        {"{\"labels\":null," PUSHED "}", "a group: it has no labels"},
        {"{\"labels\":{\"job\":\"a\"}}",
         "the group {job=\"a\"}: it has no push_time_seconds"},
        {"{\"labels\":{\"job\":\"a\"},\"labels\":{\"job\":\"a\"}," PUSHED "}",
         "a group: byte 24: \"labels\" stands twice"},
        {"{\"labels\":{\"job\":\"a\",\"job\":\"b\"}," PUSHED "}",
         "a group: byte 31: there are two jobs"},
        {"{\"labels\":{\"job\":\"a\",\"x\":\"a\",\"x\":\"b\"}," PUSHED "}",
         "a group: it has two labels of one name"},
        {"{\"labels\":{\"job\":1}," PUSHED "}", "a group: byte 18: a string is expected"},
        {"{\"labels\":{\"job\":\"\\ud800\"}," PUSHED "}",
         "a group: byte 26: a label is not UTF-8"},
        {"{\"labels\":{\"job\":\"\xFF\"}," PUSHED "}",
         "a group: byte 21: a label is not UTF-8"},
        {"{\"labels\":{\"job\":\"a\"}," PUSHED "," PUSHED "}", NULL},
        {"{\"labels\":{\"job\":\"a\"}," PUSHED "," FAILED "," FAILED "}", NULL},
        {"{\"labels\":{\"job\":\"a\"}," TIME("push_time_seconds", "x", "1") "}",
         "a group: byte 24: \"push_time_seconds\" has a bad time stamp"},
        {"{\"labels\":{\"job\":\"a\"}," TIME("push_time_seconds", "", "NaN") "}",
         "a group: byte 24: \"push_time_seconds\" has no time for its value"},
        {"{\"labels\":{\"job\":\"a\"},\"m\":{\"metrics\":[]},\"b\":{\"metrics\":[]},"
         "\"m\":{\"metrics\":[]}," PUSHED "}",
         "the group {job=\"a\"}: the family 'm' stands twice"},
        {"{\"labels\":{\"job\":\"a\"},\"m\":{\"metrics\":[}]," PUSHED "}",
         "a group: byte 39: a value is expected"},
        {"{\"labels\":{\"job\":\"a\"},\"m\":{\"metrics\":[1,]}," PUSHED "}",
         "a group: byte 41: a value is expected"},
        {"{\"labels\":{\"job\":\"a\"},\"m\":{\"metrics\":[1 2]}," PUSHED "}",
         "a group: byte 41: a comma or the closing bracket is expected"},
        {"{\"labels\":{\"job\":\"a\"},\"m\\udc00\":{\"metrics\":[]}," PUSHED "}",
         "a group: byte 24: \"m\\udc00\" is not UTF-8"},
        {"{\"labels\":{\"job\":\"a\"},\"\\ufffd\":{\"metrics\":[]},\"\\ufffd\":{"
         "\"metrics\":[]},\"z\\u001b\":{\"metrics\":[]},\"z\\u001b\":{\"metrics\":[]}}",
         "the group {job=\"a\"}: it has no push_time_seconds"},
        {"{\"labels\":{\"job\":\"a\"},\"\\ufffd\":{\"metrics\":[]},\"\\ufffd\":{"
         "\"metrics\":[]},\"z\\u001b\":{\"metrics\":[]},\"z\\u001b\":{\"metrics\":[]}"
         "," PUSHED "}",
         "the group {job=\"a\"}: the family 'z?' stands twice"},
        {LABELS("\"job\":\"a\"") "x", "a group: byte 349: something follows the end"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(group) struct ds_group group = {0};
        struct ds_error err = DS_ERROR_INIT;

        if (parse(&group, rows[i].json, &err) == 0)
            fail_msg("%s is a group", rows[i].json);
        assert_int_equal(err.code, DS_E_FORMAT);
        if (rows[i].why)
            assert_string_equal(err.text, rows[i].why);
        else
            assert_non_null(strstr(err.text, "stands twice"));
        assert_null(group.identity);
        assert_null(group.families);
    }
}

static void a_family_is_found_by_its_whole_name(void **state)
{
    static const char *const missing[] = {"", "a", "ab_", "b_", "z", "push_time_seconds"};
    DS_AUTO(group) struct ds_group group = {0};
    const struct ds_group empty = {0};

    (void)state;
    must_parse(&group, "{\"labels\":{\"job\":\"a\"},\"c\":{\"metrics\":[{}]},"
                       "\"ab\":{\"metrics\":[{}]},\"b\":{\"metrics\":[{}]}," PUSHED "}");
    assert_int_equal(group.n_families, 3);
    for (size_t i = 0; i < group.n_families; i++)
        assert_ptr_equal(ds_group_find_family(&group, group.families[i].name),
                         &group.families[i]);
    for (size_t i = 0; i < DS_COUNT(missing); i++)
        assert_null(ds_group_find_family(&group, missing[i]));
    assert_null(ds_group_find_family(&empty, "b"));
}

static void labels_have_at_most_1_mib(void **state)
{
    DS_AUTO(buf) struct ds_buf json = DS_BUF_INIT(3000000);
    DS_AUTO(group) struct ds_group group = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        ds_buf_clear(&json);
        ds_buf_adds(&json, "{\"labels\":{\"job\":\"");
        for (size_t i = 0; i < 1024 * 1024 - 4 + extra; i++)
            ds_buf_addc(&json, 'a');
        ds_buf_adds(&json, "\"}," PUSHED "}");
        assert_int_equal(ds_group_parse(&group, json.data, json.len, &err),
                         extra ? -1 : 0);
        ds_group_release(&group);
    }
    assert_string_equal(err.text,
                        "a group: its set of labels is longer than 1048576 bytes");
}

static void texts_have_job_first_and_are_escaped(void **state)
{
    static const struct {
        const char *labels, *text;
    } rows[] = {
        {"\"job\":\"a\"", "{job=\"a\"}"},
        {"\"a\":\"1\",\"job\":\"j\",\"x\":\"2\"", "{job=\"j\",a=\"1\",x=\"2\"}"},
        {"\"job\":\"\\\"\\\\\\n\\u001b[1m\"", "{job=\"\\\"\\\\\\n\\x1b[1m\"}"},
        {"\"job\":\"a\",\"foo.bar\":\"\\u00e4\"", "{job=\"a\",\"foo.bar\"=\"\xC3\xA4\"}"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str)
        char *json = ds_xasprintf("{\"labels\":{%s},%s}", rows[i].labels, PUSHED);
        DS_AUTO(group) struct ds_group group = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100);

        must_parse(&group, json);
        ds_group_add_text(&group, &text);
        assert_string_equal(text.data, rows[i].text);
    }
}

static void any_push_in_between_is_a_change(void **state)
{
    static const struct {
        const char *members;
        bool same;
    } rows[] = {
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," FAILED
         "," PUSHED,
         true},
        {FAILED "," PUSHED, false},
        {"\"n\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," FAILED
         "," PUSHED,
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:03Z\",\"metrics\":[1]}," FAILED
         "," PUSHED,
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1,2]}," FAILED
         "," PUSHED,
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," FAILED
         "," TIME("push_time_seconds", "1970-01-01T00:00:02Z", "1.500001e+00"),
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," FAILED
         "," TIME("push_time_seconds", "1970-01-01T00:00:03Z", "1.5"),
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," TIME(
             "push_failure_time_seconds", "1970-01-01T00:00:01Z", "9") "," PUSHED,
         false},
        {"\"m\":{\"time_stamp\":\"1970-01-01T00:00:02Z\",\"metrics\":[1]}," TIME(
             "push_failure_time_seconds", "1970-01-01T00:00:02Z", "0") "," PUSHED,
         false},
    };
    DS_AUTO(group) struct ds_group before = {0};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str)
        char *json = ds_xasprintf("{\"labels\":{\"job\":\"a\"},%s}", rows[i].members);
        DS_AUTO(group) struct ds_group now = {0};

        if (!i)
            must_parse(&before, json);
        must_parse(&now, json);
        if (ds_group_is_unchanged(&before, &now) != rows[i].same)
            fail_msg("%s", json);
    }
}

static void a_client_may_write_nonsense_as_the_time_of_failure(void **state)
{
    static const char *const values[] = {"NaN", "-1", "+Inf", "1e300", "x", ""};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(values); i++) {
        DS_AUTO(str)
        char *json =
            ds_xasprintf("{\"labels\":{\"job\":\"a\"}," PUSHED
                         ",\"push_failure_time_seconds\":{\"metrics\":[{\"value\":\"%s\"}"
                         ",{\"value\":\"5\"}]}}",
                         values[i]);
        DS_AUTO(group) struct ds_group group = {0};

        must_parse(&group, json);
        assert_int_equal(group.failed_us, 0);
        assert_int_equal(group.n_series, 0);
    }
}

static void no_push_time_but_zero_means_never(void **state)
{
    static const struct {
        const char *value;
        int64_t us;
    } rows[] = {
        {"0", 0},       {"-5", 1},
        {"1e-06", 1},   {"1.7953722386114395e+09", 1795372238611440},
        {"1", 1000000},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str)
        char *json = ds_xasprintf(
            "{\"labels\":{\"job\":\"a\"},\"push_time_seconds\":{\"metrics\":["
            "{\"value\":\"%s\"}]}}",
            rows[i].value);
        DS_AUTO(group) struct ds_group group = {0};

        must_parse(&group, json);
        assert_int_equal(group.pushed_us, rows[i].us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_has_times_families_and_series),
        cmocka_unit_test(labels_give_identity_and_flags),
        cmocka_unit_test(a_nul_byte_in_a_label_is_kept),
        cmocka_unit_test(a_family_called_labels_hides_the_labels_and_they_are_guessed),
        cmocka_unit_test(hidden_labels_with_an_instance_are_certain),
        cmocka_unit_test(families_of_any_name_are_read),
        cmocka_unit_test(labels_called_like_the_keys_of_a_family_are_labels),
        cmocka_unit_test(what_is_no_group_is_refused),
        cmocka_unit_test(a_family_is_found_by_its_whole_name),
        cmocka_unit_test(labels_have_at_most_1_mib),
        cmocka_unit_test(texts_have_job_first_and_are_escaped),
        cmocka_unit_test(any_push_in_between_is_a_change),
        cmocka_unit_test(a_client_may_write_nonsense_as_the_time_of_failure),
        cmocka_unit_test(no_push_time_but_zero_means_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
