/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "config_text.h"
#include "dshard/discovery.h"
#include "dshard/keeper.h"
#include "place.h"

static const int64_t NOW = 1764000000000;

static void configure(struct ds_config *config, const struct place *place,
                      const char *more)
{
    config_from(config,
                "state_file: %s\n%spushgateway:\n  scheme: https\n"
                "  route_prefix: /push\n  servers: [\"a:1\", \"b:1\"]\n",
                place->path, more);
}

static struct ds_act make_act(const char *address, enum ds_act_kind kind, unsigned weight)
{
    struct ds_act act = {.kind = kind, .server.weight = weight};

    snprintf(act.server.address, sizeof act.server.address, "%s", address);
    return act;
}

static int try_apply(const struct place *place, struct ds_act *acts, size_t n,
                     struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_registry *registry;
    int rc;

    configure(&config, place, "");
    registry = ds_registry_new(&config, 50, err);
    assert_non_null(registry);
    rc = registry->ops->apply(registry, acts, n, err);
    registry->ops->free(registry);
    return rc;
}

static void apply(const struct place *place, struct ds_act *acts, size_t n)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(try_apply(place, acts, n, &err), &err);
}

/* One act that must work; whether it changed something. */
static bool apply_one(const struct place *place, const char *address,
                      enum ds_act_kind kind, unsigned weight)
{
    struct ds_act act = make_act(address, kind, weight);

    apply(place, &act, 1);
    assert_int_equal(act.err.code, DS_OK);
    return act.changed;
}

static void load(struct ds_state *state, const struct place *place)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_state_load(state, place->path, &err), &err);
}

/* A state in which the servers named by letters are members. */
static void save_ring(const struct place *place, const char *letters, unsigned replicas)
{
    DS_AUTO(state) struct ds_state state;
    struct ds_server members[8];
    struct ds_error err = DS_ERROR_INIT;
    size_t n = strlen(letters);

    ds_state_init(&state);
    for (size_t i = 0; i < n; i++) {
        members[i] =
            make_act((char[]){letters[i], ':', '1', '\0'}, DS_ACT_REGISTER, 1).server;
        ds_state_add(&state, members[i].address, 1)->health.state = DS_HEALTH_UP;
    }
    assert_int_equal(
        ds_state_set_ring(&state, members, n, replicas, DS_CAUSE_START, NOW, &err), 1);
    assert_ok(ds_state_save(&state, place->path, &err), &err);
}

static void nobody_is_known_before_the_first_write(void **test)
{
    const struct place *place = *test;
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error err = DS_ERROR_INIT;
    struct ds_registry *registry;

    configure(&config, place, "");
    registry = ds_registry_new(&config, 50, &err);
    assert_non_null(registry);
    assert_ok(registry->ops->list(registry, &state, &err), &err);
    assert_int_equal(state.n_servers, 0);
    ds_state_release(&state);
    apply_one(place, "a:1", DS_ACT_REGISTER, 3);
    assert_ok(registry->ops->list(registry, &state, &err), &err);
    assert_int_equal(state.n_servers, 1);
    assert_int_equal(state.servers[0].server.weight, 3);
    registry->ops->free(registry);
}

static void a_bad_file_is_neither_read_nor_written(void **test)
{
    const struct place *place = *test;
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(1000);
    struct ds_error err = DS_ERROR_INIT;
    struct ds_registry *registry;
    struct ds_act act = make_act("a:1", DS_ACT_REGISTER, 1);

    assert_ok(ds_file_replace(place->path, "{\"format\":2}", 12, 0644, &err), &err);
    configure(&config, place, "");
    registry = ds_registry_new(&config, 50, &err);
    assert_int_equal(registry->ops->list(registry, &state, &err), -1);
    assert_int_equal(err.code, DS_E_NEWER);
    assert_int_equal(registry->ops->apply(registry, &act, 1, &err), -1);
    assert_int_equal(err.code, DS_E_NEWER);
    assert_non_null(strstr(err.text, place->path));
    assert_ok(ds_file_read(&text, place->path, &err), &err);
    assert_string_equal(text.data, "{\"format\":2}");
    registry->ops->free(registry);
}

