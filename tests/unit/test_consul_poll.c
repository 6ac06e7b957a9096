/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a blocking query, against a server in a thread that answers as told. */
#include "test.h"

#include "../../src/consul_impl.h"
#include "dshard/clock.h"
#include "dshard/consul_poll.h"
#include "dshard/file.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS_MAX = 12, WAIT_MS = 1000, PATIENCE_MS = 5000, ROUNDS = 2000 };

/* ---- the server ---- */

struct step {
    const char *head;  /* status line and headers but for the length; NULL: hang up */
    const char *query; /* what the request must end with, before HTTP/1.1 */
    const char *token; /* NULL: whatever it is */
};

struct server {
    int fd;
    unsigned short port;
    const struct step *steps;
    size_t n;
    size_t served; /* read when the thread has ended */
    bool as_told;
    pthread_t thread;
};

/* One request without a body; false when the peer went away. */
static bool read_request(int fd, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    while (!strstr(text, "\r\n\r\n")) {
        ssize_t n = len + 1 < size ? read(fd, text + len, size - 1 - len) : 0;

        if (n <= 0)
            return false;
        len += (size_t)n;
        text[len] = '\0';
    }
    return true;
}

static bool is_as_told(const struct step *step, const char *request)
{
    char want[128];

    snprintf(want, sizeof want, "GET /v1/kv/x%s HTTP/1.1\r\n", step->query);
    if (strncmp(request, want, strlen(want)) != 0) {
        print_message("asked: %.60s, not %s", request, want);
        return false;
    }
    if (!step->token)
        return true;
    snprintf(want, sizeof want, "X-Consul-Token: %s\r\n", step->token);
    return strstr(request, want) != NULL;
}

/* A connection for each request. */
static void *serve(void *arg)
{
    struct server *server = arg;
    char request[4096], head[512];

    for (; server->served < server->n; server->served++) {
        const struct step *step = &server->steps[server->served];
        DS_AUTO(fd) int fd = accept(server->fd, NULL, NULL);

        if (fd < 0 || !read_request(fd, request, sizeof request))
            return NULL;
        server->as_told = server->as_told && is_as_told(step, request);
        if (!step->head)
            continue;
        snprintf(head, sizeof head,
                 "%s\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]", step->head);
        if (write(fd, head, strlen(head)) < 0)
            return NULL;
    }
    return NULL;
}

static void server_start(struct server *server, const struct step *steps, size_t n)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;

    *server = (struct server){.steps = steps, .n = n, .as_told = true};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* ---- the one who asks ---- */

struct asker {
    struct ds_consul consul;
    struct ds_http_loop *loop;
    struct ds_consul_poll poll;
    unsigned n_taken;
    bool refuses; /* take() finds the answers to make no sense */
};

static int take(void *arg, const struct ds_http_response *response, struct ds_error *err)
{
    struct asker *asker = arg;

    asker->n_taken++;
    assert_true(response->status == 200 || response->status == 404);
    return asker->refuses ? ds_fail(err, DS_E_FORMAT, "it makes no sense") : 0;
}

static void asker_start(struct asker *asker, const struct server *server)
{
    *asker = (struct asker){.loop = ds_http_loop_new()};
    asker->consul.url = ds_xasprintf("http://127.0.0.1:%u", server->port);
    asker->consul.service = ds_xstrdup("s");
    ds_consul_poll_init(&asker->poll, &asker->consul, asker->loop, "/v1/kv/x", WAIT_MS,
                        take, asker);
}

static void asker_end(struct asker *asker)
{
    ds_consul_poll_release(&asker->poll);
    ds_http_loop_free(asker->loop);
    free(asker->consul.url);
    free(asker->consul.service);
    free(asker->consul.token);
    free(asker->consul.token_file);
}

