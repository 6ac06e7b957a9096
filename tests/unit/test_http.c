/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/clock.h"
#include "dshard/http.h"
#include "dshard/utf8.h"
#include "tiny.h"

enum { BODY_MAX = 1000, MANY = 150, LARGE = 3 * 1024 * 1024 };

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

static char at_cap[BODY_MAX + 100], over_cap[BODY_MAX + 100], much_head[100000];
static char colons[BODY_MAX + 100];

static const struct tiny_rule RULES[] = {
    {NULL, "/ok", OK_HEAD "6\r\nX-A: b\r\n\r\nhello\n", TINY_KEEP},
    {NULL, "/echo", NULL, TINY_ECHO},
    {NULL, "/a/../%2e/b", NULL, TINY_ECHO},
    {NULL, "/at-cap", at_cap, TINY_KEEP},
    {NULL, "/over-cap", over_cap, TINY_KEEP},
    {NULL, "/much-head", much_head, TINY_KEEP},
    {NULL, "/flood", "HTTP/1.1 200 OK\r\n\r\nabcdefghijklmnopqrstuvwxyz", TINY_FLOOD},
    {NULL, "/empty", OK_HEAD "0\r\n\r\n", TINY_KEEP},
    {NULL, "/none", "HTTP/1.1 204 No Content\r\n\r\n", TINY_KEEP},
    {NULL, "/hang", NULL, TINY_KEEP},
    {NULL, "/hang-body", OK_HEAD "6\r\n\r\nhel", TINY_KEEP},
    {NULL, "/cut-body", OK_HEAD "6\r\n\r\nhel", TINY_CLOSE},
    {NULL, "/cut-head", "HTTP/1.1 200 OK\r\nContent-Le", TINY_CLOSE},
    {NULL, "/cut-all", "", TINY_CLOSE},
    {NULL, "/cut-chunk",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", TINY_CLOSE},
    {NULL, "/not-http", "220 mail.example ESMTP\r\n", TINY_CLOSE},
    {NULL, "/redirect",
     "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", TINY_KEEP},
    {NULL, "/continue",
     "HTTP/1.1 100 Continue\r\nX-Which: first\r\n\r\n"
     "HTTP/1.1 103 Early Hints\r\nX-Which: second\r\n\r\n" OK_HEAD
     "2\r\nX-Which: last\r\n\r\nok",
     TINY_KEEP},
    {NULL, "/headers",
     OK_HEAD "0\r\nX-AB: longer\r\nX-A:  \t spaced  \r\nX-A: second\r\nX-Empty:\r\n"
             "X-Colon: a: b\r\n\r\n",
     TINY_KEEP},
    {NULL, "/403",
     "HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\n"
     "ACL not found\r\nsecond\n",
     TINY_KEEP},
    {NULL, "/announced",
     "HTTP/1.1 500 Oops\r\nContent-Length: 43\r\n\r\n"
     "serving metrics:\n\n2 errors:\r\n* bad\n* worse\n",
     TINY_KEEP},
    {NULL, "/announced-nothing",
     "HTTP/1.1 500 Oops\r\nContent-Length: 15\r\n\r\ntwo errors:\r\n\r\n", TINY_KEEP},
    {NULL, "/colons", colons, TINY_KEEP},
    {NULL, "/odd",
     "HTTP/1.1 500 Oops\r\nContent-Length: 11\r\n\r\n"
     "a\xFF\x1B[m\t\xC3\xA4\xC3 \n",
     TINY_KEEP},
};

static int setup(void **state)
{
    char *p = at_cap;

    memset(at_cap, 'x', sizeof at_cap - 1);
    memcpy(over_cap, at_cap, sizeof at_cap);
    snprintf(p, sizeof at_cap, OK_HEAD "%d\r\n\r\n", BODY_MAX);
    p[strlen(p) + BODY_MAX] = '\0'; /* the x behind the NUL come into view: */
    p[strlen(p)] = 'x';
    p = over_cap;
    snprintf(p, sizeof over_cap, OK_HEAD "%d\r\n\r\n", BODY_MAX + 1);
    p[strlen(p) + BODY_MAX + 1] = '\0';
    p[strlen(p)] = 'x';
    snprintf(much_head, sizeof much_head, OK_HEAD "0\r\n");
    while (strlen(much_head) < sizeof much_head - 100)
        snprintf(much_head + strlen(much_head), 60, "X-%050zu: x\r\n", strlen(much_head));
    memcpy(much_head + strlen(much_head), "\r\n", 3);
    snprintf(colons, sizeof colons, OK_HEAD "%d\r\n\r\n", BODY_MAX);
    while (strlen(colons) + 2 < sizeof colons)
        memcpy(colons + strlen(colons), ":\n", 3);
    unsetenv("http_proxy");
    *state = tiny_start(RULES, DS_COUNT(RULES), NULL);
    return 0;
}

static int teardown(void **state)
{
    tiny_stop(*state);
    return 0;
}

static struct ds_http_request make(const struct tiny *tiny, char url[200],
                                   const char *path)
{
    snprintf(url, 200, "http://127.0.0.1:%u%s", tiny->port, path);
    return (struct ds_http_request){
        .url = url, .timeout_ms = 20000, .body_max = BODY_MAX};
}

/* Does it, and compares the whole answer's text. */
static void assert_answer(const struct ds_http_request *request, int status,
                          const char *body)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_http_do(request, &response, &err), &err);
    assert_int_equal(response.status, status);
    assert_string_equal(response.body.data, body);
    assert_int_equal(response.err.code, DS_OK);
    assert_false(response.refused || response.timed_out);
    assert_in_range(response.elapsed_ms, 0, 20000);
}

