/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/cache.h"
#include "dshard/clock.h"
#include "dshard/file.h"
#include "dshard/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A directory with a state file, and what is logged meanwhile. */
struct fixture {
    char dir[64];
    char *path, *log_path;
    int saved_stderr;
    struct ds_stats *stats;
    struct ds_keepsake *keepsake;
    struct ds_cache *cache;
};

static int setup(void **state)
{
    struct fixture *f = ds_xcalloc(1, sizeof *f);
    struct ds_error err = DS_ERROR_INIT;
    int log;

    memcpy(f->dir, "/tmp/dshard-cache-XXXXXX", sizeof "/tmp/dshard-cache-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->path = ds_xasprintf("%s/ring.json", f->dir);
    f->log_path = ds_xasprintf("%s/log", f->dir);
    f->stats = ds_stats_new(1, 0, &err);
    assert_non_null(f->stats);
    ds_stats_begin(f->stats, 0);
    f->keepsake = ds_keepsake_new(&err);
    assert_non_null(f->keepsake);
    f->cache = ds_cache_new(f->path, f->stats, f->keepsake);
    f->saved_stderr = dup(STDERR_FILENO);
    log = open(f->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(f->saved_stderr >= 0 && log >= 0);
    dup2(log, STDERR_FILENO);
    close(log);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ds_cache_free(f->cache);
    ds_keepsake_free(f->keepsake);
    ds_stats_free(f->stats);
    dup2(f->saved_stderr, STDERR_FILENO);
    close(f->saved_stderr);
    unlink(f->path);
    unlink(f->log_path);
    rmdir(f->dir);
    free(f->path);
    free(f->log_path);
    free(f);
    return 0;
}

static void replace(const struct fixture *f, const char *text, size_t len)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_replace(f->path, text, len, 0644, &err), &err);
}

/* A state of `n` members 10.0.0.1:9091... */
static void write_state(const struct fixture *f, unsigned n, uint64_t generation,
                        const char *frozen)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;
    struct ds_server members[8];

    ds_state_init(&state);
    assert_true(n <= DS_COUNT(members));
    for (unsigned i = 0; i < n; i++) {
        members[i].weight = 1;
        snprintf(members[i].address, sizeof members[i].address, "10.0.0.%u:9091", i + 1);
        ds_state_add(&state, members[i].address, 1);
    }
    assert_true(ds_state_set_ring(&state, members, n, 500, DS_CAUSE_START, 1000, &err) >=
                0);
    state.generation = generation;
    ds_set_str(&state.frozen_reason, frozen);
    ds_state_stamp(&state, 1764000000000);
    ds_state_format(&state, &text);
    assert_false(text.over);
    replace(f, text.data, text.len);
}

static unsigned lines_with(const struct fixture *f, const char *words)
{
    DS_AUTO(buf) struct ds_buf log = DS_BUF_INIT(1024 * 1024);
    struct ds_error err = DS_ERROR_INIT;
    unsigned n = 0;

    assert_ok(ds_file_read(&log, f->log_path, &err), &err);
    for (const char *at = log.data; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static void there_is_nothing_before_the_first_good_file(void **state)
{
    struct fixture *f = *state;

    assert_null(ds_cache_view(f->cache)->state);
    for (int i = 0; i < 3; i++)
        assert_false(ds_cache_look(f->cache));
    assert_null(ds_cache_view(f->cache)->state);
    assert_null(ds_cache_view(f->cache)->ring);
    assert_int_equal(lines_with(f, "No such file"), 1);
}

static void a_good_file_is_used_and_read_once(void **state)
{
    struct fixture *f = *state;
    const struct ds_view *view;

    write_state(f, 3, 7, NULL);
    assert_true(ds_cache_look(f->cache));
    assert_false(ds_cache_look(f->cache));
    view = ds_cache_view(f->cache);
    assert_int_equal(view->state->generation, 7);
    assert_non_null(view->ring);
    assert_ptr_equal(ds_cache_view(f->cache), view);
    assert_int_equal(lines_with(f, "generation=7 members=3"), 1);
}

static void an_empty_ring_is_a_good_file(void **state)
{
    struct fixture *f = *state;

    write_state(f, 2, 1, NULL);
    ds_cache_look(f->cache);
    write_state(f, 0, 2, NULL);
    assert_true(ds_cache_look(f->cache));
    assert_non_null(ds_cache_view(f->cache)->state);
    assert_null(ds_cache_view(f->cache)->ring);
}

static void the_ring_is_not_built_again_for_other_data(void **state)
{
    struct fixture *f = *state;
    const struct ds_ring *ring;

    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    ring = ds_cache_view(f->cache)->ring;
    write_state(f, 3, 1, "too few");
    assert_true(ds_cache_look(f->cache));
    assert_string_equal(ds_cache_view(f->cache)->state->frozen_reason, "too few");
    assert_ptr_equal(ds_cache_view(f->cache)->ring, ring);
    assert_int_equal(lines_with(f, "the ring is in use"), 1);
    write_state(f, 2, 2, NULL);
    ds_cache_look(f->cache);
    assert_ptr_not_equal(ds_cache_view(f->cache)->ring, ring);
    assert_int_equal(lines_with(f, "the ring is in use"), 2);
}

/* Nobody asks for a view in between: what is overtaken is let go (the sanitizer looks).
 */
static void only_the_newest_of_several_is_kept(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 1; i <= 6; i++) {
        write_state(f, 1 + i / 2, i, NULL);
        assert_true(ds_cache_look(f->cache));
    }
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 6);
    assert_int_equal(ds_cache_view(f->cache)->state->n_servers, 4);
}

