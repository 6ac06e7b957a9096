/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - whether one server is up, from one piece of evidence after another.
 *
 *  state  evidence OK                             FAIL                         none, or
 * time new    run >= rise, or first round -> up       -> down                      stays
 *  up     fails = 0                               ++fails >= fall -> down      stays
 *  down   ++run >= rise -> held                   run = 0                      stays
 *  held   stays                                   -> down                      hold_until
 * -> up
 *
 * A server that goes from up to down has flapped.  Held: it is back, and waits
 * rejoin_after << (flaps within ten minutes, less one), at most five minutes, before it
 * is trusted again.  Where old groups are cleaned away, it also waits until that is done,
 * at most DS_CLEANING_MS longer.  Lost evidence never takes anybody out.  Pure: time is
 * an argument.
 */
#ifndef DSHARD_HEALTH_H
#define DSHARD_HEALTH_H

#include "dshard/base.h"

enum ds_health_state { DS_HEALTH_NEW, DS_HEALTH_UP, DS_HEALTH_DOWN, DS_HEALTH_HELD };
enum { DS_N_HEALTH_STATES = 4 };

enum ds_sight {
    DS_SIGHT_NONE, /* no evidence: never probed, source lost, a timer's tick */
    DS_SIGHT_OK,
    DS_SIGHT_FAIL,
    DS_SIGHT_ALIVE, /* it answers us, but its source is silent: no reason to take it out
                       or to take it back */
    DS_SIGHT_FINAL, /* a failure that needs no confirmation: connection refused, twice */
};

enum { DS_FLAPS_MAX = 8, DS_WHY_MAX = 201, DS_CLEANING_MS = 30000 };

struct ds_health_config {
    unsigned rise, fall;     /* 1 or more */
    int64_t rejoin_after_ms; /* 0: no damping */
    bool cleans;             /* somebody cleans who is held, and says when that is done */
};

struct ds_health {
    enum ds_health_state state;
    unsigned run, fails;         /* successes and failures in a row; not kept on disk */
    int64_t since_ms;            /* Unix time of the last change of state */
    int64_t hold_until_ms;       /* Unix time; 0 unless held */
    int64_t flaps[DS_FLAPS_MAX]; /* Unix times, newest first */
    size_t n_flaps;
    bool unclean;         /* held, and may have old groups; not kept on disk */
    char why[DS_WHY_MAX]; /* UTF-8; why it is in this state, "" when all is well */
};

/* True when the state changed.  With evidence comes `why` (NULL: nothing to say), which
   replaces the one before: also a success can have one ("overloaded: ..."). */
bool ds_health_step(const struct ds_health_config *config, struct ds_health *health,
                    enum ds_sight sight, const char *why, int64_t now_ms);

/* Up at once, held or not: for a ring that has nobody better. */
void ds_health_promote(struct ds_health *health, int64_t now_ms);

/* When time alone will change the state (Unix ms); INT64_MAX: never. */
int64_t ds_health_wake_at(const struct ds_health *health);

/* "new", "up", "down", "held"; _parse returns -1 for any other text. */
const char *ds_health_name(enum ds_health_state state);
int ds_health_parse(const char *text, enum ds_health_state *out) DS_NODISCARD;

#endif
