/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/clock.h"
#include "dshard/pushgateway.h"
#include "tiny.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n"
/* Chunked, as a Pushgateway's long answers are; LEN in hexadecimal. */
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n"
#define LIST(length, text)                                                               \
    OK_HEAD "Content-Length: " length "\r\n\r\n{\"status\":\"success\",\"data\":" text "}"
#define CUT(length, text)                                                                \
    OK_HEAD "Content-Length: " length "\r\n\r\n{\"status\":\"success\",\"data\":" text
#define PUSHED(value)                                                                    \
    "\"push_time_seconds\":{\"time_stamp\":\"2026-01-31T12:00:00Z\",\"type\":"           \
    "\"GAUGE\",\"metrics\":[{\"labels\":{},\"value\":\"" value "\"}]}"
#define GROUP_B "{\"labels\":{\"job\":\"b\"}," PUSHED("2") "}"
#define GROUP_A "{\"labels\":{\"job\":\"a\",\"x\":\"1\"}," PUSHED("1") "}"
#define GROUP_C "{\"labels\":{\"job\":\"c\"}," PUSHED("3") "}"
#define STATUS_TEXT(flags, start)                                                        \
    "{\"status\":\"success\",\"data\":{\"build_information\":{\"version\":\"1.5.1\"},"   \
    "\"flags\":{" flags "},\"start_time\":\"" start "\"}}"

enum { TIMEOUT_MS = 20000, SHORT_MS = 150, SLOW_MS = 1000, N_MANY = 20 };

static const char list_path[] = "/api/v1/metrics", groups[] = GROUP_B "," GROUP_A;

/* What the servers at 127.0.0.1, .2, ... answer; those of the table are put in front. */
struct world {
    struct tiny *tiny;
    struct tiny_rule rules[64];
    char *texts[64];
    size_t n;
    struct ds_config config;
};

static void rule(struct world *world, const char *host, const char *path,
                 const char *head, const char *body, enum tiny_then then)
{
    char *text = ds_xasprintf("HTTP/1.1 %sContent-Length: %zu\r\n\r\n%s", head,
                              strlen(body), body);

    assert_true(world->n < DS_COUNT(world->rules));
    world->texts[world->n] = text;
    world->rules[world->n++] = (struct tiny_rule){host, path, text, then};
}

/* Bytes as they are. */
static void raw(struct world *world, const char *host, const char *path, const char *text,
                enum tiny_then then)
{
    assert_true(world->n < DS_COUNT(world->rules));
    world->rules[world->n++] = (struct tiny_rule){host, path, text, then};
}

static int setup(void **state)
{
    struct world *world = ds_xcalloc(1, sizeof *world);

    ds_config_init(&world->config);
    ds_set_str(&world->config.pushgateway.scheme, "http");
    ds_set_str(&world->config.pushgateway.route_prefix, "");
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    if (world->tiny)
        tiny_stop(world->tiny);
    for (size_t i = 0; i < world->n; i++)
        free(world->texts[i]);
    ds_config_release(&world->config);
    free(world);
    return 0;
}

/* When all rules are there. */
static void serve(struct world *world)
{
    world->tiny = tiny_start(world->rules, world->n, NULL);
}

static struct ds_pushgateway *connect_to(struct world *world, unsigned host,
                                         int64_t timeout_ms)
{
    struct ds_error err = DS_ERROR_INIT;
    char address[64];
    struct ds_pushgateway *server;

    snprintf(address, sizeof address, "127.0.0.%u:%u", host, world->tiny->port);
    server = ds_pushgateway_new(&world->config, address, timeout_ms, &err);
    if (!server)
        fail_msg("%s", err.text);
    assert_string_equal(ds_pushgateway_address(server), address);
    return server;
}

static void assert_fails(int rc, const struct ds_error *err, enum ds_code code,
                         const char *words)
{
    if (rc != -1 || err->code != code || !strstr(err->text, words))
        fail_msg("%d, code %d, '%s': not -1, %d with '%s'", rc, err->code, err->text,
                 code, words);
}

/* ---- lists ---- */

