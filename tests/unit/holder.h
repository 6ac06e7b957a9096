/* SPDX-License-Identifier: Apache-2.0 */
/* holder.h - a child process that has something, such as a lock, while the test goes on.
 */
#ifndef DSHARD_TEST_HOLDER_H
#define DSHARD_TEST_HOLDER_H

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: tells the test that it has it. */
static inline void holder_ready(int ready)
{
    if (write(ready, "x", 1) != 1)
        _exit(1);
}

/* Starts it, and waits until hold() has called holder_ready().  When hold() returns, it
   ends with status 0. */
static inline pid_t holder_start(void (*hold)(void *arg, int ready), void *arg)
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
        hold(arg, ready[1]);
        _exit(0);
    }
    close(ready[1]); /* so that a child which has ended is noticed */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static inline void holder_kill(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

#endif
