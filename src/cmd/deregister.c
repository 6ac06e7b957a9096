/* SPDX-License-Identifier: Apache-2.0 */
/* deregister.c - takes servers out, unless that would lose groups or the ring. */
#include "acts.h"
#include "dshard/mover.h"
#include "dshard/pushgateway.h"

#include <stdlib.h>

struct options {
    bool all, force, dry_run;
};

static const struct ds_opt options[] = {
    {"all", '\0', DS_OPT_FLAG, offsetof(struct options, all), NULL,
     "every server that is not out yet"},
    {"force", '\0', DS_OPT_FLAG, offsetof(struct options, force), NULL,
     "even if groups are left there, or too few servers would remain"},
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done and do nothing"},
};

static bool is_named(const struct ds_cmd_acts *acts, const char *address)
{
    for (size_t i = 0; i < acts->n; i++) {
        if (strcmp(acts->items[i].server.address, address) == 0)
            return true;
    }
    return false;
}

/* The server of the report that is the one at `address` under another name, and does not
   go; NULL: none, or it cannot be told. */
static const char *other_name(const struct ds_config *config, const char *address,
                              const struct ds_mover_report *report,
                              const struct ds_cmd_acts *acts, int64_t timeout_ms)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(report->n_servers, sizeof(size_t));
    size_t *first = list, at = 0;
    struct ds_error ignored = DS_ERROR_INIT;

    if (ds_pushgateway_find_twins(config, report->inventories, report->n_servers,
                                  timeout_ms, first, &ignored) < 0)
        return NULL;
    while (at < report->n_servers && strcmp(report->servers[at].address, address) != 0)
        at++;
    for (size_t i = 0; at < report->n_servers && i < report->n_servers; i++) {
        const struct ds_mover_server *row = &report->servers[i];

        if (i != at && first[i] == first[at] && row->intent == DS_INTENT_IN &&
            !is_named(acts, row->address))
            return row->address;
    }
    return NULL;
}

/* Then its groups stay with the other name, and are scraped there. */
static bool is_second_name(const struct ds_cmd_context *ctx,
                           const struct ds_config *config, const char *address,
                           const struct ds_state *state, const struct ds_cmd_acts *acts)
{
    struct ds_mover_options look = {
        .mode = DS_PLAN_LOOK,
        .timeout_ms = ds_cmd_timeout_ms(ctx, DS_CMD_LOCK_TIMEOUT_MS),
    };
    DS_AUTO(mover_report) struct ds_mover_report report;
    struct ds_error ignored = DS_ERROR_INIT;
    const char *other;

    ds_mover_report_init(&report);
    if (ds_mover_pass(config, state, NULL, &look, &report, &ignored) < 0)
        return false;
    other = other_name(config, address, &report, acts, look.timeout_ms);
    if (other)
        ds_cmd_say(ctx, "%s is %s under another name, which keeps its groups", address,
                   other);
    return other != NULL;
}

/* A server that cannot be reached is gone anyway; one that answers must be empty. */
static int guard_groups(const struct ds_cmd_context *ctx, const struct ds_config *config,
                        const struct ds_registry *registry, const struct ds_state *state,
                        const struct ds_cmd_acts *acts, struct ds_error *err)
{
    for (size_t i = 0; i < acts->n; i++) {
        const char *address = acts->items[i].server.address;
        struct ds_error why = DS_ERROR_INIT;
        size_t n = 0;

        if (registry->ops->is_done(registry, &acts->items[i], state))
            continue;
        if (ds_pushgateway_count_groups(config, address,
                                        ds_cmd_timeout_ms(ctx, DS_CMD_LOCK_TIMEOUT_MS),
                                        &n, &why) < 0) {
            if (why.code != DS_E_NET)
                return ds_fail(err, DS_E_REFUSED,
                               "'%s' does not say whether it still holds groups: %s "
                               "(--force does it)",
                               address, why.text);
            ds_cmd_say(ctx, "%s cannot be asked for its groups: %s", address, why.text);
            continue;
        }
        if (n && !is_second_name(ctx, config, address, state, acts))
            return ds_fail(err, DS_E_REFUSED,
                           "'%s' still holds %zu %s, which nobody would scrape any more "
                           "(--force does it)",
                           address, n, n == 1 ? "group" : "groups");
    }
    return 0;
}

static int name_servers(const struct ds_cmd_context *ctx, const struct ds_config *config,
                        const struct ds_state *state, bool all, struct ds_cmd_acts *acts,
                        struct ds_error *err)
{
    if (all == (ctx->n_operands > 0))
        return ds_fail(err, DS_E_USAGE, "it wants SERVER... or --all");
    for (size_t i = 0; all && i < state->n_servers; i++) {
        if (state->servers[i].intent != DS_INTENT_OUT)
            ds_cmd_acts_add(acts, &state->servers[i].server, DS_ACT_DEREGISTER);
    }
    if (all)
        return 0;
    return ds_cmd_acts_from_known(ctx, config, DS_ACT_DEREGISTER, state, acts, err);
}

static int choose(struct ds_cmd_context *ctx, const struct ds_config *config,
                  const struct ds_registry *registry, const struct ds_state *known,
                  const void *opts, struct ds_cmd_acts *acts, struct ds_error *err)
{
    const struct options *o = opts;

    if (name_servers(ctx, config, known, o->all, acts, err) < 0)
        return -1;
    if (o->force)
        return 0;
    if (ds_cmd_acts_guard_ring(config, known, acts, err) < 0)
        return -1;
    return guard_groups(ctx, config, registry, known, acts, err);
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    return ds_cmd_acts_do(ctx, choose, o, "deregistered", o->dry_run, err);
}

const struct ds_cmd ds_cmd_deregister = {
    .name = "deregister",
    .summary = "take servers out of the ring",
    .operands = "SERVER... | --all",
    .max_operands = -1,
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
