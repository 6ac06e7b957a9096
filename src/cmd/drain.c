/* SPDX-License-Identifier: Apache-2.0 */
/* drain.c - takes servers out of the ring while Prometheus goes on scraping them, and the
   end of that. */
#include "acts.h"

#include <stdlib.h>

struct options {
    bool force, dry_run;
};

static const struct ds_opt drain_options[] = {
    {"force", '\0', DS_OPT_FLAG, offsetof(struct options, force), NULL,
     "even if too few servers would remain"},
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done and do nothing"},
};

static const struct ds_opt undrain_options[] = {
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done and do nothing"},
};

static int run_with(struct ds_cmd_context *ctx, struct ds_config *config,
                    struct ds_registry *registry, enum ds_act_kind kind,
                    const struct options *o, struct ds_cmd_acts *acts,
                    struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};

    if (registry->ops->list(registry, &state, err) < 0 ||
        ds_cmd_acts_from_known(ctx, config, kind, &state, acts, err) < 0)
        return -1;
    if (kind == DS_ACT_DRAIN && !o->force &&
        ds_cmd_acts_guard_ring(config, &state, acts, err) < 0)
        return -1;
    for (size_t i = 0; o->dry_run && i < acts->n; i++)
        acts->items[i].changed =
            !registry->ops->is_done(registry, &acts->items[i], &state);
    return ds_cmd_acts_run(ctx, config, registry, acts,
                           kind == DS_ACT_DRAIN ? "drained" : "undrained", o->dry_run,
                           err);
}

static int run(struct ds_cmd_context *ctx, enum ds_act_kind kind, const struct options *o,
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
    rc = run_with(ctx, &config, registry, kind, o, &acts, err);
    registry->ops->free(registry);
    ds_cmd_acts_release(&acts);
    return rc;
}

static int run_drain(struct ds_cmd_context *ctx, const void *options,
                     struct ds_error *err)
{
    return run(ctx, DS_ACT_DRAIN, options, err);
}

static int run_undrain(struct ds_cmd_context *ctx, const void *options,
                       struct ds_error *err)
{
    return run(ctx, DS_ACT_UNDRAIN, options, err);
}

const struct ds_cmd ds_cmd_drain = {
    .name = "drain",
    .summary = "take servers out of the ring, still listed and scraped",
    .operands = "SERVER...",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = drain_options,
    .n_opts = DS_COUNT(drain_options),
    .options_size = sizeof(struct options),
    .run = run_drain,
};

const struct ds_cmd ds_cmd_undrain = {
    .name = "undrain",
    .summary = "take drained servers back into the ring",
    .operands = "SERVER...",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = undrain_options,
    .n_opts = DS_COUNT(undrain_options),
    .options_size = sizeof(struct options),
    .run = run_undrain,
};
