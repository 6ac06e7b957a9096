/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/file.h"
#include "dshard/payload.h"
#include "protobuf.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Protobuf by hand: metrics, families and bodies as literals with their lengths. */
#define LABELS     "\n\x0C\n\x08instance\x12\x00\n\x08\n\x03job\x12\x01"
#define METRIC_A   LABELS "a\x12\x09\x09\0\0\0\0\0\0\xF0?" /* gauge 1 */
#define METRIC_B   LABELS "b\x12\x09\x09\0\0\0\0\0\0\0@"   /* gauge 2 */
#define TIME_A     LABELS "a\x12\x09\x09\0\0\0\0\0\0\xF8?" /* gauge 1.5 */
#define FAILURE_A  LABELS "a\x12\x09\x09\0\0\0\0\0\0\0\0"  /* gauge 0 */
#define PUSH_TIME  "\x3A\n\x11push_time_seconds\x18\x01\"#" TIME_A
#define PUSH_TIMES PUSH_TIME "\x42\n\x19push_failure_time_seconds\x18\x01\"#" FAILURE_A
#define FAMILY_M   "O\n\x01m\x18\x01\"#" METRIC_A "\"#" METRIC_B
#define SCRAPE     PUSH_TIMES FAMILY_M

/* The group {job="a"} as the JSON lists it; FAMILIES: `,"m":{...}`. */
#define SERIES(value)                                                                    \
    "{\"labels\":{\"job\":\"a\",\"instance\":\"\"},\"value\":\"" value "\"}"
#define GAUGE(metrics) "{\"type\":\"GAUGE\",\"metrics\":[" metrics "]}"
#define TIMES                                                                            \
    "\"push_time_seconds\":" GAUGE(                                                      \
        SERIES("1.5")) ","                                                               \
                       "\"push_failure_time_seconds\":" GAUGE(SERIES("0"))
#define GROUP(families)                                                                  \
    "{\"labels\":{\"job\":\"a\"},\"last_push_successful\":true," TIMES families "}"
#define M ",\"m\":" GAUGE(SERIES("1"))

struct bytes {
    const char *data;
    size_t len;
};
#define BYTES(literal)                                                                   \
    {                                                                                    \
        literal, sizeof(literal) - 1                                                     \
    }

static void ds_auto_scrape(struct ds_scrape **scrape)
{
    ds_scrape_free(*scrape);
}

/* An exact copy on the heap, so that the sanitizer sees a read behind its end. */
static char *exact(struct bytes bytes)
{
    char *copy = ds_xmalloc(bytes.len + !bytes.len);

    memcpy(copy, bytes.data, bytes.len);
    return copy;
}

/* The code, DS_OK when it worked; out has the body then, and is as it was otherwise. */
static enum ds_code make(struct bytes scrape_bytes, const char *json,
                         const char *const *only, size_t n_only, struct ds_buf *out,
                         struct ds_error *err)
{
    DS_AUTO(str) char *copy = exact(scrape_bytes);
    DS_AUTO(scrape)
    struct ds_scrape *scrape = ds_scrape_new(copy, scrape_bytes.len, err);
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    enum ds_code code = DS_OK;

    if (!scrape)
        return err->code;
    ds_buf_adds(&payload.body, "before");
    if (ds_payload_make(&payload, scrape, json, strlen(json), only, n_only, err) < 0)
        code = err->code;
    assert_memory_equal(payload.body.data, "before", 6);
    if (code == DS_OK)
        assert_string_equal(payload.content_type, DS_PAYLOAD_PROTOBUF);
    else
        assert_int_equal(payload.body.len, 6);
    ds_buf_add(out, payload.body.data + 6, payload.body.len - 6);
    ds_buf_release(&payload.body);
    return code;
}

