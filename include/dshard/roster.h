/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster.h - who is in the ring: from what operators want and how the servers are, to the
 * members.
 *
 *  1. Wanted is who is up and whose intent is `in`; a member that nobody has checked yet
 *     counts as up.  Fewer than min_healthy of them: whoever answered the last check
 * counts as up, held or not; still too few: the ring is frozen, which means the last ring
 * that was stable for 30 s, less those that operators took out (the ring of before when
 * that leaves nobody), and whoever is up besides.
 *     After a freeze, too, whoever answers within 30 s is not held: or the first to come
 *     back would have to serve for all.
 *  2. Otherwise the members are the wanted ones.
 *
 * At the start nothing is published until every server has a verdict.  Pure: time is an
 * argument, and the memory that decisions need is in struct ds_roster.
 */
#ifndef DSHARD_ROSTER_H
#define DSHARD_ROSTER_H

#include "dshard/base.h"
#include "dshard/health.h"
#include "dshard/server.h"

enum ds_intent { DS_INTENT_IN, DS_INTENT_JOINING, DS_INTENT_DRAINING, DS_INTENT_OUT };
enum { DS_N_INTENTS = 4 };

/* "in", "joining", "draining", "out"; _parse returns -1 for any other text. */
const char *ds_intent_name(enum ds_intent intent);
int ds_intent_parse(const char *text, enum ds_intent *out) DS_NODISCARD;

/* One server and its three separate facts. */
struct ds_standing {
    struct ds_server server;
    enum ds_intent intent;   /* what operators want */
    struct ds_health health; /* how it is */
    bool member;             /* whether it is in the ring now */
    unsigned ring_weight;    /* its weight there; 0 unless it is a member */
    unsigned checks;         /* pieces of evidence that have come in; not on disk */
    uint64_t seen;           /* the newest of them (ds_sighting.seq); not on disk */
};

int ds_standing_compare(const void *a, const void *b); /* by address, bytewise */

enum {
    DS_ROSTER_STABLE_MS = 30000,
    DS_ROSTER_THAW_MS = 30000,
    DS_ROSTER_REASON_MAX = 200
};

struct ds_roster {
    bool started;           /* a ring has been published */
    bool frozen;            /* the current one is */
    struct ds_server *ring; /* the current one; owned */
    size_t n_ring;
    int64_t ring_since_ms;
    struct ds_server *stable; /* what a frozen ring goes back to; owned */
    size_t n_stable;
    int64_t thaw_until_ms; /* after a freeze: who comes back until then is not held */
    bool stable_is_proven; /* it lasted; otherwise it is the largest seen so far */
};

/* Starts from the ring that a state file holds (n may be 0: nothing published yet). */
void ds_roster_init(struct ds_roster *roster, const struct ds_server *ring, size_t n,
                    bool frozen, int64_t now_ms);
void ds_roster_release(struct ds_roster *roster);

/* The servers that min_healthy is about: those with intent `in` that are members or have
   been checked. */
size_t ds_roster_count_in(const struct ds_standing *servers, size_t n);

struct ds_decision {
    bool publish;              /* false: keep what is there, nothing can be said yet */
    struct ds_server *members; /* sorted by address; owned: ds_decision_release() */
    size_t n;
    bool frozen;
    bool by_operator;                  /* a member was taken out by intent */
    char reason[DS_ROSTER_REASON_MAX]; /* of the freeze */
};

/*
 * Decides.  min_healthy is a count; it never asks for more than there are servers whose
 * intent is `in`.  May promote servers that answered to `up` (see 1.).  The decision is
 * remembered as the current ring.
 */
void ds_roster_decide(struct ds_roster *roster, size_t min_healthy,
                      struct ds_standing *servers, size_t n, int64_t now_ms,
                      struct ds_decision *out);
void ds_decision_release(struct ds_decision *decision);
void ds_auto_decision(struct ds_decision *decision);

#endif
