/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/stats.h"
#include "frozen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ds_stats *new_stats(unsigned n_workers)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_stats *stats = ds_stats_new(n_workers, 1764000000000, &err);

    if (!stats)
        fail_msg("%s", err.text);
    return stats;
}

static void count_push(struct ds_stats *stats, int place, uint64_t ns)
{
    struct ds_outcome outcome = {.method = DS_METHOD_PUT, .status = 307, .place = place};

    ds_stats_count(stats, &outcome, ns);
}

static int place_of(struct ds_stats *stats, const char *address)
{
    struct ds_server server = {.weight = 1};
    DS_AUTO(ptr) void *places = NULL;

    memcpy(server.address, address, strlen(address) + 1);
    places = ds_stats_places(stats, &server, 1);
    return *(uint16_t *)places;
}

/* Runs a worker in a process of its own, and waits for it. */
#define IN_WORKER(stats, number, statement)                                              \
    do {                                                                                 \
        pid_t pid = fork();                                                              \
        int status;                                                                      \
                                                                                         \
        if (pid == 0) {                                                                  \
            ds_stats_begin(stats, number);                                               \
            statement;                                                                   \
            _exit(0);                                                                    \
        }                                                                                \
        assert_int_equal(waitpid(pid, &status, 0), pid);                                 \
        assert_int_equal(status, 0);                                                     \
    } while (0)

static void at_first_everything_is_zero(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(3);
    DS_AUTO(counters) struct ds_counters counters;
    struct ds_counters zero = {.n_workers = 3, .started_ms = 1764000000000};

    (void)state;
    ds_stats_read(stats, &counters);
    assert_non_null(counters.pushes);
    zero.pushes = counters.pushes;
    assert_memory_equal(&counters, &zero, sizeof zero);
}

static void an_outcome_is_counted_where_it_belongs(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);
    DS_AUTO(counters) struct ds_counters counters;
    struct ds_outcome refused = {.method = DS_METHOD_OTHER,
                                 .status = 405,
                                 .refusal = DS_REFUSAL_METHOD,
                                 .place = -1};
    struct ds_outcome stranded = {.method = DS_METHOD_POST,
                                  .status = 403, /* as mode auth says it */
                                  .refusal = DS_REFUSAL_NO_STATE,
                                  .place = -1};
    int place = place_of(stats, "a:1");

    (void)state;
    ds_stats_begin(stats, 0);
    count_push(stats, place, 10000);
    count_push(stats, -1, 10001);
    ds_stats_count(stats, &refused, 7);
    ds_stats_count(stats, &stranded, 0);
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.requests[DS_METHOD_PUT][ds_counted_status_index(307)], 2);
    assert_int_equal(counters.requests[DS_METHOD_OTHER][ds_counted_status_index(405)], 1);
    assert_int_equal(counters.refused[DS_WORK_OTHER][DS_REFUSAL_METHOD], 1);
    assert_int_equal(counters.refused[DS_WORK_PUSH][DS_REFUSAL_METHOD], 0);
    assert_int_equal(counters.refused[DS_WORK_PUSH][DS_REFUSAL_NO_STATE], 1);
    assert_int_equal(counters.refused[DS_WORK_OTHER][DS_REFUSAL_NO_STATE], 0);
    assert_int_equal(counters.refused[DS_WORK_PUSH][DS_REFUSAL_NONE], 0);
    assert_int_equal(counters.durations[DS_WORK_PUSH][ds_duration_bucket(10000)], 1);
    assert_int_equal(counters.durations[DS_WORK_PUSH][ds_duration_bucket(10001)], 1);
    assert_int_equal(counters.duration_ns[DS_WORK_PUSH], 20001);
    assert_int_equal(counters.durations[DS_WORK_OTHER][0], 1);
    assert_int_equal(counters.n_pushes, 1);
    assert_string_equal(counters.pushes[0].server, "a:1");
    assert_int_equal(counters.pushes[0].n, 1);
}