static void a_list_is_read(void **state)
{
    struct world *world = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    DS_AUTO(str) char *asked = NULL;
    struct ds_inventory list;
    DS_AUTO(str)
    char *text = ds_xasprintf("{\"status\":\"success\",\"data\":[%s]}\n", groups);

    rule(world, NULL, list_path, "200 OK\r\n", text, TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    assert_ok(ds_pushgateway_list(server, &list, &err), &err);
    assert_true(list.reached);
    assert_string_equal(list.address, ds_pushgateway_address(server));
    assert_int_equal(list.n, 2);
    assert_int_equal(list.bytes, strlen(text));
    assert_in_range(list.taken_ms, 0, TIMEOUT_MS);
    assert_non_null(ds_inventory_find(&list,
                                      "job\xff"
                                      "b",
                                      5));
    assert_non_null(ds_inventory_find(&list,
                                      "job\xff"
                                      "a\xffx\xff"
                                      "1",
                                      9));
    assert_null(ds_inventory_find(&list,
                                  "job\xff"
                                  "a",
                                  5));
    asked = tiny_last(world->tiny);
    assert_non_null(strstr(asked, "GET /api/v1/metrics HTTP/1.1\r\n"));
    ds_inventory_release(&list);
}

static void a_list_may_be_empty(void **state)
{
    struct world *world = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    struct ds_inventory list;

    rule(world, NULL, list_path, "200 OK\r\n", "{\"status\":\"success\",\"data\":[]}",
         TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    assert_ok(ds_pushgateway_list(server, &list, &err), &err);
    assert_true(list.reached);
    assert_int_equal(list.n, 0);
    ds_inventory_release(&list);
}

static void a_bad_list_is_none(void **state)
{
    static const struct {
        const char *answer, *words;
        enum tiny_then then;
        enum ds_code code;
    } rows[] = {
        {"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nover\n", ": 500: over", TINY_KEEP,
         DS_E_PEER},
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ": 401", TINY_KEEP,
         DS_E_PEER},
        {"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", ": 307",
         TINY_KEEP, DS_E_PEER},
        {"HTTP/1.1 204 No Content\r\n\r\n", ": 204", TINY_KEEP, DS_E_PEER},
        {OK_HEAD "Content-Length: 0\r\n\r\n", "", TINY_KEEP, DS_E_FORMAT},
        {OK_HEAD "Content-Length: 6\r\n\r\n<html>", "", TINY_KEEP, DS_E_FORMAT},
        {OK_HEAD "\r\n<html>", "", TINY_FLOOD, DS_E_FORMAT},
        {OK_HEAD "Content-Length: 2\r\n\r\n[]", "", TINY_KEEP, DS_E_FORMAT},
        {OK_HEAD "Content-Length: 2\r\n\r\n{}", "", TINY_KEEP, DS_E_FORMAT},
        {OK_HEAD "Content-Length: 29\r\n\r\n{\"status\":\"error\",\"data\":[]}\n", "",
         TINY_KEEP, DS_E_FORMAT},
        {LIST("31", "[3]"), "", TINY_KEEP, DS_E_FORMAT},
        {LIST("32", "[{}]"), "", TINY_KEEP, DS_E_FORMAT},
        {LIST("30", "{}"), "", TINY_KEEP, DS_E_FORMAT},
        {LIST("29", "["), "", TINY_KEEP, DS_E_FORMAT}, /* a whole answer, half a list */
        {CUT("300", "[" GROUP_A), "", TINY_CLOSE, DS_E_NET},
        {CUT("300", "[" GROUP_A), "", TINY_KEEP, DS_E_NET},
        /* curl takes a length that it cannot hold for none. */
        {CUT("99999999999999999999", "[" GROUP_A), "", TINY_CLOSE, DS_E_FORMAT},
        {CUT("9223372036854775807", "[" GROUP_A), "", TINY_CLOSE, DS_E_NET},
        {LIST("-1", "[]"), "", TINY_CLOSE, DS_E_NET},
        {CHUNKED "\r\n5\r\n{\"sta\r\n", "", TINY_CLOSE, DS_E_NET},
        {CHUNKED "\r\nzz\r\n", "", TINY_CLOSE, DS_E_NET},
        {"garbage\r\n", "", TINY_CLOSE, DS_E_NET},
        {"", "", TINY_CLOSE, DS_E_NET},
        {NULL, "", TINY_KEEP, DS_E_NET},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        raw(world, hosts[i], list_path, rows[i].answer, rows[i].then);
    }
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        int64_t timeout_ms = rows[i].code == DS_E_NET ? SHORT_MS : TIMEOUT_MS;
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, (unsigned)i + 1, timeout_ms);
        struct ds_error err = DS_ERROR_INIT;
        struct ds_inventory list;
        char url[500];
        size_t n = 77;

        snprintf(url, sizeof url, "GET http://%s:%u%s: ", hosts[i], world->tiny->port,
                 list_path);
        assert_fails(ds_pushgateway_list(server, &list, &err), &err, rows[i].code,
                     rows[i].words);
        if (strncmp(err.text, url, strlen(url)) != 0)
            fail_msg("'%s' does not begin with '%s'", err.text, url);
        assert_false(list.reached);
        assert_int_equal(list.n, 0);
        assert_string_equal(list.address, ds_pushgateway_address(server));
        assert_string_equal(list.err.text, err.text);
        assert_int_equal(list.err.code, err.code);
        ds_inventory_release(&list);
        /* A count does not look into the groups. */
        if (rows[i].words[0] || rows[i].code == DS_E_NET) {
            int rc = ds_pushgateway_count_groups(
                &world->config, ds_pushgateway_address(server), timeout_ms, &n, &err);

            assert_fails(rc, &err,
                         rows[i].code == DS_E_NET && n ? DS_E_PEER : rows[i].code,
                         rows[i].words);
        }
    }
}

static void the_date_tells_the_clocks_difference(void **state)
{
    static const struct {
        const char *date;
        int64_t off_s; /* when date is NULL */
        bool is_far;
    } rows[] = {
        {NULL, 0, false},
        {NULL, 3600, true},
        {NULL, -3600, true},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0, true},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 0, true},
        {"", 0, false}, /* none that can be read: the clocks count as one */
        {"yesterday", 0, false},
        {"Sun, 06 Nov 1994 08:49:37 CET", 0, false},
        {"-", 0, false},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        time_t at = (time_t)(ds_clock_wall_ms() / 1000 + rows[i].off_s);
        char date[64], head[128];
        struct tm tm;

        gmtime_r(&at, &tm);
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        snprintf(head, sizeof head, "200 OK\r\nDate: %s\r\n",
                 rows[i].date ? rows[i].date : date);
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        rule(world, hosts[i], list_path,
             rows[i].date && rows[i].date[0] == '-' ? "200 OK\r\n" : head,
             "{\"status\":\"success\",\"data\":[]}", TINY_KEEP);
    }
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        struct ds_inventory list;

        assert_ok(ds_pushgateway_list(server, &list, &err), &err);
        assert_true(list.skew_least_ms <= list.skew_most_ms);
        if (!rows[i].is_far) {
            assert_int_equal(list.skew_least_ms, 0);
            assert_int_equal(list.skew_most_ms, 0);
        } else if (rows[i].off_s) {
            /* The date was made before; what has passed since makes it look older. */
            assert_true(list.skew_most_ms <= (rows[i].off_s + 2) * 1000);
            assert_true(list.skew_least_ms >= (rows[i].off_s - 20) * 1000);
        } else {
            assert_true(list.skew_most_ms < -900000000000 ||
                        list.skew_least_ms > 900000000000);
        }
        ds_inventory_release(&list);
    }
}

