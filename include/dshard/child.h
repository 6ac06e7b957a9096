/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - a program that runs beside us and tells its result on stdout.
 *
 * Nothing blocks but ds_child_stop().  What it writes is kept, up to a maximum for each
 * of stdout and stderr: more on stdout ends the program, more on stderr is dropped.  When
 * we die, however that comes, the kernel sends it SIGTERM.
 */
#ifndef DSHARD_CHILD_H
#define DSHARD_CHILD_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

#include <sys/types.h>

enum { DS_CHILD_FDS_MAX = 2, DS_CHILD_WORDS_MAX = 16 * 1024 };

struct ds_child {
    pid_t pid;                 /* 0: none runs */
    int fds[DS_CHILD_FDS_MAX]; /* what it writes to stdout and stderr; -1: closed */
    struct ds_buf out, words;  /* of stdout and stderr */
    int status;                /* of its end, as waitpid() tells it */
};

void ds_child_init(struct ds_child *child, size_t out_max);
void ds_child_release(struct ds_child *child); /* kills it if it runs */

/* Starts the program at this path with these arguments (the first is its name, the last
   NULL), our environment, no signal blocked, and no stdin.  None may run.  A program that
   is not there is a child that ends with 127. */
int ds_child_start(struct ds_child *child, const char *path, const char *const *args,
                   struct ds_error *err) DS_NODISCARD;
/* The descriptors to wait for besides SIGCHLD. */
size_t ds_child_fds(const struct ds_child *child, int fds[DS_CHILD_FDS_MAX]);
/* Takes what there is; true once: it has ended, and out, words and status are whole. */
bool ds_child_tend(struct ds_child *child);
void ds_child_signal(const struct ds_child *child, int number);
/* SIGTERM, and SIGKILL when it has not ended by then. */
void ds_child_stop(struct ds_child *child, int64_t timeout_ms);

/* How it ended, in words: "exit status 1", "signal 9". */
enum { DS_CHILD_END_MAX = 32 };
void ds_child_format_end(const struct ds_child *child, char out[DS_CHILD_END_MAX]);
/* Its exit status; -1 when a signal ended it. */
int ds_child_exit_status(const struct ds_child *child);

#endif
