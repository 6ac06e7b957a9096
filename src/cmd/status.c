/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - one screen: is all well, who is a member, what changed last. */
#include "dshard/status.h"
#include "cmd.h"
#include "dshard/aim.h"
#include "dshard/clock.h"
#include "dshard/keeper.h"
#include "dshard/num.h"
#include "dshard/operation.h"
#include "dshard/table.h"
#include "frontends.h"
#include "json.h"
#include "status_groups.h"

enum { FRONTENDS_TIMEOUT_MS = 5000 };

struct options {
    const char *state;
    bool no_groups;
};

static const struct ds_opt options[] = {
    {"state", '\0', DS_OPT_TEXT, offsetof(struct options, state), "FILE",
     "read this state file instead of the configuration's"},
    {"no-groups", '\0', DS_OPT_FLAG, offsetof(struct options, no_groups), NULL,
     "do not ask the servers for their groups"},
};

/* What is asked beside the state. */
struct asked {
    struct ds_frontends frontends;
    struct ds_cmd_status_groups groups;
};

static void ds_auto_asked(struct asked *asked)
{
    ds_auto_frontends(&asked->frontends);
    ds_cmd_status_groups_release(&asked->groups);
}

static void add_age(struct ds_buf *out, const char *what, int64_t since_ms,
                    int64_t now_ms)
{
    char age[DS_DURATION_TEXT_MAX];

    ds_duration_format_short(now_ms - since_ms, age);
    if (since_ms)
        ds_buf_addf(out, "%-12s %s ago\n", what, age);
    else
        ds_buf_addf(out, "%-12s never\n", what);
}

static void add_names(struct ds_buf *out, char sign, char (*names)[DS_ADDRESS_MAX],
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        ds_buf_addf(out, " %c%s", sign, names[i]);
}

/* "-": it was not asked; "?": it did not tell. */
static void add_number(struct ds_table *table, const struct ds_mover_server *row,
                       size_t n)
{
    if (row && row->reached)
        ds_table_addf(table, "%zu", n);
    else
        ds_table_add(table, row && !row->down ? "?" : "-");
}

static void add_servers(const struct ds_state *state,
                        const struct ds_cmd_status_groups *groups, struct ds_buf *out)
{
    static const char *const headings[] = {"SERVER", "INTENT",  "HEALTH",    "MEMBER",
                                           ">SHARE", ">GROUPS", ">MISPLACED"};
    DS_AUTO(ring) struct ds_ring *ring = ds_state_ring(state);
    DS_AUTO(table) struct ds_table table;
    size_t member = 0;

    ds_table_init(&table, headings, DS_COUNT(headings) - (groups->asked ? 0 : 2));
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        const struct ds_mover_server *row =
            ds_mover_report_find(&groups->report, standing->server.address);

        ds_table_add(&table, standing->server.address);
        ds_table_add(&table, ds_intent_name(standing->intent));
        ds_table_add(&table, ds_health_name(standing->health.state));
        ds_table_add(&table, standing->member ? "yes" : "no");
        if (standing->member)
            ds_table_addf(&table, "%.1f%%",
                          ds_ring_ppm(ds_ring_share(ring, member++)) / 10000.0);
        else
            ds_table_add(&table, "-");
        if (!groups->asked)
            continue;
        add_number(&table, row, row ? row->n_groups : 0);
        add_number(&table, row, row ? row->n_misplaced : 0);
    }
    ds_table_format(&table, out);
}

/* One that was interrupted is among the problems. */
static void add_operation(const struct ds_state *state, int64_t now_ms,
                          struct ds_buf *out)
{
    char age[DS_DURATION_TEXT_MAX];

    if (!state->operation_kind || ds_operation_is_dead(state))
        return;
    ds_duration_format_short(now_ms - state->operation_since_ms, age);
    ds_buf_addf(out, "%-12s %s, for %s: %s (%s)\n", "operation", state->operation_kind,
                age, state->operation_step, state->operation_by);
}

