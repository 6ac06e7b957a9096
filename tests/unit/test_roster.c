/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "dshard/roster.h"
#include "random.h"

static const int64_t NOW = 1764000000000;

enum { FLEET_MAX = 8, HISTORIES = 400, STEPS = 250 };

/* Servers "a:1", "b:1", ... and the roster that decides about them. */
struct fleet {
    struct ds_standing servers[FLEET_MAX];
    size_t n, min_healthy;
    struct ds_roster roster;
    struct ds_decision decision;
    char members[64]; /* of the ring that is published: "a b c" */
};

static void tell(struct fleet *fleet)
{
    size_t at = 0;

    for (size_t i = 0; i < fleet->n; i++) {
        fleet->servers[i].member = false;
        for (size_t k = 0; k < fleet->decision.n; k++) {
            if (strcmp(fleet->decision.members[k].address,
                       fleet->servers[i].server.address) == 0)
                fleet->servers[i].member = true;
        }
        if (fleet->servers[i].member) {
            fleet->members[at++] = fleet->servers[i].server.address[0];
            fleet->members[at++] = ' ';
        }
    }
    fleet->members[at ? at - 1 : 0] = '\0';
}

static void fleet_init(struct fleet *fleet, size_t n, size_t min_healthy)
{
    *fleet = (struct fleet){.n = n, .min_healthy = min_healthy};
    for (size_t i = 0; i < n; i++) {
        char address[] = {(char)('a' + i), ':', '1', '\0'};

        memcpy(fleet->servers[i].server.address, address, sizeof address);
        fleet->servers[i].server.weight = 1;
    }
    ds_roster_init(&fleet->roster, NULL, 0, false, NOW);
}

static void fleet_release(struct fleet *fleet)
{
    ds_decision_release(&fleet->decision);
    ds_roster_release(&fleet->roster);
}

static void ds_auto_fleet(struct fleet *fleet)
{
    fleet_release(fleet);
}

/* "unudh": new, up, down, held, or 'a' for down and it answered once. */
static void set_health(struct fleet *fleet, const char *letters)
{
    for (size_t i = 0; letters[i]; i++) {
        struct ds_health *health = &fleet->servers[i].health;
        enum ds_health_state state = letters[i] == 'u'   ? DS_HEALTH_UP
                                     : letters[i] == 'h' ? DS_HEALTH_HELD
                                     : letters[i] == 'n' ? DS_HEALTH_NEW
                                                         : DS_HEALTH_DOWN;

        *health = (struct ds_health){
            .state = state, .run = letters[i] == 'a', .unclean = letters[i] == 'h'};
        health->hold_until_ms = letters[i] == 'h' ? NOW + 3600000 : 0;
    }
}

static const char *decide(struct fleet *fleet, const char *letters, int64_t after_ms)
{
    set_health(fleet, letters);
    ds_decision_release(&fleet->decision);
    ds_roster_decide(&fleet->roster, fleet->min_healthy, fleet->servers, fleet->n,
                     NOW + after_ms, &fleet->decision);
    if (fleet->decision.publish)
        tell(fleet);
    return fleet->members;
}

static void nothing_is_published_until_all_have_a_verdict(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 1);
    assert_string_equal(decide(&fleet, "nnnn", 0), "");
    assert_false(fleet.decision.publish);
    decide(&fleet, "unud", 100);
    assert_false(fleet.decision.publish);
    assert_string_equal(decide(&fleet, "uuud", 200), "a b c");
    assert_true(fleet.decision.publish);
    assert_false(fleet.decision.frozen);
}

static void who_is_not_wanted_in_needs_no_verdict(void **state)
{
    static const enum ds_intent others[] = {DS_INTENT_JOINING, DS_INTENT_DRAINING,
                                            DS_INTENT_OUT};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(others); i++) {
        DS_AUTO(fleet) struct fleet fleet;

        fleet_init(&fleet, 3, 1);
        fleet.servers[1].intent = others[i];
        assert_string_equal(decide(&fleet, "unu", 0), "a c");
        assert_true(fleet.decision.publish);
        assert_string_equal(decide(&fleet, "uuu", 1), "a c"); /* nor is it a member */
    }
}

static void a_kept_ring_stays_until_its_members_are_checked(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 1);
    decide(&fleet, "uuud", 0);
    ds_roster_release(&fleet.roster);
    ds_roster_init(&fleet.roster, fleet.decision.members, fleet.decision.n, false, NOW);
    /* After the restart nobody has a verdict: the members stay, d still waits. */
    assert_string_equal(decide(&fleet, "nnnn", 1000), "a b c");
    assert_true(fleet.decision.publish);
    assert_false(fleet.decision.frozen);
    assert_string_equal(decide(&fleet, "ndnu", 1100), "a c d");
}