static void many_are_asked_side_by_side(void **state)
{
    static const char good[] = "{\"status\":\"success\",\"data\":[" GROUP_A "]}";
    struct world *world = *state;
    struct ds_pushgateway *servers[N_MANY];
    struct ds_inventory lists[N_MANY];
    int64_t start;

    raw(world, "127.0.0.3", NULL, NULL, TINY_KEEP);
    raw(world, "127.0.0.4", NULL, "garbage", TINY_CLOSE);
    rule(world, "127.0.0.5", NULL, "500 No\r\n", "", TINY_KEEP);
    rule(world, NULL, list_path, "200 OK\r\n", good, TINY_KEEP);
    serve(world);
    for (unsigned i = 0; i < N_MANY; i++)
        servers[i] = connect_to(world, i + 1, i == 2 ? SHORT_MS : TIMEOUT_MS);
    start = ds_clock_mono_ms();
    ds_pushgateway_list_all(servers, N_MANY, lists);
    assert_true(ds_clock_mono_ms() - start < TIMEOUT_MS);
    assert_true(world->tiny->most_open <= N_MANY);
    for (size_t i = 0; i < N_MANY; i++) {
        bool is_good = i < 2 || i > 4;

        assert_int_equal(lists[i].reached, is_good);
        assert_int_equal(lists[i].n, is_good ? 1 : 0);
        assert_int_equal(lists[i].err.code == DS_OK, is_good);
        assert_string_equal(lists[i].address, ds_pushgateway_address(servers[i]));
        ds_inventory_release(&lists[i]);
        ds_pushgateway_free(servers[i]);
    }
    ds_pushgateway_list_all(NULL, 0, NULL);
}

/* All hang: more than eight would be there at once. */
static void no_more_than_eight_are_asked_at_once(void **state)
{
    struct world *world = *state;
    struct ds_pushgateway *servers[N_MANY];
    struct ds_inventory lists[N_MANY];

    raw(world, NULL, NULL, NULL, TINY_KEEP);
    serve(world);
    for (unsigned i = 0; i < N_MANY; i++)
        servers[i] = connect_to(world, i + 1, 100);
    ds_pushgateway_list_all(servers, N_MANY, lists);
    for (size_t i = 0; i < N_MANY; i++) {
        assert_int_equal(lists[i].err.code, DS_E_NET);
        ds_inventory_release(&lists[i]);
        ds_pushgateway_free(servers[i]);
    }
    assert_int_equal(world->tiny->n_requests, N_MANY);
    assert_in_range(world->tiny->most_open, 1, 8);
}

static void groups_are_counted(void **state)
{
    struct world *world = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(str)
    char *text = ds_xasprintf("{\"data\":[%s],\"status\":\"success\"}", groups);
    char address[64];
    size_t n = 77;

    rule(world, "127.0.0.2", list_path, "200 OK\r\n",
         "{\"status\":\"success\",\"data\":[]}", TINY_KEEP);
    rule(world, NULL, list_path, "200 OK\r\n", text, TINY_KEEP);
    serve(world);
    snprintf(address, sizeof address, "127.0.0.1:%u", world->tiny->port);
    assert_ok(ds_pushgateway_count_groups(&world->config, address, TIMEOUT_MS, &n, &err),
              &err);
    assert_int_equal(n, 2);
    address[8] = '2';
    assert_ok(ds_pushgateway_count_groups(&world->config, address, TIMEOUT_MS, &n, &err),
              &err);
    assert_int_equal(n, 0);
}

static void who_breaks_off_within_its_groups_is_not_gone(void **state)
{
    struct world *world = *state;
    char address[64];

    raw(world, "127.0.0.1", list_path, CUT("300", "[" GROUP_A ","), TINY_CLOSE);
    raw(world, "127.0.0.2", list_path, CUT("300", "[" GROUP_A ","), TINY_KEEP);
    raw(world, "127.0.0.3", list_path, CUT("300", "["), TINY_CLOSE);
    serve(world);
    for (unsigned i = 1; i <= 3; i++) {
        struct ds_error err = DS_ERROR_INIT;
        size_t n = 77;

        snprintf(address, sizeof address, "127.0.0.%u:%u", i, world->tiny->port);
        assert_fails(ds_pushgateway_count_groups(&world->config, address,
                                                 i == 2 ? SLOW_MS : TIMEOUT_MS, &n, &err),
                     &err, i < 3 ? DS_E_PEER : DS_E_NET, "/api/v1/metrics: ");
        assert_int_equal(n, i < 3 ? 1 : 0);
    }
}

/* ---- pushes ---- */

static const char identity[] = "instance\xff/\xc3\xa4\xffjob\xff"
                               "a b";
static const char group_path[] = "/metrics/job@base64/YSBi/instance@base64/L8Ok";

static int push(struct ds_pushgateway *server, enum ds_push how, struct ds_error *err)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(100),
                                 .content_type = DS_PAYLOAD_TEXT};
    int rc;

    ds_buf_add(&payload.body, "m 1\0\n", 5);
    rc = ds_pushgateway_push(server, how, identity, sizeof identity - 1, &payload, err);
    ds_buf_release(&payload.body);
    return rc;
}

