/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting groups out of a list that comes in pieces. */
#include "test.h"

#include "dshard/buf.h"
#include "dshard/group.h"

static void ds_auto_splitter(struct ds_group_splitter **splitter)
{
    ds_group_splitter_free(*splitter);
}

/* Gathers the texts, with a '|' behind each; "!" in one is refused. */
static int gather(void *arg, const char *json, size_t len, struct ds_error *err)
{
    struct ds_buf *out = arg;

    ds_buf_add(out, json, len);
    ds_buf_addc(out, '|');
    return memchr(json, '!', len) ? ds_fail(err, DS_E_TEMP, "it is bad") : 0;
}

/* Feeds the text in pieces of n bytes, each an exact copy on the heap. */
static int split(const char *text, size_t len, size_t n, struct ds_buf *out,
                 struct ds_error *err)
{
    DS_AUTO(splitter)
    struct ds_group_splitter *splitter = ds_group_splitter_new(gather, out);

    for (size_t at = 0; at < len; at += n) {
        size_t piece = len - at < n ? len - at : n;
        DS_AUTO(ptr) void *copy = ds_xmalloc(piece);

        memcpy(copy, text + at, piece);
        if (ds_group_splitter_feed(splitter, copy, piece, err) < 0)
            return -1;
    }
    return ds_group_splitter_end(splitter, err);
}

static void groups_come_out_whole_however_they_came_in(void **state)
{
    static const struct {
        const char *text, *groups;
    } rows[] = {
        {"{\"status\":\"success\",\"data\":[]}", ""},
        {"{\"status\":\"success\",\"data\":null}", ""},
        {" {\n\"data\" :\t[ ] , \"status\" : \"success\" }\r\n", ""},
        {"{\"status\":\"success\",\"data\":[{}]}", "{}|"},
        {"{\"data\":[{\"a\":1} , {\"b\":[{}]}],\"status\":\"success\"}",
         "{\"a\":1}|{\"b\":[{}]}|"},
        {"{\"x\":-1.5e3,\"y\":[[\"]\",{}]],\"z\":true,\"status\":\"success\",\"n\":null,"
         "\"data\":[{}],\"error\":7,\"e\":\"\\\\\"}",
         "{}|"},
        {"{\"status\":\"success\",\"data\":[{\"}]\\\"\\\\\":\"{[\\\\\"}]}",
         "{\"}]\\\"\\\\\":\"{[\\\\\"}|"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        size_t len = strlen(rows[i].text);

        for (size_t n = 1; n <= len; n++) {
            DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(1000);
            struct ds_error err = DS_ERROR_INIT;

            if (split(rows[i].text, len, n, &out, &err) < 0)
                fail_msg("%s by %zu: %s", rows[i].text, n, err.text);
            assert_string_equal(out.data, rows[i].groups);
        }
    }
}

static void what_is_no_list_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "this is no list of groups: it is empty"},
        {" \n", "this is no list of groups: it is empty"},
        {"[]", "this is no list of groups: it does not begin with '{'"},
        {"<html>", "this is no list of groups: it does not begin with '{'"},
        {"{", "this is no list of groups: it has no end"},
        {"{}", "this is no list of groups: it has no status"},
        {"{,}", "this is no list of groups: a key is expected"},
        {"{\"a\" 1}", "this is no list of groups: a colon is expected"},
        {"{\"a\":}", "this is no list of groups: a value is expected"},
        {"{\"a\":01}", "this is no list of groups: byte 2: something follows the end"},
        {"{\"a\":nul}", "this is no list of groups: byte 1: a value is expected"},
        {"{\"a\":1,}", "this is no list of groups: a key is expected"},
        {"{\"a\":1 \"b\":2}", "this is no list of groups: a comma or '}' is expected"},
        {"{\"a\":\"\\x\"}", "this is no list of groups: byte 2: this is no escape"},
        {"{\"a\":[}}", "this is no list of groups: byte 2: a value is expected"},
        {"{\"\n\":1}", "this is no list of groups: byte 2: the string has no end"},
        {"{\"status\":\"success\"}", "this is no list of groups: it has no data"},
        {"{\"status\":\"success\",\"data\":{}}",
         "this is no list of groups: its data is no array"},
        {"{\"status\":\"success\",\"data\":\"\"}",
         "this is no list of groups: its data is no array"},
        {"{\"status\":\"success\",\"data\":nope}",
         "this is no list of groups: byte 1: a value is expected"},
        {"{\"status\":true,\"data\":[]}",
         "this is no list of groups: its status is no string"},
        {"{\"data\":[]}", "this is no list of groups: it has no status"},
        {"{\"status\":\"error\",\"data\":[]}", "the server answered 'error'"},
        {"{\"status\":\"error\",\"errorType\":\"x\",\"error\":\"too\\nbusy\"}",
         "the server answered 'error': too?busy"},
        {"{\"data\":[],\"data\":[]}", "this is no list of groups: a key stands twice"},
        {"{\"data\":[[]]}",
         "this is no list of groups: in its data is something that is no object"},
        {"{\"data\":[{},]}",
         "this is no list of groups: in its data is something that is no object"},
        {"{\"data\":[{} {}]}",
         "this is no list of groups: a comma or ']' is expected in its data"},
        {"{\"data\":[,{}]}",
         "this is no list of groups: in its data is something that is no object"},
        {"{\"status\":\"success\",\"data\":[{}",
         "this is no list of groups: it has no end"},
        {"{\"status\":\"success\",\"data\":[{}]",
         "this is no list of groups: it has no end"},
        {"{\"status\":\"success\",\"data\":[{\"a",
         "this is no list of groups: it has no end"},
        {"{\"status\":\"success\",\"data\":[]}}",
         "this is no list of groups: something follows its end"},
        {"{\"data\":[{\"!\":1},{}]}", "it is bad"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        size_t len = strlen(rows[i].text);

        for (size_t n = 1; n <= len + 1; n += len ? len : 1) {
            DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(1000);
            struct ds_error err = DS_ERROR_INIT;

            if (split(rows[i].text, len, n, &out, &err) == 0)
                fail_msg("%s is a list", rows[i].text);
            assert_string_equal(err.text, rows[i].why);
        }
    }
}

