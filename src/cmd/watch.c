/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - the command around the watch. */
#include "dshard/watch.h"
#include "cmd.h"
#include "dshard/log.h"

struct options {
    bool once;
};

static const struct ds_opt options[] = {
    {"once", '\0', DS_OPT_FLAG, offsetof(struct options, once), NULL,
     "check until there is a verdict on every server, write, exit (for cron)"},
};

enum { SETTLING_SLACK_MS = 1000, SETTLING_MAX_MS = 10000 };

/* How long to wait for the claim: a command that settles the ring is done by then. */
static int64_t longest_settling_ms(const struct ds_config *config)
{
    unsigned rise = config->health_check.rise, fall = config->health_check.fall;

    int64_t ms = (config->health_check.interval_ms + config->health_check.timeout_ms) *
                     (rise > fall ? rise : fall) +
                 SETTLING_SLACK_MS;

    return ms < SETTLING_MAX_MS ? ms : SETTLING_MAX_MS;
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    DS_AUTO(config) struct ds_config config;
    struct ds_watch_options watch = {0};

    if (ctx->common.quiet)
        ds_log_set_level(DS_LOG_WARN);
    else if (ctx->common.verbose)
        ds_log_set_level(DS_LOG_DEBUG);
    else if (o->once)
        ds_log_set_level(DS_LOG_WARN); /* cron mails what is printed */
    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    DS_AUTO(str) char *path = ds_xstrdup(config.path);
    watch.config_path = path;
    watch.claim_timeout_ms =
        ds_cmd_timeout_ms(ctx, o->once ? 0 : longest_settling_ms(&config));
    if (o->once)
        return ds_watch_once(&config, &watch, err);
    return ds_watch_run(&config, &watch, err);
}

const struct ds_cmd ds_cmd_watch = {
    .name = "watch",
    .summary = "follow the servers' health and keep the ring in step",
    .operands = "",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
