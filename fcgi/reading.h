/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reading.h - what one reading of the state file gave: the state and its ring, as they go
 * from the thread that loads to the one that answers.
 *
 * Immutable.  A ring is shared by all readings with the same digest, whichever thread
 * lets the last of them go.
 */
#ifndef DSHARD_FCGI_READING_H
#define DSHARD_FCGI_READING_H

#include "dshard/base.h"
#include "dshard/ring.h"
#include "dshard/state.h"
#include "stats.h"

#include <stdatomic.h>

struct ds_shared_ring {
    atomic_uint users;
    struct ds_ring *ring; /* NULL: no member */
    uint16_t *places;     /* of its members among the counters; NULL: not counted */
    char digest[DS_DIGEST_MAX];
};

/* For one user.  stats NULL: nothing is counted. */
struct ds_shared_ring *ds_shared_ring_new(const struct ds_state *state,
                                          struct ds_stats *stats) DS_NODISCARD;
struct ds_shared_ring *ds_shared_ring_share(struct ds_shared_ring *ring); /* one more */
void ds_shared_ring_drop(struct ds_shared_ring *ring); /* one less; NULL is fine */

struct ds_reading {
    struct ds_state state;
    struct ds_shared_ring *ring; /* NULL: not yet */
};

void ds_reading_free(struct ds_reading *reading); /* NULL is fine */
void ds_auto_reading(struct ds_reading **reading);

#endif