static void what_was_refused_stays_refused(void **state)
{
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(1000);
    DS_AUTO(splitter)
    struct ds_group_splitter *splitter = ds_group_splitter_new(gather, &out);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_true(ds_group_splitter_feed(splitter, "x", 1, &err) < 0);
    assert_true(ds_group_splitter_feed(splitter, "{\"status\"", 9, &err) < 0);
    assert_true(ds_group_splitter_end(splitter, &err) < 0);
    assert_int_equal(err.code, DS_E_FORMAT);
    ds_group_splitter_free(NULL);
}

static void a_group_has_at_most_64_mib(void **state)
{
    enum { PIECE = 1024 * 1024 };
    DS_AUTO(buf) struct ds_buf out = DS_BUF_INIT(0);
    DS_AUTO(splitter)
    struct ds_group_splitter *splitter = ds_group_splitter_new(gather, &out);
    DS_AUTO(str) char *piece = ds_xmalloc(PIECE);
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    memset(piece, 'x', PIECE);
    assert_ok(ds_group_splitter_feed(splitter, "{\"data\":[{\"", 11, &err), &err);
    for (int i = 0; i < DS_GROUP_JSON_MAX / PIECE - 1; i++)
        assert_ok(ds_group_splitter_feed(splitter, piece, PIECE, &err), &err);
    assert_true(ds_group_splitter_feed(splitter, piece, PIECE, &err) < 0);
    assert_string_equal(err.text, "a group is longer than 67108864 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_come_out_whole_however_they_came_in),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(a_group_has_at_most_64_mib),
        cmocka_unit_test(what_was_refused_stays_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