static void a_bad_file_never_displaces_a_good_view(void **state)
{
    static const char *const bad[] = {
        "", "{", "null", "[]", "{\"format\":1}", "{\"format\":2}", "\xff"};
    struct fixture *f = *state;

    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    for (size_t i = 0; i < DS_COUNT(bad); i++) {
        replace(f, bad[i], strlen(bad[i]));
        for (int k = 0; k < 3; k++)
            assert_false(ds_cache_look(f->cache));
        assert_int_equal(ds_cache_view(f->cache)->state->generation, 1);
        assert_non_null(ds_cache_view(f->cache)->ring);
    }
    assert_int_equal(lines_with(f, "cannot be used"), DS_COUNT(bad));
    write_state(f, 3, 1, NULL);
    assert_true(ds_cache_look(f->cache));
    assert_int_equal(lines_with(f, "the ring is in use"), 2); /* good again: say so */
}

static void a_cut_file_never_displaces_a_good_view(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;

    write_state(f, 3, 1, NULL);
    assert_ok(ds_file_read(&text, f->path, &err), &err);
    ds_cache_look(f->cache);
    for (size_t len = 0; len + 2 < text.len; len += 37) {
        replace(f, text.data, len);
        assert_false(ds_cache_look(f->cache));
    }
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 1);
}

static void a_file_that_goes_away_and_comes_back_is_noticed(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(str) char *aside = ds_xasprintf("%s.aside", f->path);

    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    assert_int_equal(rename(f->path, aside), 0);
    assert_false(ds_cache_look(f->cache));
    assert_non_null(ds_cache_view(f->cache)->ring);
    assert_int_equal(rename(aside, f->path), 0);
    assert_false(ds_cache_look(f->cache));
    assert_false(ds_cache_look(f->cache));
    assert_int_equal(lines_with(f, "cannot be used"), 1);
    assert_int_equal(lines_with(f, "the state file is back"), 1);
}

static void a_directory_and_a_huge_file_are_bad_files(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_false(ds_cache_look(f->cache));
    assert_int_equal(rmdir(f->path), 0);
    replace(f, "", 0);
    assert_int_equal(truncate(f->path, DS_STATE_BYTES_MAX + 1), 0);
    assert_false(ds_cache_look(f->cache));
    assert_int_equal(lines_with(f, "larger than"), 1);
    assert_null(ds_cache_view(f->cache)->state);
}

/* ext4 gives the inode of a deleted file to the next one: the cache holds on to its own.
 */
static void a_rewrite_of_equal_size_is_noticed(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 1; i <= 9; i++) {
        write_state(f, 2, i, NULL);
        assert_true(ds_cache_look(f->cache));
        assert_int_equal(ds_cache_view(f->cache)->state->generation, i);
    }
}

static uint64_t wait_for_generation(struct ds_cache *cache, uint64_t generation)
{
    int64_t deadline = ds_clock_mono_ms() + 10000;
    const struct ds_view *view;

    do
        view = ds_cache_view(cache);
    while ((!view->state || view->state->generation != generation) &&
           ds_clock_mono_ms() < deadline);
    return view->state ? view->state->generation : 0;
}

static void the_loader_follows_the_file(void **state)
{
    struct fixture *f = *state;
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_cache_start(f->cache, &err), &err);
    for (unsigned i = 1; i <= 5; i++) {
        write_state(f, i, i, NULL);
        assert_int_equal(wait_for_generation(f->cache, i), i);
        assert_int_equal(ds_cache_view(f->cache)->state->n_servers, i);
        assert_non_null(ds_cache_view(f->cache)->ring);
    }
}

