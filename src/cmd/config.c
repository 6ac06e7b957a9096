/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - `config check` and `config show`. */
#include "cmd.h"
#include "json.h"

static int check(struct ds_cmd_context *ctx, const void *options, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(buf) struct ds_buf hints = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);

    (void)options;
    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    ds_config_hints(&config, &hints);
    if (ds_cmd_wants(ctx, "json")) {
        ds_cmd_add_json(ctx,
                        json_pack("{sb,so,sI,so}", "ok", 1, "file",
                                  ds_cmd_json_string(config.path, strlen(config.path)),
                                  "servers", (json_int_t)config.pushgateway.n_servers,
                                  "hints", ds_cmd_json_string(hints.data, hints.len)));
        return 0;
    }
    ds_buf_add(&ctx->out, hints.data, hints.len);
    ds_buf_addf(&ctx->out, "%s: ok, %zu servers, %s\n", config.path,
                config.pushgateway.n_servers,
                config.consul ? "with Consul" : "standalone");
    return 0;
}

static int show(struct ds_cmd_context *ctx, const void *options, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;

    (void)options;
    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    ds_config_show(&config, ds_cmd_wants(ctx, "json"), &ctx->out);
    return 0;
}

const struct ds_cmd ds_cmd_config_check = {
    .name = "config check",
    .summary = "say what is wrong with the configuration, all of it",
    .operands = "",
    .outputs = "text json",
    .run = check,
};

const struct ds_cmd ds_cmd_config_show = {
    .name = "config show",
    .summary = "the effective configuration with defaults, secrets masked",
    .operands = "",
    .outputs = "text json",
    .run = show,
};