/* Ticks without its pauses, until `n` requests have been answered. */
static void ask(struct asker *asker, unsigned n)
{
    int64_t deadline = ds_clock_mono_ms() + PATIENCE_MS;
    unsigned answered = 0;

    while (answered < n) {
        asker->poll.due_ms = 0;
        ds_consul_poll_tick(&asker->poll, ds_clock_mono_ms());
        assert_int_equal(ds_consul_poll_next_ms(&asker->poll), INT64_MAX);
        while (asker->poll.transfer) {
            assert_true(ds_clock_mono_ms() < deadline);
            ds_http_loop_run(asker->loop, NULL, 0, 100);
        }
        answered++;
    }
}

/* All steps, each answered; the requests must have been as the steps say. */
static void play(struct asker *asker, const struct step *steps, size_t n)
{
    struct server server;

    server_start(&server, steps, n);
    asker_start(asker, &server);
    ask(asker, (unsigned)n);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.fd);
    assert_int_equal(server.served, n);
    assert_true(server.as_told);
}

#define OK(index)     "HTTP/1.1 200 OK\r\nX-Consul-Index: " index
#define ERROR(status) "HTTP/1.1 " status "\r\nX-Consul-Index: 1"
#define AFTER(index)  "?index=" index "&wait=1000ms"

static void the_index_of_an_answer_is_in_the_next_request(void **state)
{
    static const struct step steps[] = {
        {OK("7"), "", NULL}, {OK("9"), AFTER("7"), NULL}, {OK("10"), AFTER("9"), NULL}};
    struct asker asker;

    (void)state;
    play(&asker, steps, DS_COUNT(steps));
    assert_int_equal(asker.n_taken, 3);
    assert_int_equal(asker.poll.index, 10);
    assert_true(asker.poll.ok && asker.poll.answered);
    asker_end(&asker);
}

static void an_index_that_goes_back_is_used_and_then_forgotten(void **state)
{
    static const struct step steps[] = {{OK("70"), "", NULL},
                                        {OK("9"), AFTER("70"), NULL},
                                        {OK("9"), "", NULL},
                                        {OK("10"), AFTER("9"), NULL}};
    struct asker asker;

    (void)state;
    play(&asker, steps, DS_COUNT(steps));
    assert_int_equal(asker.n_taken, 4);
    asker_end(&asker);
}

static void an_early_answer_without_news_starts_anew(void **state)
{
    static const struct step steps[] = {
        {OK("7"), "", NULL}, {OK("7"), AFTER("7"), NULL}, {OK("5"), "", NULL}};
    struct asker asker;

    (void)state;
    play(&asker, steps, DS_COUNT(steps));
    assert_int_equal(asker.poll.index, 5);
    asker_end(&asker);
}

static void an_error_is_not_taken_and_starts_anew(void **state)
{
    static const char *const errors[] = {
        ERROR("500 E"), ERROR("403 E"), ERROR("404 E"),    ERROR("429 E"), ERROR("503 E"),
        ERROR("301 E"), NULL,           "HTTP/1.1 200 OK", OK("abc"),      OK("-1")};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(errors); i++) {
        const struct step steps[] = {
            {OK("7"), "", NULL}, {errors[i], AFTER("7"), NULL}, {OK("8"), "", NULL}};
        struct asker asker;

        print_message("%s\n", errors[i] ? errors[i] : "hangs up");
        play(&asker, steps, 3);
        assert_int_equal(asker.n_taken, 2);
        assert_true(asker.poll.ok);
        assert_int_equal(asker.poll.failures, 0);
        asker_end(&asker);
    }
}

static void a_404_is_an_answer_where_it_means_none(void **state)
{
    static const struct step steps[] = {
        {"HTTP/1.1 404 N\r\nX-Consul-Index: 7", "?raw", NULL},
        {OK("8"), "?raw&index=7&wait=1000ms", NULL}};
    struct server server;
    struct asker asker;

    (void)state;
    server_start(&server, steps, 2);
    asker_start(&asker, &server);
    asker.poll.allow_404 = true;
    asker.poll.query = ds_xstrdup("raw");
    ask(&asker, 2);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    assert_true(server.as_told);
    assert_int_equal(asker.n_taken, 2);
    close(server.fd);
    asker_end(&asker);
}

