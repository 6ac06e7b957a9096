/* SPDX-License-Identifier: Apache-2.0 */
/* transport_impl.h - what transport.c and transport_request.c share; private to them. */
#ifndef DSHARD_FCGI_TRANSPORT_IMPL_H
#define DSHARD_FCGI_TRANSPORT_IMPL_H

#include "conns.h"
#include "transport.h"

enum { DS_TRANSPORT_WINDOW = 64 * 1024 };

struct ds_transport {
    struct ds_listen *listening;
    struct ds_responder *responder;
    struct ds_conns conns;
    int epoll, signals;
    int request;          /* memory file: a request that came in parts; -1: not yet */
    int64_t now_ms;       /* monotonic, of this round */
    int64_t accept_at_ms; /* accept again then; INT64_MAX: accepting, or at the end */
    int64_t stop_at_ms;   /* leave then at the latest; INT64_MAX: nobody asked */
    unsigned char window[DS_TRANSPORT_WINDOW];
};

static inline bool ds_transport_is_stopping(const struct ds_transport *t)
{
    return t->stop_at_ms != INT64_MAX;
}

/* Each goes on where the connection is, and leaves it IDLE, READING, SENDING or dropped.
 */
void ds_transport_look(struct ds_transport *t, struct ds_conn *conn); /* when IDLE */
void ds_transport_read_more(struct ds_transport *t, struct ds_conn *conn);
void ds_transport_send_more(struct ds_transport *t, struct ds_conn *conn);

#endif
