/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workers.h - a parent and N workers that share one listening socket.
 *
 * A worker that dies is started again: at once, and with growing pauses when it keeps
 * dying.  SIGTERM, SIGINT and SIGUSR1 are passed on as SIGTERM; the parent waits for the
 * workers.  When the parent is killed the workers end too.
 */
#ifndef DSHARD_FCGI_WORKERS_H
#define DSHARD_FCGI_WORKERS_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "listen.h"

enum { DS_WORKERS_MAX = 256, DS_WORKERS_PARENT = -1 };

/*
 * Returns 0 in each worker, which then serves: *worker is its number, from 0, and one
 * that is started again has that of the one that died.  Also returns 0 in the parent,
 * *worker DS_WORKERS_PARENT, when all of them have ended after a signal.  The caller has
 * blocked the signals, and has no thread yet.
 */
int ds_workers_run(struct ds_listen *listening, unsigned n, int *worker,
                   struct ds_error *err) DS_NODISCARD;

#endif
