/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follower.h - what watch does between two waits: takes evidence from the feed, steps the
 * servers' health, decides the ring, writes the state.
 *
 * Nothing in it blocks for longer than a short lock and an fsync.  Time that decides
 * anything is monotonic; the wall clock is for stamps.
 */
#ifndef DSHARD_FOLLOWER_H
#define DSHARD_FOLLOWER_H

#include "dshard/accord.h"
#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/discovery.h"
#include "dshard/error.h"
#include "dshard/http.h"
#include "dshard/keeper.h"
#include "dshard/roster.h"

struct ds_follower {
    const struct ds_config *config; /* borrowed */
    struct ds_http_loop *loop;      /* borrowed */
    struct ds_feed *feed;
    struct ds_accord *accord;          /* NULL: standalone */
    bool agreement_lost;               /* as it was logged last */
    bool source_lost, source_deserted; /* as it was logged last */
    bool fds_short;                    /* as it was logged last */
    char ring_digest[DS_DIGEST_MAX]; /* of the published ring, as it was seen last, and */
    int64_t ring_taken_ms;           /* since when, as ds_follower_now_ms() */
    int64_t overlay_until_ms; /* when a server that only we see down is the decider's
                                 again, as ds_follower_now_ms(); INT64_MAX: none */
    struct ds_keeper keeper;
    struct ds_roster roster;
    struct ds_health_config health;
    bool tended;                        /* somebody cleans who is held (tender.h) */
    int64_t mono_zero_ms, wall_zero_ms; /* of one moment: maps one clock to the other */
    bool dirty;                         /* something is worth a write */
    bool urgent;                        /* it does not wait for others to join it */
    bool operator_act;                  /* an operator caused it */
    bool reconfigured;                  /* the state has not taken config over yet */
    bool published;                     /* a ring has been written */
    bool write_failed, failure_logged;
    int64_t failing_since_ms; /* monotonic */
    struct ds_error write_error;
    /* Monotonic deadlines: no write before quiet_until (unless urgent), none before retry
       after a failed one, one at the latest at heartbeat. */
    int64_t quiet_until_ms, retry_ms, heartbeat_ms;
};

int ds_follower_init(struct ds_follower *follower, const struct ds_config *config,
                     struct ds_http_loop *loop, struct ds_error *err) DS_NODISCARD;
void ds_follower_release(struct ds_follower *follower);

/* Another configuration, now or on SIGHUP; on failure the old one stays in use. */
int ds_follower_configure(struct ds_follower *follower, const struct ds_config *config,
                          struct ds_error *err) DS_NODISCARD;
/* Once, after the state has been loaded. */
int ds_follower_begin(struct ds_follower *follower, struct ds_error *err) DS_NODISCARD;
/* With Consul, after another configuration: a session of its own settings. */
void ds_follower_rejoin(struct ds_follower *follower);
/* Tells the feed which servers there are. */
void ds_follower_track(struct ds_follower *follower);

/* Takes over what others wrote; -1 when it cannot be read now. */
int ds_follower_sync(struct ds_follower *follower, struct ds_error *err) DS_NODISCARD;
void ds_follower_step(
    struct ds_follower *follower); /* takes evidence, starts what is due */
bool ds_follower_wants_write(const struct ds_follower *follower);
/* Decides and writes; on failure it has been logged and will be wanted again. */
int ds_follower_write(struct ds_follower *follower);
/* Whether the ring of the whole fleet is this watch's to decide, and so its groups are to
   be tended.  Not when each watch decides for itself, because Consul is gone: nobody
   could say then who has the fleet's lock. */
bool ds_follower_decides(const struct ds_follower *follower);
/* Every server has as many checks behind it as its verdict needs. */
bool ds_follower_is_settled(const struct ds_follower *follower);

/* The next moment something is due without I/O, monotonic. */
int64_t ds_follower_next_ms(const struct ds_follower *follower);
/* Unix time that never steps. */
int64_t ds_follower_now_ms(const struct ds_follower *follower);

#endif