static void workers_are_added_up_and_a_new_one_goes_on_where_the_old_one_ended(
    void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(2);
    DS_AUTO(counters) struct ds_counters counters;

    (void)state;
    IN_WORKER(stats, 0, count_push(stats, place_of(stats, "b:1"), 1));
    IN_WORKER(stats, 1, count_push(stats, place_of(stats, "b:1"), 1));
    IN_WORKER(stats, 1, count_push(stats, place_of(stats, "a:1"), 1));
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.requests[DS_METHOD_PUT][ds_counted_status_index(307)], 3);
    assert_int_equal(counters.worker_restarts, 1);
    assert_int_equal(counters.n_pushes, 2);
    assert_string_equal(counters.pushes[0].server, "b:1");
    assert_int_equal(counters.pushes[0].n, 2);
    assert_string_equal(counters.pushes[1].server, "a:1");
    assert_int_equal(counters.pushes[1].n, 1);
}

static void a_server_keeps_its_place(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);
    struct ds_server first[] = {{"a:1", 1}, {"b:1", 1}},
                     second[] = {{"b:1", 7}, {"c:1", 1}};
    DS_AUTO(ptr) void *before = ds_stats_places(stats, first, 2);
    DS_AUTO(ptr) void *after = ds_stats_places(stats, second, 2);
    const uint16_t *a = before, *b = after;

    (void)state;
    assert_int_equal(b[0], a[1]);
    assert_true(b[1] != a[0] && b[1] != a[1]);
    assert_int_equal(place_of(stats, "a:1"), a[0]);
}

static void servers_beyond_the_table_are_counted_together(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);
    DS_AUTO(counters) struct ds_counters counters;
    char name[DS_ADDRESS_MAX];

    (void)state;
    ds_stats_begin(stats, 0);
    for (unsigned i = 0; i < DS_STATS_PLACES + 2; i++) {
        snprintf(name, sizeof name, "host%u:1", i);
        count_push(stats, place_of(stats, name), 1);
    }
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.n_pushes, DS_STATS_PLACES + 1);
    assert_string_equal(counters.pushes[DS_STATS_PLACES - 1].server, "host2047:1");
    assert_int_equal(counters.pushes[DS_STATS_PLACES - 1].n, 1);
    assert_string_equal(counters.pushes[DS_STATS_PLACES].server, "other");
    assert_int_equal(counters.pushes[DS_STATS_PLACES].n, 2);
}

/* Workers that are killed while they write the table: nobody waits for the dead, and
   each name is in it once. */
static void a_worker_that_is_killed_leaves_the_table_whole(void **state)
{
    enum { ROUNDS = 30, NAMES = 200 };
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);
    DS_AUTO(counters) struct ds_counters counters;
    char name[DS_ADDRESS_MAX];

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            ualarm((useconds_t)(100 * round + 1), 0); /* ends it, wherever it is */
            for (unsigned i = 0;; i = (i + 1) % NAMES) {
                snprintf(name, sizeof name, "host%u:1", i);
                ds_ignore(place_of(stats, name)); /* the table is what counts */
            }
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
        place_of(stats, "host0:1");
    }
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "host%u:1", i);
        place_of(stats, name);
    }
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.n_pushes, NAMES);
}

/* ---- changes of the ring -------------------------------------------------------------
 */

/* A state of this generation whose history goes back n changes, all of one cause. */
static void look_at(struct ds_stats *stats, uint64_t generation, size_t n,
                    enum ds_cause cause, int64_t written_at_ms)
{
    struct ds_state state = {
        .generation = generation, .n_history = n, .written_at_ms = written_at_ms};

    for (size_t i = 0; i < n; i++)
        state.history[i] = (struct ds_change){.at_ms = written_at_ms - (int64_t)i,
                                              .cause = cause,
                                              .generation = generation - i};
    ds_stats_loaded(stats, &state, written_at_ms);
}

static void assert_changes(const struct ds_stats *stats, uint64_t health, uint64_t oper,
                           uint64_t unknown)
{
    DS_AUTO(counters) struct ds_counters counters;

    ds_stats_read(stats, &counters);
    assert_int_equal(counters.changes[DS_CAUSE_HEALTH], health);
    assert_int_equal(counters.changes[DS_CAUSE_OPERATOR], oper);
    assert_int_equal(counters.changes[DS_CAUSE_UNKNOWN], unknown);
}

static void what_changed_before_the_first_look_is_not_counted(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);

    (void)state;
    ds_stats_begin(stats, 0);
    look_at(stats, 50, 20, DS_CAUSE_HEALTH, 1000);
    assert_changes(stats, 0, 0, 0);
    look_at(stats, 50, 20, DS_CAUSE_HEALTH, 2000); /* a heartbeat */
    assert_changes(stats, 0, 0, 0);
}