static void failures_are_counted_and_say_since_when(void **state)
{
    static const struct step steps[] = {{ERROR("500 E"), "", NULL},
                                        {ERROR("500 E"), "", NULL}};
    struct asker asker;
    int64_t began = ds_clock_mono_ms();

    (void)state;
    play(&asker, steps, 2);
    assert_false(asker.poll.ok);
    assert_false(asker.poll.answered);
    assert_true(asker.poll.tried);
    assert_int_equal(asker.poll.failures, 2);
    assert_true(asker.poll.lost_since_ms >= began);
    assert_true(asker.poll.due_ms > ds_clock_mono_ms() - 1);
    assert_non_null(strstr(asker.poll.err.text, "/v1/kv/x: 500"));
    asker_end(&asker);
}

static void an_answer_without_sense_is_a_failure(void **state)
{
    static const struct step steps[] = {{OK("7"), "", NULL}, {OK("7"), "", NULL}};
    struct server server;
    struct asker asker;

    (void)state;
    server_start(&server, steps, 2);
    asker_start(&asker, &server);
    asker.refuses = true;
    ask(&asker, 2);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    assert_true(server.as_told);
    assert_false(asker.poll.ok);
    assert_int_equal(asker.poll.failures, 2);
    assert_non_null(strstr(asker.poll.err.text, "/v1/kv/x: it makes no sense"));
    close(server.fd);
    asker_end(&asker);
}

static void four_answers_a_second_are_enough(void **state)
{
    struct step steps[DS_CONSUL_POLL_BURST + 1];
    struct asker asker;
    int64_t now_ms;

    (void)state;
    for (size_t i = 0; i < DS_COUNT(steps); i++)
        steps[i] = (struct step){OK("7"), i % 2 ? AFTER("7") : "", NULL};
    play(&asker, steps, DS_COUNT(steps));
    now_ms = ds_clock_mono_ms();
    assert_in_range(asker.poll.due_ms, now_ms + 1, now_ms + 1000);
    ds_consul_poll_tick(&asker.poll, now_ms);
    assert_null(asker.poll.transfer);
    ds_consul_poll_again(&asker.poll, now_ms);
    assert_int_equal(ds_consul_poll_next_ms(&asker.poll), now_ms);
    asker_end(&asker);
}

/* ---- tokens ---- */

static void write_token(const char *path, const char *token)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_replace(path, token, strlen(token), 0600, &err), &err);
}

static void a_new_token_is_tried_at_once_and_nothing_was_lost(void **state)
{
    static const struct step steps[] = {{OK("7"), "", "old"},
                                        {ERROR("403 E"), AFTER("7"), "old"},
                                        {OK("8"), AFTER("7"), "new"}};
    char path[] = "/tmp/dshard-test-token-XXXXXX";
    struct server server;
    struct asker asker;

    (void)state;
    close(mkstemp(path));
    server_start(&server, steps, 3);
    asker_start(&asker, &server);
    asker.consul.token = ds_xstrdup("old");
    asker.consul.token_file = ds_xstrdup(path);
    write_token(path, "old\n");
    ask(&asker, 1);
    write_token(path, "new\n");
    ask(&asker, 1);
    assert_true(asker.poll.ok);
    assert_int_equal(asker.poll.failures, 0);
    assert_true(ds_consul_poll_next_ms(&asker.poll) <= ds_clock_mono_ms());
    ask(&asker, 1);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    assert_true(server.as_told);
    close(server.fd);
    unlink(path);
    asker_end(&asker);
}

