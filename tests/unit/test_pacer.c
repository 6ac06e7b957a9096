/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/pacer.h"
#include "random.h"

static const int64_t NOW = 1000000, S = 1000, NEVER = INT64_MAX;

enum { STEPS = 100000 };

static struct ds_pacer pacer_at(enum ds_pacer_event event, int64_t ago_ms)
{
    struct ds_pacer pacer;

    ds_pacer_init(&pacer);
    ds_pacer_note(&pacer, event, NOW - ago_ms);
    assert_int_equal(ds_pacer_due_ms(&pacer), NOW - ago_ms);
    ds_pacer_begin(&pacer);
    assert_int_equal(ds_pacer_due_ms(&pacer), NEVER);
    return pacer;
}

static void nothing_is_due_before_something_happens(void **state)
{
    struct ds_pacer pacer;

    (void)state;
    ds_pacer_init(&pacer);
    assert_int_equal(ds_pacer_due_ms(&pacer), NEVER);
}

static void each_end_has_its_wait(void **state)
{
    static const struct {
        enum ds_pacer_event event;
        int64_t ago_s;
        struct ds_pacer_result result;
        int64_t want_ms;
    } rows[] = {
        /* A start alone, and a restart, are quiet. */
        {DS_PACER_START,
         0,
         {DS_PASS_DONE, false, false, true, false, 1000, INT64_MAX},
         300000},
        {DS_PACER_RESTART,
         0,
         {DS_PASS_DONE, true, false, true, false, 1000, INT64_MAX},
         300000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 1000, INT64_MAX},
         15000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, false, false, false, 1000, INT64_MAX},
         15000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, true, true, false, false, 1000, INT64_MAX},
         1000},
        {DS_PACER_START,
         0,
         {DS_PASS_DONE, false, false, false, false, 1000, INT64_MAX},
         15000},
        /* After a change of the ring, and while one is cleaned. */
        {DS_PACER_RING,
         0,
         {DS_PASS_DONE, false, false, true, false, 1000, INT64_MAX},
         1000},
        {DS_PACER_RING,
         89,
         {DS_PASS_DONE, false, false, false, false, 3000, INT64_MAX},
         3000},
        {DS_PACER_RING,
         90,
         {DS_PASS_DONE, false, false, true, false, 1000, INT64_MAX},
         300000},
        {DS_PACER_BACK,
         89,
         {DS_PASS_WAITS, false, false, false, false, 1000, INT64_MAX},
         1000},
        {DS_PACER_RING,
         9,
         {DS_PASS_DONE, true, false, true, false, 1000, INT64_MAX},
         1000},
        {DS_PACER_RING,
         10,
         {DS_PASS_DONE, true, false, true, false, 1000, INT64_MAX},
         300000},
        {DS_PACER_BACK,
         10,
         {DS_PASS_DONE, true, false, true, false, 1000, INT64_MAX},
         300000},
        {DS_PACER_RING,
         89,
         {DS_PASS_WAITS, false, true, false, false, 1000, 20000},
         1000},
        {DS_PACER_RING,
         90,
         {DS_PASS_WAITS, false, true, false, false, 1000, INT64_MAX},
         15000},
        {DS_PACER_RING,
         90,
         {DS_PASS_WAITS, true, true, false, false, 2500, INT64_MAX},
         2500},
        /* Something waits for time alone. */
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 1000, 14000},
         14000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 1000, 15000},
         15000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 1000, 3600000},
         15000},
        {DS_PACER_START, 0, {DS_PASS_WAITS, false, true, false, false, 1000, 10}, 1000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 1000, -5000},
         1000},
        {DS_PACER_START, 0, {DS_PASS_DONE, false, false, true, false, 1000, 10}, 300000},
        /* No pause, an absurd one, and one longer than any wait of ours. */
        {DS_PACER_RING, 0, {DS_PASS_DONE, false, false, true, false, 0, INT64_MAX}, 1000},
        {DS_PACER_RING,
         0,
         {DS_PASS_DONE, false, false, true, false, -7, INT64_MAX},
         1000},
        {DS_PACER_START,
         0,
         {DS_PASS_WAITS, false, true, false, false, 40000, INT64_MAX},
         40000},
        {DS_PACER_START,
         0,
         {DS_PASS_DONE, false, false, true, false, 400000, INT64_MAX},
         400000},
        /* A refused group is not tried each second. */
        {DS_PACER_START,
         0,
         {DS_PASS_REFUSED, false, false, false, false, 1000, INT64_MAX},
         60000},
        {DS_PACER_START,
         0,
         {DS_PASS_REFUSED, false, true, false, false, 1000, INT64_MAX},
         15000},
        {DS_PACER_START,
         0,
         {DS_PASS_REFUSED, true, true, false, false, 1000, INT64_MAX},
         5000},
        {DS_PACER_RING,
         0,
         {DS_PASS_REFUSED, false, false, false, false, 1000, INT64_MAX},
         5000},
        {DS_PACER_RING,
         0,
         {DS_PASS_REFUSED, false, false, false, false, 9000, INT64_MAX},
         9000},
        {DS_PACER_RING,
         9,
         {DS_PASS_REFUSED, false, false, false, false, 1000, INT64_MAX},
         5000},
        {DS_PACER_RING,
         10,
         {DS_PASS_REFUSED, false, false, false, false, 1000, INT64_MAX},
         60000},
        {DS_PACER_RING,
         10,
         {DS_PASS_REFUSED, true, false, false, false, 1000, INT64_MAX},
         5000},
        {DS_PACER_BACK,
         10,
         {DS_PASS_REFUSED, false, true, false, false, 1000, INT64_MAX},
         5000},
        /* It did not get to see anything. */
        {DS_PACER_RING,
         0,
         {DS_PASS_BUSY, false, false, false, false, 0, INT64_MAX},
         2000},
        {DS_PACER_START,
         0,
         {DS_PASS_BUSY, false, false, false, false, 0, INT64_MAX},
         2000},
        {DS_PACER_RING,
         0,
         {DS_PASS_FAILED, false, false, false, false, 0, INT64_MAX},
         15000},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_pacer pacer = pacer_at(rows[i].event, rows[i].ago_s * S);

        ds_pacer_end(&pacer, &rows[i].result, NOW);
        if (ds_pacer_due_ms(&pacer) - NOW != rows[i].want_ms)
            fail_msg("row %zu: %lld ms, not %lld", i,
                     (long long)(ds_pacer_due_ms(&pacer) - NOW),
                     (long long)rows[i].want_ms);
    }
}