static void each_change_is_counted_once_whoever_sees_it(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(2);

    (void)state;
    IN_WORKER(stats, 0, look_at(stats, 5, 5, DS_CAUSE_HEALTH, 1000));
    IN_WORKER(stats, 1, look_at(stats, 5, 5, DS_CAUSE_HEALTH, 1000));
    IN_WORKER(stats, 1, look_at(stats, 7, 7, DS_CAUSE_HEALTH, 2000));
    assert_changes(stats, 2, 0, 0);
    IN_WORKER(stats, 0, look_at(stats, 7, 7, DS_CAUSE_HEALTH, 2000));
    assert_changes(stats, 2, 0, 0);
    IN_WORKER(stats, 0, look_at(stats, 8, 1, DS_CAUSE_OPERATOR, 3000));
    /* Slow: had opened the file before it was replaced. */
    IN_WORKER(stats, 1, look_at(stats, 7, 7, DS_CAUSE_HEALTH, 2000));
    IN_WORKER(stats, 1, look_at(stats, 8, 1, DS_CAUSE_OPERATOR, 3000));
    assert_changes(stats, 2, 1, 0);
}

static void changes_that_the_history_has_forgotten_are_unknown(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);

    (void)state;
    ds_stats_begin(stats, 0);
    look_at(stats, 5, 5, DS_CAUSE_HEALTH, 1000);
    look_at(stats, 35, 20, DS_CAUSE_OPERATOR, 2000);
    assert_changes(stats, 0, 20, 10);
    look_at(stats, 36, 0, DS_CAUSE_OPERATOR, 3000);
    assert_changes(stats, 0, 20, 11);
}

static void a_file_that_was_made_anew_does_not_take_changes_back(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);

    (void)state;
    ds_stats_begin(stats, 0);
    look_at(stats, 5, 5, DS_CAUSE_HEALTH, 1000);
    look_at(stats, 1, 1, DS_CAUSE_OPERATOR, 2000);
    assert_changes(stats, 0, 1, 0);
    look_at(stats, 3, 3, DS_CAUSE_HEALTH, 3000);
    assert_changes(stats, 2, 1, 0);
}

/* A clock that was put back does not hide a change. */
static void a_later_generation_counts_whenever_it_was_written(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);

    (void)state;
    ds_stats_begin(stats, 0);
    look_at(stats, 5, 5, DS_CAUSE_HEALTH, 9000);
    look_at(stats, 6, 6, DS_CAUSE_OPERATOR, 1000);
    assert_changes(stats, 0, 1, 0);
}

static void place_unreadable(void *stats, const void *unreadable)
{
    free(ds_stats_places(stats, unreadable, 1));
}

/* A server that has a place keeps it, a new one gets its own with the next ring, and
   changes are counted at the next look. */
static void while_a_worker_is_frozen_with_the_lock_the_others_go_on(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(1);
    DS_AUTO(counters) struct ds_counters counters;
    struct ds_server servers[] = {{"a:1", 1}, {"b:1", 1}};
    int a = place_of(stats, "a:1");
    DS_AUTO(ptr) void *places = NULL;
    pid_t pid;

    (void)state;
    ds_stats_begin(stats, 0);
    look_at(stats, 5, 5, DS_CAUSE_HEALTH, 1000);
    pid = frozen_start(place_unreadable, stats);
    places = ds_stats_places(stats, servers, 2);
    assert_int_equal(((uint16_t *)places)[0], a);
    assert_int_equal(((uint16_t *)places)[1], DS_STATS_PLACES);
    count_push(stats, DS_STATS_PLACES, 1);
    look_at(stats, 6, 6, DS_CAUSE_HEALTH, 2000);
    assert_changes(stats, 0, 0, 0);
    frozen_kill(pid);
    look_at(stats, 7, 7, DS_CAUSE_HEALTH, 3000);
    assert_changes(stats, 2, 0, 0);
    assert_int_equal(place_of(stats, "b:1"), a + 1);
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.loads, 3);
    assert_int_equal(counters.n_pushes, 3);
    assert_string_equal(counters.pushes[2].server, "other");
    assert_int_equal(counters.pushes[2].n, 1);
}

