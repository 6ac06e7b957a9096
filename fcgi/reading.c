/* SPDX-License-Identifier: Apache-2.0 */
/* see reading.h */
#include "reading.h"

#include <stdlib.h>

struct ds_shared_ring *ds_shared_ring_new(const struct ds_state *state,
                                          struct ds_stats *stats)
{
    struct ds_shared_ring *ring = ds_xcalloc(1, sizeof *ring);
    const struct ds_server *members = NULL;
    size_t n = 0;

    atomic_init(&ring->users, 1);
    ring->ring = ds_state_ring(state);
    if (ring->ring)
        members = ds_ring_members(ring->ring, &n);
    ring->places = ds_stats_places(stats, members, n);
    memcpy(ring->digest, state->digest, sizeof ring->digest);
    return ring;
}

struct ds_shared_ring *ds_shared_ring_share(struct ds_shared_ring *ring)
{
    atomic_fetch_add(&ring->users, 1);
    return ring;
}

void ds_shared_ring_drop(struct ds_shared_ring *ring)
{
    if (!ring || atomic_fetch_sub(&ring->users, 1) != 1)
        return;
    ds_ring_free(ring->ring);
    free(ring->places);
    free(ring);
}

void ds_reading_free(struct ds_reading *reading)
{
    if (!reading)
        return;
    ds_shared_ring_drop(reading->ring);
    ds_state_release(&reading->state);
    free(reading);
}

void ds_auto_reading(struct ds_reading **reading)
{
    ds_reading_free(*reading);
}
