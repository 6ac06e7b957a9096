/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/file.h"
#include "dshard/url.h"
#include "members.h"

enum { SETS_MAX = 10 };

static const char *owner_of(const struct ds_ring *ring, const char *key, size_t len)
{
    return ds_ring_owner(ring, key, len)->address;
}

/* ---- golden data ------------------------------------------------------------------ */

struct set {
    char name[32];
    struct ds_server members[20];
    size_t n;
};

static size_t read_sets(struct set *sets)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(100000);
    struct ds_error err = DS_ERROR_INIT;
    size_t n = 0;
    char *rest;

    assert_ok(ds_file_read(&text, TEST_DATA_DIR "/ring-members.tsv", &err), &err);
    rest = text.data;
    strsep(&rest, "\n");
    while (rest && *rest) {
        char *line = strsep(&rest, "\n"), *name = strsep(&line, "\t");

        strsep(&line, "\t");
        if (!n || strcmp(sets[n - 1].name, name) != 0) {
            assert_true(n < SETS_MAX);
            memset(&sets[n], 0, sizeof sets[n]);
            memcpy(sets[n++].name, name, strlen(name) + 1);
        }
        set_server(&sets[n - 1].members[sets[n - 1].n++], line, 1);
    }
    return n;
}

static size_t check_golden(const char *set, const struct ds_ring *ring)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000000);
    struct ds_error err = DS_ERROR_INIT;
    size_t n = 0;
    char *rest;

    assert_ok(ds_file_read(&text, TEST_DATA_DIR "/ring-golden.tsv", &err), &err);
    rest = text.data;
    while (rest && *rest) {
        char *line = strsep(&rest, "\n"), *name = strsep(&line, "\t");
        char *key = strsep(&line, "\t");
        ptrdiff_t len;

        if (strcmp(name, set) != 0)
            continue;
        len = ds_url_decode(key, key, strlen(key));
        assert_true(len >= 0);
        if (strcmp(owner_of(ring, key, (size_t)len), line) != 0)
            fail_msg("%s: %.*s: %s and not %s", set, (int)len, key, line,
                     owner_of(ring, key, (size_t)len));
        n++;
    }
    return n;
}

static void all_golden_data_agree_in_any_order_of_members(void **state)
{
    struct random r = random_start(__func__);
    static struct set sets[SETS_MAX];
    size_t n = read_sets(sets), rows = 0;

    (void)state;
    assert_int_equal(n, 6);
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < 3; round++) {
            DS_AUTO(ring)
            struct ds_ring *ring = build(sets[i].members, sets[i].n, DS_REPLICAS_DEFAULT);

            rows += check_golden(sets[i].name, ring);
            shuffle(&r, sets[i].members, sets[i].n);
        }
    }
    assert_int_equal(rows, 3 * 2850);
}

/* ---- against the definition ------------------------------------------------------- */

struct naive_point {
    uint32_t hash;
    const struct ds_server *owner;
};

/* All points of members (sorted by name), found as ring.h defines them. */
static struct naive_point *naive_points(const struct ds_server *members, size_t n,
                                        unsigned replicas, size_t *n_points)
{
    struct naive_point *points;

    *n_points = 0;
    for (size_t i = 0; i < n; i++)
        *n_points += (size_t)members[i].weight * replicas;
    points = ds_xcalloc(*n_points, sizeof *points);
    for (size_t i = 0, at = 0; i < n; i++) {
        for (unsigned k = 0; k < members[i].weight * replicas; k++) {
            char text[DS_ADDRESS_MAX + 16];
            int len = snprintf(text, sizeof text, "%u%s", k, members[i].address);

            points[at++] =
                (struct naive_point){ds_murmur3(text, (size_t)len, 0), &members[i]};
        }
    }
    return points;
}

/* The nearest point above the hash; of equals the later one; else the lowest of all. */
static const struct ds_server *naive_owner(const struct naive_point *points, size_t n,
                                           uint32_t hash)
{
    const struct naive_point *best = NULL, *least = &points[0];

    for (size_t i = 0; i < n; i++) {
        if (points[i].hash > hash && (!best || points[i].hash <= best->hash))
            best = &points[i];
        if (points[i].hash <= least->hash)
            least = &points[i];
    }
    return (best ? best : least)->owner;
}

