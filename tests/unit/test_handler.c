/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/handler.h"

#include <jansson.h>
#include <stdlib.h>

/* One member owns everything: what is tested here is not where a group goes. */
struct fixture {
    struct ds_state state;
    struct ds_ring *ring;
    struct ds_view view;
    struct ds_handler handler;
    struct ds_response response;
};

#define OWNER "10.0.0.1:9091"

static int setup(void **state)
{
    struct fixture *f = ds_xcalloc(1, sizeof *f);
    struct ds_server member = {OWNER, 1};
    struct ds_error err = DS_ERROR_INIT;

    ds_state_init(&f->state);
    ds_state_add(&f->state, member.address, 1);
    assert_ok(ds_state_set_ring(&f->state, &member, 1, 500, DS_CAUSE_START, 1000, &err),
              &err);
    f->state.generation = 42;
    f->ring = ds_state_ring(&f->state);
    f->view = (struct ds_view){.state = &f->state, .ring = f->ring};
    ds_handler_init(&f->handler);
    ds_response_init(&f->response);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ds_response_release(&f->response);
    ds_handler_release(&f->handler);
    ds_ring_free(f->ring);
    ds_state_release(&f->state);
    free(f);
    return 0;
}

static unsigned ask(struct fixture *f, const struct ds_request *request)
{
    ds_handler_answer(&f->handler, &f->view, request, &f->response);
    return f->response.status;
}

static unsigned ask_simply(struct fixture *f, enum ds_mode mode, const char *method,
                           const char *target)
{
    struct ds_request request = {
        .method = method, .target = target, .default_mode = mode};

    return ask(f, &request);
}

/* The value of a header that is there once, or NULL. */
static const char *header(const struct fixture *f, const char *name)
{
    static char value[100000];
    DS_AUTO(str) char *head = ds_xasprintf("\r\n%s", f->response.head.data);
    DS_AUTO(str) char *start = ds_xasprintf("\r\n%s: ", name);
    const char *at = strstr(head, start);
    size_t len;

    if (!at)
        return NULL;
    assert_null(strstr(at + 2, start));
    at += strlen(start);
    len = strcspn(at, "\r");
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

static void assert_header(const struct fixture *f, const char *name, const char *expected)
{
    const char *value = header(f, name);

    if (!value)
        fail_msg("there is no %s in %s", name, f->response.head.data);
    else
        assert_string_equal(value, expected);
}

#define AT_OWNER "http://" OWNER

static void a_push_is_redirected_to_its_owner_by_its_canonical_url(void **state)
{
    static const struct {
        const char *target, *location;
    } cases[] = {
        {"/metrics/job/a", AT_OWNER "/metrics/job/a"},
        {"/metrics/job/a/", AT_OWNER "/metrics/job/a"},
        {"/metrics/job@base64/YQ==", AT_OWNER "/metrics/job/a"},
        {"/metrics/job/%61", AT_OWNER "/metrics/job/a"},
        {"/metrics/job/a/y/2/x/1", AT_OWNER "/metrics/job/a/x/1/y/2"},
        {"/metrics/job/a/x@base64/L3Zhcg", AT_OWNER "/metrics/job/a/x@base64/L3Zhcg"},
        {"/metrics/job/a/x@base64/=", AT_OWNER "/metrics/job/a/x@base64/="},
        {"/metrics/job/a%20b", AT_OWNER "/metrics/job@base64/YSBi"},
        {"/metrics/job/a?q=1&r=%2F", AT_OWNER "/metrics/job/a?q=1&r=%2F"},
        {"http://front/metrics/job/a", AT_OWNER "/metrics/job/a"},
    };
    static const char *const methods[] = {"PUT", "POST", "DELETE"};

    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        for (size_t m = 0; m < DS_COUNT(methods); m++) {
            assert_int_equal(
                ask_simply(*state, DS_MODE_REDIRECT, methods[m], cases[i].target), 307);
            assert_header(*state, "Location", cases[i].location);
            assert_header(*state, "X-Dshard-Generation", "42");
        }
    }
}

static void a_redirect_says_how_to_follow_it(void **state)
{
    struct fixture *f = *state;

    ask_simply(f, DS_MODE_REDIRECT, "PUT", "/metrics/job/a");
    assert_string_equal(f->response.body.data,
                        "this group belongs to " OWNER ": follow redirects (curl -L)\n");
    assert_non_null(
        strstr(f->response.head.data, "\r\nStatus: 307 Temporary Redirect\r\n\r\n"));
}

