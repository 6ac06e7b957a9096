/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../fcgi/keepsake.h"
#include "dshard/file.h"
#include "dshard/state.h"
#include "frozen.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_LEN = 300 * 1024 };

static int setup(void **state)
{
    struct ds_error err = DS_ERROR_INIT;

    *state = ds_keepsake_new(&err);
    if (!*state)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    ds_keepsake_free(*state);
    return 0;
}

static void put(struct ds_keepsake *keepsake, const char *text)
{
    ds_keepsake_put(keepsake, text, strlen(text));
}

static void assert_kept(struct ds_keepsake *keepsake, const char *expected)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    assert_true(ds_keepsake_get(keepsake, &text));
    assert_string_equal(text.data, expected);
}

static void at_first_there_is_nothing(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    assert_false(ds_keepsake_get(*state, &text));
    assert_int_equal(text.len, 0);
}

static void who_has_none_keeps_nothing(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    (void)state;
    put(NULL, "a");
    assert_false(ds_keepsake_get(NULL, &text));
    ds_keepsake_free(NULL);
}

static void the_newest_text_is_kept_whatever_the_length(void **state)
{
    static const char *const texts[] = {"first", "a longer one", "first", "x", "x", "y"};

    for (size_t i = 0; i < DS_COUNT(texts); i++) {
        put(*state, texts[i]);
        assert_kept(*state, texts[i]);
        assert_kept(*state, texts[i]);
    }
}

static void another_process_finds_it_when_the_first_has_ended(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        put(*state, "of a worker");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_kept(*state, "of a worker");
}

static void the_longest_state_fits(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(str) char *longest = ds_xcalloc(1, DS_STATE_BYTES_MAX);

    for (int i = 0; i < 2; i++) {
        memset(longest, 'a' + i, DS_STATE_BYTES_MAX);
        ds_keepsake_put(*state, longest, DS_STATE_BYTES_MAX);
    }
    assert_true(ds_keepsake_get(*state, &text));
    assert_false(text.over);
    assert_int_equal(text.len, DS_STATE_BYTES_MAX);
    assert_memory_equal(text.data, longest, DS_STATE_BYTES_MAX);
}

/* KiB of shared memory that this process has touched. */
static long shared_kib(void)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(65536);
    struct ds_error err = DS_ERROR_INIT;
    const char *at;

    assert_ok(ds_file_read(&text, "/proc/self/status", &err), &err);
    at = strstr(text.data, "RssShmem:");
    assert_non_null(at);
    return strtol(at + strlen("RssShmem:"), NULL, 10);
}

static void only_what_a_text_needs_takes_memory(void **state)
{
    static const char text[5000] = {'a'};
    long before = shared_kib();

    for (size_t i = 0; i < 10; i++)
        ds_keepsake_put(*state, text, sizeof text - i);
    assert_in_range(shared_kib() - before, 1, 40);
}

/* A text by which can be seen whether it is whole: one letter, and its length. */
static size_t fill(char *text, unsigned i)
{
    size_t len = TEXT_LEN - i % 26;

    memset(text, (int)('a' + i % 26), len);
    return len;
}

static void assert_whole(struct ds_keepsake *keepsake)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);

    alarm(10); /* a test that hangs would tell nothing */
    assert_true(ds_keepsake_get(keepsake, &text));
    alarm(0);
    assert_int_equal(text.len, TEXT_LEN - (text.data[0] - 'a'));
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != text.data[0])
            fail_msg("byte %zu is of another text", i);
    }
}

static pid_t start_writer(struct ds_keepsake *keepsake, char *text, unsigned first)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no test that fails leaves it behind */
    for (unsigned i = first;; i++)
        ds_keepsake_put(keepsake, text, fill(text, i));
}

/* Wherever it was, also with the lock. */
static void a_worker_that_is_killed_leaves_a_whole_text(void **state)
{
    DS_AUTO(str) char *text = ds_xcalloc(1, TEXT_LEN);
    int status;

    ds_keepsake_put(*state, text, fill(text, 0));
    for (unsigned round = 0; round < 40; round++) {
        pid_t pid = start_writer(*state, text, round);

        usleep(97 * round);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_whole(*state);
    }
    put(*state, "the next one");
    assert_kept(*state, "the next one");
}

static void workers_that_write_at_once_leave_a_whole_text(void **state)
{
    enum { WRITERS = 4 };
    DS_AUTO(str) char *text = ds_xcalloc(1, TEXT_LEN);
    pid_t pids[WRITERS];

    ds_keepsake_put(*state, text, fill(text, 0));
    for (unsigned i = 0; i < WRITERS; i++)
        pids[i] = start_writer(*state, text, 5 * i);
    for (int i = 0; i < 1000; i++)
        assert_whole(*state);
    for (unsigned i = 0; i < WRITERS; i++) {
        kill(pids[i], SIGKILL);
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
    assert_whole(*state);
}

static void put_unreadable(void *keepsake, const void *unreadable)
{
    ds_keepsake_put(keepsake, unreadable, FROZEN_UNREADABLE_LEN);
}

static void while_a_worker_is_frozen_that_writes_nothing_is_put_or_found(void **state)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    pid_t pid;

    put(*state, "before");
    pid = frozen_start(put_unreadable, *state);
    put(*state, "meanwhile");
    assert_false(ds_keepsake_get(*state, &text));
    assert_int_equal(text.len, 0);
    frozen_kill(pid);
    assert_kept(*state, "before");
    put(*state, "after");
    assert_kept(*state, "after");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(at_first_there_is_nothing),
        T(who_has_none_keeps_nothing),
        T(the_newest_text_is_kept_whatever_the_length),
        T(another_process_finds_it_when_the_first_has_ended),
        T(the_longest_state_fits),
        T(only_what_a_text_needs_takes_memory),
        T(a_worker_that_is_killed_leaves_a_whole_text),
        T(workers_that_write_at_once_leave_a_whole_text),
        T(while_a_worker_is_frozen_that_writes_nothing_is_put_or_found),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
