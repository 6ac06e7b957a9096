/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/state.h"
#include "random.h"

static const int64_t NOW = 1764000000000;

enum { ADDITIONS = 500 };

static void fill(struct ds_state *state, size_t n)
{
    ds_state_init(state);
    for (size_t i = 0; i < n; i++) {
        char address[] = {(char)('a' + i), ':', '1', '\0'};

        ds_state_add(state, address, 1);
    }
}

/* The members of letters "abc", each of weight 1; returns their number. */
static size_t make(struct ds_server *members, const char *letters)
{
    size_t n = strlen(letters);

    memset(members, 0, n * sizeof *members);
    for (size_t i = 0; i < n; i++) {
        memcpy(members[i].address, (char[]){letters[i], ':', '1', '\0'}, 4);
        members[i].weight = 1;
    }
    return n;
}

static int set_ring(struct ds_state *state, const char *letters, enum ds_cause cause)
{
    struct ds_server members[8];
    struct ds_error err = DS_ERROR_INIT;
    size_t n = make(members, letters);
    int rc = ds_state_set_ring(state, members, n, 500, cause, NOW, &err);

    assert_int_equal(err.code, DS_OK);
    return rc;
}

static void assert_names(char (*names)[DS_ADDRESS_MAX], size_t n, const char *letters)
{
    assert_int_equal(n, strlen(letters));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(names[i][0], letters[i]);
}

static void assert_members(const struct ds_state *state, const char *letters)
{
    size_t n, at = 0;
    DS_AUTO(ptr) void *list = ds_state_members(state, &n);
    char digest[DS_DIGEST_MAX], found[32];

    for (size_t i = 0; i < state->n_servers; i++) {
        assert_int_equal(state->servers[i].ring_weight != 0, state->servers[i].member);
        if (state->servers[i].member)
            found[at++] = state->servers[i].server.address[0];
    }
    found[at] = '\0';
    assert_string_equal(found, letters);
    assert_int_equal(n, at);
    assert_int_equal(list != NULL, n > 0);
    ds_ring_digest(list, n, state->replicas, digest);
    assert_string_equal(state->digest, digest);
}

static void a_fresh_state_is_an_empty_ring(void **test)
{
    DS_AUTO(state) struct ds_state state;
    size_t n = 7;

    (void)test;
    ds_state_init(&state);
    assert_int_equal(state.generation, 0);
    assert_int_equal(state.replicas, 500);
    assert_string_equal(state.scheme, "http");
    assert_null(ds_state_members(&state, &n));
    assert_int_equal(n, 0);
    assert_null(ds_state_ring(&state));
    assert_null(ds_state_find(&state, "a:1"));
    ds_state_remove(&state, "a:1");
    assert_members(&state, "");
    ds_state_release(&state);
    ds_state_release(&state);
}

static void servers_are_kept_in_order(void **test)
{
    struct random r = random_start(__func__);
    DS_AUTO(state) struct ds_state state;

    (void)test;
    ds_state_init(&state);
    for (int i = 0; i < ADDITIONS; i++) {
        char address[DS_ADDRESS_MAX];
        struct ds_standing *standing;

        snprintf(address, sizeof address, "h%zu:1", random_below(&r, 300));
        if (random_below(&r, 3) == 0) {
            ds_state_remove(&state, address);
            assert_null(ds_state_find(&state, address));
        } else {
            standing = ds_state_add(&state, address, 3);
            assert_string_equal(standing->server.address, address);
            assert_int_equal(standing->intent, DS_INTENT_IN);
            assert_ptr_equal(ds_state_find(&state, address), standing);
        }
        for (size_t k = 1; k < state.n_servers; k++)
            assert_true(ds_standing_compare(&state.servers[k - 1], &state.servers[k]) <
                        0);
    }
    assert_true(state.n_servers > 50);
}

static void who_is_there_is_not_added_again(void **test)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_standing *standing;

    (void)test;
    fill(&state, 3);
    standing = ds_state_find(&state, "b:1");
    standing->intent = DS_INTENT_OUT;
    assert_ptr_equal(ds_state_add(&state, "b:1", 9), standing);
    assert_int_equal(standing->server.weight, 1);
    assert_int_equal(standing->intent, DS_INTENT_OUT);
    assert_int_equal(state.n_servers, 3);
}

static void a_name_that_is_too_long_is_not_found(void **test)
{
    DS_AUTO(state) struct ds_state state;
    char name[DS_ADDRESS_MAX + 100];

    (void)test;
    fill(&state, 2);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_null(ds_state_find(&state, name));
    ds_state_remove(&state, name);
    assert_int_equal(state.n_servers, 2);
}

