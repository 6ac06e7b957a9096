/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two rings, the digest, and what is no ring. */
#include "test.h"

#include "members.h"

enum { SAMPLES = 20000 };

struct walk {
    const struct ds_ring *a, *b;
    struct random *random;
    uint64_t sum, end;
};

/* The points of a ring are private, so its answer for a hash is asked with a key that has
   that hash: murmur3 of four bytes can be undone, step by step. */
static uint32_t unshift(uint32_t x, unsigned by)
{
    uint32_t y = x;

    for (unsigned done = by; done < 32; done += by)
        y = x ^ y >> by;
    return y;
}

/* The inverse of an odd number modulo 2^32. */
static uint32_t inverse(uint32_t odd)
{
    uint32_t x = odd;

    for (int i = 0; i < 5; i++)
        x *= 2 - odd * x;
    return x;
}

static void key_with_hash(uint32_t hash, char key[4])
{
    uint32_t h = unshift(hash, 16) * inverse(0xc2b2ae35u), k;

    h = unshift(h, 13) * inverse(0x85ebca6bu);
    h = unshift(h, 16) ^ 4;
    h = (h - 0xe6546b64u) * inverse(5);
    k = h >> 13 | h << 19;
    k *= inverse(0x1b873593u);
    k = (k >> 15 | k << 17) * inverse(0xcc9e2d51u);
    for (int i = 0; i < 4; i++)
        key[i] = (char)(k >> 8 * i);
}

static const struct ds_server *owner_of_hash(const struct ds_ring *ring, uint32_t hash)
{
    char key[4];

    key_with_hash(hash, key);
    assert_int_equal(ds_murmur3(key, 4, 0), hash);
    return ds_ring_owner(ring, key, 4);
}

static void check_arc(void *arg, uint32_t first, uint32_t last,
                      const struct ds_server *from, const struct ds_server *to)
{
    struct walk *walk = arg;
    uint32_t inside =
        first + (uint32_t)(random_next(walk->random) % ((uint64_t)last - first + 1));
    const uint32_t hashes[] = {first, last, inside};

    assert_true(first <= last);
    assert_true(first >= walk->end);
    assert_string_not_equal(from->address, to->address);
    for (size_t i = 0; i < DS_COUNT(hashes); i++) {
        assert_ptr_equal(owner_of_hash(walk->a, hashes[i]), from);
        assert_ptr_equal(owner_of_hash(walk->b, hashes[i]), to);
    }
    walk->sum += (uint64_t)last - first + 1;
    walk->end = (uint64_t)last + 1;
}

static void assert_consistent(struct random *r, const struct ds_ring *a,
                              const struct ds_ring *b)
{
    struct walk walk = {.a = a, .b = b, .random = r};
    double share, off;
    size_t n_moved = 0;

    ds_ring_diff(a, b, check_arc, &walk);
    assert_true(walk.sum == ds_ring_moved(a, b));
    assert_true(walk.sum == ds_ring_moved(b, a));
    for (int i = 0; i < SAMPLES; i++) {
        char key[64];
        size_t len = random_key(r, key);

        n_moved += strcmp(ds_ring_owner(a, key, len)->address,
                          ds_ring_owner(b, key, len)->address) != 0;
    }
    share = (double)walk.sum / (double)HASHES;
    off = (double)n_moved / SAMPLES - share;
    if (off * off > 36 * share * (1 - share) / SAMPLES + 1e-12)
        fail_msg("%zu of %d keys moved: a share of %f is said to", n_moved, SAMPLES,
                 share);
}

static void the_arcs_are_what_sampling_finds(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 15; round++) {
        struct ds_server members[MEMBERS_MAX];
        size_t n = random_members(&r, members, 3 + random_below(&r, 20), 4);
        size_t cut = 1 + random_below(&r, n - 1);
        DS_AUTO(ring) struct ds_ring *all = build(members, n, 50);
        DS_AUTO(ring) struct ds_ring *some = build(members, cut, 50);
        DS_AUTO(ring) struct ds_ring *others = build(members + cut, n - cut, 70);
        DS_AUTO(ring) struct ds_ring *heavier = NULL;

        assert_consistent(&r, all, some);
        assert_consistent(&r, all, others);
        assert_true(ds_ring_moved(some, others) == HASHES);
        members[0].weight++;
        heavier = build(members, n, 50);
        assert_consistent(&r, all, heavier);
        assert_true(ds_ring_moved(all, heavier) > 0);
    }
}

static void more_weight_only_attracts(void **state)
{
    struct random r = random_start(__func__);
    struct ds_server members[MEMBERS_MAX];
    size_t n = random_members(&r, members, 10, 1);
    DS_AUTO(ring) struct ds_ring *light = build(members, n, 100), *heavy = NULL;

    (void)state;
    members[3].weight = 4;
    heavy = build(members, n, 100);
    for (int i = 0; i < SAMPLES; i++) {
        char key[64];
        size_t len = random_key(&r, key);
        const char *now = ds_ring_owner(heavy, key, len)->address;

        if (strcmp(now, members[3].address) != 0)
            assert_string_equal(now, ds_ring_owner(light, key, len)->address);
    }
}