static void a_ring_is_what_its_definition_says(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct ds_server members[MEMBERS_MAX];
        unsigned replicas = 1 + (unsigned)random_below(&r, 30);
        size_t n = random_members(&r, members, 1 + random_below(&r, 12), 3), n_points;
        DS_AUTO(ring) struct ds_ring *ring = build(members, n, replicas);
        const struct ds_server *sorted = ds_ring_members(ring, &n);
        struct naive_point *points = naive_points(sorted, n, replicas, &n_points);

        for (int i = 0; i < 500; i++) {
            struct ds_ring_hit hit;
            char key[64];
            size_t len = random_key(&r, key);

            ds_ring_find(ring, key, len, &hit);
            assert_int_equal(hit.hash, ds_murmur3(key, len, 0));
            assert_ptr_equal(hit.owner, naive_owner(points, n_points, hit.hash));
            assert_ptr_equal(hit.owner, &sorted[hit.member]);
        }
        free(points);
    }
}

/* The text of a point hashes to the point itself: a key right on it. */
static void a_hash_belongs_to_the_owner_of_its_keys(void **state)
{
    struct random r = random_start(__func__);
    struct ds_server members[20];
    size_t n = random_members(&r, members, DS_COUNT(members), 3);
    DS_AUTO(ring) struct ds_ring *ring = build(members, n, 20);
    struct ds_ring_hit hit;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        char key[64];
        size_t len = random_key(&r, key);

        ds_ring_find(ring, key, len, &hit);
        assert_ptr_equal(ds_ring_owner_of_hash(ring, hit.hash), hit.owner);
        assert_ptr_equal(ds_ring_owner_of_hash(ring, hit.point - 1), hit.owner);
    }
    /* Behind the last point comes the first. */
    assert_ptr_equal(ds_ring_owner_of_hash(ring, UINT32_MAX),
                     ds_ring_owner_of_hash(ring, 0));
}

static void a_key_on_a_point_belongs_to_the_next_one(void **state)
{
    struct random r = random_start(__func__);
    struct ds_server members[MEMBERS_MAX];
    size_t n = random_members(&r, members, 5, 1), n_wrapped = 0;
    DS_AUTO(ring) struct ds_ring *ring = build(members, n, 50);
    uint32_t least = UINT32_MAX;

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n * 50; i++) {
            struct ds_ring_hit hit;
            char key[DS_ADDRESS_MAX + 16];
            int len = snprintf(key, sizeof key, "%zu%s", i % 50, members[i / 50].address);

            ds_ring_find(ring, key, (size_t)len, &hit);
            least = hit.point < least ? hit.point : least;
            if (pass == 0 || hit.point > hit.hash)
                continue;
            assert_int_equal(hit.point, least);
            n_wrapped++;
        }
    }
    assert_int_equal(n_wrapped, 1); /* the last point's key goes round to the first */
}

static void a_single_point_owns_everything(void **state)
{
    struct ds_server member;
    DS_AUTO(ring) struct ds_ring *ring = NULL;

    (void)state;
    set_server(&member, "127.0.0.1:9091", 1);
    ring = build(&member, 1, 1);
    assert_true(ds_ring_share(ring, 0) == HASHES);
    assert_int_equal(ds_ring_points(ring, 0), 1);
    assert_string_equal(owner_of(ring, "", 0), "127.0.0.1:9091");
    assert_string_equal(owner_of(ring, "0127.0.0.1:9091", 15), "127.0.0.1:9091");
}

static void colliding_points_count_once(void **state)
{
    struct ds_server members[2];
    DS_AUTO(ring) struct ds_ring *ring = NULL;

    (void)state;
    set_server(&members[0], "11.1.1.1:9091", 1);
    set_server(&members[1], "1.1.1.1:9091", 1);
    ring = build(members, 2, 112);
    /* 1.1.1.1 is added first, so it loses each of its points 11, 21, ... 111: with a 1
       taken from its index to its name they are points 1 to 11 of the other. */
    assert_int_equal(ds_ring_points(ring, 0), 112 - 11);
    assert_int_equal(ds_ring_points(ring, 1), 112);
}

/* ---- properties ------------------------------------------------------------------- */