static void a_first_file_has_what_is_configured(void **test)
{
    const struct place *place = *test;
    struct ds_act acts[] = {make_act("b:1", DS_ACT_REGISTER, 2),
                            make_act("a:1", DS_ACT_REGISTER, 1)};
    DS_AUTO(state) struct ds_state state = {0};

    apply(place, acts, 2);
    assert_true(acts[0].changed && acts[1].changed);
    load(&state, place);
    assert_string_equal(state.scheme, "https");
    assert_string_equal(state.route_prefix, "/push");
    assert_int_equal(state.generation, 0);
    assert_int_equal(state.checked_at_ms, 0);
    assert_string_equal(state.servers[0].server.address, "a:1");
    assert_int_equal(state.servers[0].intent, DS_INTENT_IN);
    assert_int_equal(state.servers[1].server.weight, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(state.servers[i].health.state, DS_HEALTH_NEW);
        assert_false(state.servers[i].member); /* that is the watch's to decide */
    }
}

static void the_same_again_writes_nothing(void **test)
{
    const struct place *place = *test;
    struct ds_file_id before, after;

    assert_true(apply_one(place, "a:1", DS_ACT_REGISTER, 1));
    assert_int_equal(ds_file_id_of_path(place->path, &before), 0);
    assert_false(apply_one(place, "a:1", DS_ACT_REGISTER, 1));
    assert_int_equal(ds_file_id_of_path(place->path, &after), 0);
    assert_true(ds_file_id_equal(&before, &after));
}

static void who_is_not_wanted_leaves_the_ring_in_the_same_write(void **test)
{
    static const struct {
        enum ds_act_kind kind;
        enum ds_intent after;
    } ways[] = {{DS_ACT_DRAIN, DS_INTENT_DRAINING}, {DS_ACT_DEREGISTER, DS_INTENT_OUT}};
    const struct place *place = *test;

    for (size_t i = 0; i < DS_COUNT(ways); i++) {
        DS_AUTO(state) struct ds_state state = {0};

        save_ring(place, "abc", 500);
        assert_true(apply_one(place, "b:1", ways[i].kind, 1));
        load(&state, place);
        assert_false(state.servers[1].member);
        assert_true(state.servers[0].member && state.servers[2].member);
        assert_int_equal(state.servers[1].intent, ways[i].after);
        assert_int_equal(state.servers[1].health.state, DS_HEALTH_UP);
        assert_int_equal(state.generation, 2);
        assert_int_equal(state.history[0].cause, DS_CAUSE_OPERATOR);
        assert_string_equal(state.history[0].removed[0], "b:1");
    }
}

static void all_may_leave(void **test)
{
    const struct place *place = *test;
    struct ds_act acts[] = {make_act("a:1", DS_ACT_DEREGISTER, 1),
                            make_act("b:1", DS_ACT_DEREGISTER, 1)};
    DS_AUTO(state) struct ds_state state = {0};

    save_ring(place, "ab", 500);
    apply(place, acts, 2);
    load(&state, place);
    assert_null(ds_state_ring(&state));
    assert_int_equal(state.generation, 2);
}

static void a_members_weight_counts_at_once(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};

    save_ring(place, "ab", 500);
    assert_true(apply_one(place, "b:1", DS_ACT_REGISTER, 5));
    load(&state, place);
    assert_int_equal(state.servers[1].ring_weight, 5);
    assert_int_equal(state.generation, 2);
    assert_int_equal(state.history[0].cause, DS_CAUSE_WEIGHT);
}

static void who_comes_back_from_out_is_asked_anew(void **test)
{
    static const struct {
        enum ds_act_kind leave, come;
        enum ds_health_state after;
    } rows[] = {{DS_ACT_DEREGISTER, DS_ACT_REGISTER, DS_HEALTH_NEW},
                {DS_ACT_DRAIN, DS_ACT_UNDRAIN, DS_HEALTH_UP}};
    const struct place *place = *test;

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        DS_AUTO(state) struct ds_state state = {0};

        save_ring(place, "ab", 500);
        apply_one(place, "a:1", rows[i].leave, 1);
        apply_one(place, "a:1", rows[i].come, 1);
        load(&state, place);
        assert_int_equal(state.servers[0].intent, DS_INTENT_IN);
        assert_int_equal(state.servers[0].health.state, rows[i].after);
        assert_false(state.servers[0].member); /* until the watch has looked */
    }
}

