/* SPDX-License-Identifier: Apache-2.0 */
/* see follower.h */
#include "dshard/follower.h"
#include "dshard/clock.h"
#include "dshard/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COALESCE_MS = 300, RETRY_MS = 1000, LOCK_WAIT_MS = 100, NUMBER_MAX = 24 };

int ds_follower_init(struct ds_follower *follower, const struct ds_config *config,
                     struct ds_http_loop *loop, struct ds_error *err)
{
    *follower = (struct ds_follower){
        .loop = loop,
        .mono_zero_ms = ds_clock_mono_ms(),
        .wall_zero_ms = ds_clock_wall_ms(),
    };
    ds_keeper_init(&follower->keeper, config->state_file);
    return ds_follower_configure(follower, config, err);
}

void ds_follower_release(struct ds_follower *follower)
{
    if (follower->feed)
        follower->feed->ops->free(follower->feed);
    follower->feed = NULL;
    ds_roster_release(&follower->roster);
    ds_keeper_release(&follower->keeper);
}

int ds_follower_configure(struct ds_follower *follower, const struct ds_config *config,
                          struct ds_error *err)
{
    struct ds_feed *feed = ds_feed_probe_new(config, follower->loop, err);

    if (!feed)
        return -1;
    if (follower->feed)
        follower->feed->ops->free(follower->feed);
    follower->feed = feed;
    follower->config = config;
    follower->dirty = follower->reconfigured = true;
    follower->health = (struct ds_health_config){
        .rise = config->health_check.rise,
        .fall = config->health_check.fall,
        .rejoin_after_ms = config->ring.rejoin_after_ms,
    };
    for (size_t i = 0; i < follower->keeper.state.n_servers; i++)
        follower->keeper.state.servers[i].seen = 0; /* a new feed counts from the start */
    ds_follower_track(follower);
    return 0;
}

int64_t ds_follower_now_ms(const struct ds_follower *follower)
{
    return follower->wall_zero_ms + ds_clock_mono_ms() - follower->mono_zero_ms;
}

void ds_follower_track(struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    DS_AUTO(ptr) void *list = ds_xcalloc(state->n_servers, sizeof(struct ds_server));
    struct ds_server *servers = list;
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        if (state->servers[i].intent != DS_INTENT_OUT)
            servers[n++] = state->servers[i].server;
    }
    follower->feed->ops->track(follower->feed, servers, n, ds_clock_mono_ms());
}

/* Weights only once: later ones are an operator's, by a command. */
static bool take_config(struct ds_follower *follower)
{
    if (!follower->reconfigured)
        return ds_keeper_add_configured(&follower->keeper, follower->config);
    follower->reconfigured = false;
    return ds_keeper_configure(&follower->keeper, follower->config);
}

void ds_follower_begin(struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);

    ds_roster_init(&follower->roster, members, n, state->frozen_reason != NULL,
                   ds_follower_now_ms(follower));
    take_config(follower);
    ds_follower_track(follower);
}

/* ---- evidence ---- */

static void log_health(const struct ds_standing *standing, enum ds_health_state before)
{
    const struct ds_health *health = &standing->health;
    const char *address = standing->server.address;
    const char *why = health->why[0] ? health->why : NULL;

    switch (health->state) {
    case DS_HEALTH_DOWN:
        ds_log(DS_LOG_WARN, "server down", "server", address, "why", why, NULL);
        return;
    case DS_HEALTH_HELD: {
        char until[DS_CLOCK_TEXT_MAX];

        ds_clock_format(health->hold_until_ms, until);
        ds_log(DS_LOG_INFO, "server back, held", "server", address, "until", until, NULL);
        return;
    }
    case DS_HEALTH_UP:
        ds_log(DS_LOG_INFO, before == DS_HEALTH_NEW ? "server found up" : "server up",
               "server", address, "but", why, NULL);
        return;
    case DS_HEALTH_NEW:
        return;
    }
}

static int compare_address(const void *key, const void *item)
{
    return strcmp(key, ((const struct ds_sighting *)item)->address);
}

static const struct ds_sighting *find_sighting(const struct ds_fleet *fleet,
                                               const char *address)
{
    if (!fleet->n)
        return NULL;
    return bsearch(address, fleet->items, fleet->n, sizeof *fleet->items,
                   compare_address);
}