/* No whole answer comes, and the words say what was asked and why. */
static void assert_failure(const struct ds_http_request *request, const char *words)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;
    char begin[300];

    assert_int_equal(ds_http_do(request, &response, &err), -1);
    assert_int_equal(response.status, 0);
    assert_int_equal(err.code, DS_E_NET);
    snprintf(begin, sizeof begin, "%s %s: ", request->method ? request->method : "GET",
             request->url);
    if (strncmp(err.text, begin, strlen(begin)) != 0 || !strstr(err.text, words) ||
        strlen(err.text) == strlen(begin))
        fail_msg("'%s' is not '%s' with '%s'", err.text, begin, words);
}

static void an_answer_is_taken_whole(void **state)
{
    char url[200];
    struct ds_http_request request = make(*state, url, "/ok");

    assert_answer(&request, 200, "hello\n");
    request = make(*state, url, "/empty");
    assert_answer(&request, 200, "");
    request = make(*state, url, "/none");
    assert_answer(&request, 204, "");
    request = make(*state, url, "/nobody-knows");
    assert_answer(&request, 404, ""); /* an answer is an answer */
}

static void a_redirect_is_not_followed(void **state)
{
    const struct tiny *tiny = *state;
    char url[200];
    struct ds_http_request request = make(tiny, url, "/redirect");

    assert_answer(&request, 302, "");
    assert_int_equal(tiny->n_requests, 1);
}

static void the_answers_size_is_limited(void **state)
{
    char url[200];
    struct ds_http_request request = make(*state, url, "/at-cap");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_http_do(&request, &response, &err), &err);
    assert_int_equal(response.body.len, BODY_MAX);
    request = make(*state, url, "/over-cap");
    assert_failure(&request, "the answer is longer than 1000 bytes");
    request = make(*state, url, "/flood");
    assert_failure(&request, "the answer is longer than 1000 bytes");
    request = make(*state, url, "/empty");
    request.body_max = 0;
    assert_answer(&request, 200, "");
    request = make(*state, url, "/ok");
    request.body_max = 0;
    assert_failure(&request, "the answer is longer than 0 bytes");
}

static void the_size_of_the_headers_is_limited(void **state)
{
    char url[200];
    struct ds_http_request request = make(*state, url, "/much-head");

    assert_failure(&request, "the answer's headers are longer than 65536 bytes");
}

static void nothing_takes_longer_than_its_timeout(void **state)
{
    static const char *const paths[] = {"/hang", "/hang-body"};

    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        char url[200];
        struct ds_http_request request = make(*state, url, paths[i]);
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;

        request.timeout_ms = 150;
        assert_failure(&request, "");
        assert_int_equal(ds_http_do(&request, &response, &err), -1);
        assert_true(response.timed_out);
        assert_false(response.refused);
        assert_int_equal(response.status, 0);
        assert_in_range(response.elapsed_ms, 149, 10000);
    }
}

