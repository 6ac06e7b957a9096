/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/buf.h"
#include "dshard/consul_health.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 4 * 1024 * 1024 };

#define SERF(status)                                                                     \
    "{\"CheckID\":\"serfHealth\",\"Name\":\"serf\",\"Status\":\"" status "\"}"
#define CHECK(status, output)                                                            \
    "{\"CheckID\":\"service:x\",\"Name\":\"ready\",\"Status\":\"" status                 \
    "\",\"Output\":\"" output "\"}"
#define MAINTENANCE      "{\"CheckID\":\"_service_maintenance:x\",\"Status\":\"critical\"}"
#define NODE_MAINTENANCE "{\"CheckID\":\"_node_maintenance\",\"Status\":\"critical\"}"

static void parse(struct ds_consul_view *view, const char *text)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_consul_view_parse(view, text, strlen(text), &err), &err);
    assert_int_equal(err.code, DS_OK);
}

/* One entry with these checks. */
static void parse_checks(struct ds_consul_view *view, const char *checks)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

    ds_buf_addf(
        &text, "[{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091},\"Checks\":[%s]}]",
        checks);
    parse(view, text.data);
    assert_int_equal(view->n, 1);
}

static void the_worst_check_speaks(void **state)
{
    static const struct {
        const char *checks;
        enum ds_consul_kind kind;
        bool drained;
        const char *why;
    } rows[] = {
        {"", DS_CONSUL_PASSING, false, ""},
        {SERF("passing"), DS_CONSUL_PASSING, false, ""},
        {CHECK("passing", "fine"), DS_CONSUL_PASSING, false, ""},
        {CHECK("warning", "429"), DS_CONSUL_PASSING, false, "ready: 429"},
        {CHECK("critical", "refused"), DS_CONSUL_FAILING, false, "ready: refused"},
        {CHECK("critical", "one\\ntwo"), DS_CONSUL_FAILING, false, "ready: one"},
        {CHECK("critical", ""), DS_CONSUL_UNPROBED, false,
         "ready: not probed since the agent started"},
        {SERF("critical"), DS_CONSUL_AGENT_LOST, false, "serf: critical"},
        {SERF("critical") "," CHECK("passing", "ok"), DS_CONSUL_AGENT_LOST, false,
         "serf: critical"},
        {CHECK("passing", "ok") "," SERF("critical"), DS_CONSUL_AGENT_LOST, false,
         "serf: critical"},
        {SERF("critical") "," CHECK("critical", ""), DS_CONSUL_UNPROBED, false,
         "ready: not probed since the agent started"},
        {SERF("critical") "," CHECK("critical", "refused"), DS_CONSUL_FAILING, false,
         "ready: refused"},
        {CHECK("critical", "refused") "," SERF("critical"), DS_CONSUL_FAILING, false,
         "ready: refused"},
        {CHECK("warning", "429") "," CHECK("critical", ""), DS_CONSUL_UNPROBED, false,
         "ready: not probed since the agent started"},
        {MAINTENANCE, DS_CONSUL_PASSING, true, ""},
        {NODE_MAINTENANCE, DS_CONSUL_PASSING, true, ""},
        {MAINTENANCE "," CHECK("critical", "refused"), DS_CONSUL_FAILING, true,
         "ready: refused"},
        {"null,5,\"x\",[],{}", DS_CONSUL_PASSING, false, ": "},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};

        print_message("%s\n", rows[i].checks);
        parse_checks(&view, rows[i].checks);
        assert_int_equal(view.items[0].kind, rows[i].kind);
        assert_int_equal(view.items[0].drained, rows[i].drained);
        assert_string_equal(view.items[0].why, rows[i].why);
    }
}

static void an_address_is_the_services_or_its_nodes(void **state)
{
    static const struct {
        const char *entry, *address;
    } rows[] = {
        {"{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091}}", "10.0.0.1:9091"},
        {"{\"Service\":{\"Address\":\"\",\"Port\":9091},\"Node\":{\"Address\":\"10.0.0."
         "2\"}}",
         "10.0.0.2:9091"},
        {"{\"Service\":{\"Port\":9091},\"Node\":{\"Address\":\"10.0.0.2\"}}",
         "10.0.0.2:9091"},
        {"{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":1},\"Node\":{\"Address\":\"x\"}"
         "}",
         "10.0.0.1:1"},
        {"{\"Service\":{\"Address\":\"::1\",\"Port\":9091}}", "[::1]:9091"},
        {"{\"Service\":{\"Address\":\"[::1]\",\"Port\":9091}}", "[::1]:9091"},
        {"{\"Service\":{\"Address\":\"gw-1.example\",\"Port\":65535}}",
         "gw-1.example:65535"},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

        ds_buf_addf(&text, "[%s]", rows[i].entry);
        parse(&view, text.data);
        assert_int_equal(view.n_refused, 0);
        assert_int_equal(view.n, 1);
        assert_string_equal(view.items[0].server.address, rows[i].address);
    }
}

