/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/buf.h"
#include "dshard/pass.h"

#define NUMBERS                                                                          \
    "\"groups\":12,\"misplaced\":3,\"copies\":4,\"waiting\":2,\"left\":1,\"deleted\":5," \
    "\"merged\":6,\"copied\":7,\"raced\":8,\"undone\":9,\"pause_ms\":1250,"              \
    "\"due_at\":1764000000000"

static const char GOOD[] =
    "{\"format\":1,\"mode\":\"move\",\"dry_run\":false,\"done\":false," NUMBERS ","
    "\"refused\":[{\"labels\":{\"job\":\"a\"},\"group\":\"{job=\\\"a\\\"}\","
    "\"from\":\"h:1\",\"to\":\"h:2\",\"why\":\"400: no\"}],"
    "\"servers\":["
    "{\"address\":\"h:1\",\"intent\":\"in\",\"member\":true,\"reached\":true,\"why\":"
    "\"\","
    "\"groups\":8,\"misplaced\":3,\"copies\":4,\"ties\":3},"
    "{\"address\":\"h:2\",\"intent\":\"in\",\"member\":false,\"reached\":false,"
    "\"why\":\"GET ...: refused\",\"groups\":0,\"misplaced\":0,\"copies\":0,"
    "\"ties\":0}]}\n";

static void what_a_pass_tells_is_read(void **state)
{
    DS_AUTO(pass) struct ds_pass pass = {0};
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_pass_parse(&pass, GOOD, strlen(GOOD), &err), &err);
    assert_false(pass.done);
    assert_int_equal(pass.n_groups, 12);
    assert_int_equal(pass.n_misplaced, 3);
    assert_int_equal(pass.n_copies, 4);
    assert_int_equal(pass.n_waiting, 2);
    assert_int_equal(pass.n_left, 1);
    assert_int_equal(pass.n_deleted, 5);
    assert_int_equal(pass.n_merged, 6);
    assert_int_equal(pass.n_copied, 7);
    assert_int_equal(pass.n_raced, 8);
    assert_int_equal(pass.n_undone, 9);
    assert_int_equal(pass.pause_ms, 1250);
    assert_int_equal(pass.due_at_ms, 1764000000000);
    assert_int_equal(pass.n_refusals, 1);
    assert_string_equal(pass.refusals[0].group, "{job=\"a\"}");
    assert_string_equal(pass.refusals[0].from, "h:1");
    assert_string_equal(pass.refusals[0].to, "h:2");
    assert_string_equal(pass.refusals[0].why, "400: no");
    assert_int_equal(pass.n_servers, 2);
    assert_true(ds_pass_find(&pass, "h:1")->reached);
    assert_int_equal(ds_pass_find(&pass, "h:1")->n_copies, 4);
    assert_int_equal(ds_pass_find(&pass, "h:1")->n_ties, 3);
    assert_null(ds_pass_find(&pass, "h:1")->why);
    assert_false(ds_pass_find(&pass, "h:2")->reached);
    assert_string_equal(ds_pass_find(&pass, "h:2")->why, "GET ...: refused");
    assert_null(ds_pass_find(&pass, "h:3"));
}

static void each_of_three_deeds_counts(void **state)
{
    (void)state;
    assert_false(ds_pass_did_something(&(struct ds_pass){.n_raced = 1, .n_undone = 1}));
    assert_true(ds_pass_did_something(&(struct ds_pass){.n_deleted = 1}));
    assert_true(ds_pass_did_something(&(struct ds_pass){.n_merged = 1}));
    assert_true(ds_pass_did_something(&(struct ds_pass){.n_copied = 1}));
}

/* GOOD with one text in it replaced. */
static void parse_with(const char *old, const char *new, struct ds_pass *pass, int want,
                       const char *want_text)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(10000);
    struct ds_error err = DS_ERROR_INIT;
    const char *at = strstr(GOOD, old);
    int rc;

    assert_non_null(at);
    ds_buf_add(&text, GOOD, (size_t)(at - GOOD));
    ds_buf_adds(&text, new);
    ds_buf_adds(&text, at + strlen(old));
    rc = ds_pass_parse(pass, text.data, text.len, &err);
    if (rc != want || (want < 0 && !strstr(err.text, want_text)))
        fail_msg("%s -> %s: %d '%s'", old, new, rc, err.text);
}