static void a_push_says_all_that_it_should(void **state)
{
    struct world *world = *state;
    static const char *const methods[] = {
        [DS_PUSH_REPLACE] = "PUT", [DS_PUSH_MERGE] = "POST"};

    rule(world, "127.0.0.1", group_path, "200 OK\r\n", "", TINY_KEEP);
    rule(world, "127.0.0.2", group_path, "202 Accepted\r\n", "", TINY_KEEP);
    serve(world);
    for (unsigned i = 0; i < 2; i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, i + 1, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        DS_AUTO(str) char *asked = NULL, *want = NULL;

        assert_ok(push(server, (enum ds_push)i, &err), &err);
        asked = tiny_last(world->tiny);
        want = ds_xasprintf("%s %s HTTP/1.1\r\n", methods[i], group_path);
        assert_memory_equal(asked, want, strlen(want));
        assert_non_null(strstr(
            asked, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert_non_null(strstr(asked, "\r\nContent-Length: 5\r\n"));
        assert_non_null(strstr(asked, "\r\n\r\nm 1"));
    }
}

static void what_a_push_is_answered_is_told_apart(void **state)
{
    static const struct {
        const char *head, *body, *words;
        enum ds_code code;
    } rows[] = {
        {"400 Bad Request\r\n", "pushed metrics are inconsistent\nmore\n",
         ": 400: pushed metrics are inconsistent", DS_E_REFUSED},
        {"400 Bad Request\r\n", "pushed: 2 error(s) occurred:\n* m is no GAUGE\n* more\n",
         ": 400: pushed: 2 error(s) occurred: * m is no GAUGE", DS_E_REFUSED},
        {"400 Bad Request\r\n", "", ": 400", DS_E_REFUSED},
        {"404 Not Found\r\n", "404 page not found\n", ": 404: 404 page", DS_E_PEER},
        {"401 Unauthorized\r\n", "Unauthorized\n", ": 401: Unauth", DS_E_PEER},
        {"301 Moved\r\nLocation: /metrics/job/x\r\n", "", ": 301", DS_E_PEER},
        {"307 Other\r\nLocation: /metrics/job/x\r\n", "", ": 307", DS_E_PEER},
        {"500 Oops\r\n", "write queue is full\n", "queue is full", DS_E_PEER},
        {"204 No Content\r\n", "", ": 204", DS_E_PEER},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        rule(world, hosts[i], group_path, rows[i].head, rows[i].body, TINY_CLOSE);
    }
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        char begin[300];

        assert_fails(push(server, DS_PUSH_REPLACE, &err), &err, rows[i].code,
                     rows[i].words);
        snprintf(begin, sizeof begin, "PUT http://%s:%u%s: ", hosts[i], world->tiny->port,
                 group_path);
        assert_memory_equal(err.text, begin, strlen(begin));
        assert_null(strstr(err.text, "more"));
    }
    assert_int_equal(world->tiny->n_requests, DS_COUNT(rows)); /* none was repeated */
}

static void a_delete_is_done_or_not(void **state)
{
    static const struct {
        const char *head;
        enum ds_code code;
    } rows[] = {
        {"202 Accepted\r\n", DS_OK},
        {"200 OK\r\n", DS_OK},
        {"400 Bad Request\r\n", DS_E_PEER},
        {"404 Not Found\r\n", DS_E_PEER},
        {"405 Method Not Allowed\r\n", DS_E_PEER},
        {"301 Moved\r\nLocation: /x\r\n", DS_E_PEER},
        {"500 Oops\r\n", DS_E_PEER},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        rule(world, hosts[i], group_path, rows[i].head, "", TINY_KEEP);
    }
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        DS_AUTO(str) char *asked = NULL;
        int rc = ds_pushgateway_delete(server, identity, sizeof identity - 1, &err);

        assert_int_equal(rc, rows[i].code == DS_OK ? 0 : -1);
        assert_int_equal(err.code, rows[i].code);
        asked = tiny_last(world->tiny);
        assert_memory_equal(asked, "DELETE ", 7);
    }
}

static void what_is_no_group_is_not_asked_for(void **state)
{
    static const char *const rows[] = {"", "job",
                                       "x\xff"
                                       "1",
                                       "job\xff",
                                       "job\xff"
                                       "a\xff"};
    struct world *world = *state;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;

    rule(world, NULL, NULL, "200 OK\r\n", "", TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_payload payload = {.body = DS_BUF_INIT(10),
                                     .content_type = DS_PAYLOAD_TEXT};
        struct ds_error err = DS_ERROR_INIT;

        assert_fails(ds_pushgateway_delete(server, rows[i], strlen(rows[i]), &err), &err,
                     DS_E_BAD_PATH, "127.0.0.1");
        assert_fails(ds_pushgateway_push(server, DS_PUSH_MERGE, rows[i], strlen(rows[i]),
                                         &payload, &err),
                     &err, DS_E_BAD_PATH, "127.0.0.1");
    }
    assert_int_equal(world->tiny->n_requests, 0);
}

static void a_wipe_needs_the_admin_api(void **state)
{
    struct world *world = *state;

    rule(world, "127.0.0.1", "/api/v1/admin/wipe", "202 Accepted\r\n", "", TINY_KEEP);
    rule(world, "127.0.0.3", NULL, "500 Oops\r\n", "", TINY_KEEP);
    serve(world);
    for (unsigned i = 1; i <= 3; i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, i, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        int rc = ds_pushgateway_wipe(server, &err);
        DS_AUTO(str) char *asked = tiny_last(world->tiny);

        assert_memory_equal(asked, "PUT /api/v1/admin/wipe HTTP/1.1\r\n", 33);
        if (i == 1)
            assert_ok(rc, &err);
        else
            assert_fails(rc, &err, i == 2 ? DS_E_REFUSED : DS_E_PEER,
                         i == 2 ? "--web.enable-admin-api" : ": 500");
    }
}

static void who_says_nothing_is_not_waited_for(void **state)
{
    struct world *world = *state;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    struct ds_pushgateway_status status;
    struct ds_error err = DS_ERROR_INIT;
    int64_t start = ds_clock_mono_ms();
    uint64_t n;

    raw(world, NULL, NULL, NULL, TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, 50);
    assert_fails(push(server, DS_PUSH_MERGE, &err), &err, DS_E_NET, "POST http://");
    assert_fails(ds_pushgateway_delete(server, identity, sizeof identity - 1, &err), &err,
                 DS_E_NET, "DELETE http://");
    assert_fails(ds_pushgateway_wipe(server, &err), &err, DS_E_NET, "PUT http://");
    assert_fails(ds_pushgateway_status(server, &status, &err), &err, DS_E_NET, "/status");
    assert_fails(ds_pushgateway_ready(server, &err), &err, DS_E_NET, "/-/ready");
    assert_fails(ds_pushgateway_count_open(server, &n, &err), &err, DS_E_NET, "/metrics");
    assert_true(ds_clock_mono_ms() - start < TIMEOUT_MS);
}

/* ---- what a server is ---- */

