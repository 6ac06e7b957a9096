/* SPDX-License-Identifier: Apache-2.0 */
/* see ring.h */
#include "dshard/ring.h"
#include "dshard/buf.h"

#include <stdlib.h>

static const uint64_t HASHES = UINT64_C(1) << 32; /* how many there are */

/* Together, because a lookup that finds the memory cold waits for each line it touches.
 */
struct point {
    uint32_t hash;
    uint16_t owner; /* index into members */
};

struct ds_ring {
    struct ds_server *members; /* sorted by name */
    size_t *counts;            /* of each member, the points that it has */
    uint64_t *shares;          /* of each member */
    size_t n_members;
    unsigned replicas;

    struct point *points; /* by hash, which is unique */
    size_t n_points;

    /* first[b] is the first point whose hash is not below b << shift, so that a lookup
       starts next to its point: there are about as many buckets as points. */
    uint32_t *first;
    unsigned shift;
};

static int check_member(const struct ds_server *members, size_t i, struct ds_error *err)
{
    const struct ds_server *server = &members[i];

    if (server->weight < 1 || server->weight > DS_WEIGHT_MAX)
        return ds_fail(err, DS_E_FORMAT, "'%s' has weight %u: 1 to %d is expected",
                       server->address, server->weight, DS_WEIGHT_MAX);
    if (i && strcmp(members[i - 1].address, server->address) == 0)
        return ds_fail(err, DS_E_FORMAT, "'%s' is in the ring twice", server->address);
    return 0;
}

/* Checks the sorted members and counts their points. */
static int check(const struct ds_server *members, size_t n, unsigned replicas,
                 size_t *n_points, struct ds_error *err)
{
    size_t weights = 0;

    if (replicas < 1 || replicas > DS_REPLICAS_MAX)
        return ds_fail(err, DS_E_FORMAT, "%u replicas: 1 to %d is expected", replicas,
                       DS_REPLICAS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (check_member(members, i, err) < 0)
            return -1;
        weights += members[i].weight;
    }
    *n_points = weights * replicas;
    if (*n_points > DS_POINTS_MAX)
        return ds_fail(err, DS_E_FORMAT,
                       "the ring has %zu points: at most %d are expected", *n_points,
                       DS_POINTS_MAX);
    return 0;
}

static struct ds_server *sorted_copy(const struct ds_server *members, size_t n)
{
    struct ds_server *copy = ds_xcalloc(n, sizeof *copy);

    if (n) {
        memcpy(copy, members, n * sizeof *copy);
        qsort(copy, n, sizeof *copy, ds_server_compare);
    }
    return copy;
}

/* Adds one to the decimal number that ends before `end`; returns where it begins now. */
static char *increment(char *begin, char *end)
{
    char *digit = end;

    while (digit > begin) {
        if (*--digit < '9') {
            ++*digit;
            return begin;
        }
        *digit = '0';
    }
    *--begin = '1';
    return begin;
}

/* The index and the name stand in one buffer and the index is counted up in its place:
   formatting half a million numbers would take longer than hashing them. */
static struct point *place_member(struct point *out, const struct ds_server *server,
                                  uint16_t owner, size_t n)
{
    char text[16 + DS_ADDRESS_MAX];
    char *name = text + 16, *begin = name - 1;
    size_t name_len = strlen(server->address);

    memcpy(name, server->address, name_len);
    *begin = '0';
    for (size_t i = 0; i < n; i++) {
        *out++ = (struct point){ds_murmur3(begin, (size_t)(name - begin) + name_len, 0),
                                owner};
        begin = increment(begin, name);
    }
    return out;
}

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS, RADIX_PASSES = 3 };

