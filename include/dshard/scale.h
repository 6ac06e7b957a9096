/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scale.h - servers come and go: from a list of those to add and those to take out to a
 * fleet whose groups lie where the new ring says, without losing one.
 *
 *  1. Look at all of them before anything is changed.
 *  2. Newcomers join: emptied if that is wanted, listed for Prometheus, not in the ring;
 *     the configuration names them; what others have, too, is removed from them.
 *  3. Wait until somebody scrapes them: or what moves there would vanish for a while.  It
 *     goes on after settle_ms, and says who is not scraped.
 *  4. Newcomers are admitted, then those that leave are drained; each time wait until
 *     every frontend applies that ring.
 *  5. Move what is misplaced or doubled (relocate.h), so that who leaves ends empty.
 *  6. Verify: what has come to lie wrong meanwhile moves, too; what was there and is
 *     nowhere now is told.
 *  7. Those that leave are deregistered, and taken out of the configuration.
 *
 * Each step looks at what is there already, so the same operation run again completes
 * what another one left off, wherever that was killed.
 */
#ifndef DSHARD_SCALE_H
#define DSHARD_SCALE_H

#include "dshard/base.h"
#include "dshard/confedit.h"
#include "dshard/config.h"
#include "dshard/discovery.h"
#include "dshard/error.h"
#include "dshard/fleet_lock.h"
#include "dshard/mover.h"
#include "dshard/relocate.h"

struct ds_scale_options {
    bool adopt;        /* newcomers may hold groups: copies elsewhere win */
    bool wipe;         /* newcomers are emptied first */
    bool force;        /* past the guards (DS_E_REFUSED) */
    int64_t settle_ms; /* of step 3, at most; 0: without it */
    int64_t patience_ms, leave_older_than_ms; /* as in plan.h */
    int64_t timeout_ms;                       /* of one answer */
    int64_t lock_ms; /* how long to wait for the fleet lock, and for a watch to take
                        newcomers up */
};

/* What somebody who looks on is told.  All may be NULL. */
struct ds_scale_hooks {
    void (*step)(void *arg, unsigned step, unsigned n_steps, const char *what);
    void (*warn)(void *arg, const char *text);
    /* Only for those who want to know all. */
    void (*note)(void *arg, const char *text);
    /* While groups move: after each pass; wait: NULL unless they wait. */
    void (*moved)(void *arg, const struct ds_mover_report *report,
                  const struct ds_relocate_wait *wait);
    void *arg;
    ds_mover_stop_fn *stop; /* true: end as soon as that leaves nothing half done */
    void *stop_arg;
};

/* One server of an operation. */
struct ds_scale_server {
    struct ds_server server;
    enum ds_intent was; /* when it began; `out` also when it was unknown */
    bool known;         /* to the registry or the configuration */
    bool reached;       /* it answered when it was looked at */
    size_t n_held;      /* groups that it held then */
    uint64_t open;      /* private: descriptors it had open before it was listed */
    uint64_t scrapes;   /* private */
    unsigned n_more;    /* private: looks in a row that found more */
    bool scraped;       /* private */
};

struct ds_scale {
    struct ds_config *config;     /* borrowed */
    struct ds_registry *registry; /* borrowed */
    const char *kind;             /* "scale up"; not owned */
    char *command;                /* the same with servers (aim.h); owned; NULL: kind */
    struct ds_scale_options options;
    struct ds_scale_hooks hooks;
    struct ds_scale_server *add, *remove; /* owned */
    size_t n_add, n_remove;
    struct ds_state known; /* what the registry said at the start */
    /* Private: */
    struct ds_fleet_lock *lock;
    unsigned step, n_steps;
    char **frontends; /* names of those that served when it began; owned */
    size_t n_frontends;
    struct ds_mover_report tended; /* of the last pass that was made while waiting */
    int64_t tend_due_ms;
    /* The result, also of a run that failed on the way: */
    struct ds_mover_report report; /* of the last pass */
    size_t n_copied, n_merged, n_deleted;
    char **missing; /* names of groups that were there, and are no more; owned */
    size_t n_missing;
    bool done;
};

/* Lists what the registry knows.  Call ds_settle_now() before, unless nothing will be
   done. */
int ds_scale_init(struct ds_scale *scale, struct ds_config *config,
                  struct ds_registry *registry, const char *kind, struct ds_error *err)
    DS_NODISCARD;
void ds_scale_release(struct ds_scale *scale);
void ds_auto_scale(struct ds_scale *scale);
void ds_scale_add(struct ds_scale *scale, const struct ds_server *server);
void ds_scale_remove(struct ds_scale *scale, const struct ds_server *server);

/* The members that the ring will have, sorted, a new array; *n may become 0. */
struct ds_server *ds_scale_members_after(const struct ds_scale *scale,
                                         const struct ds_state *state, size_t *n)
    DS_NODISCARD;
/* Who is not in the ring and does not belong to the fleet yet. */
bool ds_scale_is_newcomer(const struct ds_scale_server *server);

/* Whether it may begin, by what the servers tell.  DS_E_REFUSED: --force does it even so
   (or --adopt, --wipe); the text says which.  Changes none of them. */
int ds_scale_check(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;
/* All of it, after ds_scale_check().  DS_E_TEMP: run again, it completes what is left. */
int ds_scale_run(struct ds_scale *scale, struct ds_error *err) DS_NODISCARD;

#endif
