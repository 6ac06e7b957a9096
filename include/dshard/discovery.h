/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discovery.h - where servers and their health come from: dshard's own checks, or Consul.
 *
 * A feed is what `watch` listens to; it never blocks and never sleeps.  A registry is
 * what commands write to; it waits for its answers, and doing a thing twice is as good as
 * once. Neither watch nor the commands know which one they hold.
 */
#ifndef DSHARD_DISCOVERY_H
#define DSHARD_DISCOVERY_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/http.h"
#include "dshard/roster.h"
#include "dshard/state.h"

/* One server as its source sees it now. */
struct ds_sighting {
    char address[DS_ADDRESS_MAX]; /* canonical */
    enum ds_sight sight;          /* the newest piece of evidence */
    uint64_t seq; /* grows with each piece of evidence: step once per seq; 0: none yet */
    char why[DS_WHY_MAX];
    /* Of sources that say who there is: */
    bool listed;           /* the source has it now */
    enum ds_intent intent; /* as the source has it */
    unsigned weight;
};

struct ds_fleet {
    struct ds_sighting *items; /* sorted by address, unique */
    size_t n;
    bool discovers; /* `listed`, intent and weight of the items mean something */
    bool known;     /* the source has answered at least once */
    bool fresh;     /* its last answer was good: what is listed is what there is */
    bool lists_any; /* there is somebody in it */
    bool deserted;  /* the last answer was good and lists nobody, though it did before */
    /* Fewer are checked at once than there are, and this many descriptors would change
       it; 0: all are, as far as descriptors go. */
    size_t fds_wanted;
    size_t at_once;
    char error[DS_ERROR_TEXT_MAX]; /* not fresh: why; UTF-8 is not certain */
};

struct ds_feed;

struct ds_feed_ops {
    /* The servers that watch knows (sorted by address) and wants evidence about; told
       again whenever they change.  now_ms never steps. */
    void (*track)(struct ds_feed *feed, const struct ds_standing *servers, size_t n,
                  int64_t now_ms);
    /* Starts what is due; 1: there is new evidence in the view.  now_ms never steps. */
    int (*tick)(struct ds_feed *feed, int64_t now_ms);
    /* When tick is wanted next; INT64_MAX: only when a transfer ends. */
    int64_t (*next_ms)(const struct ds_feed *feed);
    /* Borrowed until the next track or tick. */
    const struct ds_fleet *(*view)(const struct ds_feed *feed);
    /* May be NULL.  The source takes no writes since then (0: it does again), so that it
       may be blind although it answers. */
    void (*doubt)(struct ds_feed *feed, int64_t since_ms);
    void (*free)(struct ds_feed *feed);
};

struct ds_feed {
    const struct ds_feed_ops *ops; /* each kind of feed begins with this struct */
};

/* dshard's own health checks, on the loop.  `config` is copied from. */
struct ds_feed *ds_feed_probe_new(const struct ds_config *config,
                                  struct ds_http_loop *loop, struct ds_error *err)
    DS_NODISCARD;

/* Consul, with dshard's own checks for what it leaves open. */
struct ds_feed *ds_feed_consul_new(const struct ds_config *config,
                                   struct ds_http_loop *loop, struct ds_error *err)
    DS_NODISCARD;

/* The feed that the configuration asks for. */
struct ds_feed *ds_feed_new(const struct ds_config *config, struct ds_http_loop *loop,
                            struct ds_error *err) DS_NODISCARD;

/*
 * One check of many servers at once, for commands: items[i] is about servers[i].  A
 * refused connection is tried again, as watch does.  Waits at most a little longer than
 * the configured timeout, and so again for as many as there were no descriptors for at
 * once; a server that could not be asked, for want of them, has failed, and seq is 0.
 */
int ds_probe_all(const struct ds_config *config, const struct ds_server *servers,
                 size_t n, struct ds_sighting *items, struct ds_error *err) DS_NODISCARD;

/*
 * What a command does to one server:
 * register    it is wanted in the ring; one that is drained or joining stays so, `out` is
 *             cleared
 * deregister  it is `out`, and stays so until it is registered by name
 * drain       it leaves the ring and is still listed for Prometheus
 * undrain     the end of that
 * join        one that is unknown or out is listed for Prometheus, and not in the ring
 * admit       it is wanted in the ring, whatever it was
 */
enum ds_act_kind {
    DS_ACT_REGISTER,
    DS_ACT_DEREGISTER,
    DS_ACT_DRAIN,
    DS_ACT_UNDRAIN,
    DS_ACT_JOIN,
    DS_ACT_ADMIT,
};

/* One of these, and what came of it. */
struct ds_act {
    struct ds_server server;
    enum ds_act_kind kind;
    bool changed;        /* something was (or, without doing it, would be) written */
    struct ds_error err; /* DS_OK: done; otherwise this server was left as it was */
};

struct ds_registry;

struct ds_registry_ops {
    /* The state file is the registry: newcomers are checked before they are taken, and a
       command waits until the ring has followed. */
    bool is_state_file;
    /* Fills *out (fresh or released) with the servers that are known, with their intents.
     */
    int (*list)(struct ds_registry *registry, struct ds_state *out, struct ds_error *err);
    /* Whether an act would change anything, as far as list() tells. */
    bool (*is_done)(const struct ds_registry *registry, const struct ds_act *act,
                    const struct ds_state *known);
    /* Carries out what the acts say; those whose err is set already are left alone.  One
       that fails does not stop the others.  -1: nothing could be done at all. */
    int (*apply)(struct ds_registry *registry, struct ds_act *acts, size_t n,
                 struct ds_error *err);
    void (*free)(struct ds_registry *registry);
};

struct ds_registry {
    const struct ds_registry_ops *ops; /* each kind of registry begins with this struct */
};

/* The state file is the registry.  timeout_ms: for its lock. */
struct ds_registry *ds_registry_local_new(const struct ds_config *config,
                                          int64_t timeout_ms) DS_NODISCARD;

/* Consul's agents are the registry; the marks of who is out are in its KV store.  config
   must outlive it.  timeout_ms: until Consul's catalog shows what an agent has done. */
struct ds_registry *ds_registry_consul_new(const struct ds_config *config,
                                           int64_t timeout_ms, struct ds_error *err)
    DS_NODISCARD;

/* The registry that the configuration asks for. */
struct ds_registry *ds_registry_new(const struct ds_config *config, int64_t timeout_ms,
                                    struct ds_error *err) DS_NODISCARD;

#endif
