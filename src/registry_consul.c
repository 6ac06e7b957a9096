/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_consul.c - Consul as the registry: services on agents are who is there,
 * maintenance mode is who is drained, and marks in the KV store are who is out.
 *
 * Whatever is right already is not written again: a registration costs a raft write and
 * starts its check's clock anew.
 */
#include "consul_registry.h"

#include <stdlib.h>

static void registry_free(struct ds_registry *base)
{
    struct ds_consul_registry *registry = (struct ds_consul_registry *)base;

    ds_consul_free(registry->consul);
    ds_consul_auth_release(&registry->auth);
    ds_consul_catalog_release(&registry->catalog);
    ds_http_response_release(&registry->checks);
    free(registry);
}

/* ---- what is there ---- */

static enum ds_health_state health_of(enum ds_consul_kind kind)
{
    switch (kind) {
    case DS_CONSUL_PASSING:
        return DS_HEALTH_UP;
    case DS_CONSUL_FAILING:
        return DS_HEALTH_DOWN;
    case DS_CONSUL_UNPROBED:
    case DS_CONSUL_AGENT_LOST:
        break;
    }
    return DS_HEALTH_NEW;
}

static int registry_list(struct ds_registry *base, struct ds_state *out,
                         struct ds_error *err)
{
    struct ds_consul_registry *registry = (struct ds_consul_registry *)base;
    const struct ds_consul_catalog *catalog = &registry->catalog;

    ds_state_init(out);
    if (ds_consul_registry_read(registry, err) < 0)
        return -1;
    out->consul = true;
    for (size_t i = 0; i < catalog->view.n; i++) {
        const struct ds_consul_instance *instance = &catalog->view.items[i];
        struct ds_standing *standing =
            ds_state_add(out, instance->server.address, instance->server.weight);

        standing->intent = ds_consul_instance_intent(instance);
        standing->health.state = health_of(instance->kind);
    }
    for (size_t i = 0; i < catalog->n_marks; i++) {
        if (out->n_servers < DS_SERVERS_MAX || ds_state_find(out, catalog->marks[i]))
            ds_state_add(out, catalog->marks[i], 1)->intent = DS_INTENT_OUT;
    }
    return 0;
}

static bool registry_is_done(const struct ds_registry *base, const struct ds_act *act,
                             const struct ds_state *known)
{
    const struct ds_consul_registry *registry = (const struct ds_consul_registry *)base;
    const char *address = act->server.address;
    bool marked = ds_consul_catalog_is_marked(&registry->catalog, address);
    enum ds_intent wanted = ds_consul_registry_wanted(registry, act);
    DS_AUTO(consul_payload) struct ds_consul_payload *payload = NULL;
    struct ds_error ignored = DS_ERROR_INIT; /* apply() will meet it again */
    enum ds_consul_match match;
    size_t n_drained, n = ds_consul_registry_count(registry, address, &n_drained);

    (void)known; /* the catalog that it was made from knows more */
    switch (act->kind) {
    case DS_ACT_REGISTER:
        if (wanted == DS_INTENT_JOINING)
            return true;
        /* fallthrough */
    case DS_ACT_JOIN:
    case DS_ACT_ADMIT:
        payload = ds_consul_payload_new(registry->config, &act->server, wanted,
                                        &registry->auth);
        return !marked && !(act->kind == DS_ACT_ADMIT && n_drained) &&
               ds_consul_registry_compare(registry, payload, &match, &ignored) == 0 &&
               match == DS_CONSUL_SAME;
    case DS_ACT_DEREGISTER:
        return marked && n == 0;
    case DS_ACT_DRAIN:
        return n && n_drained == n;
    case DS_ACT_UNDRAIN:
        return n && !n_drained;
    }
    return false;
}

static int registry_apply(struct ds_registry *base, struct ds_act *acts, size_t n,
                          struct ds_error *err)
{
    struct ds_consul_registry *registry = (struct ds_consul_registry *)base;
    bool contact = false;

    for (size_t i = 0; i < n; i++) {
        if (acts[i].err.code != DS_OK)
            continue;
        if (ds_consul_registry_act(registry, &acts[i]) < 0 &&
            acts[i].err.code == DS_E_TEMP && !contact &&
            !acts[i].changed) { /* nobody is there, or nobody leads: try again later */
            *err = acts[i].err;
            return -1;
        }
        contact = true;
    }
    return 0;
}

static const struct ds_registry_ops consul_ops = {
    .list = registry_list,
    .is_done = registry_is_done,
    .apply = registry_apply,
    .free = registry_free,
};

struct ds_registry *ds_registry_consul_new(const struct ds_config *config,
                                           int64_t timeout_ms, struct ds_error *err)
{
    struct ds_consul_registry *registry = ds_xcalloc(1, sizeof *registry);

    registry->registry.ops = &consul_ops;
    registry->config = config;
    registry->timeout_ms = timeout_ms;
    ds_http_response_init(&registry->checks);
    registry->consul = ds_consul_new(config, err);
    if (!registry->consul || ds_consul_auth_init(&registry->auth, config, err) < 0) {
        registry_free(&registry->registry);
        return NULL;
    }
    return &registry->registry;
}