static json_t *operation_json(const struct ds_state *state)
{
    if (!state->operation_kind ||
        (ds_operation_is_dead(state) && ds_aim_of(state) == DS_AIM_OVER))
        return json_null();
    return json_pack("{ss,ss,ss,sI,sb}", "kind", state->operation_kind, "step",
                     state->operation_step, "by", state->operation_by, "since",
                     (json_int_t)state->operation_since_ms, "interrupted",
                     (int)ds_operation_is_dead(state));
}

static void show_text(const struct ds_state *state, const struct ds_status *status,
                      const struct asked *asked, int64_t now_ms, struct ds_buf *out)
{
    ds_buf_addf(out, "%s: %zu of %zu servers are members, %zu up\n",
                ds_verdict_name(status->verdict), status->n_members, status->n_servers,
                status->n_up);
    for (size_t i = 0; i < status->n_problems; i++)
        ds_buf_addf(out, "  - %s\n", status->problems[i].data);
    ds_buf_addc(out, '\n');
    add_servers(state, &asked->groups, out);
    ds_buf_addf(out, "\n%-12s %llu, digest %s, %s\n", "generation",
                (unsigned long long)state->generation, state->digest,
                state->consul ? "with Consul" : "standalone");
    add_age(out, "last check", state->checked_at_ms, now_ms);
    add_operation(state, now_ms, out);
    if (state->n_history) {
        const struct ds_change *change = &state->history[0];
        char age[DS_DURATION_TEXT_MAX];

        ds_duration_format_short(now_ms - change->at_ms, age);
        ds_buf_addf(out,
                    "%-12s %s ago (%s), %.1f%% of the key space moved:", "last change",
                    age, ds_cause_name(change->cause), change->moved_ppm / 10000.0);
        add_names(out, '+', change->added, change->n_added);
        add_names(out, '-', change->removed, change->n_removed);
        ds_buf_addc(out, '\n');
    }
    ds_cmd_status_groups_text(&asked->groups, out);
    if (asked->frontends.n) {
        ds_buf_addc(out, '\n');
        ds_cmd_frontends_text(&asked->frontends, state->digest, now_ms, out);
    }
}

static json_t *names_json(char (*names)[DS_ADDRESS_MAX], size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

static json_t *last_change_json(const struct ds_state *state)
{
    const struct ds_change *change = &state->history[0];

    if (!state->n_history)
        return json_null();
    return json_pack("{sI,ss,sI,sI,so,so}", "at", (json_int_t)change->at_ms, "cause",
                     ds_cause_name(change->cause), "generation",
                     (json_int_t)change->generation, "moved_ppm",
                     (json_int_t)change->moved_ppm, "added",
                     names_json(change->added, change->n_added), "removed",
                     names_json(change->removed, change->n_removed));
}

static json_t *servers_json(const struct ds_state *state,
                            const struct ds_cmd_status_groups *groups)
{
    json_t *list = json_array();

    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        json_t *row = json_pack(
            "{ss,ss,ss,sb,sI,ss}", "address", standing->server.address, "intent",
            ds_intent_name(standing->intent), "health",
            ds_health_name(standing->health.state), "member", (int)standing->member,
            "since", (json_int_t)standing->health.since_ms, "why", standing->health.why);

        json_array_append_new(
            list, ds_cmd_status_groups_add_json(groups, standing->server.address, row));
    }
    return list;
}