/* One step of one server; true when its state or the words about it changed. */
static bool step(struct ds_follower *follower, struct ds_standing *standing,
                 const struct ds_sighting *sighting, int64_t now_ms)
{
    enum ds_health_state before = standing->health.state;
    bool news = sighting && sighting->seq > standing->seen;
    char why[DS_WHY_MAX];

    memcpy(why, standing->health.why, sizeof why);
    if (news)
        standing->seen = sighting->seq;
    ds_health_step(&follower->health, &standing->health,
                   news ? sighting->sight : DS_SIGHT_NONE, news ? sighting->why : NULL,
                   now_ms);
    if (standing->health.state != before) {
        log_health(standing, before);
        follower->operator_act = follower->operator_act || before == DS_HEALTH_NEW;
        return true;
    }
    if (strcmp(why, standing->health.why) == 0)
        return false;
    /* A misconfigured or overloaded server stays a member, but not in silence. */
    if (standing->health.state == DS_HEALTH_UP && standing->health.why[0] &&
        !standing->health.fails)
        ds_log(DS_LOG_WARN, "server up, but", "server", standing->server.address, "why",
               standing->health.why, NULL);
    return standing->health.state == DS_HEALTH_UP ? !standing->health.fails : true;
}

void ds_follower_step(struct ds_follower *follower)
{
    struct ds_state *state = &follower->keeper.state;
    const struct ds_fleet *fleet;
    int64_t now_ms = ds_follower_now_ms(follower);

    follower->feed->ops->tick(follower->feed, ds_clock_mono_ms());
    fleet = follower->feed->ops->view(follower->feed);
    for (size_t i = 0; i < state->n_servers; i++) {
        struct ds_standing *standing = &state->servers[i];

        if (standing->intent == DS_INTENT_OUT)
            continue;
        if (step(follower, standing, find_sighting(fleet, standing->server.address),
                 now_ms))
            follower->dirty = true;
    }
}

bool ds_follower_is_settled(const struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    unsigned most = follower->health.rise > follower->health.fall ? follower->health.rise
                                                                  : follower->health.fall;

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const struct ds_health *health = &standing->health;

        if (standing->intent == DS_INTENT_OUT || standing->seen >= most)
            continue;
        if (!standing->seen || health->run || health->fails)
            return false;
    }
    return true;
}

/* ---- the ring ---- */

static void log_change(const struct ds_state *state)
{
    const struct ds_change *change = &state->history[0];
    DS_AUTO(buf) struct ds_buf added = DS_BUF_INIT(4096);
    DS_AUTO(buf) struct ds_buf removed = DS_BUF_INIT(4096);
    char generation[NUMBER_MAX], members[NUMBER_MAX], moved[NUMBER_MAX];
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++)
        n += state->servers[i].member;
    for (size_t i = 0; i < change->n_added; i++)
        ds_buf_addf(&added, "%s%s", i ? "," : "", change->added[i]);
    for (size_t i = 0; i < change->n_removed; i++)
        ds_buf_addf(&removed, "%s%s", i ? "," : "", change->removed[i]);
    snprintf(generation, sizeof generation, "%" PRIu64, state->generation);
    snprintf(members, sizeof members, "%zu", n);
    snprintf(moved, sizeof moved, "%.3f", change->moved_ppm / 1e6);
    ds_log(DS_LOG_INFO, "ring changed", "cause", ds_cause_name(change->cause), "members",
           members, "added", added.len ? added.data : NULL, "removed",
           removed.len ? removed.data : NULL, "moved", moved, "generation", generation,
           "digest", state->digest, NULL);
}

static enum ds_cause cause_of(const struct ds_follower *follower,
                              const struct ds_decision *decision, bool was_frozen)
{
    const struct ds_state *state = &follower->keeper.state;

    if (!state->generation)
        return DS_CAUSE_START;
    if (state->replicas != follower->config->ring.replicas)
        return DS_CAUSE_CONFIG;
    if (decision->by_operator || follower->operator_act)
        return DS_CAUSE_OPERATOR;
    for (size_t i = 0; i < state->n_servers; i++) {
        if (state->servers[i].member &&
            state->servers[i].server.weight != state->servers[i].ring_weight)
            return DS_CAUSE_WEIGHT;
    }
    return was_frozen && !decision->frozen ? DS_CAUSE_UNFREEZE : DS_CAUSE_HEALTH;
}

static void set_frozen(struct ds_state *state, const struct ds_decision *decision,
                       int64_t wall_ms)
{
    bool was_frozen = state->frozen_reason != NULL;

    if (decision->frozen && !was_frozen)
        ds_log(DS_LOG_ERROR, "ring frozen", "why", decision->reason, NULL);
    if (!decision->frozen && was_frozen)
        ds_log(DS_LOG_INFO, "ring no longer frozen", NULL);
    if (decision->frozen != was_frozen)
        state->frozen_since_ms = decision->frozen ? wall_ms : 0;
    ds_set_str(&state->frozen_reason, decision->frozen ? decision->reason : NULL);
}