static void a_new_server_joins_with_its_first_success(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 1);
    fleet.n = 2;
    assert_string_equal(decide(&fleet, "uu", 0), "a b");
    fleet.n = 3;
    assert_string_equal(decide(&fleet, "uun", 10), "a b");
    assert_string_equal(decide(&fleet, "uud", 20), "a b");
    assert_string_equal(decide(&fleet, "uuu", 30), "a b c");
}

static void the_dead_leave_and_the_held_wait(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 1);
    assert_string_equal(decide(&fleet, "uuuu", 0), "a b c d");
    assert_string_equal(decide(&fleet, "uduu", 1000), "a c d");
    assert_string_equal(decide(&fleet, "uddu", 2000), "a d");
    assert_string_equal(decide(&fleet, "uhad", 3000), "a");
    assert_int_equal(fleet.servers[1].health.state, DS_HEALTH_HELD);
    assert_string_equal(decide(&fleet, "uuad", 4000), "a b");
    assert_false(fleet.decision.by_operator);
}

static void a_fleet_that_dies_one_by_one_freezes_whole(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 1);
    decide(&fleet, "uuuu", 0);
    assert_string_equal(decide(&fleet, "uuud", 60000), "a b c");
    assert_string_equal(decide(&fleet, "uudd", 61000), "a b");
    assert_string_equal(decide(&fleet, "uddd", 62000), "a");
    assert_false(fleet.decision.frozen);
    assert_string_equal(decide(&fleet, "dddd", 63000), "a b c d");
    assert_true(fleet.decision.frozen);
    assert_string_equal(fleet.decision.reason, "0 of 4 servers are up, 1 is needed");
}

static void a_ring_that_lasted_30_seconds_is_the_one_to_keep(void **state)
{
    static const struct {
        int64_t lasts_ms;
        const char *frozen;
    } rows[] = {{DS_ROSTER_STABLE_MS, "a b"}, {DS_ROSTER_STABLE_MS - 1, "a b c d"}};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(fleet) struct fleet fleet;
        int64_t at = 60000;

        fleet_init(&fleet, 4, 1);
        decide(&fleet, "uuuu", 0);
        assert_string_equal(decide(&fleet, "uudd", at), "a b");
        assert_string_equal(decide(&fleet, "uddd", at += rows[i].lasts_ms), "a");
        assert_string_equal(decide(&fleet, "dddd", at + 1), rows[i].frozen);
    }
}

/* Decisions in between do not make a ring younger, a change of weight does not either. */
static void a_ring_ages_while_nothing_happens(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 1);
    decide(&fleet, "uuu", 0);
    for (int64_t at = 60000; at < 90000; at += 1000)
        assert_string_equal(decide(&fleet, "uud", at), "a b");
    assert_string_equal(decide(&fleet, "udd", 90000), "a");
    assert_string_equal(decide(&fleet, "ddd", 90001), "a b");
}

static void without_a_stable_ring_the_largest_is_kept(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 1);
    assert_string_equal(decide(&fleet, "uudd", 0), "a b");
    assert_string_equal(decide(&fleet, "uuud", 1000), "a b c");
    assert_string_equal(decide(&fleet, "uudd", 2000), "a b");
    assert_string_equal(decide(&fleet, "uddd", 3000), "a");
    assert_string_equal(decide(&fleet, "dddd", 4000), "a b c");
}

static void with_nothing_to_keep_there_is_no_member(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 2, 1);
    assert_string_equal(decide(&fleet, "dd", 0), "");
    assert_true(fleet.decision.publish && fleet.decision.frozen);
    assert_string_equal(
        fleet.decision.reason,
        "0 of 2 servers are up, 1 is needed; there is no earlier ring to keep");
    assert_string_equal(decide(&fleet, "da", 1000), "b");
    assert_false(fleet.decision.frozen);
}

static void the_first_to_come_back_serves_at_once(void **state)
{
    static const char back[] = {'a', 'h'};

    (void)state;
    for (size_t i = 0; i < sizeof back; i++) {
        char letters[] = {'d', 'd', back[i], '\0'};
        DS_AUTO(fleet) struct fleet fleet;

        fleet_init(&fleet, 3, 1);
        decide(&fleet, "uuu", 0);
        assert_string_equal(decide(&fleet, "ddd", 60000), "a b c");
        assert_string_equal(decide(&fleet, letters, 61000), "c");
        assert_false(fleet.decision.frozen);
        assert_int_equal(fleet.servers[2].health.state, DS_HEALTH_UP);
        assert_int_equal(fleet.servers[2].health.since_ms, NOW + 61000);
        assert_false(fleet.servers[2].health.unclean); /* its groups are all there are */
    }
}