static void what_can_be_no_server_is_counted_and_left_out(void **state)
{
    static const char *const entries[] = {
        "null",
        "5",
        "\"text\"",
        "[]",
        "{}",
        "{\"Service\":null}",
        "{\"Service\":[]}",
        "{\"Service\":{}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\"}}",
        "{\"Service\":{\"Port\":9091}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":0}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":-5}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":65536}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9223372036854775807}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":80.5}}",
        "{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":\"80\"}}",
        "{\"Service\":{\"Address\":\"a b\",\"Port\":80}}",
        "{\"Service\":{\"Address\":\"a/b\",\"Port\":80}}",
        "{\"Service\":{\"Address\":\"a\\u0000b\",\"Port\":80}}",
        "{\"Service\":{\"Address\":\"\\u0000\",\"Port\":80}}",
        "{\"Service\":{\"Port\":80},\"Node\":{\"Address\":\"a\\u0000b\"}}",
        "{\"Service\":{\"Address\":\"::1:2:3:4:5:6:7:8:9\",\"Port\":80}}",
        "{\"Service\":{\"Address\":5,\"Port\":80}}",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(entries); i++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

        print_message("%s\n", entries[i]);
        ds_buf_addf(&text, "[%s,{\"Service\":{\"Address\":\"10.0.0.9\",\"Port\":9}}]",
                    entries[i]);
        parse(&view, text.data);
        assert_int_equal(view.n, 1);
        assert_string_equal(view.items[0].server.address, "10.0.0.9:9");
        assert_int_equal(view.n_refused, 1);
        assert_true(view.refused[0]);
    }
}

static void a_long_host_is_left_out(void **state)
{
    DS_AUTO(consul_view) struct ds_consul_view view = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

    (void)state;
    ds_buf_adds(&text, "[{\"Service\":{\"Port\":80,\"Address\":\"");
    for (int i = 0; i < 100000; i++)
        ds_buf_adds(&text, "a");
    ds_buf_adds(&text, "\"}}]");
    parse(&view, text.data);
    assert_int_equal(view.n, 0);
    assert_int_equal(view.n_refused, 1);
}

static void a_weight_is_from_1_to_100_or_1(void **state)
{
    static const struct {
        const char *meta;
        unsigned weight;
    } rows[] = {
        {"null", 1},
        {"{}", 1},
        {"{\"dshard-weight\":\"1\"}", 1},
        {"{\"dshard-weight\":\"100\"}", 100},
        {"{\"dshard-weight\":\"101\"}", 1},
        {"{\"dshard-weight\":\"0\"}", 1},
        {"{\"dshard-weight\":\"-1\"}", 1},
        {"{\"dshard-weight\":\"2x\"}", 1},
        {"{\"dshard-weight\":\"\"}", 1},
        {"{\"dshard-weight\":3}", 1},
        {"{\"dshard-weight\":\"99999999999999999999\"}", 1},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

        ds_buf_addf(
            &text, "[{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091,\"Meta\":%s}}]",
            rows[i].meta);
        parse(&view, text.data);
        assert_int_equal(view.items[0].server.weight, rows[i].weight);
    }
}

static void the_meta_says_who_is_joining(void **state)
{
    static const struct {
        const char *one, *two; /* Meta of its two registrations; NULL: there is one */
        enum ds_intent intent;
    } rows[] = {
        {"{}", NULL, DS_INTENT_IN},
        {"{\"dshard-intent\":\"joining\"}", NULL, DS_INTENT_JOINING},
        {"{\"dshard-intent\":\"out\"}", NULL, DS_INTENT_IN},
        {"{\"dshard-intent\":\"Joining\"}", NULL, DS_INTENT_IN},
        {"{\"dshard-intent\":true}", NULL, DS_INTENT_IN},
        {"{\"dshard-intent\":\"joining\"}", "null", DS_INTENT_IN},
        {"{}", "{\"dshard-intent\":\"joining\"}", DS_INTENT_IN},
        {"{\"dshard-intent\":\"joining\"}", "{\"dshard-intent\":\"joining\"}",
         DS_INTENT_JOINING},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

        ds_buf_addf(&text,
                    "[{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091,"
                    "\"Meta\":%s}}",
                    rows[i].one);
        if (rows[i].two)
            ds_buf_addf(&text,
                        ",{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091,"
                        "\"Meta\":%s}}",
                        rows[i].two);
        ds_buf_adds(&text, "]");
        parse(&view, text.data);
        assert_int_equal(view.n, 1);
        assert_int_equal(ds_consul_instance_intent(&view.items[0]), rows[i].intent);
        view.items[0].drained = true;
        assert_int_equal(ds_consul_instance_intent(&view.items[0]), DS_INTENT_DRAINING);
    }
}

