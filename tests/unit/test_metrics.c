/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/metrics.h"

#include <stdio.h>

enum { TEXT_MAX = 4 * 1024 * 1024 };

#define NOW_MS 1764000000000

static void format(const struct ds_state *state, const struct ds_counters *counters,
                   struct ds_buf *out)
{
    DS_AUTO(ring) struct ds_ring *ring = state ? ds_state_ring(state) : NULL;

    ds_buf_init(out, TEXT_MAX);
    ds_metrics_format(state, ring, counters, NOW_MS, out);
    assert_false(out->over);
}

/* The lines of one family, HELP left out, next to each other. */
static void assert_family(const struct ds_buf *text, const char *name,
                          const char *expected)
{
    DS_AUTO(str) char *head = ds_xasprintf("# HELP %s ", name);
    DS_AUTO(str) char *found = NULL;
    const char *at = strstr(text->data, head), *end;

    if (!at)
        fail_msg("there is no %s in\n%s", name, text->data);
    assert_null(strstr(at + 1, head));
    at = strchr(at, '\n') + 1;
    end = strstr(at, "# HELP ");
    found = end ? ds_xstrndup(at, (size_t)(end - at)) : ds_xstrdup(at);
    assert_string_equal(found, expected);
}

static void assert_absent(const struct ds_buf *text, const char *name)
{
    if (strstr(text->data, name))
        fail_msg("there is a %s in\n%s", name, text->data);
}

/* Three servers, two of them members. */
static void fill(struct ds_state *state)
{
    struct ds_server members[] = {{"a:1", 1}, {"b:1", 3}};
    struct ds_error err = DS_ERROR_INIT;

    ds_state_init(state);
    ds_state_add(state, "a:1", 1)->health.state = DS_HEALTH_UP;
    ds_state_find(state, "a:1")->health.since_ms = 1763999000500;
    ds_state_add(state, "b:1", 3)->health.state = DS_HEALTH_DOWN;
    ds_state_add(state, "[::1]:9091", 100)->intent = DS_INTENT_DRAINING;
    assert_ok(ds_state_set_ring(state, members, DS_COUNT(members), 500, DS_CAUSE_HEALTH,
                                1763999000123, &err),
              &err);
    state->generation = 17;
    state->checked_at_ms = NOW_MS - 1001;
    state->written_at_ms = NOW_MS - 2000;
}

static void without_a_state_and_counters_little_is_known(void **unused)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

    (void)unused;
    format(NULL, NULL, &text);
    assert_string_equal(
        text.data,
        "# HELP dshard_build_info Which dshard-fcgi this is; always 1.\n"
        "# TYPE dshard_build_info gauge\n"
        "dshard_build_info{version=\"" DS_VERSION "\"} 1\n"
        "# HELP dshard_state_usable 1: a good state file was read, now or earlier, and "
        "is in use by every worker.\n"
        "# TYPE dshard_state_usable gauge\n"
        "dshard_state_usable 0\n");
}

static void each_server_has_its_lines(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    DS_AUTO(str) char *shares = NULL;

    (void)unused;
    fill(&state);
    format(&state, NULL, &text);
    assert_family(&text, "dshard_server_up",
                  "# TYPE dshard_server_up gauge\n"
                  "dshard_server_up{server=\"[::1]:9091\"} 0\n"
                  "dshard_server_up{server=\"a:1\"} 1\n"
                  "dshard_server_up{server=\"b:1\"} 0\n");
    assert_family(&text, "dshard_server_member",
                  "# TYPE dshard_server_member gauge\n"
                  "dshard_server_member{server=\"[::1]:9091\"} 0\n"
                  "dshard_server_member{server=\"a:1\"} 1\n"
                  "dshard_server_member{server=\"b:1\"} 1\n");
    assert_family(&text, "dshard_server_weight",
                  "# TYPE dshard_server_weight gauge\n"
                  "dshard_server_weight{server=\"[::1]:9091\"} 100\n"
                  "dshard_server_weight{server=\"a:1\"} 1\n"
                  "dshard_server_weight{server=\"b:1\"} 3\n");
    assert_family(
        &text, "dshard_server_health_change_timestamp_seconds",
        "# TYPE dshard_server_health_change_timestamp_seconds gauge\n"
        "dshard_server_health_change_timestamp_seconds{server=\"[::1]:9091\"} 0\n"
        "dshard_server_health_change_timestamp_seconds{server=\"a:1\"} 1763999000.5\n"
        "dshard_server_health_change_timestamp_seconds{server=\"b:1\"} 0\n");
    ring = ds_state_ring(&state);
    shares = ds_xasprintf("# TYPE dshard_server_ownership_ratio gauge\n"
                          "dshard_server_ownership_ratio{server=\"[::1]:9091\"} 0\n"
                          "dshard_server_ownership_ratio{server=\"a:1\"} %.9f\n"
                          "dshard_server_ownership_ratio{server=\"b:1\"} %.9f\n",
                          (double)ds_ring_share(ring, 0) / 4294967296.0,
                          (double)ds_ring_share(ring, 1) / 4294967296.0);
    assert_family(&text, "dshard_server_ownership_ratio", shares);
}

