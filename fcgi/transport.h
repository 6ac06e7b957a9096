/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.h - the connections from the web server: one thread, epoll, nothing blocks.
 *
 * A request that is whole at the first look (nearly every one) is left in the socket and
 * goes to libfcgi from there: behind keep-alive that is epoll_wait, recv(MSG_PEEK), read,
 * write.  One that comes in parts is gathered beside the others, its body dropped as it
 * comes, until it is whole or stands still for too long (conns.h).
 *
 * SIGTERM, SIGINT and SIGUSR1 (blocked by the caller) end it: what has begun is finished.
 */
#ifndef DSHARD_FCGI_TRANSPORT_H
#define DSHARD_FCGI_TRANSPORT_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "listen.h"
#include "responder.h"

enum {
    DS_STOP_BUDGET_MS = 5000, /* for what has begun when the end is asked for */
};

/* The signals that end a worker, to be blocked before any thread is started. */
void ds_transport_block_signals(void);

/* Serves until a signal asks for the end; closes the listening socket then. */
int ds_transport_run(struct ds_listen *listening, struct ds_responder *responder,
                     struct ds_error *err) DS_NODISCARD;

#endif
