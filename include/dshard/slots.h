/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.h - how many checks may be under way at once with the descriptors that there are.
 *
 * The check of an address takes one descriptor, that of a name up to three: a pair to
 * hear from its resolver and what the resolver opens, then a socket for each of IPv4 and
 * IPv6.  Forty-eight are never taken: half of them for the state file and its lock,
 * Consul, signals, the pass over the groups and a file of CA certificates, half for the
 * questions of restarts.h, which are asked beside the checks.
 *
 * A server that is slow to answer, or never does, keeps its slot for long.  Where not all
 * servers get one at once, such servers get three of four and leave the others to those
 * that answer: whoever of them dies is seen as soon as ever.  Pure.
 */
#ifndef DSHARD_SLOTS_H
#define DSHARD_SLOTS_H

#include "dshard/base.h"

enum { DS_SLOTS_SPARE_FDS = 48 };

struct ds_slots {
    size_t most, most_slow; /* of all, and of the slow ones among them; at least 1 */
};

/* The descriptors that it takes to check n servers at once; names: some are no addresses.
 */
size_t ds_slots_fds(size_t n, bool names);

/* The slots that n servers have with so many descriptors. */
struct ds_slots ds_slots_share(uint64_t fds, size_t n, bool names);

#endif
