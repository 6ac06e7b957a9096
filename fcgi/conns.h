/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conns.h - the connections of a worker: how many there may be, which are idle, which are
 * in the middle of something and until when.
 *
 * A request or an answer that makes progress may take as long as it needs (a body streams
 * in through some web servers as slowly as the client sends it); one that stands still is
 * given up.  Many that dribble hold up nobody: when the table is full, the one that has
 * gone longest without progress makes room.
 *
 * A connection's memory is never given back while the table lives, so a late event for
 * one that was closed meets a struct with fd -1, or the next one in it: both harmless.
 */
#ifndef DSHARD_FCGI_CONNS_H
#define DSHARD_FCGI_CONNS_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "frames.h"

enum ds_conn_state {
    DS_CONN_FREE,    /* a struct without a connection */
    DS_CONN_IDLE,    /* nothing of a request has come */
    DS_CONN_READING, /* a request comes in parts */
    DS_CONN_SENDING, /* an answer goes out in parts */
};
enum {
    DS_N_CONN_STATES = 4,
    DS_CONN_PATIENCE_MS = 30000, /* for a request or an answer, since its last progress */
    DS_CONN_PROGRESS_MIN = 4096, /* bytes: less is none */
    DS_CONN_ASKED_MAX = 16,      /* management records without a request among them */
};

struct ds_conn {
    struct ds_conn *prev, *next; /* in this state; the first has waited longest */
    enum ds_conn_state state;
    int fd;              /* -1: none */
    uint32_t events;     /* what epoll watches it for; 0: it does not */
    bool used;           /* it has brought a request */
    unsigned n_asked;    /* management records since then */
    bool keep;           /* the web server wants to use it again */
    bool ends;           /* the web server sends no more */
    uint64_t turn;       /* of its last change or progress: a smaller one is longer ago */
    int64_t deadline_ms; /* monotonic; INT64_MAX: there is none */
    size_t progress;     /* bytes that are too few so far */
    struct ds_frames frames;
    struct ds_buf head; /* READING: the request up to the end of its parameters */
    int answer;         /* SENDING: a file with what is to be sent; -1: none */
    int64_t answer_at, answer_len;
};

struct ds_conns {
    struct ds_conn *first[DS_N_CONN_STATES], *last[DS_N_CONN_STATES];
    size_t n, max;
    uint64_t turn;        /* the last that was given */
    int64_t expire_at_ms; /* nobody's deadline is earlier; INT64_MAX: there is none */
};

/* How many connections this process may have by its limit of descriptors. */
size_t ds_conns_limit(void);

void ds_conns_init(struct ds_conns *conns, size_t max);
void ds_conns_release(struct ds_conns *conns); /* closes all of them */

/* Takes the descriptor.  NULL when the table is full. */
struct ds_conn *ds_conns_add(struct ds_conns *conns, int fd) DS_NODISCARD;
/* Closes what it has. */
void ds_conns_drop(struct ds_conns *conns, struct ds_conn *conn);

/* To the end of another list, or of the same; READING and SENDING have their time from
   now_ms on. */
void ds_conns_move(struct ds_conns *conns, struct ds_conn *conn, enum ds_conn_state state,
                   int64_t now_ms);

/* So many more bytes of a body have come, or of an answer have gone: with enough of them
   its time begins anew. */
void ds_conns_progress(struct ds_conns *conns, struct ds_conn *conn, size_t len,
                       int64_t now_ms);

/* Who is to make room: the connection that has been idle, or reading or sending without
   progress, for longest; so one that has just come and is about to send is the last to
   go.  NULL: there is none. */
struct ds_conn *ds_conns_oldest(const struct ds_conns *conns);

/* Drops those whose deadline has passed; how many. */
size_t ds_conns_expire(struct ds_conns *conns, int64_t now_ms);

#endif