/* The same server with these checks on two agents, in both orders. */
static void assert_merged(const char *one, const char *two, enum ds_consul_kind kind,
                          bool drained)
{
    for (int turn = 0; turn < 2; turn++) {
        DS_AUTO(consul_view) struct ds_consul_view view = {0};
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

        ds_buf_adds(&text, "[");
        for (int i = 0; i < 2; i++)
            ds_buf_addf(&text,
                        "%s{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":9091},"
                        "\"Checks\":[%s]}",
                        i ? "," : "", i == turn ? one : two);
        ds_buf_adds(&text, "]");
        parse(&view, text.data);
        assert_int_equal(view.n, 1);
        assert_int_equal(view.items[0].kind, kind);
        assert_int_equal(view.items[0].drained, drained);
    }
}

static void of_two_registrations_the_better_counts_and_any_drain(void **state)
{
    (void)state;
    assert_merged(CHECK("passing", ""), CHECK("critical", "no"), DS_CONSUL_PASSING,
                  false);
    assert_merged(SERF("critical"), CHECK("critical", "no"), DS_CONSUL_AGENT_LOST, false);
    assert_merged(SERF("critical"), CHECK("critical", ""), DS_CONSUL_AGENT_LOST, false);
    assert_merged(CHECK("critical", ""), CHECK("critical", "no"), DS_CONSUL_UNPROBED,
                  false);
    assert_merged(MAINTENANCE, CHECK("critical", "no"), DS_CONSUL_PASSING, true);
    assert_merged(MAINTENANCE "," CHECK("critical", "no"), CHECK("passing", ""),
                  DS_CONSUL_PASSING, true);
}

static void the_list_is_sorted_whatever_its_order_was(void **state)
{
    DS_AUTO(consul_view) struct ds_consul_view view = {0};

    (void)state;
    parse(&view, "[{\"Service\":{\"Address\":\"b\",\"Port\":1}},"
                 "{\"Service\":{\"Address\":\"c\",\"Port\":1}},"
                 "{\"Service\":{\"Address\":\"a\",\"Port\":2}},"
                 "{\"Service\":{\"Address\":\"a\",\"Port\":1}}]");
    assert_int_equal(view.n, 4);
    assert_string_equal(view.items[0].server.address, "a:1");
    assert_string_equal(view.items[1].server.address, "a:2");
    assert_string_equal(view.items[2].server.address, "b:1");
    assert_string_equal(view.items[3].server.address, "c:1");
}

static void an_empty_list_is_an_answer(void **state)
{
    DS_AUTO(consul_view) struct ds_consul_view view = {0};

    (void)state;
    parse(&view, "[]");
    assert_int_equal(view.n, 0);
}

static void what_is_no_list_is_an_error(void **state)
{
    static const char *const texts[] = {
        "",     "null",           "{}",          "5",         "[", "[{}", "<html>",
        "[] x", "[{\"Service\":", "\"\\ud800\"", "[\"\xff\"]"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        struct ds_consul_view view = {0};
        struct ds_error err = DS_ERROR_INIT;

        assert_int_equal(ds_consul_view_parse(&view, texts[i], strlen(texts[i]), &err),
                         -1);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_null(view.items);
    }
}

static int parse_many(int n, struct ds_error *err)
{
    DS_AUTO(consul_view) struct ds_consul_view view = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX);

    for (int i = 0; i < n; i++) /* each twice */
        ds_buf_addf(&text, "%s{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":%d}}",
                    i ? "," : "[", 1 + i / 2);
    ds_buf_adds(&text, "]");
    return ds_consul_view_parse(&view, text.data, text.len, err);
}

static void more_servers_than_a_ring_may_have_are_an_error(void **state)
{
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(parse_many(2 * DS_SERVERS_MAX, &err), &err);
    assert_int_equal(parse_many(2 * DS_SERVERS_MAX + 1, &err), -1);
    assert_non_null(strstr(err.text, "1001 servers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_check_speaks),
        cmocka_unit_test(an_address_is_the_services_or_its_nodes),
        cmocka_unit_test(what_can_be_no_server_is_counted_and_left_out),
        cmocka_unit_test(a_long_host_is_left_out),
        cmocka_unit_test(a_weight_is_from_1_to_100_or_1),
        cmocka_unit_test(the_meta_says_who_is_joining),
        cmocka_unit_test(of_two_registrations_the_better_counts_and_any_drain),
        cmocka_unit_test(the_list_is_sorted_whatever_its_order_was),
        cmocka_unit_test(an_empty_list_is_an_answer),
        cmocka_unit_test(what_is_no_list_is_an_error),
        cmocka_unit_test(more_servers_than_a_ring_may_have_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