static void families_of_the_group_are_cut_out_of_the_scrape(void **state)
{
    static const struct {
        const char *what;
        struct bytes scrape;
        const char *json;
        struct bytes body;
    } rows[] = {
        {"no family", BYTES(SCRAPE), GROUP(""), BYTES("")},
        {"others in the scrape have no series",
         BYTES("\x03\n\x01"
               "a" PUSH_TIMES "\x03\n\x01z"),
         GROUP(""), BYTES("")},
        {"one of two series", BYTES(SCRAPE), GROUP(M),
         BYTES("*\n\x01m\x18\x01\"#" METRIC_A)},
        {"families in any order", BYTES(FAMILY_M PUSH_TIMES), GROUP(M),
         BYTES("*\n\x01m\x18\x01\"#" METRIC_A)},
        {"the order of the list",
         BYTES(PUSH_TIMES "O\n\x01m\x18\x01\"#" METRIC_B "\"#" METRIC_A),
         GROUP(",\"m\":" GAUGE(SERIES("1") ",{\"labels\":{\"instance\":\"\",\"job\":"
                                           "\"b\"},\"value\":\"2\"}")),
         BYTES("O\n\x01m\x18\x01\"#" METRIC_A "\"#" METRIC_B)},
        {"help of the list, not of the scrape",
         BYTES(PUSH_TIMES ".\n\x01m\x12\x02no\x18\x01\"#" METRIC_A),
         GROUP(",\"m\":{\"type\":\"GAUGE\",\"help\":\"h\\u0000\",\"metrics\":[" SERIES(
             "1") "]}"),
         BYTES(".\n\x01m\x12\x02h\0\x18\x01\"#" METRIC_A)},
        {"no help in the list",
         BYTES(PUSH_TIMES ".\n\x01m\x12\x02no\x18\x01\"#" METRIC_A), GROUP(M),
         BYTES("*\n\x01m\x18\x01\"#" METRIC_A)},
        {"help that is not UTF-8 as it is in the scrape",
         BYTES(PUSH_TIMES "/\n\x01m\x12\x03\xF6\xC3x\x18\x01\"#" METRIC_A),
         GROUP(",\"m\":{\"type\":\"GAUGE\",\"help\":\"\xEF\xBF\xBD\\ufffdx\","
               "\"metrics\":[" SERIES("1") "]}"),
         BYTES("/\n\x01m\x12\x03\xF6\xC3x\x18\x01\"#" METRIC_A)},
        {"another help that is not UTF-8",
         BYTES(PUSH_TIMES "/\n\x01m\x12\x03\xF6yx\x18\x01\"#" METRIC_A),
         GROUP(",\"m\":{\"type\":\"GAUGE\",\"help\":\"\\ufffdx\",\"metrics\":[" SERIES(
             "1") "]}"),
         BYTES("0\n\x01m\x12\x04\xEF\xBF\xBDx\x18\x01\"#" METRIC_A)},
        {"fields that are not known, before and behind the metrics",
         BYTES(PUSH_TIMES "4\n\x01m\xC0\x0C\x05\x18\x01\"#" METRIC_A
                          "*\x01s\xC3\x0C\xC4\x0C"),
         GROUP(M),
         BYTES("4\n\x01m\xC0\x0C\x05\x18\x01*\x01s\xC3\x0C\xC4\x0C\"#" METRIC_A)},
        {"fields of other types than known",
         BYTES(PUSH_TIMES "6\n\x01m\x08\x01\x10\x01"
                          "\x18\x01 \x01\"'" METRIC_A "\x08\x01 \x01\"\x00"),
         GROUP(M),
         BYTES("4\n\x01m\x08\x01\x10\x01\x18\x01 \x01\"'" METRIC_A "\x08\x01 \x01")},
        {"no type", BYTES(PUSH_TIMES "(\n\x01m\"#" METRIC_A), GROUP(M),
         BYTES("(\n\x01m\"#" METRIC_A)},
        {"a family without metrics", BYTES(SCRAPE),
         GROUP(",\"e\":" GAUGE("") ",\"n\":{\"metrics\":null}"), BYTES("")},
        {"what else may stand in a group", BYTES(SCRAPE), GROUP(",\"new\":true,\"x\":[]"),
         BYTES("")},
        {"a family called last_push_successful",
         BYTES(PUSH_TIMES "=\n\x14last_push_successful\x18\x01\"#" METRIC_A),
         "{" TIMES ",\"last_push_successful\":" GAUGE(SERIES("1")) "}",
         BYTES("=\n\x14last_push_successful\x18\x01\"#" METRIC_A)},
        {"a family called labels", BYTES(PUSH_TIMES "/\n\x06labels\x18\x01\"#" METRIC_A),
         "{" TIMES ",\"labels\":" GAUGE(SERIES("1")) "}",
         BYTES("/\n\x06labels\x18\x01\"#" METRIC_A)},
        {"a name that has U+FFFD itself",
         BYTES(PUSH_TIMES "-\n\x04m\xEF\xBF\xBD\x18\x01\"#" METRIC_A),
         GROUP(",\"m\xEF\xBF\xBD\":" GAUGE(SERIES("1"))),
         BYTES("-\n\x04m\xEF\xBF\xBD\x18\x01\"#" METRIC_A)},
        {"a label called metrics", BYTES(SCRAPE),
         "{" TIMES ",\"labels\":{\"job\":\"a\",\"metrics\":\"x\"}}", BYTES("")},
        {"a scrape without push_failure_time_seconds, when the list has none",
         BYTES(PUSH_TIME FAMILY_M), "{\"push_time_seconds\":" GAUGE(SERIES("1.5")) M "}",
         BYTES("*\n\x01m\x18\x01\"#" METRIC_A)},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(PB_MAX);
        struct ds_error err = DS_ERROR_INIT;

        if (make(rows[i].scrape, rows[i].json, NULL, 0, &body, &err) != DS_OK)
            fail_msg("%s: %s", rows[i].what, err.text);
        if (body.len != rows[i].body.len ||
            memcmp(body.data, rows[i].body.data, body.len) != 0)
            fail_msg("%s: other bytes (%zu)", rows[i].what, body.len);
    }
}

