/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_local.c - without Consul the state file is the registry: commands write what
 * is wanted there, and take those who leave out of the ring in the same write.
 */
#include "dshard/clock.h"
#include "dshard/discovery.h"
#include "dshard/keeper.h"

#include <stdlib.h>

struct local {
    struct ds_registry registry; /* first: a struct local is a struct ds_registry */
    char *path;
    char *scheme, *route_prefix;
    int64_t timeout_ms;
};

static void local_free(struct ds_registry *registry)
{
    struct local *local = (struct local *)registry;

    free(local->path);
    free(local->scheme);
    free(local->route_prefix);
    free(local);
}

static int local_list(struct ds_registry *registry, struct ds_state *out,
                      struct ds_error *err)
{
    const struct local *local = (const struct local *)registry;

    if (ds_state_load(out, local->path, err) == 0)
        return 0;
    return err->code == DS_E_MISSING ? 0 : -1; /* nobody is known yet */
}

/* Whether an act is about servers that may be unknown. */
static bool may_add(enum ds_act_kind kind)
{
    return kind == DS_ACT_REGISTER || kind == DS_ACT_JOIN || kind == DS_ACT_ADMIT;
}

/* The intent that an act leads to from the one that is there. */
static enum ds_intent intent_after(enum ds_act_kind kind, enum ds_intent now)
{
    switch (kind) {
    case DS_ACT_JOIN:
        return now == DS_INTENT_OUT ? DS_INTENT_JOINING : now;
    case DS_ACT_ADMIT:
        return DS_INTENT_IN;
    case DS_ACT_REGISTER:
        return now == DS_INTENT_OUT ? DS_INTENT_IN : now;
    case DS_ACT_DEREGISTER:
        return DS_INTENT_OUT;
    case DS_ACT_DRAIN:
        return DS_INTENT_DRAINING;
    case DS_ACT_UNDRAIN:
        return now == DS_INTENT_DRAINING ? DS_INTENT_IN : now;
    }
    return now;
}

static bool local_is_done(const struct ds_registry *registry, const struct ds_act *act,
                          const struct ds_state *known)
{
    const struct ds_standing *standing = ds_state_find(known, act->server.address);

    (void)registry;
    if (!standing || intent_after(act->kind, standing->intent) != standing->intent)
        return false;
    return !may_add(act->kind) || standing->server.weight == act->server.weight;
}

/* One act on the state; true when it changed something. */
static bool act_on(struct ds_state *state, struct ds_act *act)
{
    struct ds_standing *standing = ds_state_find(state, act->server.address);
    enum ds_intent before = standing ? standing->intent : DS_INTENT_OUT;

    if (!standing && !may_add(act->kind)) {
        ds_fail(&act->err, DS_E_FAILED, "it is not registered");
        return false;
    }
    if (standing && local_is_done(NULL, act, state))
        return false;
    if (!standing)
        standing = ds_state_add(state, act->server.address, act->server.weight);
    standing->intent = intent_after(act->kind, before);
    if (may_add(act->kind))
        standing->server.weight = act->server.weight;
    if (before == DS_INTENT_OUT && standing->intent != DS_INTENT_OUT)
        standing->health = (struct ds_health){0}; /* who comes back is asked anew */
    return true;
}

/* Who is not wanted any more leaves now, and weights count now; who joins waits for the
   watch's verdict. */
static int adjust_ring(struct ds_state *state, struct ds_error *err)
{
    size_t n, kept = 0;
    DS_AUTO(ptr) void *list = ds_state_members(state, &n);
    struct ds_server *members = list;
    enum ds_cause cause = DS_CAUSE_WEIGHT;

    for (size_t i = 0; i < n; i++) {
        const struct ds_standing *standing = ds_state_find(state, members[i].address);

        if (standing->intent != DS_INTENT_IN)
            cause = DS_CAUSE_OPERATOR;
        else
            members[kept++] = standing->server;
    }
    if (ds_state_set_ring(state, members, kept, state->replicas, cause,
                          ds_clock_wall_ms(), err) < 0)
        return -1;
    return 0;
}

static bool apply_all(struct ds_state *state, struct ds_act *acts, size_t n)
{
    bool changed = false;

    for (size_t i = 0; i < n; i++) {
        if (acts[i].err.code != DS_OK)
            continue;
        if (state->n_servers >= DS_SERVERS_MAX &&
            !ds_state_find(state, acts[i].server.address)) {
            ds_fail(&acts[i].err, DS_E_FAILED, "there are %d servers already",
                    DS_SERVERS_MAX);
            continue;
        }
        acts[i].changed = act_on(state, &acts[i]);
        changed = changed || acts[i].changed;
    }
    return changed;
}

static int local_apply(struct ds_registry *registry, struct ds_act *acts, size_t n,
                       struct ds_error *err)
{
    const struct local *local = (const struct local *)registry;
    DS_AUTO(keeper) struct ds_keeper keeper;

    ds_keeper_init(&keeper, local->path);
    if (ds_keeper_lock(&keeper, local->timeout_ms, err) < 0 ||
        ds_keeper_load(&keeper, false, err) < 0)
        return -1;
    if (!keeper.state
             .generation) { /* a first file: its ring is empty and ours to shape */
        ds_set_str(&keeper.state.route_prefix, local->route_prefix);
        memcpy(keeper.state.scheme, local->scheme, strlen(local->scheme) + 1);
    }
    if (!apply_all(&keeper.state, acts, n))
        return 0;
    if (adjust_ring(&keeper.state, err) < 0 || ds_keeper_save(&keeper, err) < 0)
        return -1;
    return 0;
}

static const struct ds_registry_ops local_ops = {
    .is_state_file = true,
    .list = local_list,
    .is_done = local_is_done,
    .apply = local_apply,
    .free = local_free,
};

struct ds_registry *ds_registry_local_new(const struct ds_config *config,
                                          int64_t timeout_ms)
{
    struct local *local = ds_xcalloc(1, sizeof *local);

    local->registry.ops = &local_ops;
    local->path = ds_xstrdup(config->state_file);
    local->scheme = ds_xstrdup(config->pushgateway.scheme);
    local->route_prefix = ds_xstrdup(config->pushgateway.route_prefix);
    local->timeout_ms = timeout_ms;
    return &local->registry;
}
