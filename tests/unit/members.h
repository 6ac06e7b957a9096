/* SPDX-License-Identifier: Apache-2.0 */
/* members.h - rings to test, of chosen and of random members. */
#ifndef DSHARD_TEST_MEMBERS_H
#define DSHARD_TEST_MEMBERS_H

#include "dshard/ring.h"
#include "random.h"

enum { MEMBERS_MAX = 100 };

static const uint64_t HASHES = UINT64_C(1) << 32;

static inline struct ds_ring *build(const struct ds_server *members, size_t n,
                                    unsigned replicas)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_ring *ring = ds_ring_new(members, n, replicas, &err);

    if (!ring)
        fail_msg("%s", err.text);
    return ring;
}

static inline void set_server(struct ds_server *server, const char *address,
                              unsigned weight)
{
    memset(server, 0, sizeof *server);
    memcpy(server->address, address, strlen(address) + 1);
    server->weight = weight;
}

static inline void shuffle(struct random *r, struct ds_server *members, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = random_below(r, i);
        struct ds_server swapped = members[i - 1];

        members[i - 1] = members[j];
        members[j] = swapped;
    }
}

/* Distinct members with random names, and weights of 1 to max_weight. */
static inline size_t random_members(struct random *r, struct ds_server *members, size_t n,
                                    unsigned max_weight)
{
    for (size_t i = 0; i < n; i++) {
        char address[64];

        snprintf(address, sizeof address, "10.%zu.%zu.%zu:9091", random_below(r, 256), i,
                 random_below(r, 256));
        set_server(&members[i], address, 1 + (unsigned)random_below(r, max_weight));
    }
    return n;
}

static inline size_t random_key(struct random *r, char key[64])
{
    return (size_t)snprintf(key, 64, "/metrics/job/j%" PRIx64, random_next(r));
}

#endif
