/* SPDX-License-Identifier: Apache-2.0 */
/* scale.c - servers come and go, with their groups: up, down, or to a whole list. */
#include "dshard/scale.h"
#include "ask.h"
#include "dshard/log.h"
#include "dshard/num.h"
#include "dshard/settle.h"
#include "plan_view.h"
#include "progress.h"
#include "scale_choice.h"
#include "scale_result.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SETTLE_MS = 75000, /* Prometheus asks for its targets once a minute */
    LOCK_MS = 60000,   /* with Consul a killed holder has it for 20 s */
    ANSWER_MS = 10000,
};

struct options {
    bool yes, dry_run, adopt, wipe, force;
    const char *settle, *patience; /* texts, because 0 is not the default */
    int64_t leave_older_than_ms;
};

#define SCALE_OPTIONS                                                                    \
    {"yes",       '\0',                                                                  \
     DS_OPT_FLAG, offsetof(struct options, yes),                                         \
     NULL,        "do not ask whether to go on"},                                        \
        {"dry-run",   '\0',                                                              \
         DS_OPT_FLAG, offsetof(struct options, dry_run),                                 \
         NULL,        "show the plan and do nothing"},                                   \
        {"force",                                                                        \
         '\0',                                                                           \
         DS_OPT_FLAG,                                                                    \
         offsetof(struct options, force),                                                \
         NULL,                                                                           \
         "past the guards: too few servers would remain, one does not answer, ..."},     \
        {"patience",                                                                     \
         '\0',                                                                           \
         DS_OPT_TEXT,                                                                    \
         offsetof(struct options, patience),                                             \
         "TIME",                                                                         \
         "how long a group must be silent before it is copied (watch.patience)"},        \
    {                                                                                    \
        "leave-older-than", '\0', DS_OPT_DURATION,                                       \
            offsetof(struct options, leave_older_than_ms), "TIME",                       \
            "do not copy groups that have not been pushed for so long"                   \
    }

#define JOIN_OPTIONS                                                                     \
    {"settle",                                                                           \
     '\0',                                                                               \
     DS_OPT_TEXT,                                                                        \
     offsetof(struct options, settle),                                                   \
     "TIME",                                                                             \
     "wait at most so long for Prometheus to scrape newcomers (75s; 0: do not)"},        \
        {"adopt",     '\0',                                                              \
         DS_OPT_FLAG, offsetof(struct options, adopt),                                   \
         NULL,        "newcomers may hold groups; copies that others have win"},         \
    {                                                                                    \
        "wipe", '\0', DS_OPT_FLAG, offsetof(struct options, wipe), NULL,                 \
            "delete what newcomers hold"                                                 \
    }

static const struct ds_opt up_options[] = {SCALE_OPTIONS, JOIN_OPTIONS};
static const struct ds_opt down_options[] = {SCALE_OPTIONS};

/* One run of one of the commands. */
struct run {
    struct ds_cmd_context *ctx;
    const struct options *options;
    struct ds_config config;
    struct ds_registry *registry;
    struct ds_scale scale;
    struct ds_mover_report before; /* what the servers held before */
    struct ds_plan_view *view;
    struct ds_cmd_progress progress;
    struct ds_cmd_stop stop;
    bool idle;      /* nothing is to be done */
    size_t n_moves; /* the most groups that were seen out of place */
};

/* ---- the plan ---- */

/* All are where they should be already, and no run before has left anything undone. */
static bool is_nothing_to_do(const struct run *run, const struct ds_state *state)
{
    const struct ds_scale *scale = &run->scale;

    if (scale->n_remove || state->operation_kind || run->before.n_misplaced ||
        run->before.n_copies)
        return false;
    for (size_t i = 0; i < run->before.n_servers; i++) {
        if (!run->before.servers[i].reached)
            return false;
    }
    for (size_t i = 0; i < scale->n_add; i++) {
        const struct ds_server *server = &scale->add[i].server;
        const struct ds_standing *standing = ds_state_find(state, server->address);

        if (!standing || standing->intent != DS_INTENT_IN || !standing->member ||
            standing->server.weight != server->weight ||
            !ds_config_lists(scale->config, server->address))
            return false;
    }
    return true;
}