/* One pass of the sort: by RADIX_BITS of the hash from `shift` up, stable. */
static void radix_pass(struct point *to, const struct point *from, size_t n,
                       unsigned shift)
{
    size_t at[RADIX] = {0}, sum = 0;

    for (size_t i = 0; i < n; i++)
        at[from[i].hash >> shift & (RADIX - 1)]++;
    for (size_t digit = 0; digit < RADIX; digit++) {
        size_t count = at[digit];

        at[digit] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[at[from[i].hash >> shift & (RADIX - 1)]++] = from[i];
}

/* Sorts by hash and keeps points of one hash in the order of adding; spare has room for n
   too.  Returns the one of the two that holds the result. */
static struct point *sort_points(struct point *points, struct point *spare, size_t n)
{
    for (unsigned pass = 0; pass < RADIX_PASSES; pass++) {
        struct point *from = points;

        radix_pass(spare, points, n, pass * RADIX_BITS);
        points = spare;
        spare = from;
    }
    return points;
}

/* Takes the sorted points; of one hash the last one stays. */
static void store_points(struct ds_ring *ring, struct point *points_take, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n || points_take[i].hash != points_take[i + 1].hash)
            points_take[kept++] = points_take[i];
    }
    ring->points = points_take;
    ring->n_points = kept;
}

static void count_shares(struct ds_ring *ring)
{
    /* The first point has what lies before it and what lies after the last one. */
    uint64_t from = ring->points[ring->n_points - 1].hash;

    ring->counts = ds_xcalloc(ring->n_members, sizeof *ring->counts);
    ring->shares = ds_xcalloc(ring->n_members, sizeof *ring->shares);
    ring->shares[ring->points[0].owner] = HASHES - from;
    from = 0;
    for (size_t i = 0; i < ring->n_points; i++) {
        ring->shares[ring->points[i].owner] += ring->points[i].hash - from;
        ring->counts[ring->points[i].owner]++;
        from = ring->points[i].hash;
    }
}

static void index_points(struct ds_ring *ring)
{
    size_t n_buckets, point = 0;
    unsigned bits = 1;

    while ((size_t)1 << bits < ring->n_points)
        bits++;
    n_buckets = (size_t)1 << bits;
    ring->shift = 32 - bits;
    ring->first = ds_xcalloc(n_buckets, sizeof *ring->first);
    for (size_t bucket = 0; bucket < n_buckets; bucket++) {
        while (point < ring->n_points && ring->points[point].hash >> ring->shift < bucket)
            point++;
        ring->first[bucket] = (uint32_t)point;
    }
}

struct ds_ring *ds_ring_new(const struct ds_server *members, size_t n, unsigned replicas,
                            struct ds_error *err)
{
    DS_AUTO(ring) struct ds_ring *ring = ds_xcalloc(1, sizeof *ring);
    struct point *points, *spare, *end, *sorted;
    size_t n_points = 0;

    if (!n || n > DS_RING_MEMBERS_MAX) {
        ds_fail(err, DS_E_FORMAT, "a ring of %zu members: 1 to %d is expected", n,
                DS_RING_MEMBERS_MAX);
        return NULL;
    }
    ring->members = sorted_copy(members, n);
    ring->n_members = n;
    ring->replicas = replicas;
    if (check(ring->members, n, replicas, &n_points, err) < 0)
        return NULL;
    points = end = ds_xcalloc(n_points, sizeof *points);
    spare = ds_xcalloc(n_points, sizeof *spare);
    for (size_t i = 0; i < n; i++)
        end = place_member(end, &ring->members[i], (uint16_t)i,
                           (size_t)ring->members[i].weight * replicas);
    sorted = sort_points(points, spare, n_points);
    free(sorted == points ? spare : points);
    store_points(ring, sorted, n_points);
    count_shares(ring);
    index_points(ring);
    return ds_steal(&ring);
}

void ds_ring_free(struct ds_ring *ring)
{
    if (!ring)
        return;
    free(ring->members);
    free(ring->counts);
    free(ring->shares);
    free(ring->points);
    free(ring->first);
    free(ring);
}

void ds_auto_ring(struct ds_ring **ring)
{
    ds_ring_free(*ring);
}

/* The first point whose hash is greater; n_points when there is none. */
static size_t point_after(const struct ds_ring *ring, uint32_t hash)
{
    size_t i = ring->first[hash >> ring->shift];

    while (i < ring->n_points && ring->points[i].hash <= hash)
        i++;
    return i;
}

/* The member that a point belongs to; after the last point comes the first. */
static uint16_t owner_or_first(const struct ds_ring *ring, size_t point)
{
    return ring->points[point < ring->n_points ? point : 0].owner;
}