static void proxy_mode_names_the_target_for_nginx(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "POST", "/metrics/job/a/b/c?d=e"), 200);
    assert_header(f, "X-Accel-Redirect", "@pushgateway");
    assert_header(f, "X-Dshard-Server", OWNER);
    assert_header(f, "X-Dshard-Scheme", "http");
    assert_header(f, "X-Dshard-Uri", "/metrics/job/a/b/c?d=e");
    assert_header(f, "X-Dshard-Generation", "42");
    assert_int_equal(f->response.body.len, 0);
    assert_null(header(f, "Location"));
}

static void auth_mode_allows_and_names_the_target(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask_simply(f, DS_MODE_AUTH, "DELETE", "/metrics/job/a"), 200);
    assert_null(header(f, "X-Accel-Redirect"));
    assert_header(f, "X-Dshard-Server", OWNER);
    assert_header(f, "X-Dshard-Uri", "/metrics/job/a");
    assert_header(f, "X-Dshard-Generation", "42");
}

static void auth_mode_refuses_with_403_and_the_reason(void **state)
{
    static const struct {
        const char *method, *target, *status, *reason;
    } cases[] = {
        {"PUT", "/metrics/job@base64/!", "400",
         "the value of \"job\" is not base64 (RFC 4648, URL-safe alphabet)"},
        {"PUT", "/other", "404",
         "not a push path: /metrics/job/JOB{/LABEL/VALUE} is expected"},
        {"PUT", "/-/healthy", "405", "this page can only be read"},
        {"GET", "/-/healthy", "404", "mode auth is asked about pushes only"},
        {"PUT", "/metrics", "405", "this page can only be read"},
        {"GET", "/metrics/job/a", "405",
         "a group is pushed with PUT or POST and deleted with DELETE"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        assert_int_equal(ask_simply(f, DS_MODE_AUTH, cases[i].method, cases[i].target),
                         403);
        assert_header(f, "X-Dshard-Status", cases[i].status);
        assert_header(f, "X-Dshard-Reason", cases[i].reason);
        assert_null(header(f, "X-Dshard-Server"));
    }
    f->view = (struct ds_view){0};
    assert_int_equal(ask_simply(f, DS_MODE_AUTH, "PUT", "/metrics/job/a"), 403);
    assert_header(f, "X-Dshard-Status", "503");
    assert_header(f, "Retry-After", "2");
}

static void scheme_and_prefix_of_the_servers_are_used(void **state)
{
    struct fixture *f = *state;

    memcpy(f->state.scheme, "https", sizeof "https");
    ds_set_str(&f->state.route_prefix, "/gw");
    ask_simply(f, DS_MODE_REDIRECT, "PUT", "/metrics/job/a");
    assert_header(f, "Location", "https://" OWNER "/gw/metrics/job/a");
    ask_simply(f, DS_MODE_PROXY, "PUT", "/metrics/job/a?b");
    assert_header(f, "X-Dshard-Scheme", "https");
    assert_header(f, "X-Dshard-Uri", "/gw/metrics/job/a?b");
    ask_simply(f, DS_MODE_REDIRECT, "GET", "/metrics/job/a");
    assert_string_equal(f->response.body.data,
                        "nextUrl:https://" OWNER "/gw/metrics/job/a");
}

static void get_answers_as_the_seed_does(void **state)
{
    struct fixture *f = *state;

    for (int mode = 0; mode <= DS_MODE_PROXY; mode++) {
        assert_int_equal(ask_simply(f, (enum ds_mode)mode, "GET", "/metrics/job/a/b/c"),
                         200);
        assert_string_equal(f->response.body.data,
                            "nextUrl:" AT_OWNER "/metrics/job/a/b/c");
        assert_header(f, "Content-Type", "text/plain; charset=utf-8");
        assert_header(f, "Content-Length", "46");
    }
}

static void get_answers_json_when_asked(void **state)
{
    static const char *const accepts[] = {"application/json", "Application/JSON;q=0.5",
                                          "text/html, application/json , */*"};
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(accepts); i++) {
        struct ds_request request = {.method = "GET",
                                     .target = "/metrics/job/a/z/%22%C3%A4/b/c",
                                     .accept = accepts[i]};
        json_auto_t *root = NULL;
        const char *key, *owner, *url, *digest, *job, *b, *z;
        json_int_t generation;
        json_error_t err;

        assert_int_equal(ask(f, &request), 200);
        assert_header(f, "Content-Type", "application/json");
        root = json_loads(f->response.body.data, JSON_REJECT_DUPLICATES, NULL);
        if (json_unpack_ex(root, &err, JSON_STRICT, "{ss,ss,ss,ss,sI,s{ss,ss,ss !}!}",
                           "key", &key, "owner", &owner, "url", &url, "digest", &digest,
                           "generation", &generation, "labels", "job", &job, "b", &b, "z",
                           &z) < 0)
            fail_msg("%s: %s", err.text, f->response.body.data);
        assert_string_equal(key, "/metrics/job/a/b/c/z/\"\xC3\xA4");
        assert_string_equal(owner, OWNER);
        assert_string_equal(url, AT_OWNER "/metrics/job/a/b/c/z@base64/IsOk");
        assert_string_equal(digest, f->state.digest);
        assert_int_equal(generation, 42);
        assert_string_equal(z, "\"\xC3\xA4");
    }
}