static void what_cannot_be_copied_is_refused(void **state)
{
    static const struct {
        struct bytes scrape;
        const char *json;
        enum ds_code code;
        const char *text;
    } rows[] = {
        {BYTES(""), GROUP(M), DS_E_TEMP,
         "the group changed between list and scrape (family \"push_time_seconds\")"},
        {BYTES(SCRAPE), GROUP(",\"x\\n\":" GAUGE(SERIES("1"))), DS_E_TEMP,
         "the group changed between list and scrape (family \"x\\n\")"},
        {BYTES(PUSH_TIMES "*\n\x01m\x18\x01\"#" METRIC_B), GROUP(M), DS_E_TEMP,
         "the group changed between list and scrape (family \"m\")"},
        {BYTES(SCRAPE),
         "{\"push_time_seconds\":" GAUGE(SERIES("1.5000000000000002")) M "}", DS_E_TEMP,
         "the group changed between list and scrape (family \"push_time_seconds\")"},
        {BYTES(SCRAPE),
         "{\"push_time_seconds\":" GAUGE(
             SERIES("1.5")) ",\"push_failure_time_seconds\":" GAUGE(SERIES("1")) M "}",
         DS_E_TEMP,
         "the group changed between list and scrape (family"
         " \"push_failure_time_seconds\")"},
        {BYTES(SCRAPE), "{\"push_time_seconds\":" GAUGE(SERIES("x")) M "}", DS_E_TEMP,
         NULL},
        {BYTES(PUSH_TIMES "O\n\x01m\x18\x01\"#" METRIC_A "\"#" METRIC_A), GROUP(M),
         DS_E_FAILED,
         "family \"m\" has the same series twice: no Pushgateway takes that"},
        {BYTES(SCRAPE), GROUP(",\"m\":" GAUGE(SERIES("1") "," SERIES("2"))), DS_E_FAILED,
         "family \"m\" has the same series twice: no Pushgateway takes that"},
        {BYTES(SCRAPE), "", DS_E_FORMAT, "a group is no JSON from byte 0 on"},
        {BYTES(SCRAPE), "[]", DS_E_FORMAT, "a group is no JSON object"},
        {BYTES(SCRAPE), "{\"labels\":{\"job\":\"a\"}", DS_E_FORMAT, NULL},
        {BYTES(SCRAPE), "{}", DS_E_FORMAT, "a group has no push_time_seconds"},
        {BYTES(SCRAPE), "{\"push_time_seconds\":1}", DS_E_FORMAT,
         "a group has no push_time_seconds"},
        {BYTES(SCRAPE), "{\"push_time_seconds\":{}}", DS_E_FORMAT, NULL},
        {BYTES(SCRAPE), "{\"push_time_seconds\":" GAUGE("") "}", DS_E_FORMAT, NULL},
        {BYTES(SCRAPE), GROUP(",\"m\":{}"), DS_E_FORMAT,
         "a family of the group has no metrics"},
        {BYTES(SCRAPE), GROUP(",\"m\":{\"metrics\":\"x\"}"), DS_E_FORMAT, NULL},
        {BYTES(SCRAPE), GROUP(",\"m\":{\"metrics\":[1]}"), DS_E_FORMAT,
         "a metric of the group has no labels"},
        {BYTES(SCRAPE), GROUP(",\"m\":{\"metrics\":[{}]}"), DS_E_FORMAT, NULL},
        {BYTES(SCRAPE), GROUP(",\"m\":{\"metrics\":[{\"labels\":{\"a\":1}}]}"),
         DS_E_FORMAT, "a metric of the group has a label that is no string"},
        {BYTES(SCRAPE), GROUP(",\"m\\u0000\":" GAUGE(SERIES("1"))), DS_E_FAILED,
         "a family has a NUL byte in its name"},
        {BYTES(SCRAPE), GROUP(M M), DS_E_FAILED,
         "two families have names that are not UTF-8, which the list does not tell"
         " apart"},
        {BYTES(PUSH_TIMES "+\n\x02m\xFF\x18\x01\"#" METRIC_A),
         GROUP(",\"m\xEF\xBF\xBD\":" GAUGE(SERIES("1"))), DS_E_FAILED,
         "family \"m\xEF\xBF\xBD\" cannot be copied: its name is not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(PB_MAX);
        struct ds_error err = DS_ERROR_INIT;

        if (make(rows[i].scrape, rows[i].json, NULL, 0, &body, &err) != rows[i].code)
            fail_msg("row %zu: code %d, %s", i, (int)err.code, err.text);
        if (rows[i].text)
            assert_string_equal(err.text, rows[i].text);
    }
}

static void what_is_no_scrape_is_refused(void **state)
{
    static const struct bytes rows[] = {
        BYTES("\x80"),   /* a length without end */
        BYTES("\x02\n"), /* longer than what is there */
        BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
        BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* 11 bytes */
        BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),     /* 2^64 */
        BYTES("\x01\n"),                                       /* a tag and no value */
        BYTES("\x02\n\x01"),                                   /* a string that is cut */
        BYTES("\x02\x00\x00"),                                 /* field 0 */
        BYTES("\x02\x06\x00"),                                 /* wire type 6 */
        BYTES("\x02\x0F\x00"),                                 /* wire type 7 */
        BYTES("\x06\x80\x80\x80\x80\x10\x00"), /* a field number over 2^29 */
        BYTES("\x01\x0C"),                     /* a group ends that never began */
        BYTES("\x01\x0B"),                     /* one begins and never ends */
        BYTES("\x03\x0B\x0B\x0C"),             /* nor does the inner one */
        BYTES("\x04\x09\0\0\0"),               /* 8 bytes that are 3 */
        BYTES("\x04\x0D\0\0\0"),               /* 4 bytes that are 3 */
        BYTES("\x02\x08\x80"),                 /* an integer that is cut */
        BYTES("\x03\"\x01\n"),                 /* a metric that is cut */
        BYTES("\x05\"\x03\n\x01\n"),           /* a label that is cut */
        BYTES("\x05\"\x03\n\x03\n"),
        BYTES("\x03\n\x01m\x03\n\x01m"), /* one family twice */
        BYTES("\x00\x00"),               /* the one without a name, too */
        BYTES("# HELP m text\n# TYPE m gauge\nm 1\n"),
        BYTES("<html><body>502 Bad Gateway</body></html>\n"),
        BYTES("{\"status\":\"error\"}"),
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str) char *copy = exact(rows[i]);
        struct ds_error err = DS_ERROR_INIT;

        if (ds_scrape_new(copy, rows[i].len, &err))
            fail_msg("row %zu passes", i);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_true(err.text[0]);
    }
    ds_scrape_free(NULL);
}

