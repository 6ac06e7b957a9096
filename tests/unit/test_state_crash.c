/* SPDX-License-Identifier: Apache-2.0 */
/* Writers that are killed, and writers that write at the same time. */
#include "test.h"

#include "dshard/clock.h"
#include "dshard/state.h"
#include "place.h"
#include "random.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { KILLS = 500, WRITERS = 4, WRITES = 25, LOCK_MS = 60000, TEXT_MAX_BYTES = 1000000 };

/* The i-th of the versions that a writer writes: of another length each time. */
static void make_version(struct ds_state *state, uint64_t i)
{
    ds_state_init(state);
    for (uint64_t k = 0; k < i * 7919 % 200; k++) {
        char address[DS_ADDRESS_MAX];

        snprintf(address, sizeof address, "server-%" PRIu64 ":%" PRIu64, k,
                 i % 65535 + 1);
        ds_state_add(state, address, 1)->health.since_ms = (int64_t)i;
    }
    state->generation = i;
    free(state->written_by);
    state->written_by = ds_xasprintf("version %" PRIu64, i);
}

static void save_version(const char *path, uint64_t i)
{
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    DS_AUTO(state) struct ds_state state;
    struct ds_error err = DS_ERROR_INIT;

    make_version(&state, i);
    if (ds_file_lock_dir(&lock, path, LOCK_MS, &err) < 0 ||
        ds_state_save(&state, path, &err) < 0)
        _exit(1);
}

static void write_for_ever(const char *path, uint64_t first)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
    for (uint64_t i = first;; i++)
        save_version(path, i);
}

/* The file is a version as it was written, byte for byte; returns which. */
static uint64_t assert_a_version(const char *path)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(TEXT_MAX_BYTES);
    DS_AUTO(buf) struct ds_buf want = DS_BUF_INIT(TEXT_MAX_BYTES);
    DS_AUTO(state) struct ds_state state = {0}, same = {0};
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_read(&text, path, &err), &err);
    assert_ok(ds_state_parse(&state, text.data, text.len, &err), &err);
    make_version(&same, state.generation);
    ds_state_format(&same, &want);
    assert_string_equal(text.data, want.data);
    return state.generation;
}

static void a_writer_killed_at_any_moment_leaves_a_version(void **test)
{
    struct random r = random_start(__func__);
    const struct place *place = *test;
    uint64_t last = 1;
    size_t news = 0;

    save_version(place->path, last);
    for (int round = 0; round < KILLS; round++) {
        uint64_t now;
        pid_t child = fork();

        if (child == 0)
            write_for_ever(place->path, last + 1);
        ds_clock_sleep_ms((int64_t)random_below(&r, 10));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        now = assert_a_version(place->path);
        assert_true(now >= last);
        news += now > last;
        last = now;
        assert_in_range(count_entries(place->dir), 1, 2); /* half a write at most */
    }
    assert_true(news > 0); /* how many depends on the machine's mood */
    save_version(place->path, last + 1);
    assert_int_equal(assert_a_version(place->path), last + 1);
    assert_int_equal(count_entries(place->dir), 1);
}

/* Adds servers of its own, one a write, as commands do. */
static void add_servers(const char *path, unsigned who)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < WRITES; i++) {
        DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
        DS_AUTO(state) struct ds_state state = {0};
        struct ds_error err = DS_ERROR_INIT;
        char address[DS_ADDRESS_MAX];

        snprintf(address, sizeof address, "writer-%u-%u:1", who, i);
        if (ds_file_lock_dir(&lock, path, LOCK_MS, &err) < 0 ||
            (ds_state_load(&state, path, &err) < 0 && err.code != DS_E_MISSING))
            _exit(1);
        ds_state_add(&state, address, 1);
        state.generation++;
        if (ds_state_save(&state, path, &err) < 0)
            _exit(1);
    }
    _exit(0);
}

static void writers_that_lock_lose_nothing(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;
    pid_t children[WRITERS];

    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            add_servers(place->path, i);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        int status = -1;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_ok(ds_state_load(&state, place->path, &err), &err);
    assert_int_equal(state.n_servers, WRITERS * WRITES);
    assert_int_equal(state.generation, WRITERS * WRITES);
    assert_int_equal(count_entries(place->dir), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_writer_killed_at_any_moment_leaves_a_version),
        IN_A_PLACE(writers_that_lock_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
