/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/clock.h"
#include "dshard/restarts.h"
#include "tiny.h"

enum { SERVERS = 3, DEADLINE_MS = 30000 };

#define STARTED(len, at)                                                                 \
    "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n"                                 \
    "{\"status\":\"success\",\"data\":{\"build_information\":{\"version\":\"1.5.1\"},"   \
    "\"flags\":{},\"start_time\":\"" at "\"}}"

/* One that has started once, one that has started again, ones that make no sense. */
static const struct tiny_rule FIRST[] = {
    {NULL, "/api/v1/status", STARTED("126", "2026-01-02T03:04:05.123456789Z"),
     TINY_KEEP}};
static const struct tiny_rule AGAIN[] = {
    {NULL, "/api/v1/status", STARTED("126", "2026-01-02T03:04:06.123456789Z"),
     TINY_KEEP}};
static const struct tiny_rule BAD[] = {
    {"127.0.0.1", NULL, STARTED("105", "yesterday"), TINY_KEEP},
    {"127.0.0.2", NULL, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", TINY_KEEP},
    {"127.0.0.3", NULL, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", TINY_KEEP}};

struct fleet {
    struct tiny *tiny;
    unsigned port;
    int kept; /* keeps the port ours */
    struct ds_config config;
    struct ds_http_loop *loop;
    struct ds_restarts *restarts;
    struct ds_state state;
    int64_t now_ms; /* moved on by hand; the transfers take real time */
};

static void serve(struct fleet *f, const struct tiny_rule *rules, size_t n)
{
    if (f->tiny)
        tiny_stop(f->tiny);
    f->tiny = n ? tiny_start_at(rules, n, NULL, f->port) : NULL;
}

static int setup(void **state)
{
    struct fleet *f = ds_xcalloc(1, sizeof *f);
    struct ds_error err = DS_ERROR_INIT;

    f->port = tiny_closed_port(&f->kept);
    f->loop = ds_http_loop_new();
    f->now_ms = ds_clock_mono_ms();
    config_from(&f->config, "health_check: {interval: 1s, timeout: 800ms}\n"
                            "pushgateway: {servers: [\"127.0.0.1:9091\"]}\n");
    ds_state_init(&f->state);
    for (size_t i = 0; i < SERVERS; i++) {
        DS_AUTO(str) char *address = ds_xasprintf("127.0.0.%zu:%u", i + 1, f->port);

        ds_state_add(&f->state, address, 1)->health.state = DS_HEALTH_UP;
    }
    f->restarts = ds_restarts_new(&f->config, f->loop, &err);
    assert_non_null(f->restarts);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fleet *f = *state;

    ds_restarts_free(f->restarts);
    ds_http_loop_free(f->loop);
    ds_config_release(&f->config);
    ds_state_release(&f->state);
    serve(f, NULL, 0);
    close(f->kept);
    free(f);
    return 0;
}

/* One round: n servers are asked, and have answered or not. */
static void ask(struct fleet *f, size_t n)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;
    size_t before = f->tiny ? (size_t)f->tiny->n_requests : 0;

    f->now_ms += DS_RESTARTS_INTERVAL_MS;
    ds_restarts_tick(f->restarts, &f->state, f->now_ms);
    for (int i = 0; i < 5; i++) /* enough for a refusal, and for who is not to be asked */
        ds_http_loop_run(f->loop, NULL, 0, 5);
    while (f->tiny && (f->tiny->n_requests < before + n || f->tiny->n_open)) {
        ds_http_loop_run(f->loop, NULL, 0, 5);
        assert_true(ds_clock_mono_ms() < deadline);
    }
    if (f->tiny)
        assert_int_equal(f->tiny->n_requests, before + n);
}

/* The restarted ones that are told now, as "13". */
static void assert_told(struct fleet *f, const char *want)
{
    char found[SERVERS * 2 + 1] = "";
    const char *address;

    for (size_t n = 0; (address = ds_restarts_take(f->restarts)) && n < SERVERS * 2; n++)
        found[n] = address[strlen("127.0.0.")];
    assert_string_equal(found, want);
}

static void another_start_time_is_a_restart(void **state)
{
    struct fleet *f = *state;

    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    ask(f, SERVERS);
    assert_told(f, ""); /* the first look is only a look */
    serve(f, AGAIN, DS_COUNT(AGAIN));
    ask(f, SERVERS);
    assert_told(f, "123");
    assert_told(f, ""); /* once */
    ask(f, SERVERS);
    assert_told(f, "");
    assert_true(ds_restarts_next_ms(f->restarts) == f->now_ms + DS_RESTARTS_INTERVAL_MS);
}

static void what_says_nothing_is_no_restart(void **state)
{
    struct fleet *f = *state;

    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    serve(f, BAD, DS_COUNT(BAD));
    ask(f, SERVERS);
    serve(f, NULL, 0);
    ask(f, 0);
    assert_told(f, "");
    serve(f, FIRST, DS_COUNT(FIRST)); /* the same process all the time */
    ask(f, SERVERS);
    assert_told(f, "");
    serve(f, AGAIN, DS_COUNT(AGAIN));
    ask(f, SERVERS);
    assert_told(f, "123");
}

static void who_was_down_begins_anew(void **state)
{
    struct fleet *f = *state;

    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    f->state.servers[1].health.state = DS_HEALTH_DOWN;
    ask(f, 2);
    f->state.servers[1].health.state = DS_HEALTH_HELD;
    serve(f, AGAIN, DS_COUNT(AGAIN));
    ask(f, SERVERS);
    assert_told(f, "13");
    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    assert_told(f, "123"); /* held ones are looked at, too */
}

static void only_who_may_have_groups_of_ours_is_asked(void **state)
{
    struct fleet *f = *state;

    f->state.servers[0].intent = DS_INTENT_JOINING;
    f->state.servers[1].intent = DS_INTENT_OUT;
    f->state.servers[2].health.state = DS_HEALTH_DOWN;
    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, 0);
    f->state.servers[1].intent = DS_INTENT_DRAINING;
    ask(f, 1);
}

static void servers_come_and_go(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(str) char *gone = ds_xstrdup(f->state.servers[1].server.address);

    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    ds_state_remove(&f->state, gone);
    ask(f, 2);
    ds_state_add(&f->state, gone, 1)->health.state = DS_HEALTH_UP;
    serve(f, AGAIN, DS_COUNT(AGAIN));
    ask(f, SERVERS);
    assert_told(f, "13");
    for (size_t i = f->state.n_servers; i-- > 0;)
        ds_state_remove(&f->state, f->state.servers[i].server.address);
    ds_restarts_tick(f->restarts, &f->state, f->now_ms);
    assert_told(f, "");
    assert_int_equal(ds_restarts_next_ms(f->restarts), INT64_MAX);
}

static void set_servers(struct fleet *f, size_t n)
{
    while (f->state.n_servers)
        ds_state_remove(&f->state, f->state.servers[0].server.address);
    for (size_t i = 0; i < n; i++) {
        DS_AUTO(str) char *address = ds_xasprintf("127.0.1.%zu:%u", i + 1, f->port);

        ds_state_add(&f->state, address, 1)->health.state = DS_HEALTH_UP;
    }
}

static void go_on(struct fleet *f)
{
    ds_restarts_tick(f->restarts, &f->state, f->now_ms);
    ds_http_loop_run(f->loop, NULL, 0, 5);
}

/* Until so many were asked, and those that answer have answered. */
static void go_on_until(struct fleet *f, size_t n)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    while (f->tiny->n_requests < n || (f->tiny->rules == FIRST && f->tiny->n_open)) {
        go_on(f);
        assert_true(ds_clock_mono_ms() < deadline);
    }
    assert_int_equal(f->tiny->n_requests, n);
}

