/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/pages.h"
#include "../../fcgi/stats.h"

static const struct ds_fcgi_page *find(const char *path)
{
    return ds_fcgi_page_find(path, strlen(path));
}

static void a_page_is_found_by_its_whole_path(void **unused)
{
    static const char *const none[] = {"",   "/",   "/sd/",          "/s",
                                       "sd", "/SD", "/metrics/job/a"};

    (void)unused;
    assert_string_equal(find("/sd")->path, "/sd");
    assert_string_equal(ds_fcgi_page_find("/sd?x", 3)->path, "/sd");
    assert_string_equal(find("/-/healthy")->path, "/-/healthy");
    for (size_t i = 0; i < DS_COUNT(none); i++)
        assert_null(find(none[i]));
}

static void without_a_state_a_page_that_needs_one_writes_nothing(void **unused)
{
    static const char *const needy[] = {"/sd", "/-/ready"};
    DS_AUTO(response) struct ds_response response;
    struct ds_view view = {0};
    struct ds_request request = {.method = "GET"};

    (void)unused;
    ds_response_init(&response);
    for (size_t i = 0; i < DS_COUNT(needy); i++) {
        assert_null(find(needy[i])->write(&view, &request, &response));
        assert_int_equal(response.head.len + response.body.len, 0);
    }
    assert_non_null(find("/-/healthy")->write(&view, &request, &response));
    assert_int_equal(response.status, 200);
}

static void metrics_are_there_without_a_state(void **unused)
{
    DS_AUTO(response) struct ds_response response;
    struct ds_view view = {0};
    struct ds_request request = {.method = "GET"};

    (void)unused;
    ds_response_init(&response);
    assert_string_equal(find("/metrics")->write(&view, &request, &response),
                        "text/plain; version=0.0.4; charset=utf-8");
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body.data, "\ndshard_state_usable 0\n"));
    /* A CGI program has nothing to count. */
    assert_null(strstr(response.body.data, "_total"));
}

static void metrics_have_the_counters_and_the_time(void **unused)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(stats) struct ds_stats *stats = ds_stats_new(2, 1000, &err);
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(state) struct ds_state state;
    struct ds_view view = {.state = &state, .stats = stats};
    struct ds_request request = {.method = "GET", .now_ms = 1764000000000};

    (void)unused;
    ds_response_init(&response);
    ds_state_init(&state);
    state.checked_at_ms = 1764000000000;
    find("/metrics")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "\ndshard_workers 2\n"));
    assert_non_null(strstr(response.body.data, "\ndshard_watch_up 1\n"));
    request.now_ms += 100000;
    find("/metrics")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "\ndshard_watch_up 0\n"));
}

/* Whichever worker is asked. */
static void it_is_ready_when_all_workers_are(void **unused)
{
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(stats) struct ds_stats *stats = ds_stats_new(2, 1000, &err);
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(state) struct ds_state state;
    struct ds_view view = {.state = &state, .stats = stats};
    struct ds_request request = {.method = "GET"};

    (void)unused;
    ds_response_init(&response);
    ds_state_init(&state);
    ds_stats_begin(stats, 0);
    assert_null(find("/-/ready")->write(&view, &request, &response));
    ds_stats_set_usable(stats, true);
    assert_non_null(find("/-/ready")->write(&view, &request, &response));
    ds_stats_begin(stats, 1); /* which has not looked yet, nor answers */
    assert_non_null(find("/-/ready")->write(&view, &request, &response));
    ds_stats_set_usable(stats, false);
    assert_null(find("/-/ready")->write(&view, &request, &response));
    find("/metrics")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "\ndshard_state_usable 0\n"));
    ds_stats_set_usable(stats, true);
    assert_non_null(find("/-/ready")->write(&view, &request, &response));
    find("/metrics")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "\ndshard_state_usable 1\n"));
    view.state = NULL;
    assert_null(find("/-/ready")->write(&view, &request, &response));
}