static void show_json(struct ds_cmd_context *ctx, const struct ds_state *state,
                      const struct ds_status *status, const struct asked *asked,
                      int64_t now_ms)
{
    json_t *problems = json_array();

    for (size_t i = 0; i < status->n_problems; i++)
        json_array_append_new(problems, ds_cmd_json_string(status->problems[i].data,
                                                           status->problems[i].len));
    ds_cmd_add_json(
        ctx,
        ds_cmd_status_groups_add_json(
            &asked->groups, NULL,
            json_pack(
                "{ss,so,so,sI,sI,sI,sI,ss,sb,sI,ss,so,so,so}", "verdict",
                ds_verdict_name(status->verdict), "problems", problems, "servers",
                servers_json(state, &asked->groups), "n_members",
                (json_int_t)status->n_members, "n_up", (json_int_t)status->n_up,
                "checked_age_ms",
                (json_int_t)(state->checked_at_ms ? now_ms - state->checked_at_ms : -1),
                "generation", (json_int_t)state->generation, "digest", state->digest,
                "frozen", state->frozen_reason != NULL, "checked_at",
                (json_int_t)state->checked_at_ms, "source",
                state->consul ? "consul" : "standalone", "last_change",
                last_change_json(state), "operation", operation_json(state), "frontends",
                ds_cmd_frontends_json(&asked->frontends))));
}

/* With Consul: who else follows this service, and whether they apply the same ring. */
static void ask_frontends(struct ds_cmd_context *ctx, const struct ds_config *config,
                          const struct ds_state *state, struct ds_status *status,
                          struct ds_frontends *frontends)
{
    struct ds_error why = DS_ERROR_INIT;
    size_t n_astray;

    if (ds_frontends_list(config, ds_cmd_timeout_ms(ctx, FRONTENDS_TIMEOUT_MS), frontends,
                          &why) < 0) {
        ds_status_add(status, DS_VERDICT_DEGRADED, "Consul does not tell: %s", why.text);
        return;
    }
    if (ds_keeper_is_claimed(config->state_file) &&
        !ds_cmd_frontends_have_here(frontends))
        ds_status_add(
            status, DS_VERDICT_DEGRADED,
            "this frontend does not agree with others: see the log of its watch");
    n_astray = ds_cmd_frontends_astray(frontends, state->digest);
    if (n_astray)
        ds_status_add(status, DS_VERDICT_DEGRADED,
                      "%zu of %zu frontends apply another ring", n_astray, frontends->n);
}

/* What the state does not tell. */
static int ask(struct ds_cmd_context *ctx, const struct options *o,
               const struct ds_state *state, struct ds_status *status,
               struct asked *asked, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;

    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    if (state->consul && config.consul)
        ask_frontends(ctx, &config, state, status, &asked->frontends);
    if (!o->no_groups)
        ds_cmd_status_groups_ask(&asked->groups, ctx, &config, state, status);
    return 0;
}

/* Whether something of a dead operation is left to do. */
static bool is_interrupted(const struct ds_state *state,
                           const struct ds_cmd_status_groups *groups)
{
    enum ds_aim aim = ds_aim_of(state);

    if (!ds_operation_is_dead(state) || aim == DS_AIM_OVER)
        return false;
    return aim != DS_AIM_GROUPS ||
           (groups->told && (groups->report.n_misplaced || groups->report.n_copies));
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    int64_t now_ms = ds_clock_wall_ms();
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(status) struct ds_status status = {0};
    DS_AUTO(asked) struct asked asked = {0};
    DS_AUTO(str) char *path = NULL;

    if (ds_cmd_load_state(ctx, o->state, &state, &path, NULL, err) < 0)
        return -1;
    ds_status_judge(&status, &state, now_ms);
    if (!o->state && ask(ctx, o, &state, &status, &asked, err) < 0)
        return -1;
    if (is_interrupted(&state, &asked.groups))
        ds_status_add_interrupted(&status, &state, now_ms);
    if (ds_cmd_wants(ctx, "json"))
        show_json(ctx, &state, &status, &asked, now_ms);
    else
        show_text(&state, &status, &asked, now_ms, &ctx->out);
    if (status.verdict == DS_VERDICT_HEALTHY)
        return 0;
    return ds_fail(err, DS_E_NO, "%s", "");
}

const struct ds_cmd ds_cmd_status = {
    .name = "status",
    .summary = "one screen: is all well (exit status 3 if not)",
    .operands = "",
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