static void the_only_member_owns_all(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    struct ds_server member = {"a:1", 1};
    struct ds_error err = DS_ERROR_INIT;

    (void)unused;
    ds_state_init(&state);
    ds_state_add(&state, "a:1", 1);
    assert_ok(ds_state_set_ring(&state, &member, 1, 500, DS_CAUSE_START, 1, &err), &err);
    format(&state, NULL, &text);
    assert_family(&text, "dshard_server_ownership_ratio",
                  "# TYPE dshard_server_ownership_ratio gauge\n"
                  "dshard_server_ownership_ratio{server=\"a:1\"} 1\n");
}

static void servers_and_members_are_counted_in_all_their_states(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    unsigned lines = 0;

    (void)unused;
    fill(&state);
    format(&state, NULL, &text);
    for (const char *at = text.data; (at = strstr(at, "\ndshard_servers{")); at++)
        lines++;
    assert_int_equal(lines, DS_N_HEALTH_STATES * DS_N_INTENTS);
    assert_non_null(
        strstr(text.data, "\ndshard_servers{health=\"new\",intent=\"draining\"} 1\n"));
    assert_non_null(
        strstr(text.data, "\ndshard_members{health=\"new\",intent=\"draining\"} 0\n"));
    assert_non_null(
        strstr(text.data, "\ndshard_members{health=\"up\",intent=\"in\"} 1\n"));
    assert_non_null(
        strstr(text.data, "\ndshard_members{health=\"down\",intent=\"in\"} 1\n"));
    assert_non_null(
        strstr(text.data, "\ndshard_servers{health=\"held\",intent=\"out\"} 0\n"));
}

/* What the status page calls degraded although the server is up. */
static void a_server_that_is_up_with_a_complaint_is_impaired(void **unused)
{
    static const struct {
        enum ds_health_state health;
        enum ds_intent intent;
        bool member;
        const char *why, *impaired;
    } cases[] = {
        {DS_HEALTH_UP, DS_INTENT_IN, true, "", "0"},
        {DS_HEALTH_UP, DS_INTENT_IN, true, "overloaded: 429", "1"},
        {DS_HEALTH_UP, DS_INTENT_IN, false, "401", "1"},
        {DS_HEALTH_UP, DS_INTENT_IN, false, "", "0"},
        {DS_HEALTH_UP, DS_INTENT_DRAINING, true, "404", "1"},
        {DS_HEALTH_UP, DS_INTENT_DRAINING, false, "404", "0"},
        {DS_HEALTH_UP, DS_INTENT_OUT, false, "404", "0"},
        {DS_HEALTH_DOWN, DS_INTENT_IN, true, "refused", "0"},
        {DS_HEALTH_HELD, DS_INTENT_IN, false, "flapped", "0"},
    };

    (void)unused;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        DS_AUTO(state) struct ds_state state;
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
        DS_AUTO(str)
        char *expected = ds_xasprintf("# TYPE dshard_server_impaired gauge\n"
                                      "dshard_server_impaired{server=\"a:1\"} %s\n",
                                      cases[i].impaired);
        struct ds_standing *standing;

        ds_state_init(&state);
        standing = ds_state_add(&state, "a:1", 1);
        standing->health.state = cases[i].health;
        standing->intent = cases[i].intent;
        standing->member = cases[i].member;
        memcpy(standing->health.why, cases[i].why, strlen(cases[i].why) + 1);
        ds_buf_init(&text, TEXT_MAX);
        ds_metrics_format(&state, NULL, NULL, NOW_MS, &text);
        assert_family(&text, "dshard_server_impaired", expected);
    }
}