static void a_scrape_that_is_cut_is_noticed_anywhere(void **state)
{
    static const struct bytes whole = BYTES(SCRAPE);
    static const size_t ends[] = {0, sizeof PUSH_TIME - 1, sizeof PUSH_TIMES - 1,
                                  sizeof SCRAPE - 1};
    size_t n_ends = 0;

    (void)state;
    for (size_t len = 0; len <= whole.len; len++) {
        struct bytes cut = {whole.data, len};
        DS_AUTO(str) char *copy = exact(cut);
        struct ds_error err = DS_ERROR_INIT;
        struct ds_scrape *scrape = ds_scrape_new(copy, len, &err);

        if (n_ends < DS_COUNT(ends) && len == ends[n_ends]) {
            assert_non_null(scrape); /* between two families it cannot be seen here */
            n_ends++;
        } else {
            assert_null(scrape);
        }
        ds_scrape_free(scrape);
    }
    assert_int_equal(n_ends, DS_COUNT(ends));
}

/* A few bytes each, which an index would need many times over. */
static void a_scrape_made_to_fill_memory_is_refused(void **state)
{
    static const struct {
        const char *head, *unit; /* what comes first, what is repeated */
        size_t n;
    } rows[] = {
        {"", "\x00", 1000001},                            /* families */
        {"\x82\xAD\xE2\x04", "\"\x00", 5000001},          /* metrics of one */
        {"\xC6\x9A\x0C\"\xC2\x9A\x0C", "\n\x00", 100001}, /* labels of one */
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf scrape = DS_BUF_INIT(PB_MAX);
        struct ds_error err = DS_ERROR_INIT;

        ds_buf_adds(&scrape, rows[i].head);
        for (size_t j = 0; j < rows[i].n; j++)
            ds_buf_add(&scrape, rows[i].unit, i ? 2 : 1);
        assert_null(ds_scrape_new(scrape.data, scrape.len, &err));
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_non_null(strstr(err.text, "absurdly much"));
    }
}