static void a_status_is_read(void **state)
{
    static const char text[] =
        "{\"status\":\"success\",\"data\":{\"build_information\":{\"branch\":\"x\","
        "\"version\":\"1.11.0-rc.1+g12\"},\"flags\":{\"persistence.file\":\"/v/p\","
        "\"push.disable-consistency-check\":\"true\",\"push.enable-utf8-names\":\"true\","
        "\"web.enable-admin-api\":\"true\",\"web.new\":[1]},"
        "\"start_time\":\"2026-11-22T15:05:55.983651137-03:30\",\"new\":{}}}";
    static const char plain[] =
        STATUS_TEXT("\"web.enable-admin-api\":\"false\"", "1970-01-01T00:00:00.001Z");
    struct ds_pushgateway_status status;
    struct ds_error err = DS_ERROR_INIT;

    (void)state;
    assert_ok(ds_pushgateway_parse_status(text, strlen(text), &status, &err), &err);
    assert_string_equal(status.version, "1.11.0-rc.1+g12");
    assert_int_equal(status.started_us, 1795372555983651);
    assert_true(status.unchecked && status.admin_api && status.utf8_names &&
                status.persists);
    assert_ok(ds_pushgateway_parse_status(plain, strlen(plain), &status, &err), &err);
    assert_string_equal(status.version, "1.5.1");
    assert_int_equal(status.started_us, 1000);
    assert_false(status.unchecked || status.admin_api || status.utf8_names ||
                 status.persists);
}

static void a_bad_status_is_none(void **state)
{
#define START "\"start_time\":\"2026-01-01T00:00:00Z\""
#define BUILT "\"build_information\":{\"version\":\"1\"}"
    static const char *const rows[] = {
        "",
        "{",
        "null",
        "[]",
        "{}",
        "{\"data\":7}",
        "{\"data\":{}}",
        "<html></html>",
        "{\"data\":{" BUILT "," START "}}",
        "{\"data\":{" BUILT "," START ",\"flags\":[]}}",
        "{\"data\":{" BUILT ",\"flags\":{}}}",
        "{\"data\":{" BUILT ",\"flags\":{},\"start_time\":1}}",
        "{\"data\":{" BUILT ",\"flags\":{},\"start_time\":\"yesterday\"}}",
        "{\"data\":{" BUILT ",\"flags\":{},\"start_time\":\"0001-01-01T00:00:00Z\"}}",
        "{\"data\":{\"flags\":{}," START "}}",
        "{\"data\":{\"build_information\":{},\"flags\":{}," START "}}",
        "{\"data\":{\"build_information\":{\"version\":1},\"flags\":{}," START "}}",
        "{\"data\":{\"build_information\":{\"version\":\"1\\n2\"},\"flags\":{}," START
        "}}",
        "{\"data\":{\"build_information\":{\"version\":\"1\\u00002\"},\"flags\":{}," START
        "}}",
        "{\"data\":{\"build_information\":{\"version\":"
        "\"12345678901234567890123456789012\"},\"flags\":{}," START "}}",
        "{\"data\":{" BUILT "," START ",\"flags\":{\"web.enable-admin-api\":\"yes\"}}}",
        "{\"data\":{" BUILT "," START ",\"flags\":{\"web.enable-admin-api\":1}}}",
        "{\"data\":{" BUILT "," START
        ",\"flags\":{\"push.disable-consistency-check\":\"\"}}}",
        "{\"data\":{" BUILT "," START ",\"flags\":{},\"flags\":{}}}",
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_pushgateway_status status = {.version = "kept"};
        struct ds_error err = DS_ERROR_INIT;

        if (ds_pushgateway_parse_status(rows[i], strlen(rows[i]), &status, &err) == 0)
            fail_msg("%s was read", rows[i]);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_string_equal(status.version, "kept");
    }
}

static void status_and_readiness_are_asked_for(void **state)
{
    struct world *world = *state;
    static const char prefix[] = "/pg/x";

    ds_set_str(&world->config.pushgateway.route_prefix, prefix);
    rule(world, "127.0.0.1", "/pg/x/api/v1/status", "200 OK\r\n",
         STATUS_TEXT("", "2026-01-01T00:00:00Z"), TINY_KEEP);
    rule(world, "127.0.0.1", "/pg/x/-/ready", "200 OK\r\n", "OK", TINY_KEEP);
    rule(world, "127.0.0.2", "/pg/x/api/v1/status", "200 OK\r\n", "{}", TINY_KEEP);
    rule(world, "127.0.0.2", "/pg/x/-/ready", "500 No\r\n", "write queue is full",
         TINY_KEEP);
    raw(world, "127.0.0.3", NULL, OK_HEAD "\r\n          ", TINY_FLOOD);
    serve(world);
    for (unsigned i = 1; i <= 3; i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, i, TIMEOUT_MS);
        struct ds_pushgateway_status status;
        struct ds_error err = DS_ERROR_INIT;
        int rc = ds_pushgateway_status(server, &status, &err);

        if (i == 1) {
            assert_ok(rc, &err);
            assert_string_equal(status.version, "1.5.1");
            assert_ok(ds_pushgateway_ready(server, &err), &err);
            continue;
        }
        assert_fails(rc, &err, DS_E_FORMAT, "/pg/x/api/v1/status: ");
        assert_fails(ds_pushgateway_ready(server, &err), &err,
                     i == 2 ? DS_E_PEER : DS_E_FORMAT,
                     i == 2 ? ": 500: write queue is full" : "longer than");
    }
}

