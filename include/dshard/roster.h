/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roster.h - who is in the ring: from what operators want and how the servers are, to the
 * members.
 *
 *  1. Wanted is who is up and whose intent is `in`.  Fewer than min_healthy of them:
 * those that are back and held count as up; still too few: the ring is frozen, which
 * means the last ring that was stable for 30 s, less those drained or out.
 *  2. Mass loss: when more than half of the members of 30 s ago have gone without an
 *     operator's word, those whose loss is disputed (only the source says so, not our own
 *     check) stay.
 *  3. Otherwise the members are the wanted ones.
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
};

int ds_standing_compare(const void *a, const void *b); /* by address, bytewise */

#endif
