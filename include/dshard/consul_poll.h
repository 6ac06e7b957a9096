/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_poll.h - a blocking query that goes on for ever: asks, waits for a change, asks
 * again, and backs off when Consul is in trouble.
 *
 * Whatever goes wrong, the caller keeps what it had: only a whole, well-formed answer
 * with status 200 (or 404, where that means "none") and an index reaches `take`.  An
 * index that goes backwards, or an answer that comes early without a change (a restored
 * snapshot), starts the query anew from 0; so does every error, because a restarted
 * Consul may count from the beginning.
 */
#ifndef DSHARD_CONSUL_POLL_H
#define DSHARD_CONSUL_POLL_H

#include "dshard/base.h"
#include "dshard/consul.h"

enum { DS_CONSUL_POLL_BURST = 10 }; /* answers a second, at most */

struct ds_consul_poll;

/* 0, or -1 when the answer makes no sense (err set): then it counts as an error. */
typedef int ds_consul_take_fn(void *arg, const struct ds_http_response *response,
                              struct ds_error *err);

struct ds_consul_poll {
    struct ds_consul *consul;  /* borrowed; its token may be refreshed */
    struct ds_http_loop *loop; /* borrowed */
    char *path;                /* owned */
    char *query;               /* owned; NULL: none besides index and wait */
    bool allow_404;
    int64_t wait_ms;
    ds_consul_take_fn *take;
    void *arg;

    struct ds_http_transfer *transfer;
    uint64_t index; /* 0: ask without waiting */
    unsigned failures;
    int64_t due_ms, started_ms;              /* monotonic */
    int64_t recent_ms[DS_CONSUL_POLL_BURST]; /* when the last answers came */
    bool answered;                           /* at least once, good */
    bool tried;                              /* at least once, good or not */
    bool ok;                                 /* the last answer was good */
    bool refused;           /* the last answer was a 403: a new token may be the cure */
    unsigned token_version; /* the one that was sent last */
    int64_t look_ms;        /* refused: when to look for another token */
    int64_t lost_since_ms;  /* not ok: since when */
    struct ds_error err;    /* not ok: why */
};

void ds_consul_poll_init(struct ds_consul_poll *poll, struct ds_consul *consul,
                         struct ds_http_loop *loop, const char *path, int64_t wait_ms,
                         ds_consul_take_fn *take, void *arg);
void ds_consul_poll_release(struct ds_consul_poll *poll);

void ds_consul_poll_tick(struct ds_consul_poll *poll, int64_t now_ms);
int64_t ds_consul_poll_next_ms(const struct ds_consul_poll *poll);

/* Ask again at once, without waiting for a change. */
void ds_consul_poll_again(struct ds_consul_poll *poll, int64_t now_ms);

/* How long to wait before a failed call is repeated: by the answer's status (0: none),
   the failures in a row, with jitter. */
int64_t ds_consul_backoff_ms(const struct ds_http_response *response, unsigned failures);

#endif
