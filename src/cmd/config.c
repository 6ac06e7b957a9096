/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - `config check` and `config show`. */
#include "cmd.h"
#include "json.h"

static json_t *lines_json(const struct ds_buf *lines)
{
    json_t *list = json_array();

    for (const char *p = lines->data; *p;) {
        size_t len = strcspn(p, "\n");

        json_array_append_new(list, ds_cmd_json_string(p, len));
        p += len + (p[len] == '\n');
    }
    return list;
}

static int check(struct ds_cmd_context *ctx, const void *options, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(buf) struct ds_buf hints = DS_BUF_INIT(DS_CONFIG_BYTES_MAX);

    (void)options;
    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0) {
        if (ds_cmd_wants(ctx, "json"))
            ds_cmd_add_json(ctx,
                            json_pack("{sb,so,so}", "ok", 0, "error",
                                      ds_cmd_json_string(err->text, strlen(err->text)),
                                      "complaints", lines_json(&ctx->complaints)));
        return -1;
    }
    ds_config_hints(&config, &hints);
    if (ds_cmd_wants(ctx, "json")) {
        ds_cmd_add_json(ctx,
                        json_pack("{sb,so,sI,so}", "ok", 1, "file",
                                  ds_cmd_json_string(config.path, strlen(config.path)),
                                  "servers", (json_int_t)config.pushgateway.n_servers,
                                  "hints", lines_json(&hints)));
        return 0;
    }
    ds_buf_add(&ctx->out, hints.data, hints.len);
    ds_buf_addf(&ctx->out, "%s: ok, %zu %s, %s\n", config.path,
                config.pushgateway.n_servers,
                config.pushgateway.n_servers == 1 ? "server" : "servers",
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
