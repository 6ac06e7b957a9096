/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - the handler's counters, in one mapping that all its workers share.
 *
 * The parent makes it before it forks.  Each worker has a slot in it, on cache lines of
 * its own, and nobody else writes there: counting is a plain load, an addition and a
 * store.  A worker that is started again goes on in the slot of the one that died, so no
 * counter ever goes backwards.  Whoever is asked adds the slots up.
 *
 * Pushes are counted by server: a server that was a member once keeps its place in a
 * table for as long as the handler runs, however often and by whomever the ring is loaded
 * again.  Only that table and the changes of the ring are written by several, under a
 * lock that outlives its holder, and never by a thread that answers requests.  While a
 * worker is frozen that has the lock, the others go on without: new servers get no place
 * of their own, and changes are counted at a later load.
 */
#ifndef DSHARD_FCGI_STATS_H
#define DSHARD_FCGI_STATS_H

#include "dshard/base.h"
#include "dshard/counters.h"
#include "dshard/error.h"

/* Servers that are told apart; later ones, and those that got no place in time, are
   counted together as "other". */
enum { DS_STATS_PLACES = 2048 };

struct ds_stats;

struct ds_stats *ds_stats_new(unsigned n_workers, int64_t now_ms, struct ds_error *err)
    DS_NODISCARD;
void ds_stats_free(struct ds_stats *stats); /* NULL is fine */
void ds_auto_stats(struct ds_stats **stats);

/* This process is worker number `worker`, from 0, from now on. */
void ds_stats_begin(struct ds_stats *stats, unsigned worker);

/* For the thread that answers. */
void ds_stats_count(struct ds_stats *stats, const struct ds_outcome *outcome,
                    uint64_t ns);

/* For the thread that follows the state file; stats NULL: nothing is counted. */
void ds_stats_loaded(struct ds_stats *stats, const struct ds_state *state,
                     int64_t now_ms);
void ds_stats_load_failed(struct ds_stats *stats);
void ds_stats_file_is_back(struct ds_stats *stats); /* the one that is in use */
/* Whether there is a state to answer by.  A worker that is started again keeps the word
   of the one before until it knows better. */
void ds_stats_set_usable(struct ds_stats *stats, bool usable);
/* The places of n servers, in a new array; NULL for stats NULL.  They hold for as long as
   that ring is in use. */
uint16_t *ds_stats_places(struct ds_stats *stats, const struct ds_server *servers,
                          size_t n) DS_NODISCARD;

/* Adds up; *out is to be released, and borrows names from stats. */
void ds_stats_read(const struct ds_stats *stats, struct ds_counters *out);

/* Every worker that has looked has a state to answer by, and there is one that has. */
bool ds_stats_usable(const struct ds_stats *stats);

#endif
