/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h - randomness for property tests.  The seed is printed, and TEST_SEED=N runs a
 * test again with the same one.
 */
#ifndef DSHARD_TEST_RANDOM_H
#define DSHARD_TEST_RANDOM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
    uint64_t state;
};

static inline struct random random_start(const char *test)
{
    const char *wanted = getenv("TEST_SEED");
    struct timespec now = {0};
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = wanted ? strtoull(wanted, NULL, 10)
                  : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    print_message("%s: TEST_SEED=%" PRIu64 "\n", test, seed);
    return (struct random){seed};
}

/* splitmix64 */
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* 0 to n - 1 */
static inline size_t random_below(struct random *r, size_t n)
{
    return (size_t)(random_next(r) % n);
}

#endif