static void head_is_get_without_a_body(void **state)
{
    static const char *const targets[] = {
        "/metrics/job/a", "/sd", "/-/healthy", "/none", "/metrics/job/a//b", "/metrics"};
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(targets); i++) {
        DS_AUTO(str) char *head = NULL;

        ask_simply(f, DS_MODE_REDIRECT, "GET", targets[i]);
        head = ds_xstrdup(f->response.head.data);
        assert_true(f->response.body.len > 0);
        ask_simply(f, DS_MODE_REDIRECT, "HEAD", targets[i]);
        assert_string_equal(f->response.head.data, head);
        assert_int_equal(f->response.body.len, 0);
    }
}

static void bad_requests_get_their_status_and_a_line_of_reason(void **state)
{
    static const struct {
        const char *method, *target;
        unsigned status;
    } cases[] = {
        {"PUT", "/metrics/job@base64/!!", 400},
        {"PUT", "/metrics/job/a/x/%FF", 400},
        {"PUT", "/metrics/job/a/x/%00", 400},
        {"PUT", "/metrics/job/a/x", 400},
        {"PUT", "/metrics/job/a//x/y", 400},
        {"PUT", "/metrics/job/a/../b", 400},
        {"PUT", "/metrics/job/a/%2e%2e/b", 400},
        {"PUT", "/metrics/job/a/__x/y", 400},
        {"PUT", "/metrics/job/a%", 400},
        {"PUT", "/metrics/job/a b", 400},
        {"PUT", "/metrics/job@base64/=", 400},
        {"GET", "/metrics/job/a/x", 400},
        {"DELETE", "/metrics/job/a/x", 400},
        {"PUT", "", 400},
        {"PUT", "/metrics/job", 404},
        {"PUT", "/metrics/job/", 404},
        {"PUT", "/", 404},
        {"GET", "/metrics/", 404},
        {"PUT", "/metrics", 405},
        {"GET", "/status/", 404},
        {"POST", "/status", 405},
        {"GET", "/sdx", 404},
        {"GET", "/-/healthy/", 404},
        {"PATCH", "/metrics/job/a", 405},
        {"OPTIONS", "/metrics/job/a", 405},
        {"put", "/metrics/job/a", 405},
        {"PATCH", "/metrics/job/a/x", 405},
        {"PATCH", "/none", 404},
        {"POST", "/sd", 405},
        {"PUT", "/-/ready", 405},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        unsigned status =
            ask_simply(f, DS_MODE_REDIRECT, cases[i].method, cases[i].target);
        const struct ds_buf *body = &f->response.body;

        if (status != cases[i].status)
            fail_msg("%s %s: %u", cases[i].method, cases[i].target, status);
        assert_true(body->len > 1);
        assert_ptr_equal(strchr(body->data, '\n'), body->data + body->len - 1);
        assert_header(f, "X-Dshard-Generation", "42");
        assert_null(header(f, "Location"));
    }
}

static void a_405_says_what_is_allowed(void **state)
{
    ask_simply(*state, DS_MODE_REDIRECT, "PATCH", "/metrics/job/a");
    assert_header(*state, "Allow", "DELETE, GET, HEAD, POST, PUT");
    ask_simply(*state, DS_MODE_REDIRECT, "PATCH", "/sd");
    assert_header(*state, "Allow", "GET, HEAD");
}

