/* SPDX-License-Identifier: Apache-2.0 */
/* see sd.h */
#include "dshard/sd.h"

static void add_text(struct ds_buf *out, const char *text)
{
    ds_buf_add_json(out, text, strlen(text));
}

static void add_label(struct ds_buf *out, const char *name, const char *value)
{
    add_text(out, name);
    ds_buf_addc(out, ':');
    add_text(out, value);
    ds_buf_addc(out, ',');
}

/* The path of a server's own page: metrics_path of Prometheus, with the prefix. */
static void add_metrics_path(struct ds_buf *out, const char *prefix)
{
    ds_buf_adds(out, "\"__metrics_path__\":");
    add_text(out, prefix);
    ds_buf_truncate(out, out->len - 1); /* the closing quote moves behind the path */
    ds_buf_adds(out, "/metrics\",");
}

static void add_server(struct ds_buf *out, const struct ds_state *state,
                       const struct ds_standing *standing)
{
    ds_buf_adds(out, "{\"labels\":{");
    add_label(out, "__meta_dshard_health", ds_health_name(standing->health.state));
    add_label(out, "__meta_dshard_intent", ds_intent_name(standing->intent));
    add_label(out, "__meta_dshard_member", standing->member ? "true" : "false");
    ds_buf_addf(out, "\"__meta_dshard_weight\":\"%u\",", standing->server.weight);
    add_metrics_path(out, state->route_prefix);
    ds_buf_adds(out, "\"__scheme__\":");
    add_text(out, state->scheme);
    ds_buf_adds(out, "},\"targets\":[");
    add_text(out, standing->server.address);
    ds_buf_adds(out, "]}");
}

void ds_sd_format(const struct ds_state *state, struct ds_buf *out)
{
    bool first = true;

    ds_buf_addc(out, '[');
    for (size_t i = 0; i < state->n_servers; i++) {
        if (state->servers[i].intent == DS_INTENT_OUT)
            continue;
        if (!first)
            ds_buf_addc(out, ',');
        add_server(out, state, &state->servers[i]);
        first = false;
    }
    ds_buf_adds(out, "]\n");
}
