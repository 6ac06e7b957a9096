/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/health.h"
#include "dshard/utf8.h"
#include "random.h"

static const struct ds_health_config CONFIG = {
    .rise = 2, .fall = 3, .rejoin_after_ms = 10000};
static const int64_t NOW = 1764000000000, MINUTE = 60000;

enum { N_SIGHTS = 4, STEPS = 200000 };

/* NEW is "new with one success behind it" where `run` is 1, and so on. */
static struct ds_health make(enum ds_health_state state, unsigned run, unsigned fails)
{
    struct ds_health health = {
        .state = state, .run = run, .fails = fails, .since_ms = NOW - 5000};

    if (state == DS_HEALTH_HELD)
        health.hold_until_ms = NOW + 1000;
    return health;
}

static bool step(struct ds_health *health, enum ds_sight sight, int64_t now_ms)
{
    return ds_health_step(&CONFIG, health, sight, NULL, now_ms);
}

static void assert_state(const struct ds_health *health, enum ds_health_state want)
{
    assert_string_equal(ds_health_name(health->state), ds_health_name(want));
}

/* One piece of evidence in each state: every cell of the table in health.h. */
static void each_state_meets_each_evidence(void **state)
{
    static const struct {
        enum ds_health_state from;
        unsigned run, fails;
        enum ds_sight sight;
        enum ds_health_state to;
        unsigned want_run, want_fails;
    } rows[] = {
        {DS_HEALTH_NEW, 0, 0, DS_SIGHT_OK, DS_HEALTH_UP, 0, 0},
        {DS_HEALTH_NEW, 0, 0, DS_SIGHT_FAIL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_NEW, 0, 0, DS_SIGHT_FINAL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_NEW, 0, 0, DS_SIGHT_NONE, DS_HEALTH_NEW, 0, 0},
        {DS_HEALTH_UP, 0, 0, DS_SIGHT_OK, DS_HEALTH_UP, 0, 0},
        {DS_HEALTH_UP, 0, 2, DS_SIGHT_OK, DS_HEALTH_UP, 0, 0},
        {DS_HEALTH_UP, 0, 0, DS_SIGHT_FAIL, DS_HEALTH_UP, 0, 1},
        {DS_HEALTH_UP, 0, 1, DS_SIGHT_FAIL, DS_HEALTH_UP, 0, 2},
        {DS_HEALTH_UP, 0, 2, DS_SIGHT_FAIL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_UP, 0, 0, DS_SIGHT_FINAL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_UP, 0, 2, DS_SIGHT_NONE, DS_HEALTH_UP, 0, 2},
        {DS_HEALTH_DOWN, 0, 0, DS_SIGHT_OK, DS_HEALTH_DOWN, 1, 0},
        {DS_HEALTH_DOWN, 1, 0, DS_SIGHT_OK, DS_HEALTH_HELD, 0, 0},
        {DS_HEALTH_DOWN, 1, 0, DS_SIGHT_FAIL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_DOWN, 1, 0, DS_SIGHT_FINAL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_DOWN, 1, 0, DS_SIGHT_NONE, DS_HEALTH_DOWN, 1, 0},
        {DS_HEALTH_HELD, 0, 0, DS_SIGHT_OK, DS_HEALTH_HELD, 0, 0},
        {DS_HEALTH_HELD, 0, 0, DS_SIGHT_FAIL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_HELD, 0, 0, DS_SIGHT_FINAL, DS_HEALTH_DOWN, 0, 0},
        {DS_HEALTH_HELD, 0, 0, DS_SIGHT_NONE, DS_HEALTH_HELD, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_health health = make(rows[i].from, rows[i].run, rows[i].fails);
        bool changed = step(&health, rows[i].sight, NOW);

        if (health.state != rows[i].to)
            fail_msg("row %zu: %s became %s, not %s", i, ds_health_name(rows[i].from),
                     ds_health_name(health.state), ds_health_name(rows[i].to));
        assert_int_equal(changed, rows[i].from != rows[i].to);
        assert_int_equal(health.run, rows[i].want_run);
        assert_int_equal(health.fails, rows[i].want_fails);
        assert_int_equal(health.since_ms, changed ? NOW : NOW - 5000);
        assert_int_equal(health.hold_until_ms != 0, rows[i].to == DS_HEALTH_HELD);
        /* Only from up to down is a flap. */
        assert_int_equal(health.n_flaps,
                         rows[i].from == DS_HEALTH_UP && rows[i].to == DS_HEALTH_DOWN);
    }
}

static void rise_and_fall_of_one_need_no_second_look(void **state)
{
    static const struct ds_health_config quick = {
        .rise = 1, .fall = 1, .rejoin_after_ms = 10000};
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    assert_true(ds_health_step(&quick, &health, DS_SIGHT_FAIL, NULL, NOW));
    assert_state(&health, DS_HEALTH_DOWN);
    assert_true(ds_health_step(&quick, &health, DS_SIGHT_OK, NULL, NOW + 1));
    assert_state(&health, DS_HEALTH_HELD);
}

static void failures_must_come_in_a_row(void **state)
{
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    for (int i = 0; i < 20; i++) {
        step(&health, i % 3 == 2 ? DS_SIGHT_OK : DS_SIGHT_FAIL, NOW + i);
        assert_state(&health, DS_HEALTH_UP);
    }
    health = make(DS_HEALTH_DOWN, 0, 0);
    for (int i = 0; i < 20; i++) {
        step(&health, i % 2 ? DS_SIGHT_OK : DS_SIGHT_FAIL, NOW + i);
        assert_state(&health, DS_HEALTH_DOWN);
    }
}

static void lost_evidence_takes_nobody_out(void **state)
{
    struct ds_health health = make(DS_HEALTH_UP, 0, 2);

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_false(step(&health, DS_SIGHT_NONE, NOW + i * MINUTE));
    assert_state(&health, DS_HEALTH_UP);
}

static void a_held_server_is_up_when_its_time_has_come(void **state)
{
    struct ds_health health = make(DS_HEALTH_DOWN, 1, 0);

    (void)state;
    assert_int_equal(ds_health_wake_at(&health), INT64_MAX);
    assert_true(step(&health, DS_SIGHT_OK, NOW));
    assert_state(&health, DS_HEALTH_HELD);
    assert_int_equal(health.hold_until_ms, NOW + 10000);
    assert_int_equal(ds_health_wake_at(&health), NOW + 10000);
    assert_false(step(&health, DS_SIGHT_NONE, NOW + 9999));
    assert_true(step(&health, DS_SIGHT_NONE, NOW + 10000));
    assert_state(&health, DS_HEALTH_UP);
    assert_int_equal(health.since_ms, NOW + 10000);
    assert_int_equal(health.hold_until_ms, 0);
    assert_int_equal(ds_health_wake_at(&health), INT64_MAX);
}

static void a_success_at_the_end_of_the_hold_brings_it_up_too(void **state)
{
    struct ds_health health = make(DS_HEALTH_HELD, 0, 0);

    (void)state;
    assert_true(step(&health, DS_SIGHT_OK, health.hold_until_ms));
    assert_state(&health, DS_HEALTH_UP);
}

static void a_failure_at_the_end_of_the_hold_does_not(void **state)
{
    struct ds_health health = make(DS_HEALTH_HELD, 0, 0);

    (void)state;
    assert_true(step(&health, DS_SIGHT_FAIL, health.hold_until_ms));
    assert_state(&health, DS_HEALTH_DOWN);
    assert_int_equal(health.n_flaps, 0);
}

static void without_damping_it_is_up_at_once(void **state)
{
    static const struct ds_health_config undamped = {.rise = 2, .fall = 2};
    struct ds_health health = make(DS_HEALTH_DOWN, 1, 0);

    (void)state;
    health.flaps[0] = NOW - 1;
    health.n_flaps = 1;
    assert_true(ds_health_step(&undamped, &health, DS_SIGHT_OK, NULL, NOW));
    assert_state(&health, DS_HEALTH_UP);
    assert_int_equal(health.hold_until_ms, 0);
}

/* Down and back again at `now`: how long it is held. */
static int64_t flap(struct ds_health *health, int64_t now_ms)
{
    step(health, DS_SIGHT_FINAL, now_ms);
    assert_state(health, DS_HEALTH_DOWN);
    step(health, DS_SIGHT_OK, now_ms);
    step(health, DS_SIGHT_OK, now_ms);
    assert_state(health, DS_HEALTH_HELD);
    now_ms = health->hold_until_ms - now_ms;
    ds_health_promote(health, health->since_ms);
    return now_ms;
}

static void each_flap_within_ten_minutes_doubles_the_hold(void **state)
{
    static const int64_t want_s[] = {10, 20, 40, 80, 160, 300, 300, 300, 300, 300};
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    for (size_t i = 0; i < DS_COUNT(want_s); i++)
        assert_int_equal(flap(&health, NOW + (int64_t)i * 1000), want_s[i] * 1000);
    assert_int_equal(health.n_flaps, DS_FLAPS_MAX);
    for (size_t i = 0; i < DS_FLAPS_MAX; i++) /* newest first */
        assert_int_equal(health.flaps[i], NOW + (int64_t)(9 - i) * 1000);
}

static void flaps_of_more_than_ten_minutes_ago_are_forgiven(void **state)
{
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    assert_int_equal(flap(&health, NOW), 10000);
    assert_int_equal(flap(&health, NOW + 10 * MINUTE), 20000); /* just within */
    assert_int_equal(flap(&health, NOW + 10 * MINUTE + 1), 20000);
    assert_int_equal(flap(&health, NOW + 31 * MINUTE), 10000);
}

static void a_long_rejoin_after_is_cut_to_five_minutes(void **state)
{
    static const struct ds_health_config slow = {
        .rise = 1, .fall = 1, .rejoin_after_ms = 3600000};
    struct ds_health health = make(DS_HEALTH_DOWN, 0, 0);

    (void)state;
    ds_health_step(&slow, &health, DS_SIGHT_OK, NULL, NOW);
    assert_int_equal(health.hold_until_ms, NOW + 5 * MINUTE);
}

static void a_server_that_never_was_up_is_held_once(void **state)
{
    struct ds_health health = {0};

    (void)state;
    step(&health, DS_SIGHT_FAIL, NOW);
    assert_state(&health, DS_HEALTH_DOWN);
    step(&health, DS_SIGHT_OK, NOW + 1000);
    step(&health, DS_SIGHT_OK, NOW + 2000);
    assert_state(&health, DS_HEALTH_HELD);
    assert_int_equal(health.hold_until_ms, NOW + 12000);
    assert_int_equal(health.n_flaps, 0);
}

static void the_reason_is_the_one_of_the_last_evidence(void **state)
{
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    ds_health_step(&CONFIG, &health, DS_SIGHT_OK, "overloaded: 429", NOW);
    assert_string_equal(health.why, "overloaded: 429");
    ds_health_step(&CONFIG, &health, DS_SIGHT_NONE, "not looked at", NOW);
    assert_string_equal(health.why, "overloaded: 429");
    ds_health_step(&CONFIG, &health, DS_SIGHT_FINAL, "connect: refused", NOW);
    assert_string_equal(health.why, "connect: refused");
    ds_health_step(&CONFIG, &health, DS_SIGHT_OK, NULL, NOW);
    assert_string_equal(health.why, "");
}

static void a_reason_is_kept_as_utf8_that_fits(void **state)
{
    struct ds_health health = {0};
    char words[600];

    (void)state;
    ds_health_step(&CONFIG, &health, DS_SIGHT_FAIL, "a\xFFz \xC3\xA9 \xE2\x82", NOW);
    assert_string_equal(health.why, "a?z \xC3\xA9 ??");
    memset(words, 'x', sizeof words);
    words[sizeof words - 1] = '\0';
    memcpy(words + DS_WHY_MAX - 2, "\xE2\x82\xAC", 3); /* would end one byte too late */
    ds_health_step(&CONFIG, &health, DS_SIGHT_FAIL, words, NOW);
    assert_int_equal(strlen(health.why), DS_WHY_MAX - 2);
    memset(words, '\x80', sizeof words - 1); /* nothing of it is a character */
    ds_health_step(&CONFIG, &health, DS_SIGHT_FAIL, words, NOW);
    assert_int_equal(strlen(health.why), DS_WHY_MAX - 1);
    assert_int_equal(strspn(health.why, "?"), DS_WHY_MAX - 1);
}

static void promotion_brings_anybody_up(void **state)
{
    (void)state;
    for (int i = 0; i < DS_N_HEALTH_STATES; i++) {
        struct ds_health health = make((enum ds_health_state)i, 1, 1);

        ds_health_promote(&health, NOW);
        assert_state(&health, DS_HEALTH_UP);
        assert_int_equal(health.since_ms, NOW);
        assert_int_equal(health.hold_until_ms, 0);
        assert_int_equal(health.run + health.fails, 0);
    }
}

/* The clock was put back, or the state comes from a machine whose clock was ahead. */
static void a_hold_in_the_far_future_is_not_waited_for(void **state)
{
    struct ds_health health = make(DS_HEALTH_HELD, 0, 0);

    (void)state;
    health.hold_until_ms = NOW + 365 * 24 * 60 * MINUTE;
    assert_false(step(&health, DS_SIGHT_NONE, NOW));
    assert_int_equal(health.hold_until_ms, NOW + 5 * MINUTE);
    assert_true(step(&health, DS_SIGHT_NONE, NOW + 5 * MINUTE));
    assert_state(&health, DS_HEALTH_UP);
}

static void flaps_in_the_future_do_not_count(void **state)
{
    struct ds_health health = make(DS_HEALTH_UP, 0, 0);

    (void)state;
    flap(&health, NOW + 60 * MINUTE);
    flap(&health, NOW + 61 * MINUTE);
    assert_int_equal(flap(&health, NOW), 10000);
    assert_int_equal(flap(&health, NOW + 1000), 20000);
}

static void names_are_read_back(void **state)
{
    static const char *const bad[] = {"", "UP", "up ", "dead", "hel", "helder"};
    enum ds_health_state parsed;

    (void)state;
    for (int i = 0; i < DS_N_HEALTH_STATES; i++) {
        const char *name = ds_health_name((enum ds_health_state)i);

        assert_int_equal(ds_health_parse(name, &parsed), 0);
        assert_int_equal(parsed, i);
    }
    for (size_t i = 0; i < DS_COUNT(bad); i++)
        assert_int_equal(ds_health_parse(bad[i], &parsed), -1);
}

/* ---- cleaning ---- */

/* Back at NOW: after how many seconds it is up, when it is clean `cleaned_s` after its
   return (-1: never) and fails once at `fails_s` (-1: never). */
static int64_t rejoins_after(int64_t rejoin_after_ms, int64_t cleaned_s, int64_t fails_s,
                             bool *was_unclean)
{
    const struct ds_health_config config = {
        .rise = 1, .fall = 1, .rejoin_after_ms = rejoin_after_ms, .cleans = true};
    struct ds_health health = make(DS_HEALTH_DOWN, 0, 0);

    for (int64_t s = 0; s < 1000; s++) {
        enum ds_sight sight = s == fails_s ? DS_SIGHT_FAIL : DS_SIGHT_OK;
        int64_t wake_at = ds_health_wake_at(&health);

        *was_unclean = health.unclean;
        ds_health_step(&config, &health, sight, NULL, NOW + s * 1000);
        if (s == cleaned_s)
            health.unclean = false;
        if (health.state == DS_HEALTH_UP) {
            assert_true(wake_at <= NOW + s * 1000);
            return s;
        }
    }
    return -1;
}

static void a_held_server_waits_until_it_is_clean(void **state)
{
    static const struct {
        int64_t rejoin_after_ms, cleaned_s, fails_s, want_s;
        bool want_unclean; /* when it rejoins */
    } rows[] = {
        {10000, 3, -1, 10, false},   {10000, 17, -1, 18, false},
        {10000, 39, -1, 40, false},  {10000, 40, -1, 40, true},
        {10000, -1, -1, 40, true},   {0, 0, -1, 1, false},
        {0, 2, -1, 3, false},        {0, -1, -1, 30, true},
        {300000, -1, -1, 330, true}, {300000, 5, -1, 300, false},
        {10000, 5, 7, 48, true}, /* it failed, is back at 8, and nobody cleans it */
        {10000, 12, 7, 18, false},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        bool unclean = false;
        int64_t s = rejoins_after(rows[i].rejoin_after_ms, rows[i].cleaned_s,
                                  rows[i].fails_s, &unclean);

        if (s != rows[i].want_s || unclean != rows[i].want_unclean)
            fail_msg("row %zu: after %lld s, %sclean", i, (long long)s,
                     unclean ? "un" : "");
    }
}

static void where_nobody_cleans_nobody_waits_for_it(void **state)
{
    struct ds_health health = make(DS_HEALTH_DOWN, 1, 0);

    (void)state;
    step(&health, DS_SIGHT_OK, NOW);
    assert_false(health.unclean);
    health.unclean = true; /* another one decides now, and cleans */
    step(&health, DS_SIGHT_NONE, NOW + 9999);
    assert_false(health.unclean);
    assert_true(step(&health, DS_SIGHT_NONE, NOW + 10000));
    assert_state(&health, DS_HEALTH_UP);
}

static void only_held_servers_are_unclean(void **state)
{
    static const struct ds_health_config cleans = {
        .rise = 1, .fall = 1, .rejoin_after_ms = 10000, .cleans = true};
    struct ds_health health = {0};

    (void)state;
    ds_health_step(&cleans, &health, DS_SIGHT_OK, NULL, NOW); /* a newcomer */
    assert_state(&health, DS_HEALTH_UP);
    assert_false(health.unclean);
    ds_health_step(&cleans, &health, DS_SIGHT_FAIL, NULL, NOW);
    ds_health_step(&cleans, &health, DS_SIGHT_OK, NULL, NOW);
    assert_true(health.unclean);
    ds_health_promote(&health, NOW);
    assert_false(health.unclean);
    ds_health_step(&cleans, &health, DS_SIGHT_FAIL, NULL, NOW);
    ds_health_step(&cleans, &health, DS_SIGHT_OK, NULL, NOW);
    ds_health_step(&cleans, &health, DS_SIGHT_FAIL, NULL, NOW);
    assert_state(&health, DS_HEALTH_DOWN);
    assert_false(health.unclean);
}

/* What holds after any history. */
static void assert_possible(const struct ds_health *health, int64_t now_ms)
{
    bool held = health->state == DS_HEALTH_HELD;

    assert_int_equal(held, health->hold_until_ms != 0);
    if (held) {
        assert_true(ds_health_wake_at(health) > now_ms);
        assert_true(health->hold_until_ms <= now_ms + 5 * MINUTE);
    }
    assert_true(held || !health->unclean);
    assert_true(health->since_ms <= now_ms);
    assert_true(health->run == 0 || health->state == DS_HEALTH_DOWN);
    assert_true(health->fails == 0 || health->state == DS_HEALTH_UP);
    assert_true(health->run < CONFIG.rise && health->fails < CONFIG.fall);
    for (size_t i = 1; i < health->n_flaps; i++)
        assert_true(health->flaps[i - 1] >= health->flaps[i]);
}

static void any_history_leads_to_a_possible_state(void **state)
{
    struct random r = random_start(__func__);
    struct ds_health health = {.since_ms = NOW};
    struct ds_health_config config = CONFIG;
    size_t seen[DS_N_HEALTH_STATES] = {0};
    int64_t now_ms = NOW;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        enum ds_health_state before = health.state;
        bool changed;

        now_ms += (int64_t)random_below(&r, random_below(&r, 50) ? 3000 : 20 * 60000);
        config.cleans = config.cleans != !random_below(&r, 30);
        health.unclean = health.unclean && random_below(&r, 10);
        changed = ds_health_step(&config, &health,
                                 (enum ds_sight)random_below(&r, N_SIGHTS), NULL, now_ms);
        assert_int_equal(changed, health.state != before);
        if (health.state == DS_HEALTH_NEW)
            assert_int_equal(before, DS_HEALTH_NEW);
        assert_possible(&health, now_ms);
        seen[health.state]++;
    }
    for (size_t i = DS_HEALTH_UP; i < DS_N_HEALTH_STATES; i++)
        assert_true(seen[i] > STEPS / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_meets_each_evidence),
        cmocka_unit_test(rise_and_fall_of_one_need_no_second_look),
        cmocka_unit_test(failures_must_come_in_a_row),
        cmocka_unit_test(lost_evidence_takes_nobody_out),
        cmocka_unit_test(a_held_server_is_up_when_its_time_has_come),
        cmocka_unit_test(a_success_at_the_end_of_the_hold_brings_it_up_too),
        cmocka_unit_test(a_failure_at_the_end_of_the_hold_does_not),
        cmocka_unit_test(without_damping_it_is_up_at_once),
        cmocka_unit_test(each_flap_within_ten_minutes_doubles_the_hold),
        cmocka_unit_test(flaps_of_more_than_ten_minutes_ago_are_forgiven),
        cmocka_unit_test(a_long_rejoin_after_is_cut_to_five_minutes),
        cmocka_unit_test(a_server_that_never_was_up_is_held_once),
        cmocka_unit_test(the_reason_is_the_one_of_the_last_evidence),
        cmocka_unit_test(a_reason_is_kept_as_utf8_that_fits),
        cmocka_unit_test(promotion_brings_anybody_up),
        cmocka_unit_test(a_hold_in_the_far_future_is_not_waited_for),
        cmocka_unit_test(flaps_in_the_future_do_not_count),
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(a_held_server_waits_until_it_is_clean),
        cmocka_unit_test(where_nobody_cleans_nobody_waits_for_it),
        cmocka_unit_test(only_held_servers_are_unclean),
        cmocka_unit_test(any_history_leads_to_a_possible_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