static void after_a_freeze_nobody_is_held_for_a_while(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 1);
    decide(&fleet, "uuu", 0);
    assert_string_equal(decide(&fleet, "ddd", 60000), "a b c");
    assert_string_equal(decide(&fleet, "add", 61000), "a");
    assert_string_equal(decide(&fleet, "uhd", 62000), "a b");
    assert_string_equal(decide(&fleet, "uuh", 61000 + DS_ROSTER_THAW_MS), "a b");
}

static void healthy_servers_join_a_frozen_ring_unheld(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 5, 3);
    fleet.n = 4;
    assert_string_equal(decide(&fleet, "uuuu", 0), "a b c d");
    assert_string_equal(decide(&fleet, "uudd", 60000), "a b c d");
    assert_string_equal(fleet.decision.reason, "2 of 4 servers are up, 3 are needed");
    fleet.n = 5;
    assert_string_equal(decide(&fleet, "udddh", 61000), "a b c d e");
    assert_true(fleet.decision.frozen);
    assert_int_equal(fleet.servers[4].health.state, DS_HEALTH_UP);
    assert_string_equal(decide(&fleet, "uhddu", 62000), "a b e");
    assert_false(fleet.decision.frozen);
}

static void nobody_is_promoted_while_there_are_enough(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 2);
    decide(&fleet, "uuuu", 0);
    assert_string_equal(decide(&fleet, "uuha", 1000), "a b");
    assert_int_equal(fleet.servers[2].health.state, DS_HEALTH_HELD);
    assert_true(fleet.servers[2].health.unclean);
    assert_int_equal(fleet.servers[3].health.state, DS_HEALTH_DOWN);
}

static void who_is_on_the_way_out_is_not_promoted(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 4, 3);
    decide(&fleet, "uuuu", 0);
    fleet.servers[1].intent = DS_INTENT_DRAINING;
    fleet.servers[2].intent = DS_INTENT_OUT;
    fleet.servers[3].intent = DS_INTENT_JOINING;
    assert_string_equal(decide(&fleet, "uhha", 1000), "a");
    for (size_t i = 1; i < 4; i++)
        assert_true(fleet.servers[i].health.state != DS_HEALTH_UP);
}

static void an_operators_drain_beats_the_freeze(void **state)
{
    static const enum ds_intent ways[] = {DS_INTENT_DRAINING, DS_INTENT_OUT};

    (void)state;
    for (size_t i = 0; i < DS_COUNT(ways); i++) {
        DS_AUTO(fleet) struct fleet fleet;

        fleet_init(&fleet, 4, 2);
        decide(&fleet, "uuuu", 0);
        decide(&fleet, "uddd", 60000);
        fleet.servers[1].intent = ways[i];
        assert_string_equal(decide(&fleet, "uddd", 61000), "a c d");
        assert_true(fleet.decision.frozen && fleet.decision.by_operator);
        fleet.servers[1].intent = DS_INTENT_IN;
        /* It is in the ring to keep, and wanted again. */
        assert_string_equal(decide(&fleet, "uddd", 62000), "a b c d");
        assert_false(fleet.decision.by_operator);
    }
}

/* All that was stable is on its way out; whom it was replaced by has not lasted yet. */
static void a_ring_of_newcomers_is_kept_when_the_old_one_was_drained(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 1);
    fleet.n = 2;
    decide(&fleet, "uu", 0);
    fleet.n = 3;
    assert_string_equal(decide(&fleet, "uuu", 60000), "a b c");
    fleet.servers[0].intent = fleet.servers[1].intent = DS_INTENT_DRAINING;
    assert_string_equal(decide(&fleet, "uuu", 61000), "c");
    assert_string_equal(decide(&fleet, "uud", 62000), "c");
    assert_true(fleet.decision.frozen);
    assert_string_equal(decide(&fleet, "uud", 63000), "c");
    fleet.servers[2].intent = DS_INTENT_OUT;
    assert_string_equal(decide(&fleet, "uud", 64000), "");
}

static void an_operators_act_is_told_from_a_death(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 1);
    decide(&fleet, "uuu", 0);
    fleet.servers[0].intent = DS_INTENT_DRAINING;
    assert_string_equal(decide(&fleet, "uuu", 1000), "b c");
    assert_true(fleet.decision.by_operator);
    assert_string_equal(decide(&fleet, "uud", 2000), "b");
    assert_false(fleet.decision.by_operator); /* a has left before */
}

