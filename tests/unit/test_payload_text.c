/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/payload.h"

#include <stdlib.h>

#define TIME                                                                             \
    "\"push_time_seconds\":{\"type\":\"GAUGE\",\"metrics\":[{\"labels\":{},"             \
    "\"value\":\"1.5\"}]}"
#define GROUP(families)       "{\"labels\":{\"job\":\"a\"}," TIME "," families "}"
#define FAMILY(type, metrics) "{\"type\":\"" type "\",\"metrics\":[" metrics "]}"
#define VALUE(labels, value)  "{\"labels\":{" labels "},\"value\":\"" value "\"}"
#define GAUGE(labels, value)  "\"m\":" FAMILY("GAUGE", VALUE(labels, value))
#define HELP(help)                                                                       \
    "\"m\":{\"type\":\"GAUGE\",\"help\":\"" help "\",\"metrics\":[" VALUE("", "1") "]}"
#define SUMMARY(labels, quantiles, count, sum)                                           \
    "\"m\":" FAMILY("SUMMARY", "{\"labels\":{" labels "},\"quantiles\":" quantiles       \
                               ",\"count\":\"" count "\",\"sum\":\"" sum "\"}")
#define HISTOGRAM(labels, buckets, count, sum)                                           \
    "\"m\":" FAMILY("HISTOGRAM", "{\"labels\":{" labels "},\"buckets\":" buckets         \
                                 ",\"count\":\"" count "\",\"sum\":\"" sum "\"}")

/* One line of the body: TYPE is that of the family m. */
#define TYPE(type) "# TYPE m " type "\n"

static enum ds_code make(const char *json, struct ds_buf *out, struct ds_error *err)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    enum ds_code code = DS_OK;

    if (ds_payload_make(&payload, NULL, json, strlen(json), NULL, 0, err) < 0)
        code = err->code;
    else
        assert_string_equal(payload.content_type, DS_PAYLOAD_TEXT);
    ds_buf_add(out, payload.body.data, payload.body.len);
    ds_buf_release(&payload.body);
    return code;
}