static void a_path_over_8_KiB_is_too_long(void **state)
{
    static char target[DS_TARGET_MAX + 2] = "/metrics/job/";

    memset(target + 13, 'a', DS_TARGET_MAX - 13);
    assert_int_equal(ask_simply(*state, DS_MODE_REDIRECT, "PUT", target), 307);
    target[DS_TARGET_MAX] = 'a';
    assert_int_equal(ask_simply(*state, DS_MODE_REDIRECT, "PUT", target), 414);
}

/* The longest URL that can come of a target, in both headers that may carry it. */
static void the_longest_canonical_url_is_not_cut(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(buf) struct ds_buf target = DS_BUF_INIT(DS_TARGET_MAX);

    ds_buf_adds(&target, "/metrics/job/a");
    for (int i = 0; target.len < DS_TARGET_MAX - 8; i++)
        ds_buf_addf(&target, "/a%x/+", i);
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "PUT", target.data), 307);
    assert_int_equal(strlen(header(f, "Location")),
                     strlen(AT_OWNER) + f->handler.group.url.len);
    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "PUT", target.data), 200);
    assert_int_equal(strlen(header(f, "X-Dshard-Uri")), f->handler.group.url.len);
}

static void without_a_state_all_but_health_is_503(void **state)
{
    static const char *const targets[] = {"/metrics/job/a", "/sd", "/-/ready"};
    struct fixture *f = *state;

    f->view = (struct ds_view){0};
    for (size_t i = 0; i < DS_COUNT(targets); i++) {
        assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "GET", targets[i]), 503);
        assert_header(f, "Retry-After", "2");
        assert_header(f, "X-Dshard-Generation", "0");
    }
    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "PUT", "/metrics/job/a"), 503);
    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "PUT", "/metrics/job/a/x"), 400);
    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "GET", "/-/healthy"), 200);
    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "GET", "/test/v1"), 200);
}

static void without_a_member_pushes_are_503_and_sd_goes_on(void **state)
{
    struct fixture *f = *state;

    f->view.ring = NULL;
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "PUT", "/metrics/job/a"), 503);
    assert_header(f, "Retry-After", "2");
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "GET", "/metrics/job/a"), 503);
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "GET", "/sd"), 200);
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "GET", "/-/ready"), 200);
}

static void metrics_are_told_with_and_without_a_state(void **state)
{
    struct fixture *f = *state;
    struct ds_request request = {
        .method = "GET", .target = "/p/metrics?x", .prefix = "/p", .now_ms = 1000};

    f->state.checked_at_ms = 1000;
    assert_int_equal(ask(f, &request), 200);
    assert_header(f, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(f->response.body.data, "\ndshard_ring_generation 42\n"));
    assert_non_null(strstr(f->response.body.data, "\ndshard_watch_up 1\n"));
    f->view = (struct ds_view){0};
    assert_int_equal(ask(f, &request), 200);
    assert_non_null(strstr(f->response.body.data, "\ndshard_state_usable 0\n"));
    assert_int_equal(ask_simply(f, DS_MODE_AUTH, "GET", "/metrics"), 403);
}