static void the_ring_is_told(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    DS_AUTO(str) char *digest = NULL;

    (void)unused;
    fill(&state);
    format(&state, NULL, &text);
    assert_family(&text, "dshard_ring_generation",
                  "# TYPE dshard_ring_generation gauge\ndshard_ring_generation 17\n");
    digest =
        ds_xasprintf("# TYPE dshard_ring_info gauge\ndshard_ring_info{digest=\"%s\"} 1\n",
                     state.digest);
    assert_family(&text, "dshard_ring_info", digest);
    assert_family(&text, "dshard_ring_last_change_timestamp_seconds",
                  "# TYPE dshard_ring_last_change_timestamp_seconds gauge\n"
                  "dshard_ring_last_change_timestamp_seconds 1763999000.123\n");
    assert_family(&text, "dshard_ring_frozen",
                  "# TYPE dshard_ring_frozen gauge\ndshard_ring_frozen 0\n");
    assert_family(&text, "dshard_state_usable",
                  "# TYPE dshard_state_usable gauge\ndshard_state_usable 1\n");
    assert_absent(&text, "_total");

    ds_buf_release(&text);
    ds_set_str(&state.frozen_reason, "all\n\"down\"");
    format(&state, NULL, &text);
    assert_family(&text, "dshard_ring_frozen",
                  "# TYPE dshard_ring_frozen gauge\ndshard_ring_frozen 1\n");
    assert_absent(&text, "down\\\"");
}

static void an_empty_state_has_no_last_change(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

    (void)unused;
    ds_state_init(&state);
    format(&state, NULL, &text);
    assert_absent(&text, "dshard_ring_last_change_timestamp_seconds");
    assert_absent(&text, "{server=");
    assert_family(&text, "dshard_server_up", "# TYPE dshard_server_up gauge\n");
    assert_family(&text, "dshard_watch_up",
                  "# TYPE dshard_watch_up gauge\ndshard_watch_up 0\n");
    assert_family(&text, "dshard_watch_last_check_timestamp_seconds",
                  "# TYPE dshard_watch_last_check_timestamp_seconds gauge\n"
                  "dshard_watch_last_check_timestamp_seconds 0\n");
}

static void a_dead_watch_shows(void **unused)
{
    static const struct {
        int64_t age_ms;
        const char *up;
    } cases[] = {
        {0, "1"},
        {DS_STATE_STALE_MS, "1"},
        {DS_STATE_STALE_MS + 1, "0"},
        {-DS_STATE_STALE_MS - 1, "0"}, /* the clock was put back */
    };

    (void)unused;
    for (size_t i = 0; i < DS_COUNT(cases); i++) {
        DS_AUTO(state) struct ds_state state;
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
        DS_AUTO(str)
        char *expected = ds_xasprintf(
            "# TYPE dshard_watch_up gauge\ndshard_watch_up %s\n", cases[i].up);

        fill(&state);
        state.checked_at_ms = NOW_MS - cases[i].age_ms;
        format(&state, NULL, &text);
        assert_family(&text, "dshard_watch_up", expected);
    }
}

static void times_of_the_file_are_told_in_seconds(void **unused)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);

    (void)unused;
    fill(&state);
    format(&state, NULL, &text);
    assert_family(&text, "dshard_watch_last_check_timestamp_seconds",
                  "# TYPE dshard_watch_last_check_timestamp_seconds gauge\n"
                  "dshard_watch_last_check_timestamp_seconds 1763999998.999\n");
    assert_family(&text, "dshard_state_written_timestamp_seconds",
                  "# TYPE dshard_state_written_timestamp_seconds gauge\n"
                  "dshard_state_written_timestamp_seconds 1763999998\n");
}

