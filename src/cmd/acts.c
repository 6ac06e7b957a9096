/* SPDX-License-Identifier: Apache-2.0 */
/* see acts.h */
#include "acts.h"
#include "dshard/aim.h"
#include "dshard/log.h"
#include "dshard/settle.h"
#include "json.h"
#include "members.h"

#include <stdlib.h>

void ds_cmd_acts_release(struct ds_cmd_acts *acts)
{
    free(acts->items);
    *acts = (struct ds_cmd_acts){0};
}

char *ds_cmd_acts_command(const char *kind, const struct ds_cmd_acts *acts)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(acts->n, sizeof(char *));
    const char **servers = list;

    for (size_t i = 0; i < acts->n; i++)
        servers[i] = acts->items[i].server.address;
    return ds_aim_kind(kind, servers, acts->n);
}

void ds_cmd_acts_add(struct ds_cmd_acts *acts, const struct ds_server *server,
                     enum ds_act_kind kind)
{
    acts->items = ds_xreallocarray(acts->items, acts->n + 1, sizeof *acts->items);
    acts->items[acts->n++] = (struct ds_act){.server = *server, .kind = kind};
}

static bool is_listed(const struct ds_config *config, const char *address,
                      unsigned *weight)
{
    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        if (ds_address_equal(config->pushgateway.servers[i].address, address)) {
            *weight = config->pushgateway.servers[i].weight;
            return true;
        }
    }
    return false;
}

int ds_cmd_acts_from_operands(const struct ds_cmd_context *ctx,
                              const struct ds_config *config, enum ds_act_kind kind,
                              struct ds_cmd_acts *acts, struct ds_error *err)
{
    struct ds_opt_list words = {.items = ctx->operands, .n = ctx->n_operands};
    size_t n;
    DS_AUTO(ptr)
    void *list = ds_cmd_parse_members(&words, config->pushgateway.port, &n, err);
    struct ds_server *servers = list;

    if (!list)
        return -1;
    for (size_t i = 0; i < n; i++) {
        unsigned weight = servers[i].weight;

        /* watch would put it back as soon as it reads the configuration again. */
        if (is_listed(config, servers[i].address, &weight) && servers[i].weight != 1 &&
            servers[i].weight != weight)
            return ds_fail(err, DS_E_USAGE,
                           "'%s' is listed with weight %u in '%s': change it there",
                           servers[i].address, weight, config->path);
        servers[i].weight = weight;
        ds_cmd_acts_add(acts, &servers[i], kind);
    }
    return 0;
}

int ds_cmd_acts_from_known(const struct ds_cmd_context *ctx,
                           const struct ds_config *config, enum ds_act_kind kind,
                           const struct ds_state *state, struct ds_cmd_acts *acts,
                           struct ds_error *err)
{
    if (ds_cmd_acts_from_operands(ctx, config, kind, acts, err) < 0)
        return -1;
    for (size_t i = 0; i < acts->n; i++) {
        struct ds_server *server = &acts->items[i].server;
        const struct ds_standing *standing = ds_state_find(state, server->address);

        if (!standing)
            return ds_fail(err, DS_E_FAILED, "'%s' is not registered", server->address);
        server->weight = standing->server.weight;
    }
    return 0;
}

static bool is_named(const struct ds_cmd_acts *acts, const char *address)
{
    for (size_t i = 0; i < acts->n; i++) {
        if (strcmp(acts->items[i].server.address, address) == 0)
            return true;
    }
    return false;
}

/* Who is down already is no loss. */
int ds_cmd_acts_guard_ring(const struct ds_config *config, const struct ds_state *state,
                           const struct ds_cmd_acts *acts, struct ds_error *err)
{
    size_t n_in = 0, n_up = 0, n_lost = 0, needed;

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        bool up = standing->health.state == DS_HEALTH_UP;

        if (standing->intent != DS_INTENT_IN)
            continue;
        if (is_named(acts, standing->server.address)) {
            n_lost += up || standing->member;
            continue;
        }
        n_in++;
        n_up += up;
    }
    needed = ds_config_min_healthy(config, n_in);
    if (!n_lost || n_up >= needed)
        return 0;
    return ds_fail(
        err, DS_E_REFUSED,
        "%zu healthy %s would remain and ring.min_healthy is %zu (--force does it)", n_up,
        n_up == 1 ? "server" : "servers", needed);
}