static void what_became_of_a_request_is_told_to_who_counts(void **state)
{
    static const struct {
        enum ds_mode mode;
        const char *method, *target;
        struct ds_outcome outcome;
    } cases[] = {
#define REFUSED(method, status, why) {method, why, status, -1}
        {DS_MODE_REDIRECT, "PUT", "/metrics/job/a", {DS_METHOD_PUT, 0, 307, 7}},
        {DS_MODE_PROXY, "DELETE", "/metrics/job/a", {DS_METHOD_DELETE, 0, 200, 7}},
        {DS_MODE_AUTH, "POST", "/metrics/job/a", {DS_METHOD_POST, 0, 200, 7}},
        {DS_MODE_REDIRECT, "GET", "/metrics/job/a", {DS_METHOD_GET, 0, 200, -1}},
        {DS_MODE_REDIRECT, "HEAD", "/sd", {DS_METHOD_HEAD, 0, 200, -1}},
        {DS_MODE_REDIRECT, "PUT", "/metrics/job/a/b",
         REFUSED(DS_METHOD_PUT, 400, DS_REFUSAL_BAD_PATH)},
        {DS_MODE_AUTH, "PUT", "/metrics/job/a/b",
         REFUSED(DS_METHOD_PUT, 403, DS_REFUSAL_BAD_PATH)},
        {DS_MODE_REDIRECT, "PUT", "/none",
         REFUSED(DS_METHOD_PUT, 404, DS_REFUSAL_NOT_FOUND)},
        {DS_MODE_REDIRECT, "PATCH", "/metrics/job/a",
         REFUSED(DS_METHOD_OTHER, 405, DS_REFUSAL_METHOD)},
        {DS_MODE_REDIRECT, "POST", "/sd",
         REFUSED(DS_METHOD_POST, 405, DS_REFUSAL_METHOD)},
        {DS_MODE_REDIRECT, NULL, "/sd",
         REFUSED(DS_METHOD_OTHER, 500, DS_REFUSAL_MISCONFIGURED)},
#undef REFUSED
    };
    static const uint16_t places[] = {7};
    struct fixture *f = *state;

    f->view.places = places;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        const struct ds_outcome *got = &f->handler.outcome, *want = &cases[i].outcome;

        ask_simply(f, cases[i].mode, cases[i].method, cases[i].target);
        if (got->method != want->method || got->refusal != want->refusal ||
            got->status != want->status || got->place != want->place)
            fail_msg("case %zu: %d %d %u %d", i, got->method, got->refusal, got->status,
                     got->place);
    }
    f->view.ring = NULL;
    ask_simply(f, DS_MODE_PROXY, "PUT", "/metrics/job/a");
    assert_int_equal(f->handler.outcome.refusal, DS_REFUSAL_NO_MEMBER);
    f->view = (struct ds_view){0};
    ask_simply(f, DS_MODE_PROXY, "PUT", "/metrics/job/a");
    assert_int_equal(f->handler.outcome.refusal, DS_REFUSAL_NO_STATE);
    assert_int_equal(f->handler.outcome.place, -1);
}

/* It was not sent anywhere after all. */
static void an_answer_that_is_too_long_is_a_refusal(void **state)
{
    static const uint16_t places[] = {7};
    struct fixture *f = *state;

    f->view.places = places;
    f->response.head.max = 150; /* room for the refusal */
    assert_int_equal(ask_simply(f, DS_MODE_REDIRECT, "PUT",
                                "/metrics/job/a/instance/a.host.with.a.long.name"),
                     500);
    assert_int_equal(f->handler.outcome.refusal, DS_REFUSAL_OVERFLOW);
    assert_int_equal(f->handler.outcome.status, 500);
    assert_int_equal(f->handler.outcome.place, -1);
    f->handler.url.max = 10;
    assert_int_equal(ask(f, &(struct ds_request){.method = "GET",
                                                 .target = "/metrics/job/a",
                                                 .accept = "application/json"}),
                     500);
}

static void sd_is_json(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask_simply(f, DS_MODE_PROXY, "GET", "/sd?x"), 200);
    assert_header(f, "Content-Type", "application/json");
    assert_non_null(strstr(f->response.body.data, "\"targets\":[\"" OWNER "\"]"));
}

static void the_prefix_is_cut(void **state)
{
    static const struct {
        const char *prefix, *target;
        unsigned status;
    } cases[] = {
        {"/push", "/push/metrics/job/a", 307},
        {"/push", "/push/-/healthy", 405},
        {"/push", "http://h/push/metrics/job/a", 307},
        {"/push", "/metrics/job/a", 404},
        {"/push", "/pushx/metrics/job/a", 404},
        {"/push", "/push", 400},
        {"/push", "/push?x", 400},
        {"/push", "/push/metrics/job/a/x", 400},
        {"/a/b", "/a/b/metrics/job/a", 307},
        {"", "/metrics/job/a", 307},
        {NULL, "/metrics/job/a", 307},
        {"push", "/push/metrics/job/a", 500},
        {"/push/", "/push/metrics/job/a", 500},
        {"/", "/metrics/job/a", 500},
        {"/../x", "/../x/metrics/job/a", 500},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        struct ds_request as_param = {
            .method = "PUT", .target = cases[i].target, .prefix = cases[i].prefix};
        struct ds_request as_default = {.method = "PUT",
                                        .target = cases[i].target,
                                        .default_prefix = cases[i].prefix};

        if (ask(f, &as_param) != cases[i].status)
            fail_msg("case %zu: %u", i, f->response.status);
        assert_int_equal(ask(f, &as_default), cases[i].status);
        if (cases[i].status == 307)
            assert_header(f, "Location", AT_OWNER "/metrics/job/a");
    }
}

