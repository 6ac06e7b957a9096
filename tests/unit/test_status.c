/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/status.h"

#include <stdio.h>

static const int64_t NOW = 1764000000000, MINUTE = 60000;

enum { TEXT_MAX = 100000 };

/* Servers "a:1", "b:1", ...: up for an hour, members, checked a second ago. */
static void fill(struct ds_state *state, size_t n)
{
    ds_state_init(state);
    state->checked_at_ms = NOW - 1000;
    for (size_t i = 0; i < n; i++) {
        char address[32];
        struct ds_standing *standing;

        snprintf(address, sizeof address, "%c%zu:1", (int)('a' + i / 100), i % 100);
        standing = ds_state_add(state, address, 1);
        standing->member = true;
        standing->ring_weight = 1;
        standing->health.state = DS_HEALTH_UP;
        standing->health.since_ms = NOW - 60 * MINUTE;
    }
}

static void set(struct ds_state *state, size_t i, enum ds_health_state health,
                const char *why)
{
    state->servers[i].health.state = health;
    snprintf(state->servers[i].health.why, DS_WHY_MAX, "%s", why);
}

/* The verdict, and the problems one a line. */
static void assert_judged(const struct ds_state *state, enum ds_verdict verdict,
                          const char *problems)
{
    DS_AUTO(status) struct ds_status status;
    DS_AUTO(buf) struct ds_buf found = DS_BUF_INIT(TEXT_MAX);

    ds_status_judge(&status, state, NOW);
    for (size_t i = 0; i < status.n_problems; i++) {
        assert_false(status.problems[i].over);
        ds_buf_addf(&found, "%s%s", i ? "\n" : "", status.problems[i].data);
    }
    assert_string_equal(found.data, problems);
    assert_string_equal(ds_verdict_name(status.verdict), ds_verdict_name(verdict));
}

static void all_is_well(void **test)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(status) struct ds_status status;

    (void)test;
    fill(&state, 3);
    assert_judged(&state, DS_VERDICT_HEALTHY, "");
    state.servers[0].intent = DS_INTENT_OUT;
    state.servers[0].member = false;
    state.servers[1].health.state = DS_HEALTH_DOWN;
    ds_status_judge(&status, &state, NOW);
    assert_int_equal(status.n_servers, 2); /* without those that are out */
    assert_int_equal(status.n_members, 2);
    assert_int_equal(status.n_up, 1);
    ds_status_release(&status);
}

static void a_server_that_is_not_well_degrades(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 3);
    set(&state, 0, DS_HEALTH_DOWN, "connect: refused");
    state.servers[0].member = false;
    set(&state, 1, DS_HEALTH_HELD, "");
    state.servers[1].member = false;
    state.servers[1].health.hold_until_ms = NOW + 40000;
    set(&state, 2, DS_HEALTH_UP, "overloaded: 429");
    assert_judged(&state, DS_VERDICT_DEGRADED,
                  "a0:1 is down for 1h: connect: refused\n"
                  "a1:1 is back and rejoins in 40s\n"
                  "a2:1 is up for 1h: overloaded: 429");
}

static void a_hold_that_is_over_waits_for_the_cleaning(void **test)
{
    static const int64_t ago_ms[] = {0, 1, 29000, MINUTE};

    (void)test;
    for (size_t i = 0; i < DS_COUNT(ago_ms); i++) {
        DS_AUTO(state) struct ds_state state;

        fill(&state, 2);
        set(&state, 1, DS_HEALTH_HELD, "");
        state.servers[1].member = false;
        state.servers[1].health.hold_until_ms = NOW - ago_ms[i];
        assert_judged(&state, DS_VERDICT_DEGRADED,
                      "a1:1 is back and rejoins when its old groups are cleaned away");
    }
}

static void a_new_server_has_not_been_checked(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 2);
    set(&state, 1, DS_HEALTH_NEW, "");
    assert_judged(&state, DS_VERDICT_DEGRADED, "a1:1 has not been checked yet");
}

