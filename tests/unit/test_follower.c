/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "../../src/accord_impl.h"
#include "config_text.h"
#include "dshard/clock.h"
#include "dshard/follower.h"
#include "tiny.h"

#include <sys/stat.h>

enum { SERVERS = 3, DEADLINE_MS = 30000 };

static const struct tiny_rule WELL[] = {
    {NULL, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", TINY_KEEP}};

/* Three servers, each of which can be stopped, and a watch's inside that follows them. */
struct fleet {
    char dir[64], path[96], moved[96], home[96];
    struct tiny *servers[SERVERS];
    unsigned ports[SERVERS];
    int held[SERVERS];                   /* keep the ports ours while a server is down */
    char names[SERVERS][DS_ADDRESS_MAX]; /* in bytewise order */
    struct ds_config config;
    struct ds_http_loop *loop;
    struct ds_follower follower;
};

static void configure(struct ds_config *config, const struct fleet *f, const char *more)
{
    DS_AUTO(buf) struct ds_buf servers = DS_BUF_INIT(10000);

    for (size_t i = 0; i < SERVERS; i++)
        ds_buf_addf(&servers, "%s\"%s\"", i ? ", " : "", f->names[i]);
    config_from(config,
                "state_file: %s\n"
                "health_check: {interval: 50ms, timeout: 5s, rise: 2, fall: 2}\n"
                "ring: {rejoin_after: 300ms%s}\npushgateway:\n  servers: [%s]\n",
                f->path, more, servers.data);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void begin(struct fleet *f)
{
    struct ds_error err = DS_ERROR_INIT;

    assert_ok(ds_follower_init(&f->follower, &f->config, f->loop, &err), &err);
    assert_ok(ds_keeper_load(&f->follower.keeper, true, &err), &err);
    assert_ok(ds_follower_begin(&f->follower, &err), &err);
}

static int setup(void **state)
{
    struct fleet *f = ds_xcalloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/dshard-test-follower.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/state/ring.json", f->dir);
    snprintf(f->home, sizeof f->home, "%s/state", f->dir);
    snprintf(f->moved, sizeof f->moved, "%s/moved", f->dir);
    if (mkdir(f->home, 0755) < 0)
        return -1;
    for (size_t i = 0; i < SERVERS; i++) {
        f->ports[i] = tiny_closed_port(&f->held[i]);
        f->servers[i] = tiny_start_at(WELL, DS_COUNT(WELL), NULL, f->ports[i]);
        snprintf(f->names[i], DS_ADDRESS_MAX, "127.0.0.%zu:%u", i + 1, f->ports[i]);
    }
    qsort(f->names, SERVERS, sizeof f->names[0], compare_names);
    f->loop = ds_http_loop_new();
    configure(&f->config, f, "");
    begin(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fleet *f = *state;

    ds_follower_release(&f->follower);
    ds_http_loop_free(f->loop);
    ds_config_release(&f->config);
    for (size_t i = 0; i < SERVERS; i++) {
        if (f->servers[i])
            tiny_stop(f->servers[i]);
        close(f->held[i]);
    }
    unlink(f->path);
    if (rmdir(f->home) < 0 || rmdir(f->dir) < 0)
        return -1;
    free(f);
    return 0;
}

/* One turn of the watch's loop. */
static void turn(struct fleet *f)
{
    struct ds_error err = DS_ERROR_INIT;
    int64_t wait_ms;

    ds_follower_step(&f->follower);
    if (ds_follower_wants_write(&f->follower))
        ds_ignore(ds_follower_write(&f->follower)); /* it has been logged */
    wait_ms = ds_follower_next_ms(&f->follower) - ds_clock_mono_ms();
    ds_http_loop_run(f->loop, NULL, 0, wait_ms < 20 ? wait_ms : 20);
    if (ds_keeper_is_behind(&f->follower.keeper))
        assert_ok(ds_follower_sync(&f->follower, &err), &err);
}

static void load(const struct fleet *f, struct ds_state *state)
{
    struct ds_error err = DS_ERROR_INIT;

    if (ds_state_load(state, f->path, &err) < 0 && err.code != DS_E_MISSING)
        fail_msg("%s", err.text);
}

/* The members that the file has, as "012". */
static void members_of(const struct ds_state *state, const struct fleet *f, char *out)
{
    for (size_t i = 0; i < SERVERS; i++) {
        const struct ds_standing *standing = ds_state_find(state, f->names[i]);

        if (standing && standing->member)
            *out++ = (char)('0' + i);
    }
    *out = '\0';
}

/* Turns until the file has these members. */
static void run_until(struct fleet *f, const char *want)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;
    char found[SERVERS + 1] = "?";

    while (strcmp(found, want) != 0) {
        DS_AUTO(state) struct ds_state state = {0};

        if (ds_clock_mono_ms() > deadline)
            fail_msg("the members are '%s' and not '%s'", found, want);
        turn(f);
        load(f, &state);
        if (state.generation)
            members_of(&state, f, found);
    }
}

/* Which server a name belongs to: they are sorted, and 127.0.0.N tells. */
static size_t index_of(const struct fleet *f, size_t name)
{
    return (size_t)(f->names[name][8] - '1');
}

static void kill_server(struct fleet *f, size_t name)
{
    size_t i = index_of(f, name);

    tiny_stop(f->servers[i]);
    f->servers[i] = NULL;
}

static void start_server(struct fleet *f, size_t name)
{
    size_t i = index_of(f, name);

    f->servers[i] = tiny_start_at(WELL, DS_COUNT(WELL), NULL, f->ports[i]);
}

/* What a command writes. */
static void act_on(const struct fleet *f, size_t name, enum ds_act_kind kind)
{
    struct ds_registry *registry = ds_registry_local_new(&f->config, 5000);
    struct ds_error err = DS_ERROR_INIT;
    struct ds_act act = {.server.weight = 1, .kind = kind};

    memcpy(act.server.address, f->names[name], DS_ADDRESS_MAX);
    assert_ok(registry->ops->apply(registry, &act, 1, &err), &err);
    assert_true(act.changed);
    registry->ops->free(registry);
}

static void the_first_ring_comes_when_all_have_been_asked(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state found = {0};

    kill_server(f, 1);
    run_until(f, "02");
    load(f, &found);
    assert_int_equal(found.generation, 1); /* it did not grow one by one */
    assert_int_equal(found.n_history, 1);
    assert_int_equal(found.history[0].cause, DS_CAUSE_START);
    assert_int_equal(found.servers[1].health.state, DS_HEALTH_DOWN);
    assert_string_equal(found.servers[1].health.why, "connect: refused");
    assert_true(found.checked_at_ms > 0);
    assert_true(ds_follower_is_settled(&f->follower));
}

static void a_dead_server_leaves_and_comes_back_after_a_hold(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state found = {0};
    const struct ds_change *change = &found.history[0];

    run_until(f, "012");
    kill_server(f, 2);
    run_until(f, "01");
    start_server(f, 2);
    run_until(f, "012");
    load(f, &found);
    assert_int_equal(found.generation, 3);
    assert_int_equal(change[0].cause, DS_CAUSE_HEALTH);
    assert_int_equal(change[1].cause, DS_CAUSE_HEALTH);
    assert_string_equal(change[1].removed[0], f->names[2]);
    assert_true(change[0].at_ms - change[1].at_ms >= 300);
    assert_int_equal(found.servers[2].health.n_flaps, 1);
}

static void when_all_die_the_ring_freezes_and_thaws_with_the_first(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state frozen = {0}, thawed = {0};
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    run_until(f, "012");
    for (size_t i = 0; i < SERVERS; i++)
        kill_server(f, i);
    while (!frozen.frozen_reason && ds_clock_mono_ms() < deadline) {
        turn(f);
        ds_state_release(&frozen);
        load(f, &frozen);
    }
    assert_string_equal(frozen.frozen_reason, "0 of 3 servers are up, 1 is needed");
    assert_true(frozen.frozen_since_ms > 0);
    run_until(f, "012");
    start_server(f, 1);
    run_until(f, "1");
    load(f, &thawed);
    assert_null(thawed.frozen_reason);
    assert_int_equal(thawed.history[0].cause, DS_CAUSE_UNFREEZE);
}

/* ---- cleaning ---- */

static struct ds_health *health_of(struct fleet *f, size_t name)
{
    return &ds_state_find(&f->follower.keeper.state, f->names[name])->health;
}

/* Turns until one is held, and then until its hold is over. */
static void run_until_hold_is_over(struct fleet *f, size_t name)
{
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    while (health_of(f, name)->state != DS_HEALTH_HELD && ds_clock_mono_ms() < deadline)
        turn(f);
    while (ds_follower_now_ms(&f->follower) < health_of(f, name)->hold_until_ms)
        turn(f);
    for (int i = 0; i < 5; i++)
        turn(f);
}

static void who_is_held_rejoins_when_it_is_clean(void **state)
{
    struct fleet *f = *state;

    f->follower.tended = true;
    run_until(f, "012");
    kill_server(f, 2);
    run_until(f, "01");
    start_server(f, 2);
    run_until_hold_is_over(f, 2);
    assert_int_equal(health_of(f, 2)->state, DS_HEALTH_HELD);
    assert_true(health_of(f, 2)->unclean);
    run_until(f, "01");
    health_of(f, 2)->unclean = false;
    run_until(f, "012");
}

static void who_is_held_at_the_start_is_to_be_cleaned(void **state)
{
    struct fleet *f = *state;

    run_until(f, "012");
    kill_server(f, 0);
    run_until(f, "12");
    start_server(f, 0);
    while (health_of(f, 0)->state != DS_HEALTH_HELD)
        turn(f);
    assert_false(health_of(f, 0)->unclean);
    f->follower.tended = true;
    turn(f);
    assert_true(health_of(f, 0)->unclean);
    assert_false(health_of(f, 1)->unclean);
    f->config.watch.groups = DS_GROUPS_OFF;
    run_until(f, "012");
}

/* ---- others' words ---- */

/* A frontend that starts without a state, beside a fleet that has a ring already. */
static void adopted_members_count_for_min_healthy(void **state)
{
    struct fleet *f = *state;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(config) struct ds_config consul;
    struct ds_accord_ring *ring;
    DS_AUTO(state) struct ds_state found = {0};

    configure(&consul, f, "");
    consul.consul = true;
    ds_set_str(&consul.consul_server.addr, "http://127.0.0.1:1");
    f->config.ring.min_healthy = 75;
    f->config.ring.min_healthy_is_percent = true;
    health_of(f, 0)->state = DS_HEALTH_DOWN; /* the only one that was asked yet */
    f->follower.accord = ds_accord_new(&consul, f->loop, &err);
    assert_non_null(f->follower.accord);
    f->follower.accord->role = DS_ACCORD_ALONE;
    ring = &f->follower.accord->ring;
    f->follower.accord->has_ring = true;
    ring->members = ds_xcalloc(SERVERS, sizeof *ring->members);
    ring->n = SERVERS;
    ring->replicas = 500;
    for (size_t i = 0; i < SERVERS; i++) {
        memcpy(ring->members[i].address, f->names[i], DS_ADDRESS_MAX);
        ring->members[i].weight = 1;
    }
    assert_int_equal(ds_follower_write(&f->follower), 0);
    load(f, &found);
    assert_string_equal(found.frozen_reason, "2 of 3 servers are up, 3 are needed");
    assert_int_equal(found.generation, 1);
}

static void an_operators_word_is_taken_from_the_file(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state out = {0}, in = {0};

    run_until(f, "012");
    act_on(f, 0, DS_ACT_DRAIN);
    load(f, &out); /* it has left with the command's own write */
    assert_int_equal(out.generation, 2);
    run_until(f, "12");
    for (int i = 0; i < 20; i++)
        turn(f);
    act_on(f, 0, DS_ACT_UNDRAIN);
    run_until(f, "012");
    load(f, &in);
    assert_int_equal(in.generation, 3);
    assert_int_equal(in.history[0].cause, DS_CAUSE_OPERATOR);
}

static void who_is_out_is_asked_no_more(void **state)
{
    struct fleet *f = *state;
    const struct tiny *tiny = f->servers[index_of(f, 1)];
    size_t asked;

    run_until(f, "012");
    act_on(f, 1, DS_ACT_DEREGISTER);
    run_until(f, "02");
    for (int i = 0; i < 5; i++)
        turn(f);
    asked = tiny->n_requests;
    kill_server(f, 2);
    run_until(f, "0"); /* several intervals later */
    assert_int_equal(tiny->n_requests, asked);
}

static void what_cannot_be_written_is_followed_in_memory(void **state)
{
    struct fleet *f = *state;
    const struct ds_state *known = &f->follower.keeper.state;
    int64_t deadline = ds_clock_mono_ms() + DEADLINE_MS;

    run_until(f, "012");
    assert_int_equal(rename(f->home, f->moved), 0);
    kill_server(f, 0);
    while (ds_state_find(known, f->names[0])->health.state != DS_HEALTH_DOWN &&
           ds_clock_mono_ms() < deadline)
        turn(f);
    while (!f->follower.write_failed && ds_clock_mono_ms() < deadline)
        turn(f);
    assert_true(f->follower.write_failed);
    assert_int_equal(f->follower.write_error.code, DS_E_MISSING);
    assert_false(ds_follower_wants_write(&f->follower)); /* it waits a second */
    assert_int_equal(rename(f->moved, f->home), 0);
    run_until(f, "12");
    assert_false(f->follower.write_failed);
}

static void a_file_that_is_taken_away_is_written_again(void **state)
{
    struct fleet *f = *state;

    run_until(f, "012");
    assert_int_equal(unlink(f->path), 0);
    run_until(f, "012");
    assert_int_equal(f->follower.keeper.state.generation, 1);
}

static void the_heartbeat_renews_the_file(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state before = {0}, after = {0};

    assert_false(f->follower.published);
    run_until(f, "012");
    load(f, &before);
    assert_in_range(f->follower.heartbeat_ms - ds_clock_mono_ms(), 1,
                    DS_STATE_HEARTBEAT_MS);
    f->follower.dirty = false;
    assert_false(ds_follower_wants_write(&f->follower));
    f->follower.heartbeat_ms = ds_clock_mono_ms();
    assert_true(ds_follower_wants_write(&f->follower));
    while (ds_clock_wall_ms() <= before.checked_at_ms)
        ds_clock_sleep_ms(1);
    assert_int_equal(ds_follower_write(&f->follower), 0);
    load(f, &after);
    assert_true(after.checked_at_ms > before.checked_at_ms);
    assert_int_equal(after.generation, 1);
}

static void a_restart_keeps_the_ring(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(state) struct ds_state found = {0};

    run_until(f, "012");
    ds_follower_release(&f->follower);
    kill_server(f, 1);
    begin(f);
    assert_int_equal(ds_follower_write(&f->follower), 0); /* before anybody was asked */
    load(f, &found);
    assert_int_equal(found.generation, 1);
    run_until(f, "02");
}

static void another_configuration_is_taken_over(void **state)
{
    struct fleet *f = *state;
    struct ds_config more;
    struct ds_error err = DS_ERROR_INIT;
    DS_AUTO(state) struct ds_state found = {0};

    run_until(f, "012");
    configure(&more, f, ", replicas: 100");
    assert_ok(ds_follower_configure(&f->follower, &more, &err), &err);
    ds_config_release(&f->config);
    f->config = more;
    f->follower.config = &f->config;
    while (f->follower.dirty)
        turn(f);
    load(f, &found);
    assert_int_equal(found.replicas, 100);
    assert_int_equal(found.history[0].cause, DS_CAUSE_CONFIG);
}

static void a_configuration_that_cannot_be_used_leaves_the_old_one(void **state)
{
    struct fleet *f = *state;
    DS_AUTO(config) struct ds_config bad;
    struct ds_error err = DS_ERROR_INIT;
    const struct ds_feed *feed = f->follower.feed;

    configure(&bad, f, "");
    ds_set_str(&bad.pushgateway.username, "a");
    ds_set_str(&bad.pushgateway.password_file, "/nonexistent/password");
    assert_int_equal(ds_follower_configure(&f->follower, &bad, &err), -1);
    assert_ptr_equal(f->follower.feed, feed);
    assert_ptr_equal(f->follower.config, &f->config);
    run_until(f, "012");
}

#define FOLLOWED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLLOWED(the_first_ring_comes_when_all_have_been_asked),
        FOLLOWED(a_dead_server_leaves_and_comes_back_after_a_hold),
        FOLLOWED(when_all_die_the_ring_freezes_and_thaws_with_the_first),
        FOLLOWED(who_is_held_rejoins_when_it_is_clean),
        FOLLOWED(who_is_held_at_the_start_is_to_be_cleaned),
        FOLLOWED(adopted_members_count_for_min_healthy),
        FOLLOWED(an_operators_word_is_taken_from_the_file),
        FOLLOWED(who_is_out_is_asked_no_more),
        FOLLOWED(what_cannot_be_written_is_followed_in_memory),
        FOLLOWED(a_file_that_is_taken_away_is_written_again),
        FOLLOWED(the_heartbeat_renews_the_file),
        FOLLOWED(a_restart_keeps_the_ring),
        FOLLOWED(another_configuration_is_taken_over),
        FOLLOWED(a_configuration_that_cannot_be_used_leaves_the_old_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