static void classic_types_become_text(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        {GROUP("\"m\":" FAMILY("GAUGE", "")), ""},
        {GROUP(GAUGE("", "1")), TYPE("gauge") "m 1\n"},
        {GROUP("\"m\":" FAMILY("COUNTER", VALUE("", "1"))), TYPE("counter") "m 1\n"},
        {GROUP("\"m\":" FAMILY("UNTYPED", VALUE("", "1"))), TYPE("untyped") "m 1\n"},
        {GROUP(GAUGE("\"job\":\"a\",\"instance\":\"\"", "1")),
         TYPE("gauge") "m{job=\"a\",instance=\"\"} 1\n"},
        {GROUP("\"m\":" FAMILY("GAUGE",
                               VALUE("\"l\":\"1\"", "1") "," VALUE("\"l\":\"2\"", "2"))),
         TYPE("gauge") "m{l=\"1\"} 1\nm{l=\"2\"} 2\n"},
        {GROUP("\":a_1:\":" FAMILY("GAUGE", VALUE("\"_A1\":\"x\"", "1"))),
         "# TYPE :a_1: gauge\n:a_1:{_A1=\"x\"} 1\n"},
        {"{" TIME ",\"labels\":" FAMILY(
             "GAUGE",
             VALUE("", "1")) ",\"last_push_successful\":" FAMILY("GAUGE",
                                                                 VALUE("", "1")) "}",
         "# TYPE labels gauge\nlabels 1\n"
         "# TYPE last_push_successful gauge\nlast_push_successful 1\n"},
        /* Values as they are given. */
        {GROUP(GAUGE("", "NaN")), TYPE("gauge") "m NaN\n"},
        {GROUP(GAUGE("", "+Inf")), TYPE("gauge") "m +Inf\n"},
        {GROUP(GAUGE("", "-Inf")), TYPE("gauge") "m -Inf\n"},
        {GROUP(GAUGE("", "-0")), TYPE("gauge") "m -0\n"},
        {GROUP(GAUGE("", "5e-324")), TYPE("gauge") "m 5e-324\n"},
        {GROUP(GAUGE("", "1.7976931348623157e+308")),
         TYPE("gauge") "m 1.7976931348623157e+308\n"},
        /* Escapes. */
        {GROUP(GAUGE("\"l\":\"\\\\\\\"\\n\\t{},=#\xC3\xA4\"", "1")),
         TYPE("gauge") "m{l=\"\\\\\\\"\\n\t{},=#\xC3\xA4\"} 1\n"},
        {GROUP(HELP("\\\\\\\"\\n\\t{}# ")),
         "# HELP m \\\\\"\\n\t{}# \n" TYPE("gauge") "m 1\n"},
        /* Parts in the order of numbers. */
        {GROUP(SUMMARY("", "{}", "0", "0")), TYPE("summary") "m_sum 0\nm_count 0\n"},
        {GROUP(SUMMARY("\"l\":\"1\"",
                       "{\"0.5\":\"NaN\",\"1\":\"-0\",\"10\":\"4\",\"1e-09\":\"2\"}",
                       "9007199254740992", "-0")),
         TYPE("summary") "m{l=\"1\",quantile=\"1e-09\"} 2\n"
                         "m{l=\"1\",quantile=\"0.5\"} NaN\n"
                         "m{l=\"1\",quantile=\"1\"} -0\n"
                         "m{l=\"1\",quantile=\"10\"} 4\n"
                         "m_sum{l=\"1\"} -0\n"
                         "m_count{l=\"1\"} 9007199254740992\n"},
        {GROUP(HISTOGRAM("", "{}", "0", "0")), TYPE("histogram") "m_sum 0\nm_count 0\n"},
        {GROUP(HISTOGRAM("",
                         "{\"+Inf\":\"5\",\"-Inf\":\"0\",\"1e+06\":\"4\",\"2\":\"3\","
                         "\"-1\":\"1\"}",
                         "5", "NaN")),
         TYPE("histogram") "m_bucket{le=\"-Inf\"} 0\n"
                           "m_bucket{le=\"-1\"} 1\n"
                           "m_bucket{le=\"2\"} 3\n"
                           "m_bucket{le=\"1e+06\"} 4\n"
                           "m_bucket{le=\"+Inf\"} 5\n"
                           "m_sum NaN\nm_count 5\n"},
        {GROUP(HISTOGRAM("\"l\":\"\"", "{\"1\":\"2\"}", "3", "1")),
         TYPE("histogram") "m_bucket{l=\"\",le=\"1\"} 2\nm_sum{l=\"\"} 1\n"
                           "m_count{l=\"\"} 3\n"},
        /* Other families that only look like parts. */
        {GROUP(GAUGE("", "1") ",\"m_count\":" FAMILY("GAUGE", VALUE("", "1"))),
         TYPE("gauge") "m 1\n# TYPE m_count gauge\nm_count 1\n"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_PAYLOAD_MAX);
        struct ds_error err = DS_ERROR_INIT;

        if (make(rows[i].json, &text, &err) != DS_OK)
            fail_msg("%s: %s", rows[i].json, err.text);
        assert_string_equal(text.data, rows[i].text);
    }
}

static void nul_bytes_are_passed_on(void **state)
{
    static const char expected[] = "# HELP m a\0b\n" TYPE("gauge") "m{l=\"\0\"} 1\n";
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_PAYLOAD_MAX);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_int_equal(make(GROUP("\"m\":{\"type\":\"GAUGE\",\"help\":\"a\\u0000b\","
                                "\"metrics\":[" VALUE("\"l\":\"\\u0000\"", "1") "]}"),
                          &text, &err),
                     DS_OK);
    assert_int_equal(text.len, sizeof expected - 1);
    assert_memory_equal(text.data, expected, text.len);
}

#define NO "family \"m\" cannot be copied from the list alone: "