/* 1: there is a ring to publish; 0: nothing can be said yet; -1: it cannot be built. */
static int decide(struct ds_follower *follower, struct ds_error *err)
{
    struct ds_state *state = &follower->keeper.state;
    bool was_frozen = state->frozen_reason != NULL;
    DS_AUTO(decision) struct ds_decision decision = {0};
    int64_t wall_ms = ds_clock_wall_ms();
    size_t n_in = 0;
    int rc;

    for (size_t i = 0; i < state->n_servers; i++)
        n_in += state->servers[i].intent == DS_INTENT_IN;
    ds_roster_decide(&follower->roster, ds_config_min_healthy(follower->config, n_in),
                     state->servers, state->n_servers, ds_follower_now_ms(follower),
                     &decision);
    if (!decision.publish)
        return 0;
    set_frozen(state, &decision, wall_ms);
    rc = ds_state_set_ring(state, decision.members, decision.n,
                           follower->config->ring.replicas,
                           cause_of(follower, &decision, was_frozen), wall_ms, err);
    if (rc < 0)
        return ds_wrap(err, "the ring");
    if (rc > 0) {
        log_change(state);
        follower->quiet_until_ms = ds_clock_mono_ms() + COALESCE_MS;
    }
    return 1;
}

static int write_state(struct ds_follower *follower, struct ds_error *err)
{
    struct ds_keeper *keeper = &follower->keeper;
    int rc;

    if (ds_keeper_lock(keeper, LOCK_WAIT_MS, err) < 0)
        return -1;
    ds_follower_sync(follower);
    if (take_config(follower))
        ds_follower_track(follower);
    rc = decide(follower, err);
    if (rc > 0) {
        keeper->state.checked_at_ms = ds_clock_wall_ms();
        rc = ds_keeper_save(keeper, err);
        follower->published = follower->published || rc == 0;
    }
    ds_keeper_unlock(keeper);
    return rc;
}

int ds_follower_write(struct ds_follower *follower)
{
    struct ds_error err = DS_ERROR_INIT;
    int64_t now_ms = ds_clock_mono_ms();

    if (write_state(follower, &err) < 0) {
        if (!follower->write_failed || err.code != follower->write_error.code)
            ds_log(DS_LOG_ERROR, "state not written, going on in memory", "why", err.text,
                   NULL);
        follower->write_failed = true;
        follower->write_error = err;
        follower->retry_ms = now_ms + (err.code == DS_E_TEMP ? LOCK_WAIT_MS : RETRY_MS);
        return -1;
    }
    if (follower->write_failed)
        ds_log(DS_LOG_INFO, "state written again", NULL);
    follower->write_failed = false;
    follower->dirty = follower->operator_act = follower->urgent = false;
    follower->heartbeat_ms = now_ms + DS_STATE_HEARTBEAT_MS;
    return 0;
}

void ds_follower_sync(struct ds_follower *follower)
{
    enum ds_keeper_news news = ds_keeper_sync(&follower->keeper);

    if (news == DS_KEEPER_SAME)
        return;
    follower->dirty = follower->urgent = true;
    if (news == DS_KEEPER_INTENT) {
        follower->operator_act = true;
        ds_follower_track(follower);
    }
}

bool ds_follower_wants_write(const struct ds_follower *follower)
{
    int64_t now_ms = ds_clock_mono_ms();

    if (follower->write_failed && now_ms < follower->retry_ms)
        return false;
    if (follower->dirty)
        return follower->urgent || now_ms >= follower->quiet_until_ms;
    return follower->published && now_ms >= follower->heartbeat_ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t ds_follower_next_ms(const struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    int64_t next = follower->feed->ops->next_ms(follower->feed);
    int64_t skew = follower->wall_zero_ms - follower->mono_zero_ms;

    if (follower->dirty)
        next = earlier(next, follower->quiet_until_ms);
    if (follower->published)
        next = earlier(next, follower->heartbeat_ms);
    if (follower->write_failed && next < follower->retry_ms)
        next = earlier(follower->retry_ms, follower->feed->ops->next_ms(follower->feed));
    for (size_t i = 0; i < state->n_servers; i++) {
        int64_t wake_at = ds_health_wake_at(&state->servers[i].health);

        if (wake_at != INT64_MAX && state->servers[i].intent != DS_INTENT_OUT)
            next = earlier(next, wake_at - skew);
    }
    return next;
}