static void a_servers_own_counts_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t scrapes, open; /* -1: it does not say */
    } rows[] = {
        {"", -1, -1},
        {"process_open_fds 11\n", -1, 11},
        {"# TYPE process_open_fds gauge\nprocess_open_fds 0\n", -1, 0},
        {"process_open_fds 1.234567e+06\n", -1, 1234567},
        {"process_open_fds{instance=\"\",job=\"x\"} 99\n", -1, -1},
        {"process_open_fds_x 99\nx_process_open_fds 1\n", -1, -1},
        {"process_open_fds 1.5\nprocess_open_fds NaN\nprocess_open_fds -3\n"
         "process_open_fds +Inf\nprocess_open_fds 1e300\nprocess_open_fds 3 4\n"
         "process_open_fds  3\nprocess_open_fds\n",
         -1, -1},
        {"process_open_fds 11", -1, -1}, /* half a line */
        {"promhttp_metric_handler_requests_total{code=\"200\"} 5\n"
         "promhttp_metric_handler_requests_total{code=\"500\"} 1\n"
         "promhttp_metric_handler_requests_total{code=\"503\"} 0\n"
         "promhttp_metric_handler_requests_total{code=\"200\",job=\"x\"} 70\n"
         "promhttp_metric_handler_requests_total{code=\"20\"} 70\n"
         "promhttp_metric_handler_requests_total 70\nprocess_open_fds 8\n",
         7, 8},
        {"promhttp_metric_handler_requests_total{code=\"200\"} 0\n", 1, -1},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        rule(world, hosts[i], "/metrics", "200 OK\r\n", rows[i].text, TINY_KEEP);
    }
    rule(world, "127.0.0.50", "/metrics", "500 No\r\n", "poisoned", TINY_KEEP);
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        uint64_t n = 0;
        int rc = ds_pushgateway_count_scrapes(server, &n, &err);

        if (rows[i].scrapes < 0)
            assert_fails(rc, &err, DS_E_MISSING,
                         "promhttp_metric_handler_requests_total'");
        else
            assert_int_equal(n, rows[i].scrapes);
        n = 0;
        rc = ds_pushgateway_count_open(server, &n, &err);
        if (rows[i].open < 0)
            assert_fails(rc, &err, DS_E_MISSING, "'process_open_fds'");
        else
            assert_int_equal(n, rows[i].open);
    }
    {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, 50, TIMEOUT_MS);
        struct ds_error err = DS_ERROR_INIT;
        uint64_t n;

        assert_fails(ds_pushgateway_count_open(server, &n, &err), &err, DS_E_PEER,
                     "/metrics: 500: poisoned");
    }
}

/* ---- the connection, and who may ---- */

static void requests_share_one_connection(void **state)
{
    struct world *world = *state;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    struct ds_error err = DS_ERROR_INIT;

    rule(world, NULL, "/-/ready", "200 OK\r\n", "OK", TINY_KEEP);
    rule(world, NULL, list_path, "200 OK\r\n", "{\"status\":\"success\",\"data\":[]}",
         TINY_KEEP);
    rule(world, NULL, group_path, "202 Accepted\r\n", "", TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    for (int i = 0; i < 5; i++) {
        struct ds_inventory list;

        assert_ok(ds_pushgateway_ready(server, &err), &err);
        assert_ok(push(server, DS_PUSH_REPLACE, &err), &err);
        assert_ok(ds_pushgateway_list(server, &list, &err), &err);
        assert_ok(ds_pushgateway_delete(server, identity, sizeof identity - 1, &err),
                  &err);
        ds_inventory_release(&list);
    }
    assert_int_equal(world->tiny->n_requests, 20);
    assert_int_equal(world->tiny->n_accepted, 1);
}

static void credentials_are_sent_and_never_said(void **state)
{
    char path[] = "/tmp/dshard-test-password.XXXXXX";
    struct world *world = *state;
    struct ds_pushgateway *server;
    struct ds_inventory list;
    struct ds_error err = DS_ERROR_INIT;
    char *asked;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "open:sesame\r\nsecond\n", 20), 20);
    close(fd);
    ds_set_str(&world->config.pushgateway.username, "Aladdin");
    ds_set_str(&world->config.pushgateway.password_file, path);
    rule(world, NULL, NULL, "500 No\r\n", "", TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    assert_fails(push(server, DS_PUSH_MERGE, &err), &err, DS_E_PEER, ": 500");
    asked = tiny_last(world->tiny);
    assert_non_null(
        strstr(asked, "Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n"));
    free(asked);
    assert_null(strstr(err.text, "sesame"));
    assert_fails(ds_pushgateway_list(server, &list, &err), &err, DS_E_PEER, ": 500");
    asked = tiny_last(world->tiny);
    assert_non_null(
        strstr(asked, "Authorization: Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==\r\n"));
    free(asked);
    assert_null(strstr(err.text, "sesame"));
    ds_pushgateway_free(server);
    assert_int_equal(unlink(path), 0);
    assert_null(ds_pushgateway_new(&world->config, "127.0.0.1:1", 1, &err));
    assert_int_equal(err.code, DS_E_CONFIG);
    assert_non_null(strstr(err.text, "pushgateway.password_file"));
    assert_non_null(strstr(err.text, path));
}

/* ---- snapshots ---- */

/* A MetricFamily `m` with one series {a="b"} that has no value. */
#define SCRAPE                                                                           \
    "\x0f\x0a\x01m\x18\x03\x22\x08\x0a\x06\x0a\x01"                                      \
    "a\x12\x01"                                                                          \
    "b"
#define PROTOBUF                                                                         \
    "200 OK\r\nContent-Type: application/vnd.google.protobuf; "                          \
    "proto=io.prometheus.client.MetricFamily; encoding=delimited\r\n"

static bool is_not_b(void *arg, const struct ds_group *group)
{
    size_t *calls = arg;

    ++*calls;
    return group->identity_len != 5 || group->identity[4] != 'b';
}

static void a_snapshot_keeps_what_is_wanted(void **state)
{
    struct world *world = *state;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    DS_AUTO(snapshot) struct ds_snapshot snapshot;
    struct ds_error err = DS_ERROR_INIT;
    size_t calls = 0;

    rule(world, NULL, list_path, "200 OK\r\n",
         "{\"status\":\"success\",\"data\":[" GROUP_C "," GROUP_B " , " GROUP_A "]}",
         TINY_KEEP);
    rule(world, NULL, "/metrics", PROTOBUF, SCRAPE, TINY_KEEP);
    serve(world);
    server = connect_to(world, 1, TIMEOUT_MS);
    assert_ok(ds_pushgateway_snapshot(server, is_not_b, &calls, &snapshot, &err), &err);
    assert_int_equal(calls, 3);
    assert_int_equal(snapshot.inventory.n, 2);
    assert_true(snapshot.inventory.reached);
    assert_memory_equal(snapshot.inventory.groups[0].identity,
                        "job\xff"
                        "a",
                        5);
    assert_int_equal(snapshot.json_len[0], strlen(GROUP_A));
    assert_string_equal(snapshot.json[0], GROUP_A);
    assert_int_equal(snapshot.json_len[1], strlen(GROUP_C));
    assert_string_equal(snapshot.json[1], GROUP_C);
    assert_int_equal(snapshot.scrape_err.code, DS_OK);
    assert_non_null(snapshot.scrape);
    assert_int_equal(snapshot.scrape_body.len, strlen(SCRAPE));
}

