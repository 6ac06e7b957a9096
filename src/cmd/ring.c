/* SPDX-License-Identifier: Apache-2.0 */
/* ring.c - the ring as a table, as JSON, as targets for Prometheus, as upstreams for
 * nginx, as a picture. */
#include "cmd.h"
#include "dshard/clock.h"
#include "dshard/nginx.h"
#include "dshard/num.h"
#include "dshard/sd.h"
#include "dshard/svg.h"
#include "dshard/table.h"
#include "json.h"

struct options {
    const char *state;
};

static const struct ds_opt options[] = {
    {"state", '\0', DS_OPT_TEXT, offsetof(struct options, state), "FILE",
     "read this state file instead of the configuration's"},
};

/* What a server owns; zeros for one that is no member. */
struct holding {
    uint32_t share_ppm;
    size_t points;
};

static struct holding holding_of(const struct ds_ring *ring, const char *address)
{
    struct holding holding = {0};
    const struct ds_server *members;
    size_t n = 0;

    members = ring ? ds_ring_members(ring, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(members[i].address, address) == 0) {
            holding.share_ppm = ds_ring_ppm(ds_ring_share(ring, i));
            holding.points = ds_ring_points(ring, i);
        }
    }
    return holding;
}

static void add_row(struct ds_table *table, const struct ds_standing *standing,
                    const struct ds_ring *ring, bool wide, int64_t now_ms)
{
    struct holding holding = holding_of(ring, standing->server.address);
    const struct ds_health *health = &standing->health;
    char age[DS_DURATION_TEXT_MAX] = "-", hold[DS_DURATION_TEXT_MAX] = "-";

    if (health->since_ms)
        ds_duration_format_short(now_ms - health->since_ms, age);
    ds_table_add(table, standing->server.address);
    ds_table_add(table, ds_intent_name(standing->intent));
    ds_table_add(table, ds_health_name(health->state));
    ds_table_add(table, standing->member ? "yes" : "no");
    ds_table_add(table, age);
    if (standing->member)
        ds_table_addf(table, "%.1f%%", holding.share_ppm / 10000.0);
    else
        ds_table_add(table, "-");
    ds_table_addf(table, "%zu", holding.points);
    if (!wide)
        return;
    if (health->state == DS_HEALTH_HELD)
        ds_duration_format_short(health->hold_until_ms - now_ms, hold);
    ds_table_addf(table, "%u", standing->server.weight);
    ds_table_addf(table, "%zu", health->n_flaps);
    ds_table_add(table, hold);
    ds_table_add(table, health->why[0] ? health->why : "-");
}

static void show_text(const struct ds_state *state, const struct ds_ring *ring, bool wide,
                      struct ds_buf *out)
{
    static const char *const headings[] = {"SERVER", "INTENT",  "HEALTH",  "MEMBER",
                                           "SINCE",  ">SHARE",  ">POINTS", ">WEIGHT",
                                           ">FLAPS", "REJOINS", "WHY"};
    int64_t now_ms = ds_clock_wall_ms();
    DS_AUTO(table) struct ds_table table;
    size_t n_members = 0;

    ds_table_init(&table, headings, wide ? DS_COUNT(headings) : 7);
    for (size_t i = 0; i < state->n_servers; i++) {
        add_row(&table, &state->servers[i], ring, wide, now_ms);
        n_members += state->servers[i].member;
    }
    ds_table_format(&table, out);
    ds_buf_addf(out, "\n%zu %s, generation %llu, digest %s", n_members,
                n_members == 1 ? "member" : "members",
                (unsigned long long)state->generation, state->digest);
    if (state->frozen_reason)
        ds_buf_addf(out, "; frozen: %s", state->frozen_reason);
    ds_buf_addc(out, '\n');
}

static json_t *server_json(const struct ds_standing *standing, const struct ds_ring *ring)
{
    struct holding holding = holding_of(ring, standing->server.address);
    const struct ds_health *health = &standing->health;

    return json_pack(
        "{ss,ss,ss,sb,sI,sI,sI,sI,sI,sI,ss}", "address", standing->server.address,
        "intent", ds_intent_name(standing->intent), "health",
        ds_health_name(health->state), "member", (int)standing->member, "since",
        (json_int_t)health->since_ms, "hold_until", (json_int_t)health->hold_until_ms,
        "flaps", (json_int_t)health->n_flaps, "weight",
        (json_int_t)standing->server.weight, "share_ppm", (json_int_t)holding.share_ppm,
        "points", (json_int_t)holding.points, "why", health->why);
}

static void show_json(struct ds_cmd_context *ctx, const struct ds_state *state,
                      const struct ds_ring *ring)
{
    json_t *servers = json_array();
    json_t *frozen = json_null();

    if (state->frozen_reason)
        frozen = json_pack("{ss,sI}", "reason", state->frozen_reason, "since",
                           (json_int_t)state->frozen_since_ms);
    for (size_t i = 0; i < state->n_servers; i++)
        json_array_append_new(servers, server_json(&state->servers[i], ring));
    ds_cmd_add_json(ctx,
                    json_pack("{so,sI,ss,sI,so,sI}", "servers", servers, "generation",
                              (json_int_t)state->generation, "digest", state->digest,
                              "replicas", (json_int_t)state->replicas, "frozen", frozen,
                              "checked_at", (json_int_t)state->checked_at_ms));
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(ring) struct ds_ring *ring = NULL;
    DS_AUTO(str) char *path = NULL;

    if (ds_cmd_load_state(ctx, o->state, &state, &path, NULL, err) < 0)
        return -1;
    ring = ds_state_ring(&state);
    if (ds_cmd_wants(ctx, "json")) {
        show_json(ctx, &state, ring);
    } else if (ds_cmd_wants(ctx, "file-sd")) {
        ds_sd_format(&state, &ctx->out);
    } else if (ds_cmd_wants(ctx, "nginx")) {
        ds_nginx_format(&state, &ctx->out);
    } else if (ds_cmd_wants(ctx, "svg")) {
        ds_svg_ring(&state, ring, &ctx->out);
    } else {
        show_text(&state, ring, ds_cmd_wants(ctx, "wide"), &ctx->out);
    }
    return 0;
}

const struct ds_cmd ds_cmd_ring_show = {
    .name = "ring show",
    .summary = "the servers, who is a member, and how much each owns",
    .operands = "",
    .outputs = "text wide json file-sd nginx svg",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .is_default = true,
    .run = run,
};