/* The others have their turns when these have ended. */
static void few_are_asked_at_once_and_each_in_turn(void **state)
{
    enum { MANY = 3 * DS_RESTARTS_AT_ONCE };
    static const struct tiny_rule hangs[] = {{NULL, NULL, NULL, TINY_KEEP}};
    struct fleet *f = *state;

    set_servers(f, MANY);
    serve(f, hangs, 1);
    f->now_ms += DS_RESTARTS_INTERVAL_MS;
    go_on_until(f, DS_RESTARTS_AT_ONCE);
    for (int i = 0; i < 10; i++)
        go_on(f);
    assert_int_equal(f->tiny->n_requests, DS_RESTARTS_AT_ONCE);
    assert_true(ds_restarts_next_ms(f->restarts) == INT64_MAX); /* until one ends */
    serve(f, FIRST, DS_COUNT(FIRST));
    go_on_until(f, MANY - DS_RESTARTS_AT_ONCE);
    assert_true(ds_restarts_next_ms(f->restarts) == f->now_ms + DS_RESTARTS_INTERVAL_MS);
}

/* They may be freed at any moment, with requests under way. */
static void a_server_that_hangs_can_be_forgotten(void **state)
{
    static const struct tiny_rule hangs[] = {{NULL, NULL, NULL, TINY_KEEP}};
    struct fleet *f = *state;

    serve(f, hangs, 1);
    f->now_ms += DS_RESTARTS_INTERVAL_MS;
    ds_restarts_tick(f->restarts, &f->state, f->now_ms);
    ds_http_loop_run(f->loop, NULL, 0, 10);
    ds_state_remove(&f->state, f->state.servers[0].server.address);
    ds_restarts_tick(f->restarts, &f->state, f->now_ms);
    ds_http_loop_run(f->loop, NULL, 0, 10);
}

static void credentials_are_sent_and_must_be_there(void **state)
{
    struct fleet *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    char path[] = "/tmp/dshard-test-restarts.XXXXXX";
    int fd = mkstemp(path);
    DS_AUTO(str) char *request = NULL;

    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    ds_restarts_free(f->restarts);
    ds_set_str(&f->config.pushgateway.username, "user");
    ds_set_str(&f->config.pushgateway.password_file, path);
    f->restarts = ds_restarts_new(&f->config, f->loop, &err);
    unlink(path);
    assert_non_null(f->restarts);
    serve(f, FIRST, DS_COUNT(FIRST));
    ask(f, SERVERS);
    request = tiny_last(f->tiny);
    assert_non_null(strstr(request, "Authorization: Basic dXNlcjpzZWNyZXQ="));
    assert_null(ds_restarts_new(&f->config, f->loop, &err));
    assert_non_null(strstr(err.text, "pushgateway.password_file"));
}

#define ASKED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKED(another_start_time_is_a_restart),
        ASKED(what_says_nothing_is_no_restart),
        ASKED(who_was_down_begins_anew),
        ASKED(only_who_may_have_groups_of_ours_is_asked),
        ASKED(servers_come_and_go),
        ASKED(few_are_asked_at_once_and_each_in_turn),
        ASKED(a_server_that_hangs_can_be_forgotten),
        ASKED(credentials_are_sent_and_must_be_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