static void one_that_has_failed_does_not_stop_the_others(void **test)
{
    const struct place *place = *test;
    struct ds_act acts[] = {make_act("a:1", DS_ACT_REGISTER, 1),
                            make_act("b:1", DS_ACT_REGISTER, 1)};
    DS_AUTO(state) struct ds_state state = {0};

    ds_fail(&acts[0].err, DS_E_FAILED, "not registered: connect: refused");
    apply(place, acts, 2);
    assert_false(acts[0].changed);
    assert_true(acts[1].changed);
    load(&state, place);
    assert_int_equal(state.n_servers, 1);
    assert_string_equal(state.servers[0].server.address, "b:1");
}

static void there_are_not_more_servers_than_the_file_may_have(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_act *acts = ds_xcalloc(DS_SERVERS_MAX + 1, sizeof *acts);
    struct ds_act known = make_act("h7:1", DS_ACT_DEREGISTER, 1);

    for (size_t i = 0; i <= DS_SERVERS_MAX; i++) {
        char address[32];

        snprintf(address, sizeof address, "h%zu:1", i);
        acts[i] = make_act(address, DS_ACT_REGISTER, 1);
    }
    apply(place, acts, DS_SERVERS_MAX + 1);
    assert_int_equal(acts[DS_SERVERS_MAX - 1].err.code, DS_OK);
    assert_int_equal(acts[DS_SERVERS_MAX].err.code, DS_E_FAILED);
    assert_string_equal(acts[DS_SERVERS_MAX].err.text, "there are 1000 servers already");
    apply(place, &known, 1);
    assert_true(known.changed);
    load(&state, place);
    assert_int_equal(state.n_servers, DS_SERVERS_MAX);
    free(acts);
}

static void a_ring_that_cannot_be_is_not_written(void **test)
{
    const struct place *place = *test;
    struct ds_act acts[] = {make_act("a:1", DS_ACT_REGISTER, 100),
                            make_act("b:1", DS_ACT_REGISTER, 100)};
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(state) struct ds_state state = {0};

    save_ring(place, "ab", 10000);
    assert_int_equal(try_apply(place, acts, 2, &err), -1);
    assert_int_equal(err.code, DS_E_FORMAT);
    load(&state, place);
    assert_int_equal(state.generation, 1);
    assert_int_equal(state.servers[0].server.weight, 1);
}

static void a_lock_that_is_held_is_waited_for_and_told(void **test)
{
    const struct place *place = *test;
    DS_AUTO(file_lock) struct ds_file_lock lock = DS_FILE_LOCK_INIT;
    struct ds_act act = make_act("a:1", DS_ACT_REGISTER, 1);
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_file_lock_dir(&lock, place->path, 0, &err), &err);
    assert_int_equal(try_apply(place, &act, 1, &err), -1);
    assert_int_equal(err.code, DS_E_TEMP);
    assert_int_equal(access(place->path, F_OK), -1);
}

static void who_is_drained_is_not_called_back_by_register(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};

    save_ring(place, "ab", 500);
    apply_one(place, "a:1", DS_ACT_DRAIN, 1);
    assert_false(apply_one(place, "a:1", DS_ACT_REGISTER, 1));
    load(&state, place);
    assert_int_equal(state.servers[0].intent, DS_INTENT_DRAINING);
}

static enum ds_intent intent_of(const struct place *place, const char *address)
{
    DS_AUTO(state) struct ds_state state = {0};

    load(&state, place);
    assert_non_null(ds_state_find(&state, address));
    return ds_state_find(&state, address)->intent;
}