static void label_values_with_any_bytes_are_found(void **state)
{
    static const struct bytes values[] = {BYTES(""), BYTES("\0"), BYTES("\0\0"),
                                          BYTES("a\xC3\xBF"), BYTES("\"\\\n")};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(values); i++) {
        DS_AUTO(buf) struct ds_buf scrape = DS_BUF_INIT(PB_MAX);
        DS_AUTO(buf) struct ds_buf family = DS_BUF_INIT(PB_MAX);
        DS_AUTO(buf) struct ds_buf metric = DS_BUF_INIT(PB_MAX);
        DS_AUTO(buf) struct ds_buf json = DS_BUF_INIT(PB_MAX);
        DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(PB_MAX);
        struct ds_error err = DS_ERROR_INIT;

        pb_label(&metric, "l", values[i].data, values[i].len);
        pb_text(&family, 1, "m");
        pb_bytes(&family, 4, metric.data, metric.len);
        ds_buf_add(&scrape, PUSH_TIMES, sizeof PUSH_TIMES - 1);
        pb_delimited(&scrape, &family);
        ds_buf_adds(&json, "{\"push_time_seconds\":" GAUGE(
                               SERIES("1.5")) ",\"m\":{"
                                              "\"metrics\":[{\"labels\":{\"l\":");
        ds_buf_add_json(&json, values[i].data, values[i].len);
        ds_buf_adds(&json, "}}]}}");
        if (make((struct bytes){scrape.data, scrape.len}, json.data, NULL, 0, &body,
                 &err) != DS_OK)
            fail_msg("value %zu: %s", i, err.text);
        assert_int_equal(body.len, family.len + 1);
        assert_memory_equal(body.data + 1, family.data, family.len);
    }
}

static void only_some_families_can_be_asked_for(void **state)
{
    static const char *const names[] = {"a", "m", "push_time_seconds"};
    static const struct {
        size_t first, n, len; /* of names; of the body */
    } rows[] = {{0, 0, 0}, {0, 1, 0}, {0, 2, 43}, {1, 1, 43}, {0, 3, 43}, {2, 1, 0}};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(PB_MAX);
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(make((struct bytes)BYTES(SCRAPE), GROUP(M),
                              names + rows[i].first, rows[i].n, &body, &err),
                         DS_OK);
        assert_int_equal(body.len, rows[i].len);
    }
}

/* What a client wrote under that name need not be a number. */
static void a_failure_time_of_another_type_is_no_hindrance(void **state)
{
    static const char json[] = "{\"push_time_seconds\":" GAUGE(
        SERIES("1.5")) ",\"push_failure_time_seconds\":{\"type\":\"SUMMARY\","
                       "\"metrics\":[{\"labels\":{\"job\":\"a\",\"instance\":\"\"},"
                       "\"count\":\"1\",\"sum\":\"1\",\"quantiles\":{}}]}}";
    static const struct bytes scrape =
        BYTES(PUSH_TIME "\x3B\n\x19push_failure_time_seconds\x18\x02\"\x1C" LABELS
                        "a\"\x02\x08\x01");
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(PB_MAX);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    if (make(scrape, json, NULL, 0, &body, &err) != DS_OK)
        fail_msg("%s", err.text);
    assert_int_equal(body.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_of_the_group_are_cut_out_of_the_scrape),
        cmocka_unit_test(what_cannot_be_copied_is_refused),
        cmocka_unit_test(what_is_no_scrape_is_refused),
        cmocka_unit_test(a_scrape_that_is_cut_is_noticed_anywhere),
        cmocka_unit_test(a_scrape_made_to_fill_memory_is_refused),
        cmocka_unit_test(label_values_with_any_bytes_are_found),
        cmocka_unit_test(only_some_families_can_be_asked_for),
        cmocka_unit_test(a_failure_time_of_another_type_is_no_hindrance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