static void the_web_server_can_set_mode_and_prefix(void **state)
{
    struct ds_request request = {.method = "PUT",
                                 .target = "/metrics/job/a",
                                 .mode = "proxy",
                                 .prefix = "",
                                 .default_prefix = "/elsewhere"};

    assert_int_equal(ask(*state, &request), 200);
    request.mode = "";
    assert_int_equal(ask(*state, &request), 307);
    request.mode = "Proxy";
    assert_int_equal(ask(*state, &request), 500);
}

static void what_the_web_server_must_say_is_missed(void **state)
{
    assert_int_equal(ask_simply(*state, DS_MODE_REDIRECT, NULL, "/sd"), 500);
    assert_int_equal(ask_simply(*state, DS_MODE_REDIRECT, "GET", NULL), 500);
}

static void cgi_variables_are_read(void **state)
{
    struct ds_request request = {0};

    (void)state;
    ds_request_param(&request, "REQUEST_METHOD=PUT");
    ds_request_param(&request, "REQUEST_URI=/a=b");
    ds_request_param(&request, "REQUEST_URIX=/c");
    ds_request_param(&request, "HTTP_ACCEPT=");
    ds_request_param(&request, "DSHARD_MODE=auth");
    ds_request_param(&request, "DSHARD_PREFIX=/p");
    ds_request_param(&request, "HTTP_DSHARD_MODE=proxy");
    assert_string_equal(request.method, "PUT");
    assert_string_equal(request.target, "/a=b");
    assert_string_equal(request.accept, "");
    assert_string_equal(request.mode, "auth");
    assert_string_equal(request.prefix, "/p");
}

/* A head is lines of printable ASCII, each ended by CR LF. */
static void assert_clean(const struct ds_buf *head)
{
    for (size_t i = 0; i < head->len; i++) {
        unsigned char byte = (unsigned char)head->data[i];

        if (byte == '\r')
            assert_int_equal(head->data[i + 1], '\n');
        else if (byte != '\n')
            assert_in_range(byte, 0x20, 0x7E);
    }
}

/* Every byte in every place of a target. */
static void no_byte_of_a_request_makes_a_header(void **state)
{
    static const struct {
        const char *before, *behind;
    } forms[] = {
        {"/metrics/job/", ""},       {"/metrics/job/a?", ""},
        {"/metrics/job/a/", "/b"},   {"", ""},
        {"/metrics/job/a/b", ""},    {"http://x", "/metrics/job/a"},
        {"/metrics/job/a/b/%", "a"},
    };
    struct fixture *f = *state;

    for (int mode = 0; mode < DS_N_MODES; mode++) {
        for (size_t i = 0; i < DS_COUNT(forms); i++) {
            for (int c = 1; c < 256; c++) {
                DS_AUTO(str)
                char *target =
                    ds_xasprintf("%s%c%s", forms[i].before, c, forms[i].behind);

                ask_simply(f, (enum ds_mode)mode, "PUT", target);
                assert_clean(&f->response.head);
            }
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_push_is_redirected_to_its_owner_by_its_canonical_url),
        T(a_redirect_says_how_to_follow_it),
        T(proxy_mode_names_the_target_for_nginx),
        T(auth_mode_allows_and_names_the_target),
        T(auth_mode_refuses_with_403_and_the_reason),
        T(scheme_and_prefix_of_the_servers_are_used),
        T(get_answers_as_the_seed_does),
        T(get_answers_json_when_asked),
        T(head_is_get_without_a_body),
        T(bad_requests_get_their_status_and_a_line_of_reason),
        T(a_405_says_what_is_allowed),
        T(a_path_over_8_KiB_is_too_long),
        T(the_longest_canonical_url_is_not_cut),
        T(without_a_state_all_but_health_is_503),
        T(without_a_member_pushes_are_503_and_sd_goes_on),
        T(metrics_are_told_with_and_without_a_state),
        T(what_became_of_a_request_is_told_to_who_counts),
        T(an_answer_that_is_too_long_is_a_refusal),
        T(sd_is_json),
        T(the_prefix_is_cut),
        T(the_web_server_can_set_mode_and_prefix),
        T(what_the_web_server_must_say_is_missed),
        T(cgi_variables_are_read),
        T(no_byte_of_a_request_makes_a_header),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