static void who_joins_is_listed_and_no_member_until_admitted(void **test)
{
    const struct place *place = *test;
    DS_AUTO(state) struct ds_state state = {0};
    const struct ds_standing *joining;

    save_ring(place, "ab", 500);
    assert_true(apply_one(place, "c:1", DS_ACT_JOIN, 3));
    assert_false(apply_one(place, "c:1", DS_ACT_JOIN, 3));
    load(&state, place);
    joining = ds_state_find(&state, "c:1");
    assert_int_equal(joining->intent, DS_INTENT_JOINING);
    assert_int_equal(joining->server.weight, 3);
    assert_false(joining->member);
    assert_int_equal(state.generation, 1); /* the ring has not changed */
    assert_true(apply_one(place, "c:1", DS_ACT_ADMIT, 3));
    assert_false(apply_one(place, "c:1", DS_ACT_ADMIT, 3));
    assert_int_equal(intent_of(place, "c:1"), DS_INTENT_IN);
}

static void a_register_without_names_lets_it_join_on(void **test)
{
    const struct place *place = *test;

    save_ring(place, "ab", 500);
    apply_one(place, "c:1", DS_ACT_JOIN, 1);
    assert_false(apply_one(place, "c:1", DS_ACT_REGISTER, 1));
    assert_int_equal(intent_of(place, "c:1"), DS_INTENT_JOINING);
}

static void only_strangers_and_those_that_are_out_join(void **test)
{
    static const struct {
        enum ds_act_kind before;
        enum ds_intent joined, admitted;
    } rows[] = {{DS_ACT_REGISTER, DS_INTENT_IN, DS_INTENT_IN},
                {DS_ACT_DRAIN, DS_INTENT_DRAINING, DS_INTENT_IN},
                {DS_ACT_DEREGISTER, DS_INTENT_JOINING, DS_INTENT_IN}};
    const struct place *place = *test;

    for (size_t i = 0; i < DS_COUNT(rows); i++) {
        save_ring(place, "ab", 500);
        apply_one(place, "a:1", rows[i].before, 1);
        apply_one(place, "a:1", DS_ACT_JOIN, 1);
        assert_int_equal(intent_of(place, "a:1"), rows[i].joined);
        apply_one(place, "a:1", DS_ACT_ADMIT, 1);
        assert_int_equal(intent_of(place, "a:1"), rows[i].admitted);
    }
}

static void one_that_joins_may_be_given_up(void **test)
{
    const struct place *place = *test;

    save_ring(place, "ab", 500);
    apply_one(place, "c:1", DS_ACT_JOIN, 1);
    assert_false(apply_one(place, "c:1", DS_ACT_UNDRAIN, 1));
    apply_one(place, "c:1", DS_ACT_DRAIN, 1);
    assert_int_equal(intent_of(place, "c:1"), DS_INTENT_DRAINING);
    apply_one(place, "c:1", DS_ACT_DEREGISTER, 1);
    assert_int_equal(intent_of(place, "c:1"), DS_INTENT_OUT);
}

static void who_is_unknown_cannot_be_drained(void **test)
{
    const struct place *place = *test;
    struct ds_act act = make_act("c:1", DS_ACT_DRAIN, 1);

    save_ring(place, "ab", 500);
    apply(place, &act, 1);
    assert_false(act.changed);
    assert_string_equal(act.err.text, "it is not registered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(nobody_is_known_before_the_first_write),
        IN_A_PLACE(a_bad_file_is_neither_read_nor_written),
        IN_A_PLACE(a_first_file_has_what_is_configured),
        IN_A_PLACE(the_same_again_writes_nothing),
        IN_A_PLACE(who_is_not_wanted_leaves_the_ring_in_the_same_write),
        IN_A_PLACE(all_may_leave),
        IN_A_PLACE(a_members_weight_counts_at_once),
        IN_A_PLACE(who_comes_back_from_out_is_asked_anew),
        IN_A_PLACE(one_that_has_failed_does_not_stop_the_others),
        IN_A_PLACE(there_are_not_more_servers_than_the_file_may_have),
        IN_A_PLACE(a_ring_that_cannot_be_is_not_written),
        IN_A_PLACE(a_lock_that_is_held_is_waited_for_and_told),
        IN_A_PLACE(who_is_drained_is_not_called_back_by_register),
        IN_A_PLACE(who_joins_is_listed_and_no_member_until_admitted),
        IN_A_PLACE(a_register_without_names_lets_it_join_on),
        IN_A_PLACE(only_strangers_and_those_that_are_out_join),
        IN_A_PLACE(one_that_joins_may_be_given_up),
        IN_A_PLACE(who_is_unknown_cannot_be_drained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