static void a_refused_connection_is_told_apart(void **state)
{
    DS_AUTO(fd) int fd = -1;
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;
    char url[100];
    struct ds_http_request request = {.url = url, .timeout_ms = 20000};

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", tiny_closed_port(&fd));
    assert_failure(&request, "cannot connect: Connection refused");
    assert_int_equal(ds_http_do(&request, &response, &err), -1);
    assert_true(response.refused);
    assert_false(response.timed_out);
}

static void half_an_answer_is_none(void **state)
{
    static const char *const paths[] = {"/cut-body", "/cut-head", "/cut-all",
                                        "/cut-chunk", "/not-http"};

    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        char url[200];
        struct ds_http_request request = make(*state, url, paths[i]);

        assert_failure(&request, "");
    }
}

static void what_cannot_be_asked_fails_with_words(void **state)
{
    static const char *const urls[] = {"",
                                       "http://",
                                       "://x",
                                       "ftp://127.0.0.1/x",
                                       "file:///etc/hostname",
                                       "http://127.0.0.1:99999/",
                                       "gopher://127.0.0.1/",
                                       "http://a b/"};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(urls); i++) {
        struct ds_http_request request = {.url = urls[i], .timeout_ms = 20000};

        assert_failure(&request, "");
    }
}

static void what_comes_before_the_answer_is_passed_over(void **state)
{
    char url[200];
    struct ds_http_request request = make(*state, url, "/continue");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(str) char *which = NULL;

    assert_ok(ds_http_do(&request, &response, &err), &err);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "ok");
    which = ds_http_header(&response, "X-Which");
    assert_string_equal(which, "last");
}

static void headers_are_found_by_name(void **state)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"X-A", "spaced"},       {"x-a", "spaced"},      {"X-AB", "longer"},
        {"X-Empty", ""},         {"X-", NULL},           {"X-Colon", "a: b"},
        {"X-ABC", NULL},         {"HTTP/1.1 200", NULL}, {"", NULL},
        {"content-length", "0"},
    };
    char url[200];
    struct ds_http_request request = make(*state, url, "/headers");
    DS_AUTO(http_response) struct ds_http_response response, fresh;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_http_do(&request, &response, &err), &err);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(str) char *value = ds_http_header(&response, rows[i].name);

        if (!rows[i].value)
            assert_null(value);
        else
            assert_string_equal(value, rows[i].value);
    }
    ds_http_response_init(&fresh);
    assert_null(ds_http_header(&fresh, "X-A"));
}

/* What the server received. */
static void echo(const struct ds_http_request *request, struct ds_buf *out)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request larger = *request;
    struct ds_error err = DS_ERROR_INIT;

    larger.body_max = LARGE + 10000;
    ds_buf_init(out, LARGE + 10000);
    assert_ok(ds_http_do(&larger, &response, &err), &err);
    ds_buf_add(out, response.body.data, response.body.len);
}

static void bodies_have_a_length_and_come_at_once(void **state)
{
    static const char *const methods[] = {"PUT", "POST"};

    for (size_t i = 0; i < DS_COUNT(methods); i++) {
        DS_AUTO(buf) struct ds_buf empty = DS_BUF_INIT(0), odd = DS_BUF_INIT(0);
        char url[200], begin[100];
        struct ds_http_request request = make(*state, url, "/echo");

        request.method = methods[i];
        echo(&request, &empty);
        snprintf(begin, sizeof begin, "%s /echo HTTP/1.1\r\n", methods[i]);
        assert_memory_equal(empty.data, begin, strlen(begin));
        assert_non_null(strstr(empty.data, "\r\nContent-Length: 0\r\n"));
        request.body = "a\0b\r\n";
        request.body_len = 5;
        echo(&request, &odd);
        assert_non_null(strstr(odd.data, "\r\nContent-Length: 5\r\n"));
        assert_memory_equal(odd.data + odd.len - 9, "\r\n\r\na\0b\r\n", 9);
        assert_null(strstr(odd.data, "Transfer-Encoding"));
        assert_null(strstr(odd.data, "Expect"));
    }
}

static void a_large_body_is_not_announced_first(void **state)
{
    DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(0);
    DS_AUTO(ptr) void *body = ds_xcalloc(1, LARGE);
    char url[200];
    struct ds_http_request request = make(*state, url, "/echo");
    int64_t start = ds_clock_mono_ms();

    memset(body, 'y', LARGE);
    request.method = "PUT";
    request.body = body;
    request.body_len = LARGE;
    echo(&request, &got);
    assert_null(strstr(got.data, "Expect"));
    assert_non_null(strstr(got.data, "\r\nContent-Length: 3145728\r\n"));
    assert_memory_equal(got.data + got.len - LARGE, body, LARGE);
    assert_true(ds_clock_mono_ms() - start < 15000);
}

