/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/clock.h"
#include "dshard/discovery.h"
#include "dshard/file.h"
#include "dshard/slots.h"
#include "tiny.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 200, DEADLINE_MS = 30000, TIMEOUT_MS = 400, REFUSED_RETRY_MS = 200 };

#define ANSWER(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

/* One server, and what its check finds. */
static const struct {
    struct tiny_rule rule;
    enum ds_sight sight;
    const char *why;
} CASES[] = {
    {{"127.0.1.1", NULL, ANSWER("200 OK"), TINY_KEEP}, DS_SIGHT_OK, ""},
    {{"127.0.1.2", NULL, ANSWER("299 Odd"), TINY_CLOSE}, DS_SIGHT_OK, ""},
    {{"127.0.1.3", NULL, ANSWER("429 Too Many Requests"), TINY_KEEP},
     DS_SIGHT_OK,
     "overloaded: 429"},
    {{"127.0.1.4", NULL,
      "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 28\r\n\r\n"
      "error: write queue is full.\n",
      TINY_KEEP},
     DS_SIGHT_OK,
     "overloaded: 500"},
    {{"127.0.1.5", NULL,
      "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops\n", TINY_KEEP},
     DS_SIGHT_FAIL,
     "health check: 500"},
    {{"127.0.1.6", NULL, ANSWER("401 Unauthorized"), TINY_KEEP},
     DS_SIGHT_OK,
     "the health check is wrong: 401 from the server (see pushgateway.username, "
     "password_file)"},
    {{"127.0.1.7", NULL, ANSWER("403 Forbidden"), TINY_KEEP},
     DS_SIGHT_OK,
     "the health check is wrong: 403 from the server (see pushgateway.username, "
     "password_file)"},
    {{"127.0.1.8", NULL, ANSWER("404 Not Found"), TINY_KEEP},
     DS_SIGHT_OK,
     "the health check is wrong: 404 from the server (see health_check.path, "
     "pushgateway.route_prefix)"},
    {{"127.0.1.9", NULL, ANSWER("302 Found"), TINY_KEEP},
     DS_SIGHT_FAIL,
     "health check: 302"},
    {{"127.0.2.1", NULL, ANSWER("503 Service Unavailable"), TINY_KEEP},
     DS_SIGHT_FAIL,
     "health check: 503"},
    {{"127.0.2.2", NULL, NULL, TINY_KEEP}, DS_SIGHT_FAIL, "no answer within 400 ms"},
    {{"127.0.2.3", NULL, "HTTP/1.1 200 OK\r\n", TINY_KEEP},
     DS_SIGHT_FAIL,
     "no answer within 400 ms"},
    {{"127.0.2.4", NULL, "", TINY_CLOSE}, DS_SIGHT_FAIL, "GET http://127.0.2.4:"},
    {{"127.0.2.5", NULL, "HTTP/1.1 200 OK\r\nServ", TINY_CLOSE},
     DS_SIGHT_FAIL,
     "GET http://127.0.2.5:"},
    {{"127.0.2.6", NULL, "HTTP/1.1 200 OK\r\n\r\nabcdefgh", TINY_FLOOD},
     DS_SIGHT_FAIL,
     "GET http://127.0.2.6:"},
    {{"127.0.2.7", NULL, "SSH-2.0-OpenSSH\r\n", TINY_CLOSE},
     DS_SIGHT_FAIL,
     "GET http://127.0.2.7:"},
};

/* Every other address answers well. */
static const struct tiny_rule WELL[] = {{NULL, NULL, ANSWER("200 OK"), TINY_KEEP}};
static const struct tiny_rule HANGS[] = {{"127.0.0.1", NULL, NULL, TINY_KEEP},
                                         {"127.0.0.3", NULL, NULL, TINY_KEEP},
                                         {NULL, NULL, ANSWER("200 OK"), TINY_KEEP}};
static const struct tiny_rule NOBODY[] = {{NULL, NULL, NULL, TINY_KEEP}};

static void track(struct ds_feed *feed, const struct ds_server *servers, size_t n,
                  int64_t now_ms)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(struct ds_standing));
    struct ds_standing *standings = list;

    for (size_t i = 0; i < n; i++)
        standings[i].server = servers[i];
    feed->ops->track(feed, standings, n, now_ms);
}

static void configure_timeout(struct ds_config *config, int timeout_ms, const char *more)
{
    config_from(config,
                "health_check: {interval: 100ms, timeout: %dms}\n"
                "pushgateway:\n  servers: [\"127.0.0.1:9091\"]\n%s",
                timeout_ms, more);
}