static void a_refused_one_looks_for_a_new_token_each_second(void **state)
{
    static const struct step steps[] = {{ERROR("403 E"), "", "old"}};
    char path[] = "/tmp/dshard-test-token-XXXXXX";
    struct server server;
    struct asker asker;
    int64_t now_ms;

    (void)state;
    close(mkstemp(path));
    server_start(&server, steps, 1);
    asker_start(&asker, &server);
    asker.consul.token = ds_xstrdup("old");
    asker.consul.token_file = ds_xstrdup(path);
    write_token(path, "old");
    ask(&asker, 1);
    now_ms = ds_clock_mono_ms();
    assert_true(asker.poll.due_ms >= now_ms + 29000);
    assert_in_range(ds_consul_poll_next_ms(&asker.poll), now_ms + 500, now_ms + 1000);
    ds_consul_poll_tick(&asker.poll, now_ms + 1000);
    assert_null(asker.poll.transfer); /* the file has the same one */
    write_token(path, "new");
    ds_consul_poll_tick(&asker.poll, now_ms + 1500);
    assert_null(asker.poll.transfer); /* not yet */
    ds_consul_poll_tick(&asker.poll, now_ms + 2000);
    assert_non_null(asker.poll.transfer);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.fd);
    unlink(path);
    asker_end(&asker);
}

/* ---- how long to wait ---- */

static void the_pause_after_a_failure_is_by_its_kind(void **state)
{
    static const struct {
        int status;
        const char *headers;
        unsigned failures;
        int64_t least, most;
    } rows[] = {
        {0, "", 1, 50, 250},
        {0, "", 2, 50, 500},
        {500, "", 1, 50, 250},
        {500, "", 3, 50, 1000},
        {500, "", 100, 50, 5000},
        {500, "", 4000000000, 50, 5000},
        {200, "", 1, 50, 250},
        {301, "", 1, 50, 250},
        {400, "", 1, 30000, 37500},
        {403, "", 9, 30000, 37500},
        {404, "", 1, 30000, 37500},
        {429, "", 1, 15000, 18750},
        {503, "", 1, 15000, 18750},
        {429, "Retry-After: 3\r\n", 1, 3000, 3000},
        {503, "retry-after: 1\r\n", 1, 1000, 1000},
        {503, "Retry-After: 120\r\n", 1, 120000, 120000},
        {503, "Retry-After: 121\r\n", 1, 15000, 18750},
        {503, "Retry-After: 0\r\n", 1, 15000, 18750},
        {503, "Retry-After: -5\r\n", 1, 15000, 18750},
        {503, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 1, 15000, 18750},
        {500, "Retry-After: 3\r\n", 1, 50, 250},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        int64_t least = INT64_MAX, most = 0;

        ds_http_response_init(&response);
        response.status = rows[i].status;
        ds_buf_adds(&response.headers, rows[i].headers);
        for (int round = 0; round < ROUNDS; round++) {
            int64_t pause = ds_consul_backoff_ms(&response, rows[i].failures);

            least = pause < least ? pause : least;
            most = pause > most ? pause : most;
        }
        print_message("%d, %s: %lld to %lld ms\n", rows[i].status, rows[i].headers,
                      (long long)least, (long long)most);
        assert_in_range(least, rows[i].least, rows[i].most);
        assert_in_range(most, rows[i].least, rows[i].most);
        if (rows[i].least < rows[i].most) /* there is jitter, all over the range */
            assert_true(most - least > (rows[i].most - rows[i].least) / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_of_an_answer_is_in_the_next_request),
        cmocka_unit_test(an_index_that_goes_back_is_used_and_then_forgotten),
        cmocka_unit_test(an_early_answer_without_news_starts_anew),
        cmocka_unit_test(an_error_is_not_taken_and_starts_anew),
        cmocka_unit_test(a_404_is_an_answer_where_it_means_none),
        cmocka_unit_test(failures_are_counted_and_say_since_when),
        cmocka_unit_test(an_answer_without_sense_is_a_failure),
        cmocka_unit_test(four_answers_a_second_are_enough),
        cmocka_unit_test(a_new_token_is_tried_at_once_and_nothing_was_lost),
        cmocka_unit_test(a_refused_one_looks_for_a_new_token_each_second),
        cmocka_unit_test(the_pause_after_a_failure_is_by_its_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
