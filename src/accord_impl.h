/* SPDX-License-Identifier: Apache-2.0 */
/* accord_impl.h - what accord.c and accord_lock.c share; private to them. */
#ifndef DSHARD_ACCORD_IMPL_H
#define DSHARD_ACCORD_IMPL_H

#include "dshard/accord.h"
#include "dshard/consul.h"
#include "dshard/consul_poll.h"

enum { DS_ACCORD_RETRY_MS = 1000 };

/* One kind of call: at most one in flight, and when the next one is due. */
struct ds_errand {
    struct ds_accord *accord;
    struct ds_http_transfer *transfer;
    int64_t due_ms;
    unsigned failures;
    char *what; /* method and path, for the words about a failure; owned */
};

struct ds_accord {
    struct ds_consul *consul;
    struct ds_http_loop *loop;
    char *host, *name, *frontend_path;
    char *lock_key, *ring_key; /* as they are, not escaped */
    char *session;             /* NULL: none */
    int64_t session_ok_ms;     /* when it was created or renewed last */
    char *holder;              /* the session that has the lock; NULL: none */
    int64_t holder_seen_ms;    /* when we last knew that somebody holds the lock */
    int64_t started_ms;
    struct ds_errand renewal, lock, publication, frontend;
    struct ds_consul_poll lock_poll, poll; /* of the lock, of the ring */
    struct ds_accord_ring ring;            /* as published */
    bool has_ring;
    uint64_t ring_index; /* its ModifyIndex, for the next write; 0: there is none */
    struct ds_accord_ring wanted; /* what a decider wants it to be */
    bool has_wanted;
    char digest[DS_DIGEST_MAX]; /* applied here; "" before the first */
    uint64_t generation;
    unsigned token_version;
    bool frontend_due;
    struct ds_consul_poll frontend_poll; /* of our own entry: others may spoil it */
    char *frontend_text;                 /* as we wrote it last; owned */
    int64_t unfit_since_ms;              /* 0: our view is good enough to decide */
    bool ring_is_newer;                  /* what is published is of a later dshard */
    bool fails_for_now;                  /* the last failure was Consul's, not ours */
    char error[DS_ERROR_TEXT_MAX];       /* why this watch cannot agree; "": it can */
    enum ds_accord_role role;
    bool news;
};

void ds_errand_start(struct ds_errand *errand, const struct ds_consul_call *call,
                     ds_http_done_fn *done);
/* At the start of a callback: whether it went well; sets when the next one is due. */
bool ds_errand_succeeded(struct ds_errand *errand,
                         const struct ds_http_response *response, int64_t again_ms);

bool ds_accord_is_held(const struct ds_accord *accord);
bool ds_accord_wants_lock(const struct ds_accord *accord);
void ds_accord_tend_session(struct ds_accord *accord, int64_t now_ms);
void ds_accord_tend_lock(struct ds_accord *accord, int64_t now_ms);
void ds_accord_tend_frontend(struct ds_accord *accord, int64_t now_ms);
ds_consul_take_fn ds_accord_take_frontend; /* for the poll of our own entry */
ds_consul_take_fn ds_accord_take_lock;     /* for the poll of the lock */

#endif