static void configure(struct ds_config *config, const char *more)
{
    configure_timeout(config, TIMEOUT_MS, more);
}

static struct ds_server server_at(const char *host, unsigned port)
{
    struct ds_server server = {.weight = 1};

    snprintf(server.address, sizeof server.address, "%s:%u", host, port);
    return server;
}

/* 127.0.0.1 to 127.0.0.N, sorted as a feed wants them. */
static void fill_servers(struct ds_server *servers, size_t n, unsigned port)
{
    for (size_t i = 0; i < n; i++) {
        char host[32];

        snprintf(host, sizeof host, "127.0.0.%zu", i + 1);
        servers[i] = server_at(host, port);
    }
    qsort(servers, n, sizeof *servers, ds_server_compare);
}

static void each_answer_has_its_meaning(void **state)
{
    struct tiny_rule rules[DS_COUNT(CASES)];
    struct ds_server servers[DS_COUNT(CASES)];
    struct ds_sighting items[DS_COUNT(CASES)];
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(config) struct ds_config config;
    struct tiny *tiny;

    (void)state;
    for (size_t i = 0; i < DS_COUNT(CASES); i++)
        rules[i] = CASES[i].rule;
    tiny = tiny_start(rules, DS_COUNT(rules), NULL);
    for (size_t i = 0; i < DS_COUNT(CASES); i++)
        servers[i] = server_at(CASES[i].rule.host, tiny->port);
    configure(&config, "");
    assert_ok(ds_probe_all(&config, servers, DS_COUNT(servers), items, &err), &err);
    for (size_t i = 0; i < DS_COUNT(CASES); i++) {
        assert_string_equal(items[i].address, servers[i].address);
        assert_true(items[i].seq > 0);
        if (items[i].sight != CASES[i].sight ||
            strncmp(items[i].why, CASES[i].why, strlen(CASES[i].why)) != 0 ||
            (!CASES[i].why[0] && items[i].why[0]))
            fail_msg("%s: %d, '%s'", items[i].address, (int)items[i].sight, items[i].why);
    }
    tiny_stop(tiny);
}

static void refused_twice_is_final(void **state)
{
    DS_AUTO(fd) int fd = -1;
    unsigned port = tiny_closed_port(&fd);
    struct ds_server server = server_at("127.0.0.1", port);
    struct ds_sighting item;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(config) struct ds_config config;
    int64_t start = ds_clock_mono_ms();

    (void)state;
    configure(&config, "");
    assert_ok(ds_probe_all(&config, &server, 1, &item, &err), &err);
    assert_int_equal(item.sight, DS_SIGHT_FINAL);
    assert_string_equal(item.why, "connect: refused");
    assert_int_equal(item.seq, 1);
    assert_in_range(ds_clock_mono_ms() - start, REFUSED_RETRY_MS, DEADLINE_MS);
}

static void no_servers_take_no_time(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    configure(&config, "");
    assert_ok(ds_probe_all(&config, NULL, 0, NULL, &err), &err);
}

/* All wait at the same time: it takes one timeout and not two hundred. */
static void two_hundred_are_checked_at_once(void **state)
{
    struct tiny *tiny = tiny_start(NOBODY, DS_COUNT(NOBODY), NULL);
    struct ds_server servers[MANY];
    struct ds_sighting items[MANY];
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(config) struct ds_config config;
    int64_t start = ds_clock_mono_ms();

    (void)state;
    configure(&config, "");
    fill_servers(servers, MANY, tiny->port);
    assert_ok(ds_probe_all(&config, servers, MANY, items, &err), &err);
    assert_in_range(ds_clock_mono_ms() - start, TIMEOUT_MS - 1, 15 * TIMEOUT_MS);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(items[i].sight, DS_SIGHT_FAIL);
    assert_in_range(tiny->most_open, MANY / 2, MANY);
    tiny_stop(tiny);
}

/* ---- the feed ---- */

struct watcher {
    struct ds_config config;
    struct ds_http_loop *loop;
    struct ds_feed *feed;
};

static void watcher_init_timeout(struct watcher *w, int timeout_ms, const char *more)
{
    struct ds_error err = DS_ERROR_INIT;

    configure_timeout(&w->config, timeout_ms, more);
    w->loop = ds_http_loop_new();
    w->feed = ds_feed_probe_new(&w->config, w->loop, &err);
    if (!w->feed)
        fail_msg("%s", err.text);
}