static void what_happens_during_a_pass_calls_for_another(void **state)
{
    static const struct {
        enum ds_pass_end end;
        int64_t want_ms;
    } rows[] = {
        {DS_PASS_DONE, 0},    {DS_PASS_WAITS, 0},      {DS_PASS_REFUSED, 0},
        {DS_PASS_BUSY, 2000}, {DS_PASS_FAILED, 15000},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_pacer pacer = pacer_at(DS_PACER_START, 0);
        struct ds_pacer_result result = {
            .end = rows[i].end, .in_place = true, .due_in_ms = NEVER};

        ds_pacer_note(&pacer, DS_PACER_RESTART, NOW);
        assert_int_equal(ds_pacer_due_ms(&pacer), NEVER); /* one at a time */
        ds_pacer_end(&pacer, &result, NOW);
        assert_int_equal(ds_pacer_due_ms(&pacer), NOW + rows[i].want_ms);
        ds_pacer_begin(&pacer);
        result.end = DS_PASS_DONE;
        ds_pacer_end(&pacer, &result, NOW); /* and only one */
        assert_int_equal(ds_pacer_due_ms(&pacer), NOW + DS_PACER_IDLE_MS);
    }
}

static void an_event_ends_any_wait(void **state)
{
    static const enum ds_pacer_event events[] = {DS_PACER_START, DS_PACER_RING,
                                                 DS_PACER_BACK, DS_PACER_RESTART};

    (void)state;
    for (int end = DS_PASS_DONE; end <= DS_PASS_FAILED; end++) {
        for (size_t i = 0; i < DS_COUNT(events); i++) {
            struct ds_pacer pacer = pacer_at(DS_PACER_START, 0);
            struct ds_pacer_result result = {.end = (enum ds_pass_end)end,
                                             .due_in_ms = NEVER};

            ds_pacer_end(&pacer, &result, NOW);
            ds_pacer_note(&pacer, events[i], NOW + 7);
            ds_pacer_note(&pacer, events[i], NOW + 9); /* does not put it off */
            assert_int_equal(ds_pacer_due_ms(&pacer), NOW + 7);
        }
    }
}

