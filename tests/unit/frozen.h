/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frozen.h - a process that is stopped while it has a lock.
 *
 * It is stopped where it reads memory that it may not read: give it such memory, and it
 * stays inside of whatever reads it.
 */
#ifndef DSHARD_TEST_FROZEN_H
#define DSHARD_TEST_FROZEN_H

#include "test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FROZEN_UNREADABLE_LEN = 65536 };

static void frozen_stop(int signal_number)
{
    (void)signal_number;
    raise(SIGSTOP);
}

/* Runs work(arg, unreadable) in a process of its own until it reads there. */
static inline pid_t frozen_start(void (*work)(void *arg, const void *unreadable),
                                 void *arg)
{
    void *unreadable =
        mmap(NULL, FROZEN_UNREADABLE_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t pid;
    int status;

    assert_ptr_not_equal(unreadable, MAP_FAILED);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no test that fails leaves it behind */
        signal(SIGSEGV, frozen_stop);
        work(arg, unreadable);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    munmap(unreadable, FROZEN_UNREADABLE_LEN);
    alarm(10); /* a test that hangs would tell nothing */
    return pid;
}

static inline void frozen_kill(pid_t pid)
{
    alarm(0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#endif