static void who_should_be_a_member_and_is_not_is_told(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 2);
    state.servers[1].member = false;
    assert_judged(&state, DS_VERDICT_DEGRADED, "a1:1 is up for 1h and no member");
}

static void who_is_on_the_way_in_or_out_may_be_anything(void **test)
{
    static const enum ds_intent ways[] = {DS_INTENT_JOINING, DS_INTENT_DRAINING,
                                          DS_INTENT_OUT};

    (void)test;
    for (size_t i = 0; i < DS_COUNT(ways); i++) {
        for (int k = 0; k < DS_N_HEALTH_STATES; k++) {
            DS_AUTO(state) struct ds_state state;

            fill(&state, 2);
            set(&state, 1, (enum ds_health_state)k, "connect: refused");
            state.servers[1].intent = ways[i];
            state.servers[1].member = false;
            assert_judged(&state, DS_VERDICT_HEALTHY, "");
        }
    }
}

static void a_frozen_ring_is_critical(void **test)
{
    DS_AUTO(state) struct ds_state state;
    char reason[1025], want[1100];

    (void)test;
    fill(&state, 1);
    state.frozen_since_ms = NOW - 5 * MINUTE;
    ds_set_str(&state.frozen_reason, "0 of 1 servers are up, 1 is needed");
    assert_judged(&state, DS_VERDICT_CRITICAL,
                  "the ring is frozen for 5m: 0 of 1 servers are up, 1 is needed");
    memset(reason, 'x', sizeof reason - 1); /* as long as a file may have it */
    reason[sizeof reason - 1] = '\0';
    ds_set_str(&state.frozen_reason, reason);
    snprintf(want, sizeof want, "the ring is frozen for 5m: %s", reason);
    assert_judged(&state, DS_VERDICT_CRITICAL, want);
}

static void no_member_is_critical(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 0);
    assert_judged(&state, DS_VERDICT_CRITICAL,
                  "no server is a member: every push is answered with 503");
}

static void a_dead_watch_is_critical(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 1);
    state.checked_at_ms = NOW - DS_STATE_STALE_MS;
    assert_judged(&state, DS_VERDICT_HEALTHY, "");
    state.checked_at_ms--;
    assert_judged(&state, DS_VERDICT_CRITICAL,
                  "nothing follows the servers' health: the last check was 1m ago");
    state.checked_at_ms = 0;
    assert_judged(&state, DS_VERDICT_CRITICAL,
                  "nothing follows the servers' health: dshard watch has never run");
    state.checked_at_ms = NOW + 5000; /* the clock was put back */
    assert_judged(&state, DS_VERDICT_HEALTHY, "");
}

static void the_worst_comes_first(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 1);
    set(&state, 0, DS_HEALTH_DOWN, "");
    state.servers[0].member = false;
    state.frozen_since_ms = NOW;
    ds_set_str(&state.frozen_reason, "why");
    state.checked_at_ms = 0;
    assert_judged(&state, DS_VERDICT_CRITICAL,
                  "the ring is frozen for 0s: why\n"
                  "no server is a member: every push is answered with 503\n"
                  "nothing follows the servers' health: dshard watch has never run\n"
                  "a0:1 is down for 1h");
}

static void more_than_fit_are_counted(void **test)
{
    static const size_t sick[] = {DS_PROBLEMS_MAX - 1, DS_PROBLEMS_MAX, 900};

    (void)test;
    for (size_t i = 0; i < DS_COUNT(sick); i++) {
        DS_AUTO(state) struct ds_state state;
        DS_AUTO(status) struct ds_status status;
        char last[100];
        size_t left = sick[i] - (DS_PROBLEMS_MAX - 1);

        fill(&state, 901);
        for (size_t k = 0; k < sick[i]; k++)
            set(&state, k, DS_HEALTH_DOWN, "");
        ds_status_judge(&status, &state, NOW);
        assert_int_equal(status.n_problems, DS_PROBLEMS_MAX - (left == 0));
        snprintf(last, sizeof last, "more servers like these: %zu", left);
        if (left)
            assert_string_equal(status.problems[DS_PROBLEMS_MAX - 1].data, last);
        assert_int_equal(status.verdict, DS_VERDICT_DEGRADED);
        ds_status_release(&status);
        ds_status_release(&status);
    }
}

