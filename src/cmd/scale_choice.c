/* SPDX-License-Identifier: Apache-2.0 */
/* see scale_choice.h */
#include "scale_choice.h"

static bool is_named(const struct ds_cmd_acts *acts, const char *address)
{
    for (size_t i = 0; i < acts->n; i++) {
        if (ds_address_equal(acts->items[i].server.address, address))
            return true;
    }
    return false;
}

/* A server that is known keeps its weight unless another one is asked for. */
static struct ds_server with_weight(const struct ds_scale *scale,
                                    const struct ds_server *server)
{
    const struct ds_standing *standing = ds_state_find(&scale->known, server->address);
    struct ds_server result = *server;

    if (standing && server->weight == 1 &&
        !ds_config_lists(scale->config, server->address))
        result.weight = standing->server.weight;
    return result;
}

void ds_cmd_scale_add_all(struct ds_scale *scale, const struct ds_cmd_acts *acts)
{
    for (size_t i = 0; i < acts->n; i++) {
        struct ds_server server = with_weight(scale, &acts->items[i].server);

        ds_scale_add(scale, &server);
    }
}

void ds_cmd_scale_remove_all(struct ds_scale *scale, const struct ds_cmd_acts *acts)
{
    for (size_t i = 0; i < acts->n; i++)
        ds_scale_remove(scale, &acts->items[i].server);
}

static void remove_unnamed(struct ds_scale *scale, const struct ds_cmd_acts *acts)
{
    const struct ds_state *known = &scale->known;

    for (size_t i = 0; i < known->n_servers; i++) {
        const struct ds_server *server = &known->servers[i].server;

        if (!is_named(acts, server->address) &&
            (known->servers[i].intent != DS_INTENT_OUT ||
             ds_config_lists(scale->config, server->address)))
            ds_scale_remove(scale, server);
    }
    for (size_t i = 0; i < scale->config->pushgateway.n_servers; i++) {
        const struct ds_server *server = &scale->config->pushgateway.servers[i];

        if (!is_named(acts, server->address) && !ds_state_find(known, server->address))
            ds_scale_remove(scale, server);
    }
}

void ds_cmd_scale_change_to(struct ds_scale *scale, const struct ds_cmd_acts *acts)
{
    for (size_t i = 0; i < acts->n; i++) {
        struct ds_server server = with_weight(scale, &acts->items[i].server);
        const struct ds_standing *standing = ds_state_find(&scale->known, server.address);

        if (!standing || standing->intent != DS_INTENT_IN ||
            standing->server.weight != server.weight)
            ds_scale_add(scale, &server);
    }
    remove_unnamed(scale, acts);
}
