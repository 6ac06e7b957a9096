/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accord.h - how several watches of one Consul service come to one ring.
 *
 * Each has a session.  Who holds the lock dshard/SERVICE/lock with it decides, and writes
 * the ring to dshard/SERVICE/ring (in one transaction with a look at the lock, so a lock
 * lost in between writes nothing); the others follow that key.  Each writes the digest it
 * applies to dshard/SERVICE/frontends/NAME, a key that goes away with its session.
 *
 * Nothing in it blocks, and whatever Consul does, the caller only ever sees another role.
 */
#ifndef DSHARD_ACCORD_H
#define DSHARD_ACCORD_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/config.h"
#include "dshard/http.h"
#include "dshard/murmur3.h"
#include "dshard/server.h"

enum ds_accord_role {
    DS_ACCORD_UNKNOWN,  /* just started, nobody has answered yet */
    DS_ACCORD_DECIDER,  /* we hold the lock */
    DS_ACCORD_FOLLOWER, /* somebody else holds it */
    DS_ACCORD_ALONE,    /* for a minute nobody could hold it: each for himself */
};

/* A ring as the decider published it. */
struct ds_accord_ring {
    struct ds_server *members; /* sorted; owned */
    size_t n;
    unsigned replicas;
    char digest[DS_DIGEST_MAX];
    char *frozen; /* reason; owned; NULL: not frozen */
    char *by;     /* who published it; owned */
};
void ds_accord_ring_release(struct ds_accord_ring *ring);
void ds_auto_accord_ring(struct ds_accord_ring *ring);
/* The text in the key; DS_E_FORMAT / DS_E_NEWER when it is none or a later one. */
void ds_accord_ring_format(const struct ds_accord_ring *ring, struct ds_buf *out);
int ds_accord_ring_parse(struct ds_accord_ring *ring, const char *text, size_t len,
                         struct ds_error *err) DS_NODISCARD;

struct ds_accord;

struct ds_accord *ds_accord_new(const struct ds_config *config, struct ds_http_loop *loop,
                                struct ds_error *err) DS_NODISCARD;
/* Ends the session, waiting at most a moment, so that another can decide at once. */
void ds_accord_free(struct ds_accord *accord);

/* Does what is due; true when role or ring are others than before. */
bool ds_accord_tick(struct ds_accord *accord, int64_t now_ms);
int64_t ds_accord_next_ms(const struct ds_accord *accord);

/* Consul answers, so what is published is what the decider says now. */
bool ds_accord_is_fresh(const struct ds_accord *accord);

/* Nothing is on its way: the role is known, and what a decider wants is published. */
bool ds_accord_is_settled(const struct ds_accord *accord);

/* Whether our view of the servers is good enough to decide for others.  Who is unfit does
   not take the lock, and gives it back after a while. */
void ds_accord_set_fit(struct ds_accord *accord, bool fit);
/* What has been published is known, be it nothing. */
bool ds_accord_knows_ring(const struct ds_accord *accord);
/* Why this watch cannot agree with others; "": it can.  Borrowed. */
const char *ds_accord_error(const struct ds_accord *accord);
/* Since when (monotonic) Consul has taken no write of ours, by its own fault; 0: it does.
 */
int64_t ds_accord_lost_since_ms(const struct ds_accord *accord);

enum ds_accord_role ds_accord_role(const struct ds_accord *accord);
const char *ds_accord_role_name(enum ds_accord_role role); /* "decider", ... */
/* The published ring, borrowed until the next tick; NULL: there is none. */
const struct ds_accord_ring *ds_accord_ring(const struct ds_accord *accord);

/* As decider: this is to be the published ring (copied). */
void ds_accord_publish(struct ds_accord *accord, const struct ds_server *members,
                       size_t n, unsigned replicas, const char *frozen);
/* This is what we apply now. */
void ds_accord_applied(struct ds_accord *accord, const char *digest, uint64_t generation);

/* One frontend as it has written itself down. */
struct ds_frontend {
    char *name, *host; /* owned */
    char digest[DS_DIGEST_MAX];
    uint64_t generation;
    int64_t at_ms; /* Unix time of the last change */
    bool decides;
    bool here; /* it is the one of this configuration, on this machine */
};
/* The name of this configuration's: one host may have several, each with a state file of
   its own.  New; *host (may be NULL) is replaced by the host's name, owned. */
char *ds_frontend_name(const struct ds_config *config, char **host) DS_NODISCARD;

struct ds_frontends {
    struct ds_frontend *items; /* owned */
    size_t n;
};
void ds_frontends_release(struct ds_frontends *frontends);
void ds_auto_frontends(struct ds_frontends *frontends);
/* Asks Consul for those whose session lives; for `status`. */
int ds_frontends_list(const struct ds_config *config, int64_t timeout_ms,
                      struct ds_frontends *out, struct ds_error *err) DS_NODISCARD;

#endif