static void assert_loads(const struct fixture *f, uint64_t loads, uint64_t errors,
                         bool well)
{
    DS_AUTO(counters) struct ds_counters counters;

    ds_stats_read(f->stats, &counters);
    assert_int_equal(counters.loads, loads);
    assert_int_equal(counters.load_errors, errors);
    assert_int_equal(counters.loaded_well, well);
}

/* Each problem once, and not with every look. */
static void loads_and_problems_are_counted(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(str) char *aside = ds_xasprintf("%s.aside", f->path);

    ds_cache_look(f->cache);
    ds_cache_look(f->cache);
    assert_loads(f, 0, 1, false);
    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    ds_cache_look(f->cache);
    assert_loads(f, 1, 1, true);
    replace(f, "{", 1);
    ds_cache_look(f->cache);
    ds_cache_look(f->cache);
    assert_loads(f, 1, 2, false);
    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    assert_loads(f, 2, 2, true);
    assert_int_equal(rename(f->path, aside), 0);
    ds_cache_look(f->cache);
    assert_loads(f, 2, 3, false);
    assert_int_equal(rename(aside, f->path), 0);
    ds_cache_look(f->cache);
    assert_loads(f, 2, 3, true);
}

/* As a worker does that is started instead of one that has died. */
static void restart(struct fixture *f)
{
    ds_cache_free(f->cache);
    f->cache = ds_cache_new(f->path, f->stats, f->keepsake);
}

static void who_is_started_beside_a_bad_file_goes_on_with_what_others_had(void **state)
{
    static const char *const bad[] = {"", "{", "{\"format\":2}", NULL};
    struct fixture *f = *state;

    for (unsigned i = 0; i < DS_COUNT(bad); i++) {
        write_state(f, 3, 7 + i, NULL);
        assert_true(ds_cache_look(f->cache));
        if (bad[i])
            replace(f, bad[i], strlen(bad[i]));
        else
            assert_int_equal(unlink(f->path), 0);
        restart(f);
        assert_true(ds_cache_look(f->cache));
        assert_false(ds_cache_look(f->cache));
        assert_int_equal(ds_cache_view(f->cache)->state->generation, 7 + i);
        assert_non_null(ds_cache_view(f->cache)->ring);
        assert_non_null(ds_cache_view(f->cache)->places);
        assert_int_equal(ds_cache_view(f->cache)->troubles->items[0].until_ms, 0);
        assert_loads(f, i + 1, i + 1, false);
        assert_true(ds_stats_usable(f->stats));
        assert_int_equal(lines_with(f, "taken over from another worker"), i + 1);
        assert_int_equal(lines_with(f, "ring=\"the last good one stays\""), i + 1);
    }
    assert_int_equal(lines_with(f, "ring=none"), 0);
    write_state(f, 2, 70, NULL);
    assert_true(ds_cache_look(f->cache));
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 70);
    assert_true(ds_cache_view(f->cache)->troubles->items[0].until_ms > 0);
    assert_loads(f, DS_COUNT(bad) + 1, DS_COUNT(bad), true);
}

/* A good file that lay there for a moment only. */
static void what_another_worker_has_seen_is_taken_later_too(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(cache) struct ds_cache *other = ds_cache_new(f->path, NULL, f->keepsake);

    replace(f, "{", 1);
    assert_false(ds_cache_look(f->cache));
    assert_false(ds_stats_usable(f->stats));
    write_state(f, 3, 7, NULL);
    assert_true(ds_cache_look(other));
    replace(f, "[", 1);
    assert_true(ds_cache_look(f->cache));
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 7);
    assert_true(ds_stats_usable(f->stats));
}

/* The file need not change for that. */
static void it_is_taken_when_it_comes_beside_the_same_bad_file(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    struct ds_error err = DS_ERROR_INIT;

    write_state(f, 3, 7, NULL);
    assert_ok(ds_file_read(&text, f->path, &err), &err);
    replace(f, "{", 1);
    assert_false(ds_cache_look(f->cache));
    ds_keepsake_put(f->keepsake, "no state", 8);
    assert_false(ds_cache_look(f->cache));
    ds_keepsake_put(f->keepsake, text.data, text.len);
    assert_true(ds_cache_look(f->cache));
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 7);
    assert_int_equal(lines_with(f, "cannot be used"), 1);
}

static void nobody_takes_over_instead_of_a_good_file_or_a_state_of_his_own(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(cache) struct ds_cache *other = ds_cache_new(f->path, NULL, f->keepsake);

    write_state(f, 3, 7, NULL);
    assert_true(ds_cache_look(f->cache));
    write_state(f, 2, 8, NULL);
    assert_true(ds_cache_look(other));
    assert_int_equal(ds_cache_view(other)->state->generation, 8);
    replace(f, "{", 1);
    assert_false(ds_cache_look(f->cache));
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 7);
    assert_int_equal(lines_with(f, "taken over"), 0);
}

