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

enum { DS_WORKERS_MAX = 256 };

/* What a worker does; its exit status. */
typedef int ds_work_fn(struct ds_listen *listening, void *arg);

/* Returns when all have ended after a signal.  The signals are blocked by the caller. */
int ds_workers_run(struct ds_listen *listening, unsigned n, ds_work_fn *work, void *arg,
                   struct ds_error *err) DS_NODISCARD;

#endif