static void operators_may_take_all_out(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 2, 2);
    decide(&fleet, "uu", 0);
    fleet.servers[0].intent = fleet.servers[1].intent = DS_INTENT_OUT;
    assert_string_equal(decide(&fleet, "uu", 1000), "");
    assert_true(fleet.decision.publish);
    assert_false(fleet.decision.frozen);
}

static void min_healthy_asks_for_no_more_than_there_are(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 5);
    assert_string_equal(decide(&fleet, "uuu", 0), "a b c");
    assert_false(fleet.decision.frozen);
    assert_string_equal(decide(&fleet, "uud", 60000), "a b c");
    assert_string_equal(fleet.decision.reason, "2 of 3 servers are up, 3 are needed");
    fleet.servers[2].intent = DS_INTENT_OUT;
    assert_string_equal(decide(&fleet, "uud", 61000), "a b");
    assert_false(fleet.decision.frozen);
}

static void min_healthy_of_none_lets_the_ring_run_empty(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 2, 0);
    decide(&fleet, "uu", 0);
    assert_string_equal(decide(&fleet, "dd", 60000), "");
    assert_false(fleet.decision.frozen);
}

static void a_freeze_is_kept_over_a_restart(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 3, 2);
    decide(&fleet, "uuu", 0);
    decide(&fleet, "udd", 60000);
    assert_true(fleet.decision.frozen);
    ds_roster_release(&fleet.roster);
    ds_roster_init(&fleet.roster, fleet.decision.members, fleet.decision.n, true, NOW);
    assert_true(fleet.roster.frozen);
    assert_string_equal(decide(&fleet, "udd", 61000), "a b c");
    assert_true(fleet.decision.frozen);
    /* However long it lasts, a frozen ring does not become the one to go back to. */
    assert_string_equal(decide(&fleet, "ddd", 600000), "a b c");
    assert_string_equal(decide(&fleet, "uud", 601000), "a b");
    assert_false(fleet.decision.frozen);
}

static void members_have_the_weights_of_now(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 2, 1);
    decide(&fleet, "uu", 0);
    fleet.servers[1].server.weight = 7;
    decide(&fleet, "uu", 1000);
    assert_int_equal(fleet.decision.members[1].weight, 7);
    fleet.servers[1].server.weight = 8;
    decide(&fleet, "dd", 60000);
    assert_true(fleet.decision.frozen);
    assert_int_equal(fleet.decision.members[1].weight, 8);
}

static void no_server_at_all_is_an_empty_ring(void **state)
{
    DS_AUTO(fleet) struct fleet fleet;

    (void)state;
    fleet_init(&fleet, 0, 3);
    assert_string_equal(decide(&fleet, "", 0), "");
    assert_true(fleet.decision.publish);
    assert_false(fleet.decision.frozen);
}

static void names_of_intents_are_read_back(void **state)
{
    enum ds_intent parsed;

    (void)state;
    for (int i = 0; i < DS_N_INTENTS; i++) {
        assert_int_equal(ds_intent_parse(ds_intent_name((enum ds_intent)i), &parsed), 0);
        assert_int_equal(parsed, i);
    }
    assert_int_equal(ds_intent_parse("", &parsed), -1);
    assert_int_equal(ds_intent_parse("In", &parsed), -1);
    assert_int_equal(ds_intent_parse("drainin", &parsed), -1);
}

/* ---- random histories ---- */

static const struct ds_health_config DAMPED = {
    .rise = 2, .fall = 2, .rejoin_after_ms = 10000};

/* One thing happens to one server, and time passes for all. */
static void happen(struct random *r, struct fleet *fleet, int64_t now_ms)
{
    struct ds_standing *one = &fleet->servers[random_below(r, fleet->n)];

    if (random_below(r, 40) == 0)
        one->intent = (enum ds_intent)random_below(r, DS_N_INTENTS);
    else if (random_below(r, 40) == 0)
        one->server.weight = 1 + (unsigned)random_below(r, 100);
    else
        ds_health_step(&DAMPED, &one->health, (enum ds_sight)random_below(r, 4), NULL,
                       now_ms);
    for (size_t i = 0; i < fleet->n; i++)
        ds_health_step(&DAMPED, &fleet->servers[i].health, DS_SIGHT_NONE, NULL, now_ms);
}

static size_t count_in(const struct fleet *fleet)
{
    size_t n = 0;

    for (size_t i = 0; i < fleet->n; i++)
        n += fleet->servers[i].intent == DS_INTENT_IN;
    return n;
}