/* ---- loads ---------------------------------------------------------------------------
 */

static bool is_well(const struct ds_stats *stats)
{
    DS_AUTO(counters) struct ds_counters counters;

    ds_stats_read(stats, &counters);
    return counters.loaded_well;
}

static void all_is_well_when_no_worker_has_a_bad_file(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(2);
    DS_AUTO(counters) struct ds_counters counters;

    (void)state;
    assert_false(is_well(stats)); /* nothing was loaded yet */
    IN_WORKER(stats, 0, look_at(stats, 1, 1, DS_CAUSE_START, 1000));
    assert_true(is_well(stats));
    IN_WORKER(stats, 1, ds_stats_load_failed(stats));
    assert_false(is_well(stats));
    IN_WORKER(stats, 0, look_at(stats, 1, 1, DS_CAUSE_START, 2000));
    assert_false(is_well(stats));
    IN_WORKER(stats, 1, look_at(stats, 1, 1, DS_CAUSE_START, 1500));
    assert_true(is_well(stats));
    IN_WORKER(stats, 0, ds_stats_load_failed(stats));
    assert_false(is_well(stats));
    IN_WORKER(stats, 0, ds_stats_file_is_back(stats));
    assert_true(is_well(stats));
    ds_stats_read(stats, &counters);
    assert_int_equal(counters.loads, 3);
    assert_int_equal(counters.load_errors, 2);
    assert_int_equal(counters.loaded_ms, 2000);
}

/* A worker that has not looked yet has no say, one that has died keeps its word. */
static void it_is_usable_when_every_worker_that_has_looked_says_so(void **state)
{
    DS_AUTO(stats) struct ds_stats *stats = new_stats(3);
    DS_AUTO(counters) struct ds_counters counters;

    (void)state;
    assert_false(ds_stats_usable(stats));
    IN_WORKER(stats, 1, (void)0);
    assert_false(ds_stats_usable(stats));
    IN_WORKER(stats, 1, ds_stats_set_usable(stats, true));
    assert_true(ds_stats_usable(stats));
    IN_WORKER(stats, 0, (void)0);
    assert_true(ds_stats_usable(stats));
    IN_WORKER(stats, 0, ds_stats_set_usable(stats, false));
    assert_false(ds_stats_usable(stats));
    IN_WORKER(stats, 0, ds_stats_set_usable(stats, true));
    IN_WORKER(stats, 1, (void)0);
    assert_true(ds_stats_usable(stats));
    ds_stats_read(stats, &counters);
    assert_true(counters.usable);
    assert_int_equal(counters.worker_restarts, 4);
}

static void without_stats_nothing_is_counted(void **state)
{
    struct ds_state ring = {0};

    (void)state;
    ds_stats_loaded(NULL, &ring, 1);
    ds_stats_load_failed(NULL);
    ds_stats_file_is_back(NULL);
    ds_stats_set_usable(NULL, true);
    assert_null(ds_stats_places(NULL, NULL, 0));
    ds_stats_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_first_everything_is_zero),
        cmocka_unit_test(an_outcome_is_counted_where_it_belongs),
        cmocka_unit_test(
            workers_are_added_up_and_a_new_one_goes_on_where_the_old_one_ended),
        cmocka_unit_test(a_server_keeps_its_place),
        cmocka_unit_test(servers_beyond_the_table_are_counted_together),
        cmocka_unit_test(a_worker_that_is_killed_leaves_the_table_whole),
        cmocka_unit_test(what_changed_before_the_first_look_is_not_counted),
        cmocka_unit_test(each_change_is_counted_once_whoever_sees_it),
        cmocka_unit_test(changes_that_the_history_has_forgotten_are_unknown),
        cmocka_unit_test(a_file_that_was_made_anew_does_not_take_changes_back),
        cmocka_unit_test(a_later_generation_counts_whenever_it_was_written),
        cmocka_unit_test(while_a_worker_is_frozen_with_the_lock_the_others_go_on),
        cmocka_unit_test(all_is_well_when_no_worker_has_a_bad_file),
        cmocka_unit_test(it_is_usable_when_every_worker_that_has_looked_says_so),
        cmocka_unit_test(without_stats_nothing_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