void ds_ring_find(const struct ds_ring *ring, const char *key, size_t len,
                  struct ds_ring_hit *hit)
{
    size_t point;

    hit->hash = ds_murmur3(key, len, 0);
    point = point_after(ring, hit->hash);
    if (point == ring->n_points)
        point = 0;
    hit->point = ring->points[point].hash;
    hit->member = ring->points[point].owner;
    hit->owner = &ring->members[hit->member];
}

const struct ds_server *ds_ring_owner_of_hash(const struct ds_ring *ring, uint32_t hash)
{
    return &ring->members[owner_or_first(ring, point_after(ring, hash))];
}

const struct ds_server *ds_ring_owner(const struct ds_ring *ring, const char *key,
                                      size_t len)
{
    return ds_ring_owner_of_hash(ring, ds_murmur3(key, len, 0));
}

const struct ds_server *ds_ring_members(const struct ds_ring *ring, size_t *n)
{
    *n = ring->n_members;
    return ring->members;
}

unsigned ds_ring_replicas(const struct ds_ring *ring)
{
    return ring->replicas;
}

size_t ds_ring_points(const struct ds_ring *ring, size_t member)
{
    return ring->counts[member];
}

uint64_t ds_ring_share(const struct ds_ring *ring, size_t member)
{
    return ring->shares[member];
}

uint32_t ds_ring_ppm(uint64_t hashes)
{
    return (uint32_t)((hashes * 1000000 + HASHES / 2) / HASHES);
}

static void add_arc(void *arg, uint32_t first, uint32_t last,
                    const struct ds_server *from, const struct ds_server *to)
{
    uint64_t *sum = arg;

    (void)from;
    (void)to;
    *sum += (uint64_t)last - first + 1;
}

uint64_t ds_ring_moved(const struct ds_ring *a, const struct ds_ring *b)
{
    uint64_t sum = 0;

    if (!a || !b)
        return a || b ? HASHES : 0;
    ds_ring_diff(a, b, add_arc, &sum);
    return sum;
}

/* For each member of a its index in b, or -1. */
static int *match_members(const struct ds_ring *a, const struct ds_ring *b)
{
    int *match = ds_xcalloc(a->n_members, sizeof *match);
    size_t j = 0;

    for (size_t i = 0; i < a->n_members; i++) {
        int order = 1;

        while (j < b->n_members &&
               (order = ds_server_compare(&b->members[j], &a->members[i])) < 0)
            j++;
        match[i] = j < b->n_members && order == 0 ? (int)j : -1;
    }
    return match;
}

static uint64_t hash_or_end(const struct ds_ring *ring, size_t point)
{
    return point < ring->n_points ? ring->points[point].hash : HASHES;
}

void ds_ring_diff(const struct ds_ring *a, const struct ds_ring *b, ds_ring_arc_fn *fn,
                  void *arg)
{
    int *match = match_members(a, b);
    size_t i = point_after(a, 0), j = point_after(b, 0);
    uint64_t first = 0;

    while (first < HASHES) {
        uint64_t end_a = hash_or_end(a, i), end_b = hash_or_end(b, j);
        uint64_t end = end_a < end_b ? end_a : end_b;
        uint16_t from = owner_or_first(a, i), to = owner_or_first(b, j);

        if (match[from] != to)
            fn(arg, (uint32_t)first, (uint32_t)(end - 1), &a->members[from],
               &b->members[to]);
        i += end_a == end;
        j += end_b == end;
        first = end;
    }
    free(match);
}

void ds_ring_digest(const struct ds_server *members, size_t n, unsigned replicas,
                    char out[DS_DIGEST_MAX])
{
    enum { LINE_MAX_LEN = DS_ADDRESS_MAX + 16 };
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT((n + 1) * LINE_MAX_LEN);
    struct ds_server *sorted = sorted_copy(members, n);

    ds_buf_addf(&text, "v1\n%u\n", replicas);
    for (size_t i = 0; i < n; i++)
        ds_buf_addf(&text, "%s %u\n", sorted[i].address, sorted[i].weight);
    ds_murmur3_digest(text.data, text.len, out);
    free(sorted);
}