/* The fleet with the newcomers, so that they are asked, too. */
static int look(struct run *run, struct ds_error *err)
{
    struct ds_scale *scale = &run->scale;
    struct ds_mover_options how = {.mode = DS_PLAN_LOOK,
                                   .patience_ms = scale->options.patience_ms,
                                   .timeout_ms = scale->options.timeout_ms};
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(ptr) void *before = NULL;
    DS_AUTO(ptr) void *after = NULL;
    size_t n_before, n_after;

    if (ds_state_load(&state, run->config.state_file, err) < 0 &&
        err->code != DS_E_MISSING)
        return -1;
    before = ds_state_members(&state, &n_before);
    after = ds_scale_members_after(scale, &state, &n_after);
    if (!n_after)
        return ds_fail(err, DS_E_FAILED, "no member would be left");
    run->view = ds_plan_view_new(
        before, n_before, after, n_after,
        state.generation ? state.replicas : run->config.ring.replicas, err);
    if (!run->view)
        return -1;
    for (size_t i = 0; i < scale->n_add; i++) {
        if (ds_scale_is_newcomer(&scale->add[i]) && !scale->options.wipe)
            ds_state_add(&state, scale->add[i].server.address, 1)->intent =
                DS_INTENT_JOINING;
    }
    if (ds_mover_pass(&run->config, &state, NULL, &how, &run->before, err) < 0 &&
        err->code != DS_E_NET)
        return -1;
    ds_plan_view_take(run->view, &run->before, scale->options.patience_ms);
    run->idle = is_nothing_to_do(run, &state);
    return 0;
}

static void show_plan(const struct run *run)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_OUT_MAX);

    if (run->ctx->common.quiet)
        return;
    ds_plan_view_add_text(run->view, run->ctx->common.verbose, &text);
    fwrite(text.data, 1, text.len, stderr);
}

/* ---- telling how far it is ---- */

static void on_step(void *arg, unsigned step, unsigned n_steps, const char *what)
{
    struct run *run = arg;

    ds_cmd_progress_clear(&run->progress);
    ds_cmd_warn(run->ctx, "%u/%u %s", step, n_steps, what);
}

static void on_warn(void *arg, const char *text)
{
    struct run *run = arg;

    ds_cmd_progress_clear(&run->progress);
    ds_cmd_warn(run->ctx, "%s", text);
}

static void on_note(void *arg, const char *text)
{
    struct run *run = arg;

    if (run->ctx->common.verbose)
        on_warn(arg, text);
}

static void on_moved(void *arg, const struct ds_mover_report *report,
                     const struct ds_relocate_wait *wait)
{
    struct run *run = arg;
    size_t n_open =
        report->n_misplaced > report->n_copies ? report->n_misplaced : report->n_copies;

    run->n_moves = n_open > run->n_moves ? n_open : run->n_moves;
    ds_cmd_progress_wait(&run->progress, wait ? wait->text : NULL,
                         wait ? wait->due_ms : 0);
    ds_cmd_progress_show(&run->progress, run->n_moves - n_open, run->n_moves);
}

/* ---- the commands ---- */

static int read_duration(const char *text, const char *name, int64_t otherwise_ms,
                         int64_t *out, struct ds_error *err)
{
    *out = otherwise_ms;
    if (!text || ds_duration_parse(text, out, err) == 0)
        return 0;
    err->code = DS_E_USAGE;
    return ds_wrap(err, "%s", name);
}

static int read_options(const struct run *run, struct ds_scale_options *out,
                        struct ds_error *err)
{
    const struct options *o = run->options;

    *out = (struct ds_scale_options){
        .adopt = o->adopt,
        .wipe = o->wipe,
        .force = o->force,
        .leave_older_than_ms = o->leave_older_than_ms,
        .timeout_ms = ds_cmd_timeout_ms(run->ctx, ANSWER_MS),
        .lock_ms = ds_cmd_timeout_ms(run->ctx, LOCK_MS),
    };
    if (read_duration(o->settle, "--settle", SETTLE_MS, &out->settle_ms, err) < 0)
        return -1;
    return read_duration(o->patience, "--patience", run->config.watch.patience_ms,
                         &out->patience_ms, err);
}

static struct ds_scale_hooks hooks_of(struct run *run)
{
    return (struct ds_scale_hooks){.step = on_step,
                                   .warn = on_warn,
                                   .note = on_note,
                                   .moved = on_moved,
                                   .arg = run,
                                   .stop = ds_cmd_stop_came,
                                   .stop_arg = &run->stop};
}