static void a_change_of_the_ring_is_recorded(void **test)
{
    DS_AUTO(state) struct ds_state state;
    const struct ds_change *change;

    (void)test;
    fill(&state, 4);
    change = &state.history[0];
    assert_int_equal(set_ring(&state, "abc", DS_CAUSE_START), 1);
    assert_members(&state, "abc");
    assert_int_equal(state.generation, 1);
    assert_int_equal(state.n_history, 1);
    assert_int_equal(change->generation, 1);
    assert_int_equal(change->at_ms, NOW);
    assert_int_equal(change->cause, DS_CAUSE_START);
    assert_int_equal(change->moved_ppm, 1000000); /* nobody owned anything before */
    assert_names(change->added, change->n_added, "abc");
    assert_int_equal(change->n_removed, 0);
    assert_int_equal(set_ring(&state, "acd", DS_CAUSE_HEALTH), 1);
    assert_members(&state, "acd");
    assert_int_equal(state.generation, 2);
    assert_int_equal(state.n_history, 2);
    assert_int_equal(change->cause, DS_CAUSE_HEALTH);
    assert_names(change->added, change->n_added, "d");
    assert_names(change->removed, change->n_removed, "b");
    assert_in_range(change->moved_ppm, 300000, 600000); /* b's third, and d's new one */
    assert_names(state.history[1].added, state.history[1].n_added, "abc");
}

static void the_same_ring_is_no_change(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 3);
    assert_int_equal(set_ring(&state, "", DS_CAUSE_START), 0);
    assert_int_equal(state.generation, 0);
    set_ring(&state, "abc", DS_CAUSE_START);
    assert_int_equal(set_ring(&state, "abc", DS_CAUSE_HEALTH), 0);
    assert_int_equal(set_ring(&state, "cab", DS_CAUSE_HEALTH), 0);
    assert_int_equal(state.generation, 1);
    assert_int_equal(state.n_history, 1);
    assert_members(&state, "abc");
}

static void weights_and_replicas_change_the_ring_too(void **test)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_server members[2];

    (void)test;
    fill(&state, 2);
    set_ring(&state, "ab", DS_CAUSE_START);
    make(members, "ab");
    members[1].weight = 3;
    assert_int_equal(
        ds_state_set_ring(&state, members, 2, 500, DS_CAUSE_WEIGHT, NOW, &err), 1);
    assert_int_equal(state.servers[1].server.weight, 3);
    assert_int_equal(state.servers[1].ring_weight, 3);
    assert_int_equal(state.history[0].n_added + state.history[0].n_removed, 0);
    assert_in_range(state.history[0].moved_ppm, 150000, 350000); /* 1/2 to 3/4 */
    assert_int_equal(
        ds_state_set_ring(&state, members, 2, 400, DS_CAUSE_CONFIG, NOW, &err), 1);
    assert_int_equal(state.replicas, 400);
    assert_int_equal(state.generation, 3);
    assert_members(&state, "ab");
}

/* A weight that is wanted and not yet in the ring: digest and ring are of the old one. */
static void a_wanted_weight_waits_for_the_ring(void **test)
{
    DS_AUTO(state) struct ds_state state;
    size_t n;

    (void)test;
    fill(&state, 2);
    set_ring(&state, "ab", DS_CAUSE_START);
    state.servers[0].server.weight = 9;
    {
        DS_AUTO(ptr) void *list = ds_state_members(&state, &n);
        const struct ds_server *members = list;

        assert_int_equal(members[0].weight, 1);
    }
    assert_members(&state, "ab");
}

static void a_ring_that_cannot_be_leaves_all_as_it_was(void **test)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_server members[4];

    (void)test;
    fill(&state, 3);
    set_ring(&state, "ab", DS_CAUSE_START);
    for (int i = 0; i < 4; i++) {
        struct ds_error err = DS_ERROR_INIT;

        make(members, i == 0 ? "axb" : i == 1 ? "abb" : "abc");
        if (i == 2)
            members[0].weight = 0;
        if (i == 3)
            members[0].weight = members[1].weight = 100; /* 201 * 10000 points */
        assert_int_equal(
            ds_state_set_ring(&state, members, 3, 10000, DS_CAUSE_HEALTH, NOW, &err), -1);
        assert_int_equal(err.code, DS_E_FORMAT);
        assert_int_equal(state.generation, 1);
        assert_int_equal(state.n_history, 1);
        assert_int_equal(state.replicas, 500);
        assert_members(&state, "ab");
    }
}

static void an_empty_ring_is_a_ring(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 2);
    set_ring(&state, "ab", DS_CAUSE_START);
    assert_int_equal(set_ring(&state, "", DS_CAUSE_OPERATOR), 1);
    assert_members(&state, "");
    assert_int_equal(state.generation, 2);
    assert_int_equal(state.history[0].moved_ppm, 1000000);
    assert_names(state.history[0].removed, state.history[0].n_removed, "ab");
    assert_null(ds_state_ring(&state));
}