static void the_order_of_members_does_not_matter(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 10; round++) {
        struct ds_server members[MEMBERS_MAX];
        size_t n = random_members(&r, members, 2 + random_below(&r, 30), 5);
        DS_AUTO(ring) struct ds_ring *one = build(members, n, 100), *two = NULL;
        char digest[DS_DIGEST_MAX], other[DS_DIGEST_MAX];

        ds_ring_digest(members, n, 100, digest);
        shuffle(&r, members, n);
        two = build(members, n, 100);
        ds_ring_digest(members, n, 100, other);
        assert_string_equal(digest, other);
        assert_true(ds_ring_moved(one, two) == 0);
        for (size_t i = 0; i < n; i++)
            assert_true(ds_ring_share(one, i) == ds_ring_share(two, i));
        for (int i = 0; i < 1000; i++) {
            char key[64];
            size_t len = random_key(&r, key);

            assert_string_equal(owner_of(one, key, len), owner_of(two, key, len));
        }
    }
}

/* Both ways: what a member that leaves had goes elsewhere and nothing else moves; what a
   member that joins gets comes from anywhere and nothing else moves. */
static void only_keys_of_the_member_that_comes_or_goes_move(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int round = 0; round < 10; round++) {
        struct ds_server members[MEMBERS_MAX];
        size_t n = random_members(&r, members, 2 + random_below(&r, 20), 3), n_moved = 0;
        DS_AUTO(ring) struct ds_ring *with = build(members, n, 200), *without = NULL;
        const char *gone = members[n - 1].address;

        without = build(members, n - 1, 200);
        for (int i = 0; i < 5000; i++) {
            char key[64];
            size_t len = random_key(&r, key);
            const char *here = owner_of(with, key, len);

            if (strcmp(here, gone) != 0)
                assert_string_equal(here, owner_of(without, key, len));
            else
                n_moved++;
        }
        assert_true(n_moved > 0);
        for (size_t i = 0; i < n; i++) {
            const struct ds_server *sorted = ds_ring_members(with, &n);

            if (strcmp(sorted[i].address, gone) == 0)
                assert_true(ds_ring_share(with, i) == ds_ring_moved(with, without));
        }
        assert_true(ds_ring_moved(with, without) == ds_ring_moved(without, with));
    }
}

/* A share of w points among N is distributed like Beta(w, N - w). */
static void assert_fair(const struct ds_ring *ring, double sigmas)
{
    uint64_t sum = 0;
    double weights = 0, total;
    size_t n;
    const struct ds_server *members = ds_ring_members(ring, &n);

    for (size_t i = 0; i < n; i++)
        weights += members[i].weight;
    total = weights * ds_ring_replicas(ring);
    for (size_t i = 0; i < n; i++) {
        double want = members[i].weight / weights;
        double off = (double)ds_ring_share(ring, i) / (double)HASHES - want;
        double variance = want * (1 - want) / (total + 1);

        if (off * off > sigmas * sigmas * variance)
            fail_msg("%s is %f off a share of %f", members[i].address, off, want);
        sum += ds_ring_share(ring, i);
    }
    assert_true(sum == HASHES);
}

static void shares_are_fair_and_sum_to_everything(void **state)
{
    struct random r = random_start(__func__);
    struct ds_server members[MEMBERS_MAX];

    (void)state;
    for (size_t n = 2; n <= 16; n++) { /* the same on every run */
        DS_AUTO(ring) struct ds_ring *ring = NULL;

        for (size_t i = 0; i < n; i++) {
            char address[64];

            snprintf(address, sizeof address, "10.0.0.%zu:9091", i + 1);
            set_server(&members[i], address, 1);
        }
        ring = build(members, n, DS_REPLICAS_DEFAULT);
        assert_fair(ring, 3);
    }
    for (int round = 0; round < 20; round++) { /* random: six sigma never happens */
        size_t n = random_members(&r, members, 2 + random_below(&r, 60), 8);
        DS_AUTO(ring) struct ds_ring *ring = build(members, n, 300);

        assert_fair(ring, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_golden_data_agree_in_any_order_of_members),
        cmocka_unit_test(a_ring_is_what_its_definition_says),
        cmocka_unit_test(a_hash_belongs_to_the_owner_of_its_keys),
        cmocka_unit_test(a_key_on_a_point_belongs_to_the_next_one),
        cmocka_unit_test(a_single_point_owns_everything),
        cmocka_unit_test(colliding_points_count_once),
        cmocka_unit_test(the_order_of_members_does_not_matter),
        cmocka_unit_test(only_keys_of_the_member_that_comes_or_goes_move),
        cmocka_unit_test(shares_are_fair_and_sum_to_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
