/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - what is known of the fleet at one moment, for who answers a request.
 */
#ifndef DSHARD_FCGI_VIEW_H
#define DSHARD_FCGI_VIEW_H

#include "dshard/base.h"
#include "dshard/page.h"
#include "dshard/ring.h"
#include "dshard/state.h"

struct ds_stats;

/* Everything is borrowed. */
struct ds_view {
    const struct ds_state *state; /* NULL: nothing is known yet */
    const struct ds_ring *ring;   /* NULL: there is no member */
    const struct ds_stats *stats; /* NULL: nothing is counted */
    const uint16_t *places;       /* of the ring's members in stats; NULL as above */
    const struct ds_troubles *troubles; /* with the state file; NULL: none */
    bool operation_is_dead; /* the process that the state's `operation` names */
};

#endif