static void a_locked_fleet_is_asked_less_and_less(void **state)
{
    static const int64_t want_ms[] = {2000, 4000, 8000, 15000, 15000, 15000};
    struct ds_pacer pacer = pacer_at(DS_PACER_RING, 0);
    struct ds_pacer_result busy = {.end = DS_PASS_BUSY, .due_in_ms = NEVER};
    struct ds_pacer_result done = {
        .end = DS_PASS_DONE, .in_place = true, .due_in_ms = NEVER};

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < DS_COUNT(want_ms); i++) {
            ds_pacer_end(&pacer, &busy, NOW);
            assert_int_equal(ds_pacer_due_ms(&pacer), NOW + want_ms[i]);
            ds_pacer_begin(&pacer);
        }
        ds_pacer_end(&pacer, &done, NOW);
        ds_pacer_begin(&pacer);
    }
    busy.holds_up = true; /* a server waits for it */
    for (size_t i = 0; i < DS_COUNT(want_ms); i++) {
        ds_pacer_end(&pacer, &busy, NOW);
        assert_int_equal(ds_pacer_due_ms(&pacer), NOW + want_ms[0]);
    }
    busy.holds_up = false;
    pacer.n_busy = UINT32_MAX;
    ds_pacer_end(&pacer, &busy, NOW);
    assert_in_range(ds_pacer_due_ms(&pacer), NOW + 2000, NOW + 15000);
}

static void passes_that_find_something_go_on_until_they_do_not(void **state)
{
    struct ds_pacer pacer = pacer_at(DS_PACER_START, 0);
    struct ds_pacer_result waits = {DS_PASS_WAITS, true, true, false, false, 1000, NEVER};

    (void)state;
    ds_pacer_end(&pacer, &waits, NOW);
    waits.did_something = false;
    for (int64_t s = 1; s < 90; s++) {
        assert_int_equal(ds_pacer_due_ms(&pacer), NOW + s * S);
        ds_pacer_begin(&pacer);
        ds_pacer_end(&pacer, &waits, NOW + s * S);
    }
    ds_pacer_begin(&pacer);
    ds_pacer_end(&pacer, &waits, NOW + 90 * S);
    assert_int_equal(ds_pacer_due_ms(&pacer), NOW + 105 * S);
}

static void who_has_nothing_to_tend_any_more_rests(void **state)
{
    struct ds_pacer pacer = pacer_at(DS_PACER_RING, 0);

    (void)state;
    ds_pacer_note(&pacer, DS_PACER_RING, NOW);
    ds_pacer_init(&pacer);
    assert_int_equal(ds_pacer_due_ms(&pacer), NEVER);
}

/* Whatever happens: never a spin, never a wait without an end. */
static void any_history_keeps_its_pace(void **state)
{
    struct random r = random_start(__func__);
    struct ds_pacer pacer = pacer_at(DS_PACER_START, 0);
    int64_t now_ms = NOW;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        struct ds_pacer_result result = {
            .end = (enum ds_pass_end)random_below(&r, DS_PASS_FAILED + 1),
            .did_something = random_below(&r, 2),
            .waits = random_below(&r, 2),
            .in_place = random_below(&r, 2),
            .pause_ms = (int64_t)random_below(&r, 5000),
            .due_in_ms =
                random_below(&r, 2) ? NEVER : (int64_t)random_below(&r, 100000) - 5000,
        };
        bool again = !random_below(&r, 4);
        int64_t wait_ms;

        now_ms += (int64_t)random_below(&r, 2000);
        if (again)
            ds_pacer_note(&pacer, (enum ds_pacer_event)random_below(&r, 4), now_ms);
        ds_pacer_end(&pacer, &result, now_ms);
        wait_ms = ds_pacer_due_ms(&pacer) - now_ms;
        assert_true(wait_ms >= (again ? 0 : DS_PACER_PAUSE_MS));
        assert_true(wait_ms <= DS_PACER_IDLE_MS);
        now_ms += wait_ms;
        ds_pacer_begin(&pacer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_due_before_something_happens),
        cmocka_unit_test(each_end_has_its_wait),
        cmocka_unit_test(what_happens_during_a_pass_calls_for_another),
        cmocka_unit_test(an_event_ends_any_wait),
        cmocka_unit_test(a_locked_fleet_is_asked_less_and_less),
        cmocka_unit_test(passes_that_find_something_go_on_until_they_do_not),
        cmocka_unit_test(who_has_nothing_to_tend_any_more_rests),
        cmocka_unit_test(any_history_keeps_its_pace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
