/* SPDX-License-Identifier: Apache-2.0 */
/* follower_ring.c - decides the ring, alone or with other watches. */
#include "dshard/clock.h"
#include "dshard/follower.h"
#include "dshard/log.h"
#include "dshard/utf8.h"
#include "follower_impl.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    COALESCE_MS = 300,
    OVERLAY_MS = 35000 /* a dead decider is replaced after 21 s */,
    NUMBER_MAX = 24
};

static void log_change(const struct ds_state *state, const struct ds_change *change)
{
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
    snprintf(generation, sizeof generation, "%" PRIu64, change->generation);
    snprintf(members, sizeof members, "%zu", n);
    snprintf(moved, sizeof moved, "%.3f", change->moved_ppm / 1e6);
    ds_log(DS_LOG_INFO, "ring changed", "cause", ds_cause_name(change->cause), "members",
           members, "added", added.len ? added.data : NULL, "removed",
           removed.len ? removed.data : NULL, "moved", moved, "generation", generation,
           "digest", state->digest, NULL);
}

void ds_follower_log_changes(const struct ds_state *state, uint64_t generation)
{
    for (size_t i = state->n_history; i-- > 0;) {
        if (state->history[i].generation > generation)
            log_change(state, &state->history[i]);
    }
}

static enum ds_cause cause_of(const struct ds_follower *follower,
                              const struct ds_decision *decision, unsigned replicas,
                              bool was_frozen)
{
    const struct ds_state *state = &follower->keeper.state;

    if (!state->generation)
        return DS_CAUSE_START;
    if (state->replicas != replicas)
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

/* ---- with other watches ---- */

/*
 * Whether a server that the published ring has is left out here: an operator wants it
 * out, which Consul tells us as soon as the decider; it is down, and the decider may not
 * have seen that yet; or it is back and held, and the decider has not spoken since it
 * went.  After a while the decider's word counts, if there is one to hear: it may see
 * what we do not.
 */
static bool is_left_out(struct ds_follower *follower, const struct ds_standing *standing,
                        int64_t now_ms)
{
    const struct ds_health *health = &standing->health;
    int64_t until_ms = health->since_ms + OVERLAY_MS;

    if (standing->intent == DS_INTENT_DRAINING || standing->intent == DS_INTENT_OUT)
        return true;
    if (health->state == DS_HEALTH_HELD)
        return health->n_flaps && health->flaps[0] >= follower->ring_taken_ms;
    if (health->state != DS_HEALTH_DOWN)
        return false;
    if (!ds_accord_is_fresh(follower->accord))
        return true;
    if (until_ms > now_ms && until_ms < follower->overlay_until_ms)
        follower->overlay_until_ms = until_ms;
    return now_ms < until_ms;
}

/* Its members are servers here, too; false: that would be more than a state may have. */
static bool add_members(struct ds_state *state, const struct ds_accord_ring *ring)
{
    for (size_t i = 0; i < ring->n; i++) {
        if (!ds_state_find(state, ring->members[i].address) &&
            state->n_servers >= DS_SERVERS_MAX)
            return false;
        ds_state_add(state, ring->members[i].address, ring->members[i].weight);
    }
    return true;
}

/* Follows what the decider has published, less those that are left out. */
static void follow(struct ds_follower *follower, const struct ds_accord_ring *ring,
                   struct ds_decision *out)
{
    struct ds_state *state = &follower->keeper.state;
    int64_t now_ms = ds_follower_now_ms(follower);

    ds_decision_release(out);
    if (!add_members(state, ring))
        return; /* what is there stays */
    out->publish = true;
    out->members = ds_xcalloc(ring->n, sizeof *out->members);
    for (size_t i = 0; i < ring->n; i++) {
        const struct ds_standing *standing =
            ds_state_add(state, ring->members[i].address, ring->members[i].weight);

        if (ring->frozen || !is_left_out(follower, standing, now_ms))
            out->members[out->n++] = ring->members[i];
    }
    if (!out->n && ring->n) { /* the decider is about to freeze it */
        memcpy(out->members, ring->members, ring->n * sizeof *out->members);
        out->n = ring->n;
    }
    out->frozen = ring->frozen != NULL;
    ds_utf8_clean(out->reason, sizeof out->reason, ring->frozen ? ring->frozen : "",
                  ring->frozen ? strlen(ring->frozen) : 0);
}

/* The ring that this watch applies now, while it waits for a word of the decider. */
static void follow_own(struct ds_follower *follower, struct ds_decision *out)
{
    const struct ds_state *state = &follower->keeper.state;
    size_t n;
    DS_AUTO(ptr) void *members = ds_state_members(state, &n);
    struct ds_accord_ring ring = {
        .members = members, .n = n, .frozen = state->frozen_reason};

    if (n)
        follow(follower, &ring, out);
    else
        out->publish = false;
}

/* An empty ring is believed only when operators have taken everybody out. */
static bool may_be_empty(const struct ds_state *state)
{
    for (size_t i = 0; i < state->n_servers; i++) {
        if (state->servers[i].intent == DS_INTENT_IN)
            return false;
    }
    return true;
}

/* Whose decision counts; *replicas becomes those of the ring that does. */
static void agree(struct ds_follower *follower, struct ds_decision *decision,
                  unsigned *replicas)
{
    const struct ds_state *state = &follower->keeper.state;
    enum ds_accord_role role = ds_accord_role(follower->accord);
    const struct ds_accord_ring *ring = ds_accord_ring(follower->accord);
    bool is_ours = role == DS_ACCORD_DECIDER && ds_accord_knows_ring(follower->accord) &&
                   decision->publish && (decision->n || may_be_empty(state));

    follower->overlay_until_ms = INT64_MAX;
    if (ring && strcmp(ring->digest, follower->ring_digest) != 0) {
        memcpy(follower->ring_digest, ring->digest, sizeof follower->ring_digest);
        follower->ring_taken_ms = ds_follower_now_ms(follower);
    }
    if (is_ours)
        ds_accord_publish(follower->accord, decision->members, decision->n, *replicas,
                          decision->frozen ? decision->reason : NULL);
    if (is_ours || role == DS_ACCORD_ALONE)
        return;
    if (ring && (ring->n || may_be_empty(state))) {
        *replicas = ring->replicas;
        follow(follower, ring, decision);
    } else {
        *replicas = state->replicas;
        follow_own(follower, decision);
    }
}

/* A watch that comes without a ring of its own goes on from the published one, as it
   would from its state file. */
static void adopt(struct ds_follower *follower, struct ds_error *err)
{
    struct ds_state *state = &follower->keeper.state;
    const struct ds_accord_ring *ring =
        follower->accord ? ds_accord_ring(follower->accord) : NULL;
    int rc;

    if (!ring || !ring->n || follower->roster.started || !add_members(state, ring))
        return;
    rc = ds_state_set_ring(state, ring->members, ring->n, ring->replicas, DS_CAUSE_START,
                           ds_clock_wall_ms(), err);
    if (rc < 0)
        return;
    ds_roster_release(&follower->roster);
    ds_roster_init(&follower->roster, ring->members, ring->n, ring->frozen != NULL,
                   ds_follower_now_ms(follower));
    if (rc > 0)
        log_change(state, &state->history[0]);
    ds_follower_track(follower);
}

int ds_follower_decide(struct ds_follower *follower, struct ds_error *err)
{
    struct ds_state *state = &follower->keeper.state;
    bool was_frozen = state->frozen_reason != NULL;
    DS_AUTO(decision) struct ds_decision decision = {0};
    unsigned replicas = follower->config->ring.replicas;
    int64_t wall_ms = ds_clock_wall_ms();
    size_t n_in;
    int rc;

    adopt(follower, err);
    n_in = ds_roster_count_in(state->servers, state->n_servers); /* adopted ones, too */
    ds_roster_decide(&follower->roster, ds_config_min_healthy(follower->config, n_in),
                     state->servers, state->n_servers, ds_follower_now_ms(follower),
                     &decision);
    if (follower->accord)
        agree(follower, &decision, &replicas);
    if (!decision.publish)
        return 0;
    set_frozen(state, &decision, wall_ms);
    rc = ds_state_set_ring(state, decision.members, decision.n, replicas,
                           cause_of(follower, &decision, replicas, was_frozen), wall_ms,
                           err);
    if (rc < 0)
        return ds_wrap(err, "the ring");
    if (rc > 0) {
        log_change(state, &state->history[0]);
        follower->quiet_until_ms = ds_clock_mono_ms() + COALESCE_MS;
    }
    if (follower->accord)
        ds_accord_applied(follower->accord, state->digest, state->generation);
    return 1;
}
