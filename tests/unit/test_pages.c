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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_found_by_its_whole_path),
        cmocka_unit_test(without_a_state_a_page_that_needs_one_writes_nothing),
        cmocka_unit_test(metrics_are_there_without_a_state),
        cmocka_unit_test(metrics_have_the_counters_and_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
