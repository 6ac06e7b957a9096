/* SPDX-License-Identifier: Apache-2.0 */
/* register.c - makes servers members, after a look at their health. */
#include "acts.h"

#include <stdlib.h>

struct options {
    bool dry_run;
};

static const struct ds_opt options[] = {
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done and do nothing"},
};

/* Without names: the configured ones, but for those that were taken out by hand. */
static void add_configured(const struct ds_config *config, const struct ds_state *state,
                           struct ds_cmd_acts *acts)
{
    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        const struct ds_server *server = &config->pushgateway.servers[i];
        const struct ds_standing *standing = ds_state_find(state, server->address);

        if (!standing || standing->intent != DS_INTENT_OUT)
            ds_cmd_acts_add(acts, server, DS_ACT_REGISTER);
    }
}

/* Whoever is named ends his joining by that; without names it goes on. */
static int add_named(const struct ds_cmd_context *ctx, const struct ds_config *config,
                     const struct ds_state *state, struct ds_cmd_acts *acts,
                     struct ds_error *err)
{
    if (ds_cmd_acts_from_operands(ctx, config, DS_ACT_REGISTER, acts, err) < 0)
        return -1;
    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, acts->items[i].server.address);

        if (standing && standing->intent == DS_INTENT_JOINING)
            acts->items[i].kind = DS_ACT_ADMIT;
    }
    return 0;
}

/* Asks the newcomers how they are; a failure is theirs alone. */
static int check_newcomers(const struct ds_config *config, const struct ds_state *state,
                           struct ds_cmd_acts *acts, struct ds_error *err)
{
    DS_AUTO(ptr) void *server_list = ds_xcalloc(acts->n, sizeof(struct ds_server));
    DS_AUTO(ptr) void *item_list = ds_xcalloc(acts->n, sizeof(struct ds_sighting));
    DS_AUTO(ptr) void *who_list = ds_xcalloc(acts->n, sizeof(struct ds_act *));
    struct ds_server *servers = server_list;
    struct ds_sighting *items = item_list;
    struct ds_act **who = who_list;
    size_t n = 0;

    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_server *server = &acts->items[i].server;
        const struct ds_standing *standing = ds_state_find(state, server->address);

        if (standing && standing->intent != DS_INTENT_OUT &&
            acts->items[i].kind == DS_ACT_REGISTER)
            continue;
        servers[n] = *server;
        who[n++] = &acts->items[i];
    }
    if (ds_probe_all(config, servers, n, items, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (items[i].sight != DS_SIGHT_OK)
            ds_fail(&who[i]->err, DS_E_FAILED, "not registered: %s", items[i].why);
    }
    return 0;
}

static int choose(struct ds_cmd_context *ctx, const struct ds_config *config,
                  const struct ds_registry *registry, const struct ds_state *known,
                  const void *opts, struct ds_cmd_acts *acts, struct ds_error *err)
{
    (void)opts;
    if (!ctx->n_operands)
        add_configured(config, known, acts);
    else if (add_named(ctx, config, known, acts, err) < 0)
        return -1;
    if (!registry->ops->is_state_file)
        return 0;
    return check_newcomers(config, known, acts, err);
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    return ds_cmd_acts_do(ctx, choose, o, "registered", o->dry_run, err);
}

const struct ds_cmd ds_cmd_register = {
    .name = "register",
    .summary = "make servers members (the configured ones, or those named)",
    .operands = "[SERVER...]",
    .max_operands = -1,
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