static void report_json(struct ds_cmd_context *ctx, const struct ds_cmd_acts *acts,
                        const char *done, bool dry_run)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_act *act = &acts->items[i];
        const char *result = act->changed ? done : "unchanged";

        if (act->err.code != DS_OK)
            result = "failed";
        json_array_append_new(
            servers, json_pack("{ss,ss,sI,ss?}", "address", act->server.address, "result",
                               result, "weight", (json_int_t)act->server.weight, "error",
                               act->err.code != DS_OK ? act->err.text : NULL));
    }
    ds_cmd_add_json(ctx,
                    json_pack("{so,sb}", "servers", servers, "dry_run", (int)dry_run));
}

static void report_text(struct ds_cmd_context *ctx, const struct ds_cmd_acts *acts,
                        const char *done, bool dry_run)
{
    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_act *act = &acts->items[i];

        if (act->err.code != DS_OK)
            ds_cmd_warn(ctx, "%s: %s", act->server.address, act->err.text);
        else if (!act->changed)
            ds_cmd_say(ctx, "%s: unchanged", act->server.address);
        else if (dry_run)
            ds_buf_addf(&ctx->out, "%s: would be %s\n", act->server.address, done);
        else
            ds_cmd_say(ctx, "%s: %s", act->server.address, done);
    }
}

/* Who was registered has been looked at, and who was taken out is no member. */
static bool is_settled(const void *arg, const struct ds_state *state)
{
    const struct ds_cmd_acts *acts = arg;

    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, acts->items[i].server.address);

        if (!acts->items[i].changed)
            continue;
        if (!standing) /* somebody else has another opinion by now */
            continue;
        if (standing->intent == DS_INTENT_IN ? standing->health.state == DS_HEALTH_NEW
                                             : standing->member)
            return false;
    }
    return true;
}

static int run_acts(struct ds_cmd_context *ctx, struct ds_config *config,
                    struct ds_registry *registry, struct ds_cmd_acts *acts,
                    const char *done, bool dry_run, struct ds_error *err)
{
    size_t n_failed = 0, n_changed = 0;

    if (!ctx->common.verbose)
        ds_log_set_level(DS_LOG_WARN); /* cron mails what is printed */
    if (!dry_run && registry->ops->apply(registry, acts->items, acts->n, err) < 0)
        return -1;
    for (size_t i = 0; i < acts->n; i++) {
        n_failed += acts->items[i].err.code != DS_OK;
        n_changed += acts->items[i].changed;
    }
    if (ds_cmd_wants(ctx, "json"))
        report_json(ctx, acts, done, dry_run);
    else
        report_text(ctx, acts, done, dry_run);
    if (n_changed && !dry_run && registry->ops->is_state_file &&
        ds_settle(config, is_settled, acts,
                  ds_cmd_timeout_ms(ctx, DS_CMD_LOCK_TIMEOUT_MS), err) < 0)
        return -1;
    if (n_failed)
        return ds_fail(err, DS_E_FAILED, "%zu of %zu servers failed", n_failed, acts->n);
    return 0;
}

static int choose_and_run(struct ds_cmd_context *ctx, struct ds_config *config,
                          struct ds_registry *registry, ds_cmd_choose_fn *choose,
                          const void *options, const char *done, bool dry_run,
                          struct ds_cmd_acts *acts, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state known = {0};

    if (registry->ops->list(registry, &known, err) < 0 ||
        choose(ctx, config, registry, &known, options, acts, err) < 0)
        return -1;
    for (size_t i = 0; dry_run && i < acts->n; i++)
        acts->items[i].changed =
            acts->items[i].err.code == DS_OK &&
            !registry->ops->is_done(registry, &acts->items[i], &known);
    return run_acts(ctx, config, registry, acts, done, dry_run, err);
}

int ds_cmd_acts_do(struct ds_cmd_context *ctx, ds_cmd_choose_fn *choose,
                   const void *options, const char *done, bool dry_run,
                   struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_cmd_acts acts = {0};
    struct ds_registry *registry;
    int rc;

    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    registry =
        ds_registry_new(&config, ds_cmd_timeout_ms(ctx, DS_CMD_LOCK_TIMEOUT_MS), err);
    if (!registry)
        return -1;
    rc = choose_and_run(ctx, &config, registry, choose, options, done, dry_run, &acts,
                        err);
    registry->ops->free(registry);
    ds_cmd_acts_release(&acts);
    return rc;
}