static void watcher_init(struct watcher *w, const char *more)
{
    watcher_init_timeout(w, TIMEOUT_MS, more);
}

static void ds_auto_watcher(struct watcher *w)
{
    w->feed->ops->free(w->feed);
    ds_http_loop_free(w->loop);
    ds_config_release(&w->config);
}

static uint64_t seq_of(const struct watcher *w, size_t i)
{
    const struct ds_fleet *fleet = w->feed->ops->view(w->feed);

    assert_true(i < fleet->n);
    return fleet->items[i].seq;
}

/* One round as the watch does it; 1: there was news. */
static int turn(struct watcher *w)
{
    int64_t now_ms = ds_clock_mono_ms(), next_ms;
    int news = w->feed->ops->tick(w->feed, now_ms);

    if (news)
        return 1;
    next_ms = w->feed->ops->next_ms(w->feed);
    ds_http_loop_run(w->loop, NULL, 0, next_ms == INT64_MAX ? 1000 : next_ms - now_ms);
    return 0;
}

static void run_until_seq(struct watcher *w, size_t i, uint64_t seq)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    while (seq_of(w, i) < seq && ds_clock_mono_ms() < deadline)
        turn(w);
    assert_true(seq_of(w, i) >= seq);
}

static void a_server_that_hangs_delays_no_other(void **state)
{
    struct tiny *tiny = tiny_start(HANGS, DS_COUNT(HANGS), NULL);
    DS_AUTO(watcher) struct watcher w;
    struct ds_server servers[4];

    (void)state;
    watcher_init(&w, "");
    fill_servers(servers, 4, tiny->port);
    track(w.feed, servers, 4, ds_clock_mono_ms());
    run_until_seq(&w, 1, 3); /* within two intervals, half of the timeout */
    assert_true(seq_of(&w, 3) >= 2);
    assert_int_equal(seq_of(&w, 0), 0);
    assert_int_equal(seq_of(&w, 2), 0);
    run_until_seq(&w, 0, 1);
    assert_int_equal(w.feed->ops->view(w.feed)->items[0].sight, DS_SIGHT_FAIL);
    tiny_stop(tiny);
}

/* The kernel takes connections, and nobody ever answers. */
static int listen_in_silence(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 4096), 0);
    return fd;
}

static unsigned port_of(int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof name;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    return ntohs(name.sin_port);
}