/* Bytes that are no UTF-8 look the same in the list, whichever they are. */
static void of_groups_that_look_the_same_the_later_one_stays(void **state)
{
    static const char later[] = "{\"labels\":{\"job\":\"\xef\xbf\xbd\"}," PUSHED("9") "}";
    static const char earlier[] =
        "{\"labels\":{\"job\":\"\xef\xbf\xbd\"}," PUSHED("4") "}";
    struct world *world = *state;

    for (unsigned i = 1; i <= 2; i++) {
        DS_AUTO(str)
        char *text = ds_xasprintf("{\"status\":\"success\",\"data\":[%s,%s,%s]}", GROUP_A,
                                  i == 1 ? later : earlier, i == 1 ? earlier : later);

        rule(world, i == 1 ? "127.0.0.1" : "127.0.0.2", list_path, "200 OK\r\n", text,
             TINY_KEEP);
    }
    serve(world);
    for (unsigned i = 1; i <= 2; i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, i, TIMEOUT_MS);
        DS_AUTO(snapshot) struct ds_snapshot snapshot;
        struct ds_error err = DS_ERROR_INIT;
        struct ds_inventory list;
        size_t calls = 0;

        assert_ok(ds_pushgateway_snapshot(server, is_not_b, &calls, &snapshot, &err),
                  &err);
        assert_ok(ds_pushgateway_list(server, &list, &err), &err);
        assert_int_equal(snapshot.inventory.n, 2);
        assert_int_equal(list.n, 2);
        assert_string_equal(snapshot.json[0], GROUP_A);
        assert_string_equal(snapshot.json[1], later);
        assert_int_equal(snapshot.inventory.groups[1].pushed_us, 9000000);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(snapshot.inventory.groups[k].flags, list.groups[k].flags);
            assert_int_equal(snapshot.inventory.groups[k].pushed_us,
                             list.groups[k].pushed_us);
        }
        ds_inventory_release(&list);
    }
}

static void a_snapshot_of_nothing_is_one(void **state)
{
    struct world *world = *state;
    DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;
    DS_AUTO(snapshot) struct ds_snapshot snapshot, fresh;
    struct ds_error err = DS_ERROR_INIT;
    size_t calls = 0;

    rule(world, NULL, list_path, "200 OK\r\n", "{\"status\":\"success\",\"data\":[]}",
         TINY_KEEP);
    rule(world, NULL, "/metrics", PROTOBUF, SCRAPE, TINY_KEEP);
    serve(world);
    ds_snapshot_init(&fresh, "127.0.0.1:1");
    server = connect_to(world, 1, TIMEOUT_MS);
    assert_ok(ds_pushgateway_snapshot(server, is_not_b, &calls, &snapshot, &err), &err);
    assert_int_equal(calls + snapshot.inventory.n, 0);
    assert_non_null(snapshot.scrape);
    ds_snapshot_release(&snapshot); /* and once more at the end */
}

static void a_server_that_cannot_be_scraped_is_read_all_the_same(void **state)
{
    static const struct {
        const char *answer, *words;
        enum tiny_then then;
        enum ds_code code;
    } rows[] = {
        {"HTTP/1.1 500 No\r\nContent-Length: 64\r\n\r\nAn error has occurred while "
         "serving metrics:\n\n1 error(s):\n* bad\n",
         ": 500: An error has occurred while serving metrics: 1 error(s): * bad",
         TINY_KEEP, DS_E_PEER},
        {OK_HEAD "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nm 1\n",
         "/metrics: the answer is not in protobuf", TINY_KEEP, DS_E_FORMAT},
        {OK_HEAD "Content-Length: 4\r\n\r\nm 1\n", "/metrics: ", TINY_KEEP, DS_E_FORMAT},
        {"HTTP/1.1 " PROTOBUF "Content-Length: 4\r\n\r\n\x7f\x0a\x01m",
         "/metrics: ", TINY_KEEP, DS_E_FORMAT},
        {"HTTP/1.1 " PROTOBUF "Content-Length: 40\r\n\r\n" SCRAPE,
         "/metrics: ", TINY_CLOSE, DS_E_NET},
        {"HTTP/1.1 307 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", ": 307",
         TINY_KEEP, DS_E_PEER},
        {NULL, "/metrics: ", TINY_KEEP, DS_E_NET},
    };
    struct world *world = *state;
    char hosts[DS_COUNT(rows)][16];

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        snprintf(hosts[i], sizeof hosts[i], "127.0.0.%zu", i + 1);
        raw(world, hosts[i], "/metrics", rows[i].answer, rows[i].then);
    }
    rule(world, NULL, list_path, "200 OK\r\n",
         "{\"status\":\"success\",\"data\":[" GROUP_A "]}", TINY_KEEP);
    serve(world);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server =
            connect_to(world, (unsigned)i + 1, rows[i].answer ? TIMEOUT_MS : SLOW_MS);
        DS_AUTO(snapshot) struct ds_snapshot snapshot;
        struct ds_error err = DS_ERROR_INIT;
        size_t calls = 0;

        assert_ok(ds_pushgateway_snapshot(server, is_not_b, &calls, &snapshot, &err),
                  &err);
        assert_int_equal(snapshot.inventory.n, 1);
        assert_string_equal(snapshot.json[0], GROUP_A);
        assert_null(snapshot.scrape);
        assert_fails(-1, &snapshot.scrape_err, rows[i].code, rows[i].words);
    }
}