static void counters_of_requests_are_told(void **unused)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    struct ds_counters counters = {0};

    (void)unused;
    counters.requests[DS_METHOD_PUT][ds_counted_status_index(307)] = 12345678901234;
    counters.requests[DS_METHOD_GET][ds_counted_status_index(404)] = 1;
    counters.refused[DS_WORK_PUSH][DS_REFUSAL_BAD_PATH] = 3;
    counters.refused[DS_WORK_PUSH][DS_REFUSAL_NO_STATE] = 4;
    counters.refused[DS_WORK_OTHER][DS_REFUSAL_NO_STATE] = 5;
    format(NULL, &counters, &text);
    assert_family(&text, "dshard_requests_total",
                  "# TYPE dshard_requests_total counter\n"
                  "dshard_requests_total{method=\"DELETE\",code=\"200\"} 0\n"
                  "dshard_requests_total{method=\"DELETE\",code=\"307\"} 0\n"
                  "dshard_requests_total{method=\"DELETE\",code=\"400\"} 0\n"
                  "dshard_requests_total{method=\"DELETE\",code=\"503\"} 0\n"
                  "dshard_requests_total{method=\"GET\",code=\"200\"} 0\n"
                  "dshard_requests_total{method=\"GET\",code=\"404\"} 1\n"
                  "dshard_requests_total{method=\"GET\",code=\"503\"} 0\n"
                  "dshard_requests_total{method=\"HEAD\",code=\"200\"} 0\n"
                  "dshard_requests_total{method=\"HEAD\",code=\"503\"} 0\n"
                  "dshard_requests_total{method=\"POST\",code=\"200\"} 0\n"
                  "dshard_requests_total{method=\"POST\",code=\"307\"} 0\n"
                  "dshard_requests_total{method=\"POST\",code=\"400\"} 0\n"
                  "dshard_requests_total{method=\"POST\",code=\"503\"} 0\n"
                  "dshard_requests_total{method=\"PUT\",code=\"200\"} 0\n"
                  "dshard_requests_total{method=\"PUT\",code=\"307\"} 12345678901234\n"
                  "dshard_requests_total{method=\"PUT\",code=\"400\"} 0\n"
                  "dshard_requests_total{method=\"PUT\",code=\"503\"} 0\n"
                  "dshard_requests_total{method=\"other\",code=\"405\"} 0\n");
    assert_family(
        &text, "dshard_requests_refused_total",
        "# TYPE dshard_requests_refused_total counter\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"bad_path\"} 3\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"not_found\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"method_not_allowed\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"path_too_long\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"misconfigured\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"answer_too_long\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"no_member\"} 0\n"
        "dshard_requests_refused_total{kind=\"push\",reason=\"no_state\"} 4\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"bad_path\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"not_found\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"method_not_allowed\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"path_too_long\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"misconfigured\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"answer_too_long\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"no_member\"} 0\n"
        "dshard_requests_refused_total{kind=\"other\",reason=\"no_state\"} 5\n");
}

static void durations_are_a_histogram_each_for_pushes_and_the_rest(void **unused)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    struct ds_counters counters = {0};

    (void)unused;
    counters.durations[DS_WORK_PUSH][2] = 5;
    counters.durations[DS_WORK_OTHER][DS_N_BUCKETS - 1] = 1;
    counters.duration_ns[DS_WORK_PUSH] = 40123;
    format(NULL, &counters, &text);
    assert_non_null(strstr(text.data, "_bucket{kind=\"push\",le=\"0.000005\"} 0\n"));
    assert_non_null(strstr(text.data, "_bucket{kind=\"push\",le=\"0.00001\"} 5\n"));
    assert_non_null(strstr(text.data, "_bucket{kind=\"push\",le=\"+Inf\"} 5\n"));
    assert_non_null(strstr(text.data, "_sum{kind=\"push\"} 0.000040123\n"));
    assert_non_null(strstr(text.data, "_count{kind=\"push\"} 5\n"));
    assert_non_null(strstr(text.data, "_bucket{kind=\"other\",le=\"0.1\"} 0\n"));
    assert_non_null(strstr(text.data, "_count{kind=\"other\"} 1\n"));
}