static void what_text_cannot_say_is_refused(void **state)
{
    static const struct {
        const char *json, *reason;
        enum ds_code code; /* 0: DS_E_FAILED */
    } rows[] = {
        {GROUP("\"m\":" FAMILY("GAUGE_HISTOGRAM", VALUE("", "0"))),
         NO "text has no such type", 0},
        {GROUP("\"m\":" FAMILY("NEW", VALUE("", "0"))), NO "text has no such type", 0},
        {GROUP("\"m\":{\"metrics\":[" VALUE("", "0") "]}"), NO "text has no such type",
         0},
        {GROUP("\"a b\":" FAMILY("GAUGE", VALUE("", "1"))),
         "family \"a b\" cannot be copied from the list alone: text has no way to write"
         " such a name",
         0},
        {GROUP("\"\":" FAMILY("GAUGE", VALUE("", "1"))), NULL, 0},
        {GROUP("\"1m\":" FAMILY("GAUGE", VALUE("", "1"))), NULL, 0},
        {GROUP("\"m\\n# TYPE x\":" FAMILY("GAUGE", VALUE("", "1"))), NULL, 0},
        {GROUP("\"\xC3\xA4\":" FAMILY("GAUGE", VALUE("", "1"))), NULL, 0},
        {GROUP(GAUGE("\"a b\":\"\"", "1")),
         NO "text has no way to write one of its label names", 0},
        {GROUP(GAUGE("\"a:b\":\"\"", "1")), NULL, 0},
        {GROUP(GAUGE("\"\":\"\"", "1")), NULL, 0},
        {GROUP(GAUGE("\"__name__\":\"x\"", "1")), NULL, 0},
        {GROUP(SUMMARY("\"quantile\":\"1\"", "{}", "0", "0")), NULL, 0},
        {GROUP(HISTOGRAM("\"le\":\"1\"", "{}", "0", "0")), NULL, 0},
        {GROUP(GAUGE("\"l\":\"a\\ufffd\"", "1")),
         NO "a label value is not UTF-8, or has U+FFFD", 0},
        {GROUP(HELP("a\xEF\xBF\xBD")),
         NO "its help begins with a blank, is not UTF-8, or has U+FFFD", 0},
        {GROUP(HELP(" a")), NULL, 0},
        {GROUP(HELP("\\ta")), NULL, 0},
        {GROUP(GAUGE("", "")), NO "a value in the list is no number", 0},
        {GROUP(GAUGE("", " 1")), NULL, 0},
        {GROUP(GAUGE("", "1 2")), NULL, 0},
        {GROUP(GAUGE("", "1\\n2")), NULL, 0},
        {GROUP(GAUGE("", "1\\u0000")), NULL, 0},
        {GROUP(GAUGE("", "0x1p3")), NULL, 0},
        {GROUP(GAUGE("", "nan")), NULL, 0},
        {GROUP(GAUGE("", "infinity")), NULL, 0},
        {GROUP("\"m\":" FAMILY("GAUGE", "{\"labels\":{},\"value\":1}")), NULL, 0},
        {GROUP("\"m\":" FAMILY("GAUGE", "{\"labels\":{}}")), NULL, 0},
        {GROUP(SUMMARY("", "{\"x\":\"1\"}", "0", "0")),
         NO "a quantile or bucket has no bound", 0},
        {GROUP(SUMMARY("", "{\"NaN\":\"1\"}", "0", "0")), NULL, 0},
        {GROUP(SUMMARY("", "{\"1\":\"x\"}", "0", "0")), NULL, 0},
        {GROUP(SUMMARY("", "{\"1\":1}", "0", "0")), NULL, 0},
        {GROUP(SUMMARY("", "{}", "0", "x")), NULL, 0},
        {GROUP(SUMMARY("", "{}", "9007199254740993", "0")),
         NO "a count is no whole number up to 2^53", 0},
        {GROUP(SUMMARY("", "{}", "1.5", "0")), NULL, 0},
        {GROUP(SUMMARY("", "{}", "-1", "0")), NULL, 0},
        {GROUP(HISTOGRAM("", "{\"1\":\"9007199254740993\"}", "1", "1")), NULL, 0},
        {GROUP(HISTOGRAM("", "{\"1\":\"1.5\"}", "1", "1")), NULL, 0},
        {GROUP(HISTOGRAM("", "{\"1\":1}", "1", "1")), NULL, 0},
        {GROUP(HISTOGRAM("", "{}", "1", "0")), NO "the list does not show its buckets",
         0},
        {GROUP(HISTOGRAM("", "{}", "0", "1.5")), NULL, 0}, /* of floats */
        {GROUP(HISTOGRAM("", "[]", "0", "0")), NULL, 0},
        {GROUP(HISTOGRAM("", "[[0,\"1\",\"2\",\"3\"]]", "3", "5")), NULL, 0},
        {GROUP(HISTOGRAM("", "null", "0", "0")), NULL, 0},
        {GROUP(SUMMARY("", "{}", "0", "0") ",\"m_sum\":" FAMILY("GAUGE", VALUE("", "1"))),
         NO "another family has its name with _count, _sum or _bucket", 0},
        {GROUP(HISTOGRAM("", "{}", "0", "0") ",\"m_bucket\":" FAMILY("GAUGE", "")), NULL,
         0},
        {GROUP("\"m\":" FAMILY("GAUGE",
                               VALUE("\"l\":\"1\"", "1") "," VALUE("\"l\":\"1\"", "1"))),
         "family \"m\" has the same series twice: no Pushgateway takes that", 0},
        {GROUP("\"m\":" FAMILY("GAUGE", "1")), NULL, DS_E_FORMAT},
        {GROUP("\"m\":" FAMILY("GAUGE", VALUE("\"l\":1", "1"))), NULL, DS_E_FORMAT},
        {"{\"labels\":{\"job\":\"a\"}}", "a group has no push_time_seconds", DS_E_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_PAYLOAD_MAX);
        struct ds_error err = DS_ERROR_INIT;
        enum ds_code wanted = rows[i].code ? rows[i].code : DS_E_FAILED;

        if (make(rows[i].json, &text, &err) != wanted)
            fail_msg("%s: code %d, %s", rows[i].json, (int)err.code, err.text);
        if (rows[i].reason)
            assert_string_equal(err.text, rows[i].reason);
        assert_int_equal(text.len, 0);
    }
}