static void members_have_the_same_places_in_every_ring(void **state)
{
    struct fixture *f = *state;
    const struct ds_view *view = ds_cache_view(f->cache);
    uint16_t first;

    assert_ptr_equal(view->stats, f->stats);
    assert_null(view->places);
    write_state(f, 1, 1, NULL);
    ds_cache_look(f->cache);
    view = ds_cache_view(f->cache);
    assert_ptr_equal(view->stats, f->stats);
    first = view->places[0];
    write_state(f, 3, 2, NULL);
    ds_cache_look(f->cache);
    view = ds_cache_view(f->cache);
    assert_int_equal(view->places[0], first);
    assert_int_not_equal(view->places[1], first);
    assert_int_not_equal(view->places[2], view->places[1]);
}

static void troubles_are_told_with_their_times(void **state)
{
    struct fixture *f = *state;
    const struct ds_troubles *troubles;
    int64_t before_ms = ds_clock_wall_ms();

    ds_cache_look(f->cache);
    ds_cache_look(f->cache);
    troubles = ds_cache_view(f->cache)->troubles;
    assert_int_equal(troubles->n, 1);
    assert_in_range(troubles->items[0].since_ms, before_ms, ds_clock_wall_ms());
    assert_int_equal(troubles->items[0].until_ms, 0);
    assert_non_null(strstr(troubles->items[0].text, "No such file"));
    write_state(f, 3, 1, NULL);
    ds_cache_look(f->cache);
    troubles = ds_cache_view(f->cache)->troubles;
    assert_true(troubles->items[0].until_ms >= troubles->items[0].since_ms);
    for (size_t i = 0; i < 2 * DS_TROUBLES_MAX; i++) {
        static const char *const bad[] = {"{", "[\n\"\xFF\x1b"};

        replace(f, bad[i % 2], strlen(bad[i % 2]));
        ds_cache_look(f->cache);
    }
    troubles = ds_cache_view(f->cache)->troubles;
    assert_int_equal(troubles->n, DS_TROUBLES_MAX);
    assert_int_equal(troubles->items[0].until_ms, 0);
    for (size_t i = 1; i < DS_TROUBLES_MAX; i++)
        assert_true(troubles->items[i].until_ms > 0);
    /* The view itself is that of the good file. */
    assert_int_equal(ds_cache_view(f->cache)->state->generation, 1);
}

/* One that is alive, one that has ended, and one of another host. */
static void an_operation_whose_process_has_ended_is_dead(void **state)
{
    struct fixture *f = *state;
    DS_AUTO(str) char *us = ds_process_name();
    DS_AUTO(str) char *ended = NULL;
    const char *by[] = {NULL, us, NULL, "elsewhere.example:999999"};
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    ended = ds_xasprintf("%.*s:%d", (int)(strrchr(us, ':') - us), us, (int)child);
    by[2] = ended;
    for (size_t i = 0; i < DS_COUNT(by); i++) {
        DS_AUTO(state) struct ds_state content;
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

        ds_state_init(&content);
        ds_state_stamp(&content, 1764000000000 + (int64_t)i);
        if (by[i]) {
            ds_set_str(&content.operation_kind, "scale up");
            ds_set_str(&content.operation_step, "moving groups");
            ds_set_str(&content.operation_by, by[i]);
        }
        ds_state_format(&content, &text);
        replace(f, text.data, text.len);
        assert_true(ds_cache_look(f->cache));
        assert_int_equal(ds_cache_view(f->cache)->operation_is_dead, i == 2);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(there_is_nothing_before_the_first_good_file),
        T(a_good_file_is_used_and_read_once),
        T(an_empty_ring_is_a_good_file),
        T(the_ring_is_not_built_again_for_other_data),
        T(only_the_newest_of_several_is_kept),
        T(a_bad_file_never_displaces_a_good_view),
        T(a_cut_file_never_displaces_a_good_view),
        T(a_file_that_goes_away_and_comes_back_is_noticed),
        T(a_directory_and_a_huge_file_are_bad_files),
        T(a_rewrite_of_equal_size_is_noticed),
        T(the_loader_follows_the_file),
        T(loads_and_problems_are_counted),
        T(who_is_started_beside_a_bad_file_goes_on_with_what_others_had),
        T(what_another_worker_has_seen_is_taken_later_too),
        T(it_is_taken_when_it_comes_beside_the_same_bad_file),
        T(nobody_takes_over_instead_of_a_good_file_or_a_state_of_his_own),
        T(members_have_the_same_places_in_every_ring),
        T(troubles_are_told_with_their_times),
        T(an_operation_whose_process_has_ended_is_dead),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