/* Nobody can open more than so many descriptors from now on; what the limit was. */
static struct rlimit leave_descriptors(unsigned n)
{
    struct rlimit before, limit;
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)next + n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* A third of the servers at a time, none of which answers: each has its turn. */
static void few_descriptors_are_shared(void **state)
{
    DS_AUTO(fd) int silent = listen_in_silence();
    struct ds_server servers[MANY];
    DS_AUTO(watcher) struct watcher w;
    uint64_t last[MANY] = {0};
    size_t counts[MANY] = {0}, n_left = MANY, most = 0;
    struct ds_sighting items[MANY];
    struct ds_error err = DS_ERROR_INIT;
    int64_t end_ms = ds_clock_mono_ms() + DEADLINE_MS;
    struct rlimit before;

    (void)state;
    watcher_init_timeout(&w, 20, "");
    fill_servers(servers, MANY, port_of(silent));
    before = leave_descriptors(DS_SLOTS_SPARE_FDS + 20);
    assert_ok(ds_probe_all(&w.config, servers, MANY, items, &err), &err);
    track(w.feed, servers, MANY, ds_clock_mono_ms());
    while (n_left && ds_clock_mono_ms() < end_ms) {
        turn(&w);
        for (size_t i = 0; i < MANY; i++) {
            if (seq_of(&w, i) == last[i])
                continue;
            last[i] = seq_of(&w, i);
            n_left -= ++counts[i] == 3;
            most = counts[i] > most ? counts[i] : most;
        }
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(n_left, 0);
    assert_in_range(most, 3, 5);
}

/* Eight slots, sixteen servers that hang: who answers is still checked at its times, the
   hung ones have their turns, and nothing spins while they wait. */
static void hung_servers_leave_slots_to_those_that_answer(void **state)
{
    enum { HUNG = 16, LIMIT = DS_SLOTS_SPARE_FDS + 8, CHECKS = 30, TURNS_MAX = 2000 };
    struct tiny *tiny = tiny_start(WELL, DS_COUNT(WELL), NULL);
    DS_AUTO(fd) int silent = listen_in_silence();
    struct ds_server servers[HUNG + 1];
    DS_AUTO(watcher) struct watcher w;
    struct rlimit before, limit;
    size_t checks = 0, turns = 0;
    int64_t start_ms;
    uint64_t last = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = LIMIT;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    watcher_init(&w, "");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fill_servers(servers, HUNG, port_of(silent));
    servers[HUNG] = server_at("127.0.1.1", tiny->port);
    track(w.feed, servers, HUNG + 1, ds_clock_mono_ms());
    assert_int_equal(w.feed->ops->view(w.feed)->at_once, 8);
    assert_int_equal(w.feed->ops->view(w.feed)->fds_wanted,
                     HUNG + 1 + DS_SLOTS_SPARE_FDS);
    for (size_t i = 0; i < HUNG; i++)
        run_until_seq(&w, i, 1); /* they are known to be slow now */
    start_ms = ds_clock_mono_ms();
    while (checks < CHECKS && ds_clock_mono_ms() < start_ms + DEADLINE_MS) {
        turn(&w);
        turns++;
        checks += seq_of(&w, HUNG) != last;
        last = seq_of(&w, HUNG);
    }
    assert_int_equal(checks, CHECKS);
    assert_in_range(ds_clock_mono_ms() - start_ms, 2000, 9000);
    assert_in_range(turns, CHECKS, TURNS_MAX);
    tiny_stop(tiny);
}

static void refused_once_is_looked_at_again(void **state)
{
    DS_AUTO(watcher) struct watcher w;
    DS_AUTO(fd) int fd = -1;
    unsigned port = tiny_closed_port(&fd);
    struct ds_server server = server_at("127.0.0.1", port);
    int64_t start = ds_clock_mono_ms(), next_ms;
    struct tiny *tiny;

    (void)state;
    watcher_init(&w, "");
    track(w.feed, &server, 1, start);
    assert_int_equal(w.feed->ops->tick(w.feed, start), 0);
    assert_int_equal(w.feed->ops->next_ms(w.feed), INT64_MAX); /* it is under way */
    while (w.feed->ops->next_ms(w.feed) == INT64_MAX)
        ds_http_loop_run(w.loop, NULL, 0, 1000);
    next_ms = w.feed->ops->next_ms(w.feed);
    assert_in_range(next_ms - start, REFUSED_RETRY_MS, DEADLINE_MS);
    assert_int_equal(w.feed->ops->tick(w.feed, start), 0); /* that is no evidence */
    assert_int_equal(seq_of(&w, 0), 0);
    tiny = tiny_start_at(WELL, DS_COUNT(WELL), NULL, port); /* it was a restart */
    run_until_seq(&w, 0, 1);
    assert_int_equal(w.feed->ops->view(w.feed)->items[0].sight, DS_SIGHT_OK);
    tiny_stop(tiny);
}

static void checks_begin_an_interval_apart(void **state)
{
    struct tiny *tiny = tiny_start(WELL, DS_COUNT(WELL), NULL);
    DS_AUTO(watcher) struct watcher w;
    struct ds_server server = server_at("127.0.0.1", tiny->port);
    int64_t start = ds_clock_mono_ms() + 12345;

    (void)state;
    watcher_init(&w, "");
    track(w.feed, &server, 1, start);
    assert_int_equal(w.feed->ops->next_ms(w.feed), start);
    assert_int_equal(w.feed->ops->tick(w.feed, start - 1), 0);
    assert_int_equal(tiny->n_accepted, 0);
    assert_int_equal(w.feed->ops->tick(w.feed, start), 0);
    while (w.feed->ops->next_ms(w.feed) == INT64_MAX)
        ds_http_loop_run(w.loop, NULL, 0, 1000);
    assert_int_equal(w.feed->ops->next_ms(w.feed), 0); /* there is news to be taken */
    assert_int_equal(w.feed->ops->tick(w.feed, start + 1), 1);
    assert_int_equal(w.feed->ops->tick(w.feed, start + 1), 0);
    assert_int_equal(w.feed->ops->next_ms(w.feed), start + 100);
    assert_int_equal(tiny->n_requests, 1);
    tiny_stop(tiny);
}

/* A connection that is kept says nothing about whether new ones are taken. */
static void each_check_connects_anew(void **state)
{
    struct tiny *tiny = tiny_start(WELL, DS_COUNT(WELL), NULL);
    DS_AUTO(watcher) struct watcher w;
    struct ds_server server = server_at("127.0.0.1", tiny->port);

    (void)state;
    watcher_init(&w, "");
    track(w.feed, &server, 1, ds_clock_mono_ms());
    run_until_seq(&w, 0, 4);
    assert_int_equal(tiny->n_accepted, tiny->n_requests);
    tiny_stop(tiny);
}

static void servers_come_and_go(void **state)
{
    struct tiny *tiny = tiny_start(HANGS, DS_COUNT(HANGS), NULL);
    DS_AUTO(watcher) struct watcher w;
    struct ds_server servers[4];
    const struct ds_fleet *fleet;
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;
    uint64_t seq;

    (void)state;
    watcher_init(&w, "");
    fill_servers(servers, 4, tiny->port);
    track(w.feed, servers, 2, ds_clock_mono_ms());
    run_until_seq(&w, 1, 2);
    seq = seq_of(&w, 1);
    /* The first goes, with its check; the second stays as it is known; two are new. */
    track(w.feed, servers + 1, 3, ds_clock_mono_ms());
    fleet = w.feed->ops->view(w.feed);
    assert_int_equal(fleet->n, 3);
    assert_string_equal(fleet->items[0].address, servers[1].address);
    assert_string_equal(fleet->items[2].address, servers[3].address);
    assert_int_equal(fleet->items[0].seq, seq);
    assert_int_equal(fleet->items[0].sight, DS_SIGHT_OK);
    assert_int_equal(fleet->items[1].seq + fleet->items[2].seq, 0);
    assert_int_equal(fleet->items[2].sight, DS_SIGHT_NONE);
    run_until_seq(&w, 2, 1);
    track(w.feed, NULL, 0, ds_clock_mono_ms());
    assert_int_equal(w.feed->ops->view(w.feed)->n, 0);
    assert_int_equal(w.feed->ops->next_ms(w.feed), INT64_MAX);
    while (tiny->n_open && ds_clock_mono_ms() < deadline)
        ds_http_loop_run(w.loop, NULL, 0, 2);
    assert_int_equal(tiny->n_open, 0);
    tiny_stop(tiny);
}

static void the_check_asks_for_the_configured_path(void **state)
{
    struct tiny *tiny = tiny_start(WELL, DS_COUNT(WELL), NULL);
    struct ds_server server = server_at("127.0.0.1", tiny->port);
    char file[] = "/tmp/dshard-test-password.XXXXXX", more[200];
    DS_AUTO(fd) int fd = mkstemp(file);
    DS_AUTO(config) struct ds_config config;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_sighting item;
    DS_AUTO(str) char *last = NULL;

    (void)state;
    assert_int_equal(write(fd, "open:sesame\r\n", 13), 13);
    snprintf(more, sizeof more,
             "  route_prefix: /push\n  username: Aladdin\n  password_file: %s\n", file);
    configure(&config, more);
    ds_set_str(&config.health_check.path, "/-/fine");
    assert_ok(ds_probe_all(&config, &server, 1, &item, &err), &err);
    assert_int_equal(item.sight, DS_SIGHT_OK);
    last = tiny_last(tiny);
    assert_memory_equal(last, "GET /push/-/fine HTTP/1.1\r\n", 27);
    assert_non_null(
        strstr(last, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n"));
    assert_int_equal(unlink(file), 0);
    tiny_stop(tiny);
}

static void a_missing_password_is_said(void **state)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_http_loop *loop = ds_http_loop_new();
    struct ds_error err = DS_ERROR_INIT;
    struct ds_server server = server_at("127.0.0.1", 9091);
    struct ds_sighting item;

    (void)state;
    configure(&config, "  username: a\n  password_file: /nonexistent/password\n");
    assert_null(ds_feed_probe_new(&config, loop, &err));
    assert_non_null(strstr(err.text, "pushgateway.password_file: "));
    assert_non_null(strstr(err.text, "'/nonexistent/password'"));
    assert_int_equal(ds_probe_all(&config, &server, 1, &item, &err), -1);
    ds_http_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_meaning),
        cmocka_unit_test(refused_twice_is_final),
        cmocka_unit_test(no_servers_take_no_time),
        cmocka_unit_test(two_hundred_are_checked_at_once),

        cmocka_unit_test(a_server_that_hangs_delays_no_other),
        cmocka_unit_test(refused_once_is_looked_at_again),
        cmocka_unit_test(few_descriptors_are_shared),
        cmocka_unit_test(hung_servers_leave_slots_to_those_that_answer),
        cmocka_unit_test(checks_begin_an_interval_apart),
        cmocka_unit_test(each_check_connects_anew),
        cmocka_unit_test(servers_come_and_go),
        cmocka_unit_test(the_check_asks_for_the_configured_path),
        cmocka_unit_test(a_missing_password_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
