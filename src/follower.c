/* SPDX-License-Identifier: Apache-2.0 */
/* see follower.h; evidence is in follower_fleet.c, the ring in follower_ring.c */
#include "dshard/follower.h"
#include "dshard/clock.h"
#include "dshard/log.h"
#include "follower_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_MS = 1000,
    LOCK_WAIT_MS = 100,
    LOCK_PATIENCE_MS = 3000,
};

int ds_follower_init(struct ds_follower *follower, const struct ds_config *config,
                     struct ds_http_loop *loop, struct ds_error *err)
{
    *follower = (struct ds_follower){
        .loop = loop,
        .mono_zero_ms = ds_clock_mono_ms(),
        .wall_zero_ms = ds_clock_wall_ms(),
        .overlay_until_ms = INT64_MAX,
    };
    ds_keeper_init(&follower->keeper, config->state_file);
    return ds_follower_configure(follower, config, err);
}

void ds_follower_release(struct ds_follower *follower)
{
    if (follower->feed)
        follower->feed->ops->free(follower->feed);
    follower->feed = NULL;
    ds_accord_free(follower->accord);
    follower->accord = NULL;
    ds_roster_release(&follower->roster);
    ds_keeper_release(&follower->keeper);
}

int ds_follower_configure(struct ds_follower *follower, const struct ds_config *config,
                          struct ds_error *err)
{
    struct ds_feed *feed = ds_feed_new(config, follower->loop, err);

    if (!feed)
        return -1;
    if (follower->feed)
        follower->feed->ops->free(follower->feed);
    follower->feed = feed;
    follower->config = config;
    follower->dirty = follower->reconfigured = true;
    follower->health = (struct ds_health_config){
        /* With Consul, Consul's check has applied them. */
        .rise = config->consul ? 1 : config->health_check.rise,
        .fall = config->consul ? 1 : config->health_check.fall,
        .rejoin_after_ms = config->ring.rejoin_after_ms,
        .cleans = follower->health.cleans,
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
    bool all = follower->config->consul; /* marks of who is out are the feed's to know */
    DS_AUTO(ptr) void *list = ds_xcalloc(state->n_servers, sizeof(struct ds_standing));
    struct ds_standing *servers = list;
    size_t n = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        if (all || state->servers[i].intent != DS_INTENT_OUT)
            servers[n++] = state->servers[i];
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

void ds_follower_rejoin(struct ds_follower *follower)
{
    struct ds_error err = DS_ERROR_INIT;
    struct ds_accord *accord;

    if (!follower->accord)
        return;
    accord = ds_accord_new(follower->config, follower->loop, &err);
    if (!accord) { /* the feed took the same settings a moment ago */
        ds_log(DS_LOG_ERROR, "session with Consul not renewed", "why", err.text, NULL);
        return;
    }
    ds_accord_free(follower->accord);
    follower->accord = accord;
}

int ds_follower_begin(struct ds_follower *follower, struct ds_error *err)
{
    const struct ds_state *state = &follower->keeper.state;
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);

    ds_roster_init(&follower->roster, members, n, state->frozen_reason != NULL,
                   ds_follower_now_ms(follower));
    take_config(follower);
    ds_follower_track(follower);
    if (!follower->config->consul)
        return 0;
    follower->accord = ds_accord_new(follower->config, follower->loop, err);
    return follower->accord ? 0 : -1;
}

bool ds_follower_decides(const struct ds_follower *follower)
{
    return !follower->accord || ds_accord_role(follower->accord) == DS_ACCORD_DECIDER;
}

bool ds_follower_is_settled(const struct ds_follower *follower)
{
    const struct ds_state *state = &follower->keeper.state;
    const struct ds_fleet *fleet = follower->feed->ops->view(follower->feed);
    unsigned most = follower->health.rise > follower->health.fall ? follower->health.rise
                                                                  : follower->health.fall;

    if (fleet->discovers && (!fleet->known || !ds_accord_is_settled(follower->accord)))
        return false;
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const struct ds_health *health = &standing->health;

        if (standing->intent == DS_INTENT_OUT || standing->checks >= most)
            continue;
        if (!standing->checks || health->run || health->fails)
            return false;
    }
    return true;
}

static int write_state(struct ds_follower *follower, struct ds_error *err)
{
    struct ds_keeper *keeper = &follower->keeper;
    int rc;

    if (ds_keeper_lock(keeper, LOCK_WAIT_MS, err) < 0)
        return -1;
    if (ds_follower_sync(follower, err) < 0) {
        ds_keeper_unlock(keeper);
        return -1;
    }
    if (take_config(follower))
        ds_follower_track(follower);
    rc = ds_follower_decide(follower, err);
    if (rc > 0) {
        keeper->state.checked_at_ms = ds_clock_wall_ms();
        rc = ds_keeper_save(keeper, err);
        follower->published = follower->published || rc == 0;
    }
    ds_keeper_unlock(keeper);
    return rc;
}

/* Once for each kind of failure; a lock that a command holds for a moment is none. */
static void log_failure(struct ds_follower *follower, const struct ds_error *err,
                        int64_t now_ms)
{
    bool same = follower->write_failed && err->code == follower->write_error.code;

    if (!follower->write_failed)
        follower->failing_since_ms = now_ms;
    if (same && follower->failure_logged)
        return;
    if (err->code == DS_E_TEMP && now_ms - follower->failing_since_ms < LOCK_PATIENCE_MS)
        return;
    ds_log(DS_LOG_ERROR, "state not written, going on in memory", "why", err->text, NULL);
    follower->failure_logged = true;
}

int ds_follower_write(struct ds_follower *follower)
{
    struct ds_error err = DS_ERROR_INIT;
    int64_t now_ms = ds_clock_mono_ms();

    if (write_state(follower, &err) < 0) {
        log_failure(follower, &err, now_ms);
        follower->write_failed = true;
        follower->write_error = err;
        follower->retry_ms = now_ms + (err.code == DS_E_TEMP ? LOCK_WAIT_MS : RETRY_MS);
        return -1;
    }
    if (follower->failure_logged)
        ds_log(DS_LOG_INFO, "state written again", NULL);
    follower->write_failed = follower->failure_logged = false;
    follower->dirty = follower->operator_act = follower->urgent = false;
    follower->heartbeat_ms = now_ms + DS_STATE_HEARTBEAT_MS;
    return 0;
}

int ds_follower_sync(struct ds_follower *follower, struct ds_error *err)
{
    const struct ds_state *state = &follower->keeper.state;
    uint64_t generation = state->generation;
    enum ds_keeper_news news = ds_keeper_sync(&follower->keeper);

    /* A command has changed the ring itself, which nobody else logs. */
    if (state->generation > generation)
        ds_follower_log_changes(state, generation);
    if (news == DS_KEEPER_SAME)
        return 0;
    follower->dirty = follower->urgent = true;
    if (news == DS_KEEPER_UNREAD) {
        *err = follower->keeper.unreadable;
        return -1;
    }
    if (news == DS_KEEPER_INTENT) {
        follower->operator_act = true;
        ds_follower_track(follower);
    }
    return 0;
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

    if (follower->accord)
        next = earlier(next, ds_accord_next_ms(follower->accord));
    if (follower->overlay_until_ms != INT64_MAX)
        next = earlier(next, follower->overlay_until_ms - skew);
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