static void requests_without_a_body_say_nothing_of_one(void **state)
{
    static const char *const methods[] = {"GET", "DELETE"};

    for (size_t i = 0; i < DS_COUNT(methods); i++) {
        DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(0);
        char url[200];
        struct ds_http_request request = make(*state, url, "/echo");

        request.method = methods[i];
        echo(&request, &got);
        assert_memory_equal(got.data, methods[i], strlen(methods[i]));
        assert_null(strstr(got.data, "Content-Length"));
        assert_null(strstr(got.data, "Content-Type"));
    }
}

static void a_head_has_no_body(void **state)
{
    char url[200];
    struct ds_http_request request = make(*state, url, "/ok");

    request.method = "HEAD";
    request.body_max = 0;
    assert_answer(&request, 200, "");
}

static void headers_and_path_are_sent_as_they_are(void **state)
{
    DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(0);
    char url[200];
    struct ds_http_request request = make(*state, url, "/a/../%2e/b?c=d/../e");

    request.headers[0] = "X-First: 1";
    request.headers[DS_HTTP_HEADERS_MAX - 1] = "X-Last: 8";
    echo(&request, &got);
    assert_non_null(strstr(got.data, "GET /a/../%2e/b?c=d/../e HTTP/1.1\r\n"));
    assert_non_null(strstr(got.data, "\r\nX-First: 1\r\n"));
    assert_non_null(strstr(got.data, "\r\nX-Last: 8\r\n"));
    assert_non_null(strstr(got.data, "\r\nUser-Agent: dshard/" DS_VERSION "\r\n"));
    assert_null(strstr(got.data, "Authorization"));
}

static void credentials_are_sent_and_never_said(void **state)
{
    static const char *const paths[] = {"/hang", "/cut-head", "/over-cap"};
    DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(0);
    char url[200];
    struct ds_http_request request = make(*state, url, "/echo");

    request.username = "Aladdin";
    request.password = "open:sesame";
    request.headers[0] = "X-Consul-Token: open:sesame";
    echo(&request, &got);
    assert_non_null(
        strstr(got.data, "Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n"));
    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;

        snprintf(url, sizeof url, "http://127.0.0.1:%u%s",
                 ((const struct tiny *)*state)->port, paths[i]);
        request.timeout_ms = 150;
        assert_int_equal(ds_http_do(&request, &response, &err), -1);
        ds_http_fail_status(&request, &response, &response.err);
        assert_null(strstr(err.text, "sesame"));
        assert_null(strstr(err.text, "Aladdin"));
        assert_null(strstr(response.err.text, "sesame"));
    }
}

static void a_user_without_a_password_has_an_empty_one(void **state)
{
    DS_AUTO(buf) struct ds_buf got = DS_BUF_INIT(0);
    char url[200];
    struct ds_http_request request = make(*state, url, "/echo");

    request.username = "Aladdin";
    echo(&request, &got);
    assert_non_null(strstr(got.data, "Authorization: Basic QWxhZGRpbjo=\r\n"));
}

static void the_environments_proxy_is_not_used(void **state)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy",
                                        "ALL_PROXY", "https_proxy"};
    DS_AUTO(fd) int fd = -1;
    char url[200], proxy[64];
    struct ds_http_request request = make(*state, url, "/ok");

    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", tiny_closed_port(&fd));
    for (size_t i = 0; i < DS_COUNT(names); i++)
        assert_int_equal(setenv(names[i], proxy, 1), 0);
    assert_answer(&request, 200, "hello\n");
    for (size_t i = 0; i < DS_COUNT(names); i++)
        assert_int_equal(unsetenv(names[i]), 0);
}

static void a_unix_socket_is_spoken_to(void **state)
{
    char dir[] = "/tmp/dshard-test-http.XXXXXX", path[64], url[] = "http://agent/ok";
    struct ds_http_request request = {
        .url = url, .unix_socket = path, .timeout_ms = 20000, .body_max = BODY_MAX};
    struct tiny *tiny;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    tiny = tiny_start(RULES, DS_COUNT(RULES), path);
    assert_answer(&request, 200, "hello\n");
    tiny_stop(tiny);
    assert_failure(&request, "");
    assert_int_equal(unlink(path), 0);
    assert_failure(&request, "");
    assert_int_equal(rmdir(dir), 0);
}