static void a_weight_is_that_many_times_the_points(void **state)
{
    struct ds_server members[2];
    DS_AUTO(ring) struct ds_ring *ring = NULL, *one = NULL, *more = NULL;

    (void)state;
    set_server(&members[0], "10.0.0.1:9091", 1);
    set_server(&members[1], "10.0.0.2:9091", 3);
    ring = build(members, 2, 100);
    assert_int_equal(ds_ring_points(ring, 0), 100);
    assert_int_equal(ds_ring_points(ring, 1), 300);
    assert_int_equal(ds_ring_replicas(ring), 100);
    members[0].weight = members[1].weight = 2;
    one = build(members, 2, 50);
    members[0].weight = members[1].weight = 1;
    more = build(members, 2, 100);
    assert_true(ds_ring_moved(one, more) == 0);
}

static void no_ring_owns_nothing(void **state)
{
    struct ds_server member;
    DS_AUTO(ring) struct ds_ring *ring = NULL;

    (void)state;
    set_server(&member, "10.0.0.1:9091", 1);
    ring = build(&member, 1, 10);
    assert_true(ds_ring_moved(NULL, NULL) == 0);
    assert_true(ds_ring_moved(ring, NULL) == HASHES);
    assert_true(ds_ring_moved(NULL, ring) == HASHES);
    assert_true(ds_ring_moved(ring, ring) == 0);
    ds_ring_free(NULL);
}

static void parts_per_million_are_rounded(void **state)
{
    (void)state;
    assert_int_equal(ds_ring_ppm(0), 0);
    assert_int_equal(ds_ring_ppm(2147), 0);
    assert_int_equal(ds_ring_ppm(2148), 1);
    assert_int_equal(ds_ring_ppm(HASHES / 2), 500000);
    assert_int_equal(ds_ring_ppm(HASHES - 1), 1000000);
    assert_int_equal(ds_ring_ppm(HASHES), 1000000);
}

static void the_digest_is_of_everything_that_places(void **state)
{
    static const char text[] = "v1\n500\n10.0.0.10:1 2\n10.0.0.2:1 1\n";
    char want[DS_DIGEST_MAX], got[DS_DIGEST_MAX];
    struct ds_server members[2];

    (void)state;
    set_server(&members[0], "10.0.0.2:1", 1);
    set_server(&members[1], "10.0.0.10:1", 2);
    ds_murmur3_digest(text, sizeof text - 1, want);
    ds_ring_digest(members, 2, 500, got);
    assert_string_equal(got, want);
    ds_ring_digest(members, 2, 501, got);
    assert_string_not_equal(got, want);
    ds_ring_digest(members, 1, 500, got);
    assert_string_not_equal(got, want);
    members[0].weight = 2;
    ds_ring_digest(members, 2, 500, got);
    assert_string_not_equal(got, want);
    ds_murmur3_digest("v1\n500\n", 7, want);
    ds_ring_digest(NULL, 0, 500, got);
    assert_string_equal(got, want);
}

static void what_is_no_ring_is_refused(void **state)
{
    static const struct {
        size_t n;
        unsigned replicas, weight;
        bool twice;
        const char *error;
    } rows[] = {
        {0, 500, 1, false, "a ring of 0 members: 1 to 10000 is expected"},
        {10001, 1, 1, false, "a ring of 10001 members: 1 to 10000 is expected"},
        {3, 0, 1, false, "0 replicas: 1 to 10000 is expected"},
        {3, 10001, 1, false, "10001 replicas: 1 to 10000 is expected"},
        {3, 500, 0, false, "'10.0.0.0:1' has weight 0: 1 to 100 is expected"},
        {3, 500, 101, false, "'10.0.0.0:1' has weight 101: 1 to 100 is expected"},
        {3, 500, 1, true, "'10.0.0.1:1' is in the ring twice"},
        {2, 10000, 51, false,
         "the ring has 1020000 points: at most 1000000 are expected"},
    };
    static struct ds_server members[DS_RING_MEMBERS_MAX + 1];

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        struct ds_error err = DS_ERROR_INIT;

        for (size_t k = 0; k < rows[i].n; k++) {
            char address[64];

            snprintf(address, sizeof address, "10.0.%zu.%zu:1", k / 250, k % 250);
            set_server(&members[k], address, rows[i].weight);
        }
        if (rows[i].twice)
            members[2] = members[1];
        assert_null(ds_ring_new(members, rows[i].n, rows[i].replicas, &err));
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_string_equal(err.text, rows[i].error);
    }
}

static void a_ring_of_a_million_points_can_be_built(void **state)
{
    static struct ds_server members[1000];
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < DS_COUNT(members); i++) {
        char address[64];

        snprintf(address, sizeof address, "pg-%zu.example:9091", i);
        set_server(&members[i], address, 1);
    }
    ring = build(members, DS_COUNT(members), 1000);
    for (size_t i = 0; i < DS_COUNT(members); i++)
        sum += ds_ring_share(ring, i);
    assert_true(sum == HASHES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_arcs_are_what_sampling_finds),
        cmocka_unit_test(more_weight_only_attracts),
        cmocka_unit_test(a_weight_is_that_many_times_the_points),
        cmocka_unit_test(no_ring_owns_nothing),
        cmocka_unit_test(parts_per_million_are_rounded),
        cmocka_unit_test(the_digest_is_of_everything_that_places),
        cmocka_unit_test(what_is_no_ring_is_refused),
        cmocka_unit_test(a_ring_of_a_million_points_can_be_built),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