static int check_and_run(struct run *run, struct ds_error *err)
{
    struct ds_scale *scale = &run->scale;
    int rc = 0;

    if (ds_scale_check(scale, err) < 0 || look(run, err) < 0)
        return -1;
    if (run->idle && !run->options->dry_run) {
        ds_cmd_say(run->ctx, "nothing to do");
        scale->done = true;
    } else if (!run->options->dry_run) {
        show_plan(run);
        if (ds_cmd_ask(run->options->yes, err) < 0)
            return -1;
        ds_cmd_stop_init(&run->stop);
        rc = ds_scale_run(scale, err);
        ds_cmd_progress_clear(&run->progress);
    } else if (!ds_cmd_wants(run->ctx, "json")) {
        ds_plan_view_add_text(run->view, run->ctx->common.verbose, &run->ctx->out);
    }
    if (ds_cmd_wants(run->ctx, "json"))
        ds_cmd_scale_json(run->ctx, scale, run->view, run->options->dry_run);
    else
        ds_cmd_scale_text(run->ctx, scale);
    return rc;
}

static int prepare_and_run(struct run *run, const char *kind,
                           ds_cmd_scale_choose_fn *choose, struct ds_error *err)
{
    struct ds_scale_options options;
    struct ds_cmd_acts acts = {0};
    int rc;

    if (ds_cmd_load_config(run->ctx, &run->config, err) < 0 ||
        read_options(run, &options, err) < 0)
        return -1;
    rc = ds_cmd_acts_from_operands(run->ctx, &run->config, DS_ACT_REGISTER, &acts, err);
    if (rc == 0 && !run->options->dry_run)
        rc = ds_settle_now(&run->config, options.lock_ms, err);
    if (rc == 0)
        run->registry = ds_registry_new(&run->config, options.lock_ms, err);
    if (run->registry &&
        ds_scale_init(&run->scale, &run->config, run->registry, kind, err) == 0) {
        run->scale.options = options;
        run->scale.hooks = hooks_of(run);
        choose(&run->scale, &acts);
        run->scale.command = ds_cmd_acts_command(kind, &acts);
        rc = check_and_run(run, err);
    } else {
        rc = -1;
    }
    ds_cmd_acts_release(&acts);
    return rc;
}

static int run_scale(struct ds_cmd_context *ctx, const void *opts, const char *kind,
                     ds_cmd_scale_choose_fn *choose, struct ds_error *err)
{
    struct run run = {.ctx = ctx, .options = opts};
    int rc;

    if (!ctx->common.verbose)
        ds_log_set_level(DS_LOG_WARN); /* what a watch would log is told as steps here */
    ds_config_init(&run.config);
    ds_mover_report_init(&run.before);
    ds_cmd_progress_init(&run.progress, ctx, "moving groups");
    rc = prepare_and_run(&run, kind, choose, err);
    ds_plan_view_free(run.view);
    ds_mover_report_release(&run.before);
    ds_scale_release(&run.scale);
    if (run.registry)
        run.registry->ops->free(run.registry);
    ds_config_release(&run.config);
    return rc;
}

static int run_up(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    return run_scale(ctx, opts, "scale up", ds_cmd_scale_add_all, err);
}

static int run_down(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    return run_scale(ctx, opts, "scale down", ds_cmd_scale_remove_all, err);
}

static int run_to(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    return run_scale(ctx, opts, "scale to", ds_cmd_scale_change_to, err);
}

const struct ds_cmd ds_cmd_scale_up = {
    .name = "scale up",
    .summary = "add servers, and move the groups that are theirs",
    .operands = "SERVER...",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = up_options,
    .n_opts = DS_COUNT(up_options),
    .options_size = sizeof(struct options),
    .run = run_up,
};

const struct ds_cmd ds_cmd_scale_down = {
    .name = "scale down",
    .summary = "empty servers and take them out",
    .operands = "SERVER...",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = down_options,
    .n_opts = DS_COUNT(down_options),
    .options_size = sizeof(struct options),
    .run = run_down,
};

const struct ds_cmd ds_cmd_scale_to = {
    .name = "scale to",
    .summary = "add and take out servers until there are exactly these",
    .operands = "SERVER...",
    .min_operands = 1,
    .max_operands = -1,
    .outputs = "text json",
    .opts = up_options,
    .n_opts = DS_COUNT(up_options),
    .options_size = sizeof(struct options),
    .run = run_to,
};