static void a_status_is_told_with_the_servers_words(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"/403", "403: ACL not found"},
        {"/odd", "500: a??[m?\xC3\xA4? "},
        {"/empty", "200"},
        {"/announced", "500: serving metrics: 2 errors: * bad"},
        {"/announced-nothing", "500: two errors:"},
        {"/colons", NULL},
        {"/at-cap", NULL},
    };

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        char url[200], want[400];
        struct ds_http_request request = make(*state, url, rows[i].path);
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;

        request.method = i % 2 ? "PUT" : NULL;
        assert_ok(ds_http_do(&request, &response, &err), &err);
        assert_int_equal(ds_http_fail_status(&request, &response, &err), -1);
        assert_int_equal(err.code, DS_E_PEER);
        assert_true(ds_utf8_is_valid(err.text, strlen(err.text)));
        assert_true(strlen(err.text) < 500);
        snprintf(want, sizeof want, "%s %s: %s", i % 2 ? "PUT" : "GET", url,
                 rows[i].want ? rows[i].want : "");
        if (rows[i].want)
            assert_string_equal(err.text, want);
    }
}

/* ---- the sink ---- */

struct sink {
    struct ds_buf got;
    size_t stop_at; /* 0: takes all */
    unsigned calls;
};

static int sink(void *arg, const char *data, size_t len)
{
    struct sink *sink = arg;

    sink->calls++;
    ds_buf_add(&sink->got, data, len);
    return sink->stop_at && sink->got.len >= sink->stop_at ? -1 : 0;
}

static void a_sink_gets_the_body_and_the_answer_keeps_the_rest(void **state)
{
    static const struct {
        const char *path, *sunk, *kept;
        int status;
    } rows[] = {
        {"/ok", "hello\n", "", 200},
        {"/empty", "", "", 200},
        {"/continue", "ok", "", 200},
        {"/none", "", "", 204},
        {"/403", "", "ACL not found\r\n", 403},
        {"/redirect", "", "", 302},
    };

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct sink to = {.got = DS_BUF_INIT(BODY_MAX)};
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;
        char url[200];
        struct ds_http_request request = make(*state, url, rows[i].path);

        request.sink = sink;
        request.sink_arg = &to;
        assert_ok(ds_http_do(&request, &response, &err), &err);
        assert_int_equal(response.status, rows[i].status);
        assert_string_equal(to.got.data, rows[i].sunk);
        assert_int_equal(response.sunk, to.got.len);
        assert_memory_equal(response.body.data, rows[i].kept, strlen(rows[i].kept));
        assert_int_equal(response.body.len > 0, rows[i].kept[0] != '\0');
        assert_false(response.stopped);
        assert_in_range(response.begun_ms, 0, response.elapsed_ms);
        ds_buf_release(&to.got);
    }
}

static void a_sink_gets_no_more_than_the_limit(void **state)
{
    static const struct {
        const char *path;
        size_t max, want;
    } rows[] = {
        {"/at-cap", BODY_MAX, BODY_MAX},
        {"/over-cap", BODY_MAX, 0},
        {"/flood", BODY_MAX, 0},
        {"/flood", 2 * 1024 * 1024, 0},
        {"/empty", 0, 0},
        {"/ok", 0, 0},
    };

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct sink to = {.got = DS_BUF_INIT(LARGE)};
        char url[200], words[100];
        struct ds_http_request request = make(*state, url, rows[i].path);

        request.sink = sink;
        request.sink_arg = &to;
        request.body_max = rows[i].max;
        snprintf(words, sizeof words, "the answer is longer than %zu bytes", rows[i].max);
        if (rows[i].want || !strcmp(rows[i].path, "/empty"))
            assert_answer(&request, 200, "");
        else
            assert_failure(&request, words);
        assert_true(to.got.len <= rows[i].max);
        if (rows[i].want)
            assert_int_equal(to.got.len, rows[i].want);
        ds_buf_release(&to.got);
    }
}