static void what_is_no_result_is_refused(void **state)
{
    static const struct {
        const char *old, *new, *want;
    } rows[] = {
        {"\"format\":1,", "", "format"},
        {"\"format\":1,", "\"format\":\"1\",", "integer"},
        {"\"format\":1,", "\"format\":2,", "its format is 2"},
        {"\"done\":false,", "", "done"},
        {"\"done\":false,", "\"done\":0,", "true or false"},
        {"\"groups\":12,", "", "\"groups\" wants"},
        {"\"undone\":9,", "\"undone\":-1,", "\"undone\" wants"},
        {"\"undone\":9,", "\"undone\":9.5,", "\"undone\" wants"},
        {"\"pause_ms\":1250,", "\"pause_ms\":\"1250\",", "\"pause_ms\" wants"},
        {"1764000000000", "null", "\"due_at\" wants"},
        {"\"why\":\"400: no\"", "\"why\":null", "string"},
        {"\"from\":\"h:1\",", "", "from"},
        {"\"reached\":true,", "", "reached"},
        {"\"copies\":4,\"t", "\"copies\":-4,\"t", "\"copies\" wants"},
        {"\"ties\":3", "\"ties\":\"3\"", "\"ties\" wants"},
        {"\"address\":\"h:2\",", "\"address\":2,", "string"},
        {"\"servers\":[", "\"servers\":[7,", "object"},
        {"\"refused\":[", "\"refused\":[[],", "object"},
        {"\"servers\":[", "\"server\":[", "servers"},
        {"]}\n", "]", "line"},
        {"]}\n", "]} {}", "line"},
        {"{\"format\"", "[{\"format\"", "line"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_pass pass;

        parse_with(rows[i].old, rows[i].new, &pass, -1, rows[i].want);
        assert_int_equal(pass.n_servers + pass.n_refusals + pass.n_groups, 0);
    }
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    char address[DS_ADDRESS_MAX + 1];
    struct ds_pass pass;

    (void)state;
    memset(address, 'a', sizeof address);
    address[DS_ADDRESS_MAX] = '\0';
    parse_with("h:2\",\"intent", address, &pass, -1, "line");
    address[0] = '"';
    {
        DS_AUTO(str) char *long_one = ds_xasprintf("\"address\":%s\"", address);

        parse_with("\"address\":\"h:2\"", long_one, &pass, 0, "");
        ds_pass_release(&pass);
    }
    {
        DS_AUTO(str) char *longer = ds_xasprintf("\"address\":%sa\"", address);

        parse_with("\"address\":\"h:2\"", longer, &pass, -1, "longer than");
    }
}

static void unknown_keys_are_passed_over(void **state)
{
    struct ds_pass pass;

    (void)state;
    parse_with("\"mode\":\"move\"", "\"mode\":7,\"later\":{\"x\":[]}", &pass, 0, "");
    assert_int_equal(pass.n_servers, 2);
    ds_pass_release(&pass);
    parse_with(",\"why\":\"\"", "", &pass, 0, "");
    ds_pass_release(&pass);
}

static void nothing_and_rubbish_are_refused(void **state)
{
    static const char *const texts[] = {
        "",      "\n",           "null",           "[]",  "{}", "7",
        "\"a\"", "dshard: no\n", "{\"format\":1}", "\xFF"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        struct ds_error err = DS_ERROR_INIT;
        struct ds_pass pass;

        assert_int_equal(ds_pass_parse(&pass, texts[i], strlen(texts[i]), &err), -1);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_pass_tells_is_read),
        cmocka_unit_test(each_of_three_deeds_counts),
        cmocka_unit_test(what_is_no_result_is_refused),
        cmocka_unit_test(a_name_that_is_too_long_is_refused),
        cmocka_unit_test(unknown_keys_are_passed_over),
        cmocka_unit_test(nothing_and_rubbish_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