static void the_other_counters_are_told(void **unused)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    struct ds_push_count pushes[] = {{"b:1", 7}, {"other", 0}};
    struct ds_counters counters = {.n_workers = 2,
                                   .started_ms = 1763999000123,
                                   .worker_restarts = 3,
                                   .loads = 8,
                                   .load_errors = 9,
                                   .loaded_well = true,
                                   .loaded_ms = 1763999000124,
                                   .pushes = pushes,
                                   .n_pushes = DS_COUNT(pushes)};

    (void)unused;
    counters.changes[DS_CAUSE_WEIGHT] = 2;
    counters.changes[DS_CAUSE_UNKNOWN] = 1;
    format(NULL, &counters, &text);
    assert_family(&text, "dshard_pushes_total",
                  "# TYPE dshard_pushes_total counter\n"
                  "dshard_pushes_total{server=\"b:1\"} 7\n"
                  "dshard_pushes_total{server=\"other\"} 0\n");
    assert_family(&text, "dshard_ring_changes_total",
                  "# TYPE dshard_ring_changes_total counter\n"
                  "dshard_ring_changes_total{cause=\"start\"} 0\n"
                  "dshard_ring_changes_total{cause=\"health\"} 0\n"
                  "dshard_ring_changes_total{cause=\"operator\"} 0\n"
                  "dshard_ring_changes_total{cause=\"config\"} 0\n"
                  "dshard_ring_changes_total{cause=\"weight\"} 2\n"
                  "dshard_ring_changes_total{cause=\"unfreeze\"} 0\n"
                  "dshard_ring_changes_total{cause=\"unknown\"} 1\n");
    assert_family(
        &text, "dshard_state_loads_total",
        "# TYPE dshard_state_loads_total counter\ndshard_state_loads_total 8\n");
    assert_family(&text, "dshard_state_load_errors_total",
                  "# TYPE dshard_state_load_errors_total counter\n"
                  "dshard_state_load_errors_total 9\n");
    assert_family(&text, "dshard_state_last_load_successful",
                  "# TYPE dshard_state_last_load_successful gauge\n"
                  "dshard_state_last_load_successful 1\n");
    assert_family(&text, "dshard_state_last_load_success_timestamp_seconds",
                  "# TYPE dshard_state_last_load_success_timestamp_seconds gauge\n"
                  "dshard_state_last_load_success_timestamp_seconds 1763999000.124\n");
    assert_family(&text, "dshard_start_timestamp_seconds",
                  "# TYPE dshard_start_timestamp_seconds gauge\n"
                  "dshard_start_timestamp_seconds 1763999000.123\n");
    assert_family(&text, "dshard_workers",
                  "# TYPE dshard_workers gauge\ndshard_workers 2\n");
    assert_family(&text, "dshard_worker_restarts_total",
                  "# TYPE dshard_worker_restarts_total counter\n"
                  "dshard_worker_restarts_total 3\n");
}

/* The longest names that there are, as many as there may be, and pushes to as many again
   that are gone. */
static void the_largest_fleet_fits(void **unused)
{
    enum { GONE = 2048 };
    static struct ds_push_count pushes[GONE];
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(0);
    DS_AUTO(ptr) void *members = NULL;
    struct ds_counters counters = {.pushes = pushes, .n_pushes = GONE};
    struct ds_error err = DS_ERROR_INIT;
    char name[DS_ADDRESS_MAX];
    size_t n;

    (void)unused;
    ds_state_init(&state);
    for (unsigned i = 0; i < DS_SERVERS_MAX; i++) {
        snprintf(name, sizeof name, "%0253u:65535", i);
        ds_state_add(&state, name, 1)->member = true;
        ds_state_find(&state, name)->ring_weight = 1;
    }
    for (size_t i = 0; i < GONE; i++)
        pushes[i] = (struct ds_push_count){name, UINT64_MAX};
    members = ds_state_members(&state, &n);
    assert_ok(ds_state_set_ring(&state, members, n, 1, DS_CAUSE_START, 1, &err), &err);
    format(&state, &counters, &text);
    assert_in_range(text.len, 1024 * 1024, 3 * 1024 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_state_and_counters_little_is_known),
        cmocka_unit_test(each_server_has_its_lines),
        cmocka_unit_test(the_only_member_owns_all),
        cmocka_unit_test(servers_and_members_are_counted_in_all_their_states),
        cmocka_unit_test(a_server_that_is_up_with_a_complaint_is_impaired),
        cmocka_unit_test(the_ring_is_told),
        cmocka_unit_test(an_empty_state_has_no_last_change),
        cmocka_unit_test(a_dead_watch_shows),
        cmocka_unit_test(times_of_the_file_are_told_in_seconds),
        cmocka_unit_test(counters_of_requests_are_told),
        cmocka_unit_test(durations_are_a_histogram_each_for_pushes_and_the_rest),
        cmocka_unit_test(the_other_counters_are_told),
        cmocka_unit_test(the_largest_fleet_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