/* A page, also when all is wrong; 503 only without anything to tell. */
static void the_status_is_a_page_and_503_without_a_state(void **unused)
{
    static const char *const paths[] = {"/status", "/status.json"};
    static const char *const types[] = {"text/html; charset=utf-8", "application/json"};
    static const char *const verdicts[] = {" critical</h1>", "\"verdict\":\"critical\""};
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(state) struct ds_state state;
    struct ds_view none = {0}, empty = {.state = &state};
    struct ds_request request = {.method = "GET", .now_ms = 1764000000000};

    (void)unused;
    ds_response_init(&response);
    ds_state_init(&state);
    for (size_t i = 0; i < DS_COUNT(paths); i++) {
        assert_string_equal(find(paths[i])->write(&none, &request, &response), types[i]);
        assert_int_equal(response.status, 503);
        assert_non_null(strstr(response.head.data, "Retry-After: 2\r\n"));
        assert_non_null(strstr(response.body.data, verdicts[i]));
        find(paths[i])->write(&empty, &request, &response);
        assert_int_equal(response.status, 200);
        assert_non_null(strstr(response.head.data, "Cache-Control: no-store\r\n"));
        assert_non_null(strstr(response.body.data, verdicts[i]));
    }
}

static void the_status_reloads_by_one_query_and_tells_the_host(void **unused)
{
    static const struct {
        const char *target;
        bool reloads;
    } rows[] = {{"/status?reload", true},   {"/gw/status?reload", true},
                {"/status", false},         {"/status?", false},
                {"/status?reloads", false}, {"/status?x=1&reload", false},
                {"?reload", true},          {NULL, false}};
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(state) struct ds_state state;
    struct ds_view view = {.state = &state};

    (void)unused;
    ds_response_init(&response);
    ds_state_init(&state);
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_request request = {
            .method = "GET", .target = rows[i].target, .host = "web1", .now_ms = 1};

        find("/status")->write(&view, &request, &response);
        assert_int_equal(strstr(response.body.data, "http-equiv") != NULL,
                         rows[i].reloads);
        assert_non_null(strstr(response.body.data, "<title>web1: "));
    }
}

/* Also of servers that are no members, and none of those that are not there any more. */
static void pushes_stand_beside_their_servers(void **unused)
{
    static const struct ds_server servers[] = {{"b:1", 1}, {"gone:1", 1}};
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(stats) struct ds_stats *stats = ds_stats_new(1, 1000, &err);
    DS_AUTO(ptr) void *owned = ds_stats_places(stats, servers, DS_COUNT(servers));
    const uint16_t *places = owned;
    DS_AUTO(response) struct ds_response response;
    DS_AUTO(state) struct ds_state state;
    struct ds_view view = {.state = &state, .stats = stats};
    struct ds_request request = {.method = "GET", .now_ms = 1764000000000};
    struct ds_outcome outcome = {.method = DS_METHOD_PUT, .status = 307};

    (void)unused;
    ds_response_init(&response);
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1);
    ds_state_add(&state, "b:1", 1);
    ds_stats_begin(stats, 0);
    for (int i = 0; i < 5; i++) {
        outcome.place = places[i % 3 == 2];
        ds_stats_count(stats, &outcome, 1000);
    }
    find("/status")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "<th class=\"r\">pushes</th>"));
    assert_non_null(strstr(response.body.data, "-</td><td class=\"r\">0</td></tr>"));
    assert_non_null(strstr(response.body.data, "-</td><td class=\"r\">4</td></tr>"));
    find("/status.json")->write(&view, &request, &response);
    assert_non_null(strstr(response.body.data, "\"pushes\":4"));
    assert_non_null(strstr(response.body.data, "\"counted_since\":1000,"));
    view.stats = NULL;
    find("/status")->write(&view, &request, &response);
    assert_null(strstr(response.body.data, "pushes</th>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_found_by_its_whole_path),
        cmocka_unit_test(without_a_state_a_page_that_needs_one_writes_nothing),
        cmocka_unit_test(metrics_are_there_without_a_state),
        cmocka_unit_test(metrics_have_the_counters_and_the_time),
        cmocka_unit_test(it_is_ready_when_all_workers_are),
        cmocka_unit_test(the_status_is_a_page_and_503_without_a_state),
        cmocka_unit_test(the_status_reloads_by_one_query_and_tells_the_host),
        cmocka_unit_test(pushes_stand_beside_their_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