static void assert_promises(const struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->n; i++) {
        const struct ds_standing *one = &fleet->servers[i];

        if (one->intent != DS_INTENT_IN)
            assert_false(one->member);
        else if (one->health.state == DS_HEALTH_UP)
            assert_true(one->member);
        else if (one->member && one->health.state != DS_HEALTH_NEW)
            assert_true(fleet->decision.frozen);
    }
    for (size_t i = 1; i < fleet->decision.n; i++)
        assert_true(ds_server_compare(&fleet->decision.members[i - 1],
                                      &fleet->decision.members[i]) < 0);
    assert_int_equal(fleet->decision.frozen, fleet->decision.reason[0] != '\0');
    if (!count_in(fleet))
        assert_int_equal(fleet->decision.n, 0);
}

static void restart(struct fleet *fleet, int64_t now_ms)
{
    struct ds_server members[FLEET_MAX];
    bool frozen = fleet->decision.frozen;
    size_t n = 0;

    for (size_t i = 0; i < fleet->n; i++) {
        if (fleet->servers[i].member)
            members[n++] = fleet->servers[i].server;
    }
    ds_roster_release(&fleet->roster);
    ds_roster_init(&fleet->roster, members, n, frozen, now_ms);
}

static void live_through_one(struct random *r)
{
    DS_AUTO(fleet) struct fleet fleet;
    int64_t now_ms = NOW;

    fleet_init(&fleet, 1 + random_below(r, FLEET_MAX), 1 + random_below(r, 4));
    for (int i = 0; i < STEPS; i++) {
        bool had_members = false;

        now_ms += (int64_t)random_below(r, random_below(r, 20) ? 1000 : 60000);
        happen(r, &fleet, now_ms);
        for (size_t k = 0; k < fleet.n; k++)
            had_members = had_members || (fleet.servers[k].member &&
                                          fleet.servers[k].intent == DS_INTENT_IN);
        ds_decision_release(&fleet.decision);
        ds_roster_decide(&fleet.roster, fleet.min_healthy, fleet.servers, fleet.n, now_ms,
                         &fleet.decision);
        if (!fleet.decision.publish)
            continue;
        tell(&fleet);
        assert_promises(&fleet);
        /* A ring never runs empty by itself, frozen or not. */
        if (had_members && !fleet.decision.n)
            fail_msg("step %d: the ring has run empty", i);
        if (random_below(r, 100) == 0)
            restart(&fleet, now_ms);
    }
}

static void any_history_keeps_the_promises(void **state)
{
    struct random r = random_start(__func__);

    (void)state;
    for (int i = 0; i < HISTORIES; i++)
        live_through_one(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_published_until_all_have_a_verdict),
        cmocka_unit_test(who_is_not_wanted_in_needs_no_verdict),
        cmocka_unit_test(a_kept_ring_stays_until_its_members_are_checked),
        cmocka_unit_test(a_new_server_joins_with_its_first_success),
        cmocka_unit_test(the_dead_leave_and_the_held_wait),
        cmocka_unit_test(a_fleet_that_dies_one_by_one_freezes_whole),
        cmocka_unit_test(a_ring_that_lasted_30_seconds_is_the_one_to_keep),
        cmocka_unit_test(a_ring_ages_while_nothing_happens),
        cmocka_unit_test(without_a_stable_ring_the_largest_is_kept),
        cmocka_unit_test(with_nothing_to_keep_there_is_no_member),
        cmocka_unit_test(the_first_to_come_back_serves_at_once),
        cmocka_unit_test(after_a_freeze_nobody_is_held_for_a_while),
        cmocka_unit_test(healthy_servers_join_a_frozen_ring_unheld),
        cmocka_unit_test(nobody_is_promoted_while_there_are_enough),
        cmocka_unit_test(who_is_on_the_way_out_is_not_promoted),
        cmocka_unit_test(an_operators_drain_beats_the_freeze),
        cmocka_unit_test(a_ring_of_newcomers_is_kept_when_the_old_one_was_drained),
        cmocka_unit_test(an_operators_act_is_told_from_a_death),
        cmocka_unit_test(operators_may_take_all_out),
        cmocka_unit_test(min_healthy_asks_for_no_more_than_there_are),
        cmocka_unit_test(min_healthy_of_none_lets_the_ring_run_empty),
        cmocka_unit_test(a_freeze_is_kept_over_a_restart),
        cmocka_unit_test(members_have_the_weights_of_now),
        cmocka_unit_test(no_server_at_all_is_an_empty_ring),
        cmocka_unit_test(names_of_intents_are_read_back),
        cmocka_unit_test(any_history_keeps_the_promises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