static void a_snapshot_without_a_list_is_none(void **state)
{
    struct world *world = *state;

    rule(world, "127.0.0.1", list_path, "500 No\r\n", "", TINY_KEEP);
    raw(world, "127.0.0.2", list_path, CUT("300", "[" GROUP_A ","), TINY_CLOSE);
    rule(world, "127.0.0.3", list_path, "200 OK\r\n",
         "{\"status\":\"success\",\"data\":[" GROUP_A ",{}]}", TINY_KEEP);
    rule(world, NULL, "/metrics", PROTOBUF, SCRAPE, TINY_KEEP);
    serve(world);
    for (unsigned i = 1; i <= 3; i++) {
        static const enum ds_code codes[] = {0, DS_E_PEER, DS_E_NET, DS_E_FORMAT};
        DS_AUTO(pushgateway)
        struct ds_pushgateway *server = connect_to(world, i, TIMEOUT_MS);
        DS_AUTO(snapshot) struct ds_snapshot snapshot;
        struct ds_error err = DS_ERROR_INIT;
        size_t calls = 0;

        assert_fails(ds_pushgateway_snapshot(server, is_not_b, &calls, &snapshot, &err),
                     &err, codes[i], "/api/v1/metrics: ");
        assert_int_equal(snapshot.inventory.n, 0);
        assert_false(snapshot.inventory.reached);
        assert_int_equal(snapshot.inventory.err.code, codes[i]);
        assert_null(snapshot.scrape);
    }
}

/* ---- one server under two names ---- */

static void twins_are_told_by_their_start(void **state)
{
    static const char list[] = "{\"status\":\"success\",\"data\":[" GROUP_A "]}",
                      other[] = "{\"status\":\"success\",\"data\":[" GROUP_B "]}";
    static const char *const starts[] = {"10.000001", "10.000002", "10.000001",
                                         "10.000002", "10.000002"};
    static const size_t wanted[] = {0, 1, 0, 1, 4};
    enum { N = DS_COUNT(starts) };
    struct world *world = *state;
    struct ds_pushgateway *servers[N];
    struct ds_inventory lists[N];
    struct ds_error err = DS_ERROR_INIT;
    size_t first[N];

    for (size_t i = 0; i < N; i++) {
        static const char *const hosts[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3",
                                            "127.0.0.4", "127.0.0.5"};
        DS_AUTO(str) char *start = ds_xasprintf("2026-01-31T12:00:%sZ", starts[i]);
        DS_AUTO(str)
        char *text =
            ds_xasprintf("{\"status\":\"success\",\"data\":{\"build_information\":{"
                         "\"version\":\"1\"},\"flags\":{},\"start_time\":\"%s\"}}",
                         start);

        rule(world, hosts[i], list_path, "200 OK\r\n", i == 4 ? other : list, TINY_KEEP);
        rule(world, hosts[i], "/api/v1/status", "200 OK\r\n", text, TINY_KEEP);
    }
    serve(world);
    for (size_t i = 0; i < N; i++) {
        servers[i] = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        ds_inventory_init(&lists[i], ds_pushgateway_address(servers[i]));
    }
    ds_pushgateway_list_all(servers, N, lists);
    assert_ok(
        ds_pushgateway_find_twins(&world->config, lists, N, TIMEOUT_MS, first, &err),
        &err);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(first[i], wanted[i]);
    assert_ok(ds_pushgateway_check_twins(&world->config, lists, 2, TIMEOUT_MS, &err),
              &err);
    assert_fails(ds_pushgateway_check_twins(&world->config, lists, 3, TIMEOUT_MS, &err),
                 &err, DS_E_FAILED, " are one server");
    for (size_t i = 0; i < N; i++) {
        ds_inventory_release(&lists[i]);
        ds_pushgateway_free(servers[i]);
    }
}

/* Nothing may be deleted then, either. */
static void who_looks_like_another_must_tell_its_start(void **state)
{
    struct world *world = *state;
    struct ds_pushgateway *servers[2];
    struct ds_inventory lists[2];
    struct ds_error err = DS_ERROR_INIT;

    rule(world, NULL, list_path, "200 OK\r\n",
         "{\"status\":\"success\",\"data\":[" GROUP_A "]}", TINY_KEEP);
    rule(world, NULL, "/api/v1/status", "500 No\r\n", "", TINY_KEEP);
    serve(world);
    for (size_t i = 0; i < 2; i++) {
        servers[i] = connect_to(world, (unsigned)i + 1, TIMEOUT_MS);
        ds_inventory_init(&lists[i], ds_pushgateway_address(servers[i]));
    }
    ds_pushgateway_list_all(servers, 2, lists);
    assert_fails(ds_pushgateway_check_twins(&world->config, lists, 2, TIMEOUT_MS, &err),
                 &err, DS_E_PEER, lists[0].address);
    for (size_t i = 0; i < 2; i++) {
        ds_inventory_release(&lists[i]);
        ds_pushgateway_free(servers[i]);
    }
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(a_list_is_read),
        SERVED(a_list_may_be_empty),
        SERVED(a_bad_list_is_none),
        SERVED(the_date_tells_the_clocks_difference),
        SERVED(many_are_asked_side_by_side),
        SERVED(no_more_than_eight_are_asked_at_once),
        SERVED(groups_are_counted),
        SERVED(who_breaks_off_within_its_groups_is_not_gone),
        SERVED(a_push_says_all_that_it_should),
        SERVED(what_a_push_is_answered_is_told_apart),
        SERVED(a_delete_is_done_or_not),
        SERVED(what_is_no_group_is_not_asked_for),
        SERVED(a_wipe_needs_the_admin_api),
        SERVED(who_says_nothing_is_not_waited_for),
        cmocka_unit_test(a_status_is_read),
        cmocka_unit_test(a_bad_status_is_none),
        SERVED(status_and_readiness_are_asked_for),
        SERVED(a_servers_own_counts_are_read),
        SERVED(requests_share_one_connection),
        SERVED(credentials_are_sent_and_never_said),
        SERVED(a_snapshot_keeps_what_is_wanted),
        SERVED(of_groups_that_look_the_same_the_later_one_stays),
        SERVED(a_snapshot_of_nothing_is_one),
        SERVED(a_server_that_cannot_be_scraped_is_read_all_the_same),
        SERVED(a_snapshot_without_a_list_is_none),
        SERVED(twins_are_told_by_their_start),
        SERVED(who_looks_like_another_must_tell_its_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