static void a_sink_can_end_it(void **state)
{
    static const char *const paths[] = {"/ok", "/flood", "/hang-body", "/cut-body"};

    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        struct sink to = {.got = DS_BUF_INIT(LARGE), .stop_at = 1};
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;
        char url[200];
        struct ds_http_request request = make(*state, url, paths[i]);

        request.sink = sink;
        request.sink_arg = &to;
        request.body_max = LARGE;
        assert_int_equal(ds_http_do(&request, &response, &err), -1);
        assert_true(response.stopped);
        assert_int_equal(response.status, 0);
        assert_int_equal(to.calls, 1); /* and is left alone then */
        assert_non_null(strstr(err.text, "not what was asked for"));
        ds_buf_release(&to.got);
    }
}

static void half_an_answer_to_a_sink_is_none(void **state)
{
    static const char *const paths[] = {"/cut-body", "/cut-head", "/cut-all",
                                        "/cut-chunk", "/not-http"};

    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        struct sink to = {.got = DS_BUF_INIT(LARGE)};
        char url[200];
        struct ds_http_request request = make(*state, url, paths[i]);

        request.sink = sink;
        request.sink_arg = &to;
        assert_failure(&request, "");
        ds_buf_release(&to.got);
    }
}

/* ---- the loop ---- */

struct result {
    int calls, status;
    struct ds_http_loop *loop;
    struct ds_http_transfer **to_cancel;
    const struct ds_http_request *to_start;
    struct result *started;
};

static void done(void *arg, struct ds_http_response *response)
{
    struct result *result = arg;

    result->calls++;
    result->status = response->status;
    if (result->to_cancel && *result->to_cancel) {
        ds_http_cancel(*result->to_cancel);
        *result->to_cancel = NULL;
    }
    if (result->to_start)
        ds_http_start(result->loop, result->to_start, done, result->started);
}

static void run_until(struct ds_http_loop *loop, const struct result *results, size_t n,
                      size_t want)
{
    int64_t deadline = ds_clock_mono_ms() + 30000;
    size_t calls = 0;

    while (calls < want && ds_clock_mono_ms() < deadline) {
        ds_http_loop_run(loop, NULL, 0, 1000);
        calls = 0;
        for (size_t i = 0; i < n; i++)
            calls += (size_t)results[i].calls;
    }
    assert_int_equal(calls, want);
}

static void many_run_at_once(void **state)
{
    static const char *const paths[] = {"/ok", "/hang", "/over-cap", "/cut-body"};
    const struct tiny *tiny = *state;
    struct ds_http_loop *loop = ds_http_loop_new();
    struct result results[MANY] = {0};
    int64_t start = ds_clock_mono_ms();

    for (size_t i = 0; i < MANY; i++) {
        char url[200];
        struct ds_http_request request = make(tiny, url, paths[i % 4]);

        request.timeout_ms = i % 4 == 1 ? 300 : 20000;
        ds_http_start(loop, &request, done, &results[i]);
        memset(url, '!', sizeof url); /* it was borrowed for that long only */
    }
    run_until(loop, results, MANY, MANY);
    assert_true(ds_clock_mono_ms() - start < 10000); /* side by side */
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(results[i].calls, 1);
        assert_int_equal(results[i].status, i % 4 == 0 ? 200 : 0);
    }
    ds_http_loop_free(loop);
}

static void who_is_cancelled_is_not_called(void **state)
{
    const struct tiny *tiny = *state;
    struct ds_http_loop *loop = ds_http_loop_new();
    struct result cancelled = {0}, other = {0};
    char url[200];
    struct ds_http_request request = make(tiny, url, "/hang");
    struct ds_http_transfer *transfer;
    int64_t deadline = ds_clock_mono_ms() + 20000;

    ds_http_cancel(
        ds_http_start(loop, &request, done, &cancelled)); /* before its start */
    transfer = ds_http_start(loop, &request, done, &cancelled);
    while (!tiny->n_requests && ds_clock_mono_ms() < deadline)
        ds_http_loop_run(loop, NULL, 0, 10);
    ds_http_cancel(transfer); /* when the server has it */
    request = make(tiny, url, "/ok");
    ds_http_start(loop, &request, done, &other);
    run_until(loop, &other, 1, 1);
    assert_int_equal(cancelled.calls, 0);
    while (tiny->n_open > 1 && ds_clock_mono_ms() < deadline)
        ds_clock_sleep_ms(2);
    assert_int_equal(tiny->n_open, 1); /* of the cancelled one nothing is left */
    ds_http_loop_free(loop);
}