/* The problem that it makes of groups, NULL for none; the ring changed, and an operation
   began, so long ago. */
static void assert_groups(struct ds_status_groups groups, int64_t since_ms,
                          const char *problem)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(status) struct ds_status status;

    fill(&state, 2);
    if (since_ms >= 0) {
        state.n_history = 1;
        state.history[0].at_ms = NOW - since_ms;
    }
    groups.patience_ms = 5 * MINUTE;
    state.operation_since_ms = NOW - since_ms;
    ds_status_judge(&status, &state, NOW);
    ds_status_judge_groups(&status, &state, &groups, NOW);
    assert_int_equal(status.n_problems, problem != NULL);
    assert_int_equal(status.verdict, problem ? DS_VERDICT_DEGRADED : DS_VERDICT_HEALTHY);
    if (problem)
        assert_string_equal(status.problems[0].data, problem);
}

#define MOVES   .moves = true
#define DEDUPES .dedupes = true

static void groups_that_do_not_follow_degrade(void **test)
{
    static const char misplaced[] =
        "3 groups are misplaced, 6m after the last change of the ring: see dshard groups "
        "--misplaced, and the log of the watch";

    (void)test;
    assert_groups((struct ds_status_groups){MOVES, .n_misplaced = 3}, 6 * MINUTE + 1,
                  misplaced);
    assert_groups((struct ds_status_groups){MOVES, .n_misplaced = 3, .n_doubled = 2},
                  6 * MINUTE + 1, misplaced);
    assert_groups(
        (struct ds_status_groups){MOVES, .n_misplaced = 1}, -1,
        "1 group is misplaced: see dshard groups --misplaced, and the log of the "
        "watch");
    assert_groups((struct ds_status_groups){DEDUPES, .n_misplaced = 3, .n_doubled = 1},
                  60 * MINUTE,
                  "1 group is on more than one server, 1h after the last change of the "
                  "ring: see dshard groups, and the log of the watch");
}

static void groups_that_may_still_come_are_nothing_wrong(void **test)
{
    (void)test;
    assert_groups((struct ds_status_groups){MOVES}, 60 * MINUTE, NULL);
    /* The patience, and some time to do it. */
    assert_groups((struct ds_status_groups){MOVES, .n_misplaced = 3}, 6 * MINUTE, NULL);
    assert_groups((struct ds_status_groups){MOVES, .n_doubled = 3}, 0, NULL);
    /* Somebody is at it, and not for ever. */
    assert_groups((struct ds_status_groups){MOVES, .n_misplaced = 3, .busy = true},
                  15 * MINUTE, NULL);
    assert_groups((struct ds_status_groups){MOVES, .n_misplaced = 3, .busy = true},
                  15 * MINUTE + 1,
                  "3 groups are misplaced, 15m after the last change of the ring: see "
                  "dshard groups --misplaced, and the log of the watch");
    /* Nobody is to do it. */
    assert_groups((struct ds_status_groups){.n_misplaced = 3, .n_doubled = 3},
                  60 * MINUTE, NULL);
    assert_groups((struct ds_status_groups){DEDUPES, .n_misplaced = 3}, 60 * MINUTE,
                  NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(a_server_that_is_not_well_degrades),
        cmocka_unit_test(a_hold_that_is_over_waits_for_the_cleaning),
        cmocka_unit_test(a_new_server_has_not_been_checked),
        cmocka_unit_test(who_should_be_a_member_and_is_not_is_told),
        cmocka_unit_test(who_is_on_the_way_in_or_out_may_be_anything),
        cmocka_unit_test(a_frozen_ring_is_critical),
        cmocka_unit_test(no_member_is_critical),
        cmocka_unit_test(a_dead_watch_is_critical),
        cmocka_unit_test(the_worst_comes_first),
        cmocka_unit_test(more_than_fit_are_counted),
        cmocka_unit_test(groups_that_do_not_follow_degrade),
        cmocka_unit_test(groups_that_may_still_come_are_nothing_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
