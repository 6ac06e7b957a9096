/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - which server owns a key.
 *
 * A ring is immutable once built: to change it, build another and swap.  The same members
 * give the same ring in any order, on any machine: members are added in the bytewise
 * order of their names, and of two points with one hash the later one counts.
 *
 * Point i of a server, for i in 0 .. replicas * weight - 1, lies at
 * murmur3_x86_32(decimal(i) ++ "host:port", 0); a key belongs to the first point whose
 * hash is greater than murmur3_x86_32(key, 0), after the last point to the first one.
 * Source: what github.com/ning1875/dynamic-sharding does; tests/data/ring-golden.tsv.
 */
#ifndef DSHARD_RING_H
#define DSHARD_RING_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "dshard/murmur3.h"
#include "dshard/server.h"

enum {
    DS_REPLICAS_DEFAULT = 500,
    DS_REPLICAS_MAX = 10000,
    DS_POINTS_MAX = 1000000, /* of all members together */
    /* More than a configuration may have (DS_SERVERS_MAX): what larger fleets would cost
       can be measured. */
    DS_RING_MEMBERS_MAX = 10000,
};

struct ds_ring;

/* Copies what it needs.  DS_E_FORMAT for an empty set, a name twice, a weight or a number
   of points out of range. */
struct ds_ring *ds_ring_new(const struct ds_server *members, size_t n, unsigned replicas,
                            struct ds_error *err) DS_NODISCARD;
void ds_ring_free(struct ds_ring *ring);
void ds_auto_ring(struct ds_ring **ring);

/* The owner of a key (any bytes); never NULL.  Borrowed: it lives as long as the ring. */
const struct ds_server *ds_ring_owner(const struct ds_ring *ring, const char *key,
                                      size_t len);
/* The same for a key whose hash (seed 0) is known already. */
const struct ds_server *ds_ring_owner_of_hash(const struct ds_ring *ring, uint32_t hash);

/* The same with what led to it, for people. */
struct ds_ring_hit {
    const struct ds_server *owner; /* borrowed */
    size_t member;                 /* its index in ds_ring_members() */
    uint32_t hash;                 /* of the key */
    uint32_t point;                /* hash of the owning point */
};
void ds_ring_find(const struct ds_ring *ring, const char *key, size_t len,
                  struct ds_ring_hit *hit);

/* The members in bytewise order of their names; borrowed. */
const struct ds_server *ds_ring_members(const struct ds_ring *ring, size_t *n);
unsigned ds_ring_replicas(const struct ds_ring *ring);
/* Points that count: all of them less those that lost their hash to a later member. */
size_t ds_ring_points(const struct ds_ring *ring, size_t member);

/* How many of the 2^32 hashes a member owns; in parts per million by ds_ring_ppm(). */
uint64_t ds_ring_share(const struct ds_ring *ring, size_t member);
/* How many of the 2^32 hashes have another owner (by name) in b than in a; a ring that is
   NULL owns nothing, so then all of them (0 when both are NULL). */
uint64_t ds_ring_moved(const struct ds_ring *a, const struct ds_ring *b);
uint32_t ds_ring_ppm(uint64_t hashes);

/*
 * Walks the arcs of the key space in which the owner changes from a to b.  Neither ring
 * is NULL.  The hashes of an arc are first..last, both included, first <= last.
 */
typedef void ds_ring_arc_fn(void *arg, uint32_t first, uint32_t last,
                            const struct ds_server *from, const struct ds_server *to);
void ds_ring_diff(const struct ds_ring *a, const struct ds_ring *b, ds_ring_arc_fn *fn,
                  void *arg);

/* A short hash of everything that decides placement: two frontends with the same digest
   send every push to the same server.  The order of members does not matter; n may be 0.
 */
void ds_ring_digest(const struct ds_server *members, size_t n, unsigned replicas,
                    char out[DS_DIGEST_MAX]);

#endif