static void the_history_keeps_the_last_twenty(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    fill(&state, 2);
    for (int i = 0; i < 50; i++)
        assert_int_equal(set_ring(&state, i % 2 ? "a" : "ab", DS_CAUSE_HEALTH), 1);
    assert_int_equal(state.generation, 50);
    assert_int_equal(state.n_history, DS_HISTORY_MAX);
    for (size_t i = 0; i < DS_HISTORY_MAX; i++) {
        assert_int_equal(state.history[i].generation, 50 - i);
        assert_names(state.history[i].added, state.history[i].n_added, i % 2 ? "b" : "");
        assert_names(state.history[i].removed, state.history[i].n_removed,
                     i % 2 ? "" : "b");
    }
}

static void the_ring_is_of_the_members(void **test)
{
    DS_AUTO(state) struct ds_state state;
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    size_t n;

    (void)test;
    fill(&state, 3);
    set_ring(&state, "ac", DS_CAUSE_START);
    ring = ds_state_ring(&state);
    assert_non_null(ring);
    assert_string_equal(ds_ring_members(ring, &n)[1].address, "c:1");
    assert_int_equal(n, 2);
    assert_int_equal(ds_ring_replicas(ring), 500);
}

static void another_ring_is_taken_over_whole(void **test)
{
    DS_AUTO(state) struct ds_state ours, theirs;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_server members[2];

    (void)test;
    fill(&ours, 3);
    set_ring(&ours, "ab", DS_CAUSE_START);
    ours.servers[0].health.state = DS_HEALTH_HELD;
    fill(&theirs, 2);
    set_ring(&theirs, "a", DS_CAUSE_START);
    set_ring(&theirs, "ab", DS_CAUSE_OPERATOR);
    make(members, "ab");
    members[1].weight = 4;
    assert_int_equal(
        ds_state_set_ring(&theirs, members, 2, 700, DS_CAUSE_WEIGHT, NOW, &err), 1);
    ds_state_take_ring(&ours, &theirs);
    assert_members(&ours, "ab");
    assert_int_equal(ours.generation, 3);
    assert_int_equal(ours.replicas, 700);
    assert_int_equal(ours.servers[1].ring_weight, 4);
    assert_int_equal(ours.n_history, 3);
    assert_int_equal(ours.history[0].cause, DS_CAUSE_WEIGHT);
    assert_int_equal(theirs.n_history, 0); /* it has moved */
    assert_int_equal(ours.servers[0].health.state, DS_HEALTH_HELD);
    assert_string_equal(ours.digest, theirs.digest);
}

static void a_state_is_stale_after_90_seconds(void **test)
{
    DS_AUTO(state) struct ds_state state;

    (void)test;
    ds_state_init(&state);
    assert_true(ds_state_is_stale(&state, NOW)); /* nobody ever looked */
    state.checked_at_ms = NOW;
    assert_false(ds_state_is_stale(&state, NOW));
    assert_false(ds_state_is_stale(&state, NOW + 90000));
    assert_true(ds_state_is_stale(&state, NOW + 90001));
    assert_false(ds_state_is_stale(&state, NOW - 5000)); /* the clock was put back */
}

static void names_of_causes_are_read_back(void **test)
{
    enum ds_cause parsed;

    (void)test;
    for (int i = 0; i < DS_N_CAUSES; i++) {
        assert_int_equal(ds_cause_parse(ds_cause_name((enum ds_cause)i), &parsed), 0);
        assert_int_equal(parsed, i);
    }
    assert_int_equal(ds_cause_parse("", &parsed), -1);
    assert_int_equal(ds_cause_parse("Start", &parsed), -1);
    assert_int_equal(ds_cause_parse("healthy", &parsed), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_state_is_an_empty_ring),
        cmocka_unit_test(servers_are_kept_in_order),
        cmocka_unit_test(who_is_there_is_not_added_again),
        cmocka_unit_test(a_name_that_is_too_long_is_not_found),
        cmocka_unit_test(a_change_of_the_ring_is_recorded),
        cmocka_unit_test(the_same_ring_is_no_change),
        cmocka_unit_test(weights_and_replicas_change_the_ring_too),
        cmocka_unit_test(a_wanted_weight_waits_for_the_ring),
        cmocka_unit_test(a_ring_that_cannot_be_leaves_all_as_it_was),
        cmocka_unit_test(an_empty_ring_is_a_ring),
        cmocka_unit_test(the_history_keeps_the_last_twenty),
        cmocka_unit_test(the_ring_is_of_the_members),
        cmocka_unit_test(another_ring_is_taken_over_whole),
        cmocka_unit_test(a_state_is_stale_after_90_seconds),
        cmocka_unit_test(names_of_causes_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
