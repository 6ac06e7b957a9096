/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/child.h"
#include "dshard/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUT_MAX = 100000, DEADLINE_MS = 30000 };

static void start(struct ds_child *child, const char *script)
{
    const char *args[] = {"sh", "-c", script, "name", "an argument", NULL};
    struct ds_error err = DS_ERROR_INIT;

    ds_child_init(child, OUT_MAX);
    assert_ok(ds_child_start(child, "/bin/sh", args, &err), &err);
}

/* As a loop does: waits for its descriptors, and looks now and then. */
static void await_end(struct ds_child *child)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    while (!ds_child_tend(child)) {
        struct pollfd fds[DS_CHILD_FDS_MAX];
        int open[DS_CHILD_FDS_MAX];
        size_t n = ds_child_fds(child, open);

        for (size_t i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = open[i], .events = POLLIN};
        poll(fds, n, 10);
        assert_true(ds_clock_mono_ms() < deadline);
    }
    assert_int_equal(child->pid, 0);
    assert_int_equal(ds_child_fds(child, (int[DS_CHILD_FDS_MAX]){0}), 0);
    assert_false(ds_child_tend(child)); /* once */
}

static void assert_end(const struct ds_child *child, const char *want)
{
    char found[DS_CHILD_END_MAX];

    ds_child_format_end(child, found);
    assert_string_equal(found, want);
}

static void it_tells_on_both_its_outputs(void **state)
{
    struct ds_child child;

    (void)state;
    start(&child, "cat; printf '%s' \"$1\"; echo oh dear >&2; exit 3");
    await_end(&child);
    assert_string_equal(child.out.data, "an argument");
    assert_string_equal(child.words.data, "oh dear\n");
    assert_int_equal(ds_child_exit_status(&child), 3);
    assert_end(&child, "exit status 3");
    ds_child_release(&child);
}

static void another_one_begins_with_nothing_said(void **state)
{
    const char *args[] = {"true", NULL};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_child child;

    (void)state;
    start(&child, "echo a; echo b >&2; exit 9");
    await_end(&child);
    assert_ok(ds_child_start(&child, "/bin/true", args, &err), &err);
    await_end(&child);
    assert_int_equal(child.out.len + child.words.len, 0);
    assert_int_equal(ds_child_exit_status(&child), 0);
    ds_child_release(&child);
}

static void a_program_that_is_not_there_ends_with_127(void **state)
{
    const char *args[] = {"nothing", NULL};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_child child;

    (void)state;
    ds_child_init(&child, OUT_MAX);
    assert_ok(ds_child_start(&child, "/nonexistent/nothing", args, &err), &err);
    await_end(&child);
    assert_int_equal(ds_child_exit_status(&child), 127);
    ds_child_release(&child);
}

static void a_signal_is_no_exit_status(void **state)
{
    struct ds_child child;

    (void)state;
    start(&child, "kill -KILL $$");
    await_end(&child);
    assert_int_equal(ds_child_exit_status(&child), -1);
    assert_end(&child, "signal 9");
    ds_child_release(&child);
}

static void what_it_writes_has_a_maximum(void **state)
{
    struct ds_child child;

    (void)state;
    start(&child, "head -c 200000 /dev/zero >&2; echo a");
    await_end(&child);
    assert_string_equal(child.out.data, "a\n"); /* too many words do no harm */
    assert_true(child.words.over);
    assert_int_equal(child.words.len, DS_CHILD_WORDS_MAX);
    assert_int_equal(ds_child_exit_status(&child), 0);
    ds_child_release(&child);

    start(&child, "exec yes");
    await_end(&child);
    assert_true(child.out.over);
    assert_int_equal(child.out.len, OUT_MAX);
    assert_end(&child, "signal 9");
    ds_child_release(&child);
}

/* A grandchild that keeps the pipe does not keep us. */
static void its_end_is_its_own(void **state)
{
    int64_t began_ms = ds_clock_mono_ms();
    struct ds_child child;
    long pid;

    (void)state;
    start(&child, "sleep 60 & echo $!");
    await_end(&child);
    assert_true(ds_clock_mono_ms() - began_ms < DEADLINE_MS);
    pid = strtol(child.out.data, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    ds_child_release(&child);
}

static void it_is_asked_to_end_and_then_made_to(void **state)
{
    static const struct {
        const char *script, *want, *out;
        int64_t timeout_ms;
    } rows[] = {
        {"trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done",
         "exit status 4", "up\nbye\n", DEADLINE_MS},
        {"trap '' TERM; echo up; while :; do sleep 0.01; done", "signal 9", "up\n", 100},
        {"echo up; exec sleep 60", "signal 15", "up\n", DEADLINE_MS},
        {"echo up; exec sleep 60", "signal 9", "up\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_child child;

        start(&child, rows[i].script);
        while (!child.out.len)
            assert_false(ds_child_tend(&child));
        ds_child_stop(&child, rows[i].timeout_ms);
        assert_int_equal(child.pid, 0);
        assert_end(&child, rows[i].want);
        assert_string_equal(child.out.data, rows[i].out);
        ds_child_stop(&child, 0); /* nothing is left to stop */
        ds_child_release(&child);
    }
}

/* Ours are blocked for a signalfd, and SIGPIPE is ignored. */
static void it_starts_with_its_signals_as_they_come(void **state)
{
    sigset_t blocked, before;
    struct ds_child child;

    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGCHLD);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
    signal(SIGPIPE, SIG_IGN);
    start(&child, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    await_end(&child);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_non_null(strstr(child.out.data, "SigBlk:\t0000000000000000"));
    assert_null(strstr(child.out.data, "SigIgn:\t0000000000001000"));
    ds_child_release(&child);
}

/* Whoever started it and dies leaves nothing behind. */
static void it_dies_with_its_parent(void **state)
{
    int ends[2];
    char text[32] = "";
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;
    pid_t parent;
    long pid;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    parent = fork();
    if (parent == 0) {
        struct ds_child child;
        ssize_t n;

        start(&child, "exec sleep 60");
        snprintf(text, sizeof text, "%ld", (long)child.pid);
        n = write(ends[1], text, sizeof text);
        pause();
        _exit(n < 0);
    }
    assert_int_equal(read(ends[0], text, sizeof text), sizeof text);
    pid = strtol(text, NULL, 10);
    assert_int_equal(kill((pid_t)pid, 0), 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    for (;;) {
        DS_AUTO(str) char *path = ds_xasprintf("/proc/%ld/stat", pid);
        DS_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char stat[200] = "";
        ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof stat - 1);

        /* Whoever inherits it may be slow to bury it. */
        if (n <= 0 || strstr(stat, ") Z ") || strstr(stat, ") X "))
            break;
        assert_true(ds_clock_mono_ms() < deadline);
        ds_clock_sleep_ms(5);
    }
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_on_both_its_outputs),
        cmocka_unit_test(another_one_begins_with_nothing_said),
        cmocka_unit_test(a_program_that_is_not_there_ends_with_127),
        cmocka_unit_test(a_signal_is_no_exit_status),
        cmocka_unit_test(what_it_writes_has_a_maximum),
        cmocka_unit_test(its_end_is_its_own),
        cmocka_unit_test(it_is_asked_to_end_and_then_made_to),
        cmocka_unit_test(it_starts_with_its_signals_as_they_come),
        cmocka_unit_test(it_dies_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