#define FAILURE(metrics)                                                                 \
    "{\"labels\":{}," TIME ",\"push_failure_time_seconds\":" FAMILY("GAUGE", metrics) "}"

static void a_failure_time_is_restored(void **state)
{
    static const struct {
        const char *json, *text; /* NULL: there is none */
    } rows[] = {
        {FAILURE(VALUE("\"job\":\"a\"", "1.7e+09")),
         "# TYPE push_failure_time_seconds gauge\n"
         "push_failure_time_seconds{job=\"a\"} 1.7e+09\n"},
        {"{" TIME ",\"push_failure_time_seconds\":{\"type\":\"GAUGE\",\"help\":\"h\","
         "\"metrics\":[" VALUE("", "2") "]}}",
         "# HELP push_failure_time_seconds h\n"
         "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 2\n"},
        /* A client's own. */
        {FAILURE(VALUE("\"l\":\"1\"", "0") "," VALUE("\"l\":\"2\"", "7")),
         "# TYPE push_failure_time_seconds gauge\n"
         "push_failure_time_seconds{l=\"1\"} 0\npush_failure_time_seconds{l=\"2\"} 7\n"},
        {FAILURE(VALUE("", "0")), NULL},
        {FAILURE(""), NULL},
        {FAILURE("{}"), NULL},
        {FAILURE(VALUE("", "x")), NULL},
        {"{" TIME "}", NULL},
        {"{" TIME ",\"push_failure_time_seconds\":1}", NULL},
        {"{" TIME ",\"push_failure_time_seconds\":{}}", NULL},
        {"{", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
        bool found =
            ds_payload_failure_time(&payload, rows[i].json, strlen(rows[i].json));

        assert_int_equal(found, rows[i].text != NULL);
        assert_string_equal(payload.body.data, rows[i].text ? rows[i].text : "");
        if (found)
            assert_string_equal(payload.content_type, DS_PAYLOAD_TEXT);
        ds_buf_release(&payload.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_types_become_text),
        cmocka_unit_test(nul_bytes_are_passed_on),
        cmocka_unit_test(what_text_cannot_say_is_refused),
        cmocka_unit_test(a_failure_time_is_restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
