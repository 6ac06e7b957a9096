/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/conns.h"

enum {
    MAX = 3,
    PATIENCE = DS_CONN_PATIENCE_MS,
    ENOUGH = DS_CONN_PROGRESS_MIN,
};

static struct ds_conns conns;

static int set_up(void **state)
{
    (void)state;
    ds_conns_init(&conns, MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ds_conns_release(&conns);
    return 0;
}

static struct ds_conn *begin(enum ds_conn_state state, int64_t now_ms)
{
    struct ds_conn *conn = ds_conns_add(&conns, -1);

    assert_non_null(conn);
    ds_conns_move(&conns, conn, state, now_ms);
    return conn;
}

static void what_stands_still_is_dropped_when_its_time_is_up(void **state)
{
    (void)state;
    for (int busy = DS_CONN_READING; busy <= DS_CONN_SENDING; busy++) {
        struct ds_conn *conn = begin((enum ds_conn_state)busy, 1000);

        assert_int_equal(ds_conns_expire(&conns, 1000 + PATIENCE - 1), 0);
        assert_int_equal(conn->state, busy);
        assert_int_equal(ds_conns_expire(&conns, 1000 + PATIENCE), 1);
        assert_int_equal(conn->state, DS_CONN_FREE);
        assert_int_equal(conns.n, 0);
    }
}

static void what_makes_progress_may_take_hours(void **state)
{
    (void)state;
    for (int busy = DS_CONN_READING; busy <= DS_CONN_SENDING; busy++) {
        struct ds_conn *conn = begin((enum ds_conn_state)busy, 0);
        int64_t now_ms = 0;

        while (now_ms < 3 * 3600 * 1000) {
            now_ms += PATIENCE - 1;
            ds_conns_progress(&conns, conn, ENOUGH, now_ms);
            assert_int_equal(ds_conns_expire(&conns, now_ms), 0);
            assert_true(conns.expire_at_ms <= now_ms + PATIENCE); /* somebody will look */
        }
        assert_int_equal(ds_conns_expire(&conns, now_ms + PATIENCE), 1);
    }
}

static void bytes_that_are_too_few_are_added_up(void **state)
{
    struct ds_conn *conn = begin(DS_CONN_READING, 0);

    (void)state;
    for (int i = 0; i < ENOUGH - 1; i++)
        ds_conns_progress(&conns, conn, 1, 20000);
    assert_int_equal(conn->deadline_ms, PATIENCE);
    ds_conns_progress(&conns, conn, 1, 20000);
    assert_int_equal(conn->deadline_ms, 20000 + PATIENCE);
    ds_conns_progress(&conns, conn, ENOUGH - 1, 30000); /* they are counted once */
    assert_int_equal(conn->deadline_ms, 20000 + PATIENCE);
}

static void one_that_dribbles_is_dropped(void **state)
{
    struct ds_conn *conn = begin(DS_CONN_READING, 0);

    (void)state;
    for (int64_t now_ms = 0; now_ms < PATIENCE; now_ms += 10)
        ds_conns_progress(&conns, conn, 1, now_ms);
    assert_int_equal(ds_conns_expire(&conns, PATIENCE), 1);
}

static void an_idle_connection_has_no_deadline(void **state)
{
    struct ds_conn *conn = begin(DS_CONN_READING, 0);

    (void)state;
    ds_conns_move(&conns, conn, DS_CONN_IDLE, 0);
    assert_int_equal(ds_conns_expire(&conns, 100 * (int64_t)PATIENCE), 0);
    assert_int_equal(conns.expire_at_ms, INT64_MAX);
    ds_conns_move(&conns, conn, DS_CONN_READING, 0);
    assert_int_equal(conns.expire_at_ms, PATIENCE);
}

static void what_came_before_does_not_count_for_the_next_request(void **state)
{
    struct ds_conn *conn = begin(DS_CONN_READING, 0);

    (void)state;
    ds_conns_progress(&conns, conn, ENOUGH - 1, 0);
    ds_conns_move(&conns, conn, DS_CONN_IDLE, 0);
    ds_conns_move(&conns, conn, DS_CONN_READING, 1000);
    ds_conns_progress(&conns, conn, 1, 5000);
    assert_int_equal(conn->deadline_ms, 1000 + PATIENCE);
}

static void the_one_without_progress_for_longest_makes_room(void **state)
{
    struct ds_conn *first = begin(DS_CONN_READING, 0);
    struct ds_conn *second = begin(DS_CONN_READING, 1);
    struct ds_conn *third = begin(DS_CONN_READING, 2);

    (void)state;
    assert_null(ds_conns_add(&conns, -1));
    ds_conns_progress(&conns, first, ENOUGH, 3);
    ds_conns_progress(&conns, second, ENOUGH - 1, 4); /* not enough */
    assert_ptr_equal(ds_conns_oldest(&conns), second);
    ds_conns_drop(&conns, second);
    assert_ptr_equal(ds_conns_oldest(&conns), third);
    ds_conns_drop(&conns, third);
    assert_ptr_equal(ds_conns_oldest(&conns), first);
    ds_conns_drop(&conns, first);
    assert_null(ds_conns_oldest(&conns));
}

static void who_has_waited_longest_makes_room_whatever_for(void **state)
{
    /* The clock may be too coarse to tell who came first. */
    struct ds_conn *reading = begin(DS_CONN_READING, 0);
    struct ds_conn *sending = begin(DS_CONN_SENDING, 0);
    struct ds_conn *idle = begin(DS_CONN_IDLE, 0);

    (void)state;
    assert_ptr_equal(ds_conns_oldest(&conns), reading);
    ds_conns_drop(&conns, reading);
    assert_ptr_equal(ds_conns_oldest(&conns), sending);
    ds_conns_drop(&conns, sending);
    assert_ptr_equal(ds_conns_oldest(&conns), idle);
    ds_conns_drop(&conns, idle);
    assert_null(ds_conns_oldest(&conns));
}

static void an_idle_one_makes_room_for_one_that_reads_and_came_later(void **state)
{
    struct ds_conn *idle = begin(DS_CONN_IDLE, 0);
    struct ds_conn *reading = begin(DS_CONN_READING, 0);

    (void)state;
    assert_ptr_equal(ds_conns_oldest(&conns), idle);
    ds_conns_drop(&conns, idle);
    assert_ptr_equal(ds_conns_oldest(&conns), reading);
}

static void a_slow_one_among_many_keeps_its_own_time(void **state)
{
    struct ds_conn *still = begin(DS_CONN_READING, 0);
    struct ds_conn *slow = begin(DS_CONN_SENDING, 0);
    struct ds_conn *later = begin(DS_CONN_READING, 500);

    (void)state;
    ds_conns_progress(&conns, slow, ENOUGH, 10000);
    assert_int_equal(ds_conns_expire(&conns, PATIENCE), 1);
    assert_int_equal(still->state, DS_CONN_FREE);
    assert_int_equal(ds_conns_expire(&conns, PATIENCE + 500), 1);
    assert_int_equal(later->state, DS_CONN_FREE);
    assert_int_equal(conns.expire_at_ms, 10000 + PATIENCE);
    ds_conns_drop(&conns, slow);
    assert_int_equal(ds_conns_expire(&conns, INT64_MAX - 1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_stands_still_is_dropped_when_its_time_is_up),
        TEST(what_makes_progress_may_take_hours),
        TEST(bytes_that_are_too_few_are_added_up),
        TEST(one_that_dribbles_is_dropped),
        TEST(an_idle_connection_has_no_deadline),
        TEST(what_came_before_does_not_count_for_the_next_request),
        TEST(the_one_without_progress_for_longest_makes_room),
        TEST(who_has_waited_longest_makes_room_whatever_for),
        TEST(an_idle_one_makes_room_for_one_that_reads_and_came_later),
        TEST(a_slow_one_among_many_keeps_its_own_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