static void a_callback_may_cancel_and_start(void **state)
{
    const struct tiny *tiny = *state;
    struct ds_http_loop *loop = ds_http_loop_new();
    struct result results[3] = {0};
    struct ds_http_transfer *hangs;
    char url[200], other_url[200];
    struct ds_http_request request = make(tiny, url, "/hang");
    struct ds_http_request next = make(tiny, other_url, "/none");

    hangs = ds_http_start(loop, &request, done, &results[0]);
    request = make(tiny, url, "/ok");
    results[1] = (struct result){
        .loop = loop, .to_cancel = &hangs, .to_start = &next, .started = &results[2]};
    ds_http_start(loop, &request, done, &results[1]);
    run_until(loop, results, 3, 2);
    assert_int_equal(results[0].calls, 0);
    assert_int_equal(results[1].status, 200);
    assert_int_equal(results[2].status, 204);
    ds_http_loop_free(loop);
}

/* Two that end in one round, the first of which cancels the other. */
static void a_callback_may_cancel_who_has_just_ended(void **state)
{
    DS_AUTO(fd) int fd = -1;
    char url[100];
    struct ds_http_request request = {.url = url, .timeout_ms = 20000};
    struct ds_http_loop *loop = ds_http_loop_new();
    struct ds_http_transfer *transfers[2];
    struct result results[2] = {{.to_cancel = &transfers[1]},
                                {.to_cancel = &transfers[0]}};

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/x", tiny_closed_port(&fd));
    for (size_t i = 0; i < 2; i++)
        transfers[i] = ds_http_start(loop, &request, done, &results[i]);
    run_until(loop, results, 2, 1);
    ds_http_loop_run(loop, NULL, 0, 50);
    assert_int_equal(results[0].calls + results[1].calls, 1);
    ds_http_loop_free(loop);
}

static void the_end_of_the_loop_cancels_all(void **state)
{
    struct ds_http_loop *loop = ds_http_loop_new();
    struct result results[20] = {0};
    char url[200];
    struct ds_http_request request = make(*state, url, "/hang");

    for (size_t i = 0; i < DS_COUNT(results); i++)
        ds_http_start(loop, &request, done, &results[i]);
    ds_http_loop_run(loop, NULL, 0, 20);
    ds_http_loop_free(loop);
    for (size_t i = 0; i < DS_COUNT(results); i++)
        assert_int_equal(results[i].calls, 0);
    ds_http_loop_free(NULL);
}

static void the_loop_wakes_up_for_descriptors(void **state)
{
    struct ds_http_loop *loop = ds_http_loop_new();
    int64_t start = ds_clock_mono_ms();
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    ds_http_loop_run(loop, ends, 1, 60);
    assert_true(ds_clock_mono_ms() - start >= 55);
    assert_int_equal(write(ends[1], "x", 1), 1);
    start = ds_clock_mono_ms();
    ds_http_loop_run(loop, ends, 1, 30000);
    ds_http_loop_run(loop, ends, 1, 0);
    ds_http_loop_run(loop, NULL, 0, -5);
    assert_true(ds_clock_mono_ms() - start < 10000);
    close(ends[0]);
    close(ends[1]);
    ds_http_loop_free(loop);
}

/* It would not wake the poll: there is nothing left to wait for. */
static void what_ends_at_once_is_not_waited_for(void **state)
{
    static const struct ds_http_request request = {
        .url = "http://x/", .unix_socket = "/nonexistent/socket", .timeout_ms = 20000};
    struct ds_http_loop *loop = ds_http_loop_new();
    int64_t start = ds_clock_mono_ms();
    struct result result = {0};

    (void)state;
    ds_http_start(loop, &request, done, &result);
    while (!result.calls)
        ds_http_loop_run(loop, NULL, 0, 30000);
    assert_true(ds_clock_mono_ms() - start < 10000);
    ds_http_loop_free(loop);
}

static void a_fresh_request_has_its_own_connection(void **state)
{
    const struct tiny *tiny = *state;
    struct ds_http_loop *loop = ds_http_loop_new();
    char url[200];
    struct ds_http_request request = make(tiny, url, "/ok");
    struct result results[6] = {0};

    for (size_t i = 0; i < DS_COUNT(results); i++) {
        request.fresh = i >= 3;
        ds_http_start(loop, &request, done, &results[i]);
        run_until(loop, results, DS_COUNT(results), i + 1);
        assert_int_equal(results[i].status, 200);
        assert_int_equal(tiny->n_accepted, i < 3 ? 1 : i - 1);
    }
    ds_http_loop_free(loop);
}

