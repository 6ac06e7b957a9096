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

static int choose_drain(struct ds_cmd_context *ctx, const struct ds_config *config,
                        const struct ds_registry *registry, const struct ds_state *known,
                        const void *opts, struct ds_cmd_acts *acts, struct ds_error *err)
{
    const struct options *o = opts;

    (void)registry;
    if (ds_cmd_acts_from_known(ctx, config, DS_ACT_DRAIN, known, acts, err) < 0)
        return -1;
    return o->force ? 0 : ds_cmd_acts_guard_ring(config, known, acts, err);
}

static int choose_undrain(struct ds_cmd_context *ctx, const struct ds_config *config,
                          const struct ds_registry *registry,
                          const struct ds_state *known, const void *opts,
                          struct ds_cmd_acts *acts, struct ds_error *err)
{
    (void)registry;
    (void)opts;
    return ds_cmd_acts_from_known(ctx, config, DS_ACT_UNDRAIN, known, acts, err);
}

static int run_drain(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    return ds_cmd_acts_do(ctx, choose_drain, o, "drained", o->dry_run, err);
}

static int run_undrain(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    return ds_cmd_acts_do(ctx, choose_undrain, o, "undrained", o->dry_run, err);
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
