/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - what the handler tells Prometheus about itself, the ring and the servers;
 * the table in dshard-fcgi(8) has every family.
 *
 * Pure: from a state, its ring, the counters and the time to the text.  Its length is
 * bounded by DS_SERVERS_MAX and by the servers that are counted.
 */
#ifndef DSHARD_METRICS_H
#define DSHARD_METRICS_H

#include "dshard/buf.h"
#include "dshard/counters.h"
#include "dshard/ring.h"
#include "dshard/state.h"

/* Appends the text.  state NULL: none yet, and ring NULL: no member; counters NULL:
   nothing is counted here.  What is not known is left out. */
void ds_metrics_format(const struct ds_state *state, const struct ds_ring *ring,
                       const struct ds_counters *counters, int64_t now_ms,
                       struct ds_buf *out);

#endif