static void a_loop_that_is_there_keeps_its_connection(void **state)
{
    const struct tiny *tiny = *state;
    struct ds_http_loop *loop = ds_http_loop_new();

    for (unsigned i = 0; i < 5; i++) {
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;
        char url[200];
        struct ds_http_request request = make(tiny, url, i == 2 ? "/403" : "/ok");

        assert_ok(ds_http_do_on(loop, &request, &response, &err), &err);
        assert_int_equal(response.status, i == 2 ? 403 : 200);
        assert_int_equal(tiny->n_accepted, 1);
    }
    ds_http_loop_free(loop);
}

/* Servers close what has been idle for long, and restart. */
static void a_kept_connection_that_is_closed_is_replaced(void **state)
{
    DS_AUTO(fd) int fd = -1;
    unsigned port = tiny_closed_port(&fd);
    struct ds_http_loop *loop = ds_http_loop_new();

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct tiny *tiny = tiny_start_at(RULES, DS_COUNT(RULES), NULL, port);
        DS_AUTO(http_response) struct ds_http_response response;
        struct ds_error err = DS_ERROR_INIT;
        char url[200];
        struct ds_http_request request = make(tiny, url, "/ok");

        request.method = i % 2 ? "PUT" : "GET";
        assert_ok(ds_http_do_on(loop, &request, &response, &err), &err);
        assert_int_equal(response.status, 200);
        tiny_stop(tiny);
    }
    ds_http_loop_free(loop);
}

static void an_answer_tells_its_date(void **state)
{
    static const struct {
        const char *headers;
        int64_t want;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 784111777000},
        {"HTTP/1.1 200 OK\r\ndate:Sun, 06 Nov 1994 08:49:37 GMT \r\n\r\n", 784111777000},
        {"HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", -1},
        {"HTTP/1.1 200 OK\r\nDate:\r\n\r\n", -1},
        {"HTTP/1.1 200 OK\r\n\r\n", -1},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(http_response) struct ds_http_response response;

        ds_http_response_init(&response);
        ds_buf_adds(&response.headers, rows[i].headers);
        assert_int_equal(ds_http_date_ms(&response), rows[i].want);
    }
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(an_answer_is_taken_whole),
        SERVED(a_redirect_is_not_followed),
        SERVED(the_answers_size_is_limited),
        SERVED(the_size_of_the_headers_is_limited),
        SERVED(nothing_takes_longer_than_its_timeout),
        cmocka_unit_test(a_refused_connection_is_told_apart),
        SERVED(half_an_answer_is_none),
        cmocka_unit_test(what_cannot_be_asked_fails_with_words),
        SERVED(what_comes_before_the_answer_is_passed_over),
        SERVED(headers_are_found_by_name),
        SERVED(bodies_have_a_length_and_come_at_once),
        SERVED(a_large_body_is_not_announced_first),
        SERVED(requests_without_a_body_say_nothing_of_one),
        SERVED(a_head_has_no_body),
        SERVED(headers_and_path_are_sent_as_they_are),
        SERVED(credentials_are_sent_and_never_said),
        SERVED(a_user_without_a_password_has_an_empty_one),
        SERVED(the_environments_proxy_is_not_used),
        cmocka_unit_test(a_unix_socket_is_spoken_to),
        SERVED(a_status_is_told_with_the_servers_words),
        SERVED(many_run_at_once),
        SERVED(who_is_cancelled_is_not_called),
        SERVED(a_callback_may_cancel_and_start),
        cmocka_unit_test(a_callback_may_cancel_who_has_just_ended),
        SERVED(the_end_of_the_loop_cancels_all),
        cmocka_unit_test(the_loop_wakes_up_for_descriptors),
        cmocka_unit_test(what_ends_at_once_is_not_waited_for),
        SERVED(a_fresh_request_has_its_own_connection),
        SERVED(a_sink_gets_the_body_and_the_answer_keeps_the_rest),
        SERVED(a_sink_gets_no_more_than_the_limit),
        SERVED(a_sink_can_end_it),
        SERVED(half_an_answer_to_a_sink_is_none),
        SERVED(a_loop_that_is_there_keeps_its_connection),
        cmocka_unit_test(a_kept_connection_that_is_closed_is_replaced),
        cmocka_unit_test(an_answer_tells_its_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
