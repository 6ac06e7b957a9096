/* SPDX-License-Identifier: Apache-2.0 */
/* groups_delete.c - deletes groups on every server that has them: by their labels, or
   those that nobody pushes any more. */
#include "ask.h"
#include "dshard/clock.h"
#include "dshard/operation.h"
#include "groups.h"
#include "groups_deleted.h"
#include "progress.h"
#include "stop.h"

#include <stdlib.h>

struct options {
    struct ds_opt_list match;
    int64_t older_than_ms;
    bool yes, dry_run;
};

#define MATCH_OPTION                                                                     \
    {                                                                                    \
        "match", '\0', DS_OPT_LIST, offsetof(struct options, match), "LABEL=VALUE",      \
            "only groups with that label (several: all must hold)"                       \
    }
#define OLDER_THAN_OPTION                                                                \
    {                                                                                    \
        "older-than", '\0', DS_OPT_DURATION, offsetof(struct options, older_than_ms),    \
            "TIME", "only groups that have not been pushed for so long"                  \
    }
#define YES_OPTION                                                                       \
    {                                                                                    \
        "yes", '\0', DS_OPT_FLAG, offsetof(struct options, yes), NULL,                   \
            "do not ask whether to go on"                                                \
    }
#define DRY_RUN_OPTION                                                                   \
    {                                                                                    \
        "dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,           \
            "say what would be deleted and do nothing"                                   \
    }

static const struct ds_opt delete_options[] = {MATCH_OPTION, OLDER_THAN_OPTION,
                                               YES_OPTION, DRY_RUN_OPTION};
static const struct ds_opt expire_options[] = {OLDER_THAN_OPTION, MATCH_OPTION,
                                               YES_OPTION, DRY_RUN_OPTION};

struct run {
    struct ds_cmd_context *ctx;
    const struct options *options;
    struct ds_config config;
    struct ds_cmd_match match;
    struct ds_fleet_lock *lock; /* NULL: not taken yet */
    struct ds_mover_report report;
    struct ds_mover_place *places;
    struct ds_cmd_deleted total;
    struct ds_cmd_progress progress;
    struct ds_cmd_stop stop;
};

/* Reads what is there, and chooses. */
static int look(struct run *run, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};
    size_t n;

    if (ds_state_load(&state, run->config.state_file, err) < 0)
        return -1;
    if (ds_cmd_groups_look(run->ctx, &run->config, &state, &run->match, &run->report,
                           err) < 0) {
        err->code = err->code == DS_E_NET ? DS_E_TEMP : err->code;
        return -1;
    }
    run->places = ds_mover_places(&run->report, &n);
    run->total.removals =
        ds_remover_choose(&run->report, run->places, n, run->options->older_than_ms,
                          ds_clock_wall_ms(), &run->total.n);
    return 0;
}

static int take_lock(struct run *run, struct ds_error *err)
{
    run->lock =
        ds_fleet_lock_take(&run->config, run->total.command,
                           ds_cmd_timeout_ms(run->ctx, DS_CMD_GROUPS_TIMEOUT_MS), err);
    return run->lock ? 0 : -1;
}

static bool has_work(const struct run *run)
{
    for (size_t i = 0; i < run->total.n; i++) {
        if (run->total.removals[i].end == DS_REMOVAL_OPEN)
            return true;
    }
    return false;
}

static void on_progress(void *arg, const struct ds_mover_progress *progress)
{
    struct run *run = arg;

    ds_cmd_progress_show(&run->progress, progress->n_done, progress->n_todo);
}

static int delete_all(struct run *run, struct ds_error *err)
{
    const char *state_file = run->config.state_file;
    struct ds_error ignored = DS_ERROR_INIT;
    struct ds_mover_options how = {
        .timeout_ms = ds_cmd_timeout_ms(run->ctx, DS_CMD_GROUPS_TIMEOUT_MS),
        .progress = on_progress,
        .progress_arg = run,
        .stop = ds_cmd_stop_came,
        .stop_arg = &run->stop,
    };
    int rc;

    if (ds_operation_set(state_file, run->total.command, "deleting groups", &ignored) < 0)
        ds_cmd_warn(run->ctx, "the state does not tell what is done: %s", ignored.text);
    ds_cmd_stop_init(&run->stop);
    rc = ds_remover_run(&run->config, run->lock, &how, &run->report, run->total.removals,
                        run->total.n, err);
    run->total.stopped = run->stop.came;
    ds_cmd_progress_clear(&run->progress);
    /* What cannot be written stays there, and `status` says that its process has ended.
     */
    ds_ignore(ds_operation_end(state_file, &ignored));
    return rc;
}

/*
 * Who is asked first sees what will go, and only that goes; nobody should have to wait
 * for an answer, so the lock comes later.  Without a question it comes first, so that
 * nothing is moved between the look and the deletion.
 */
static int work(struct run *run, struct ds_error *err)
{
    bool asks = ds_cmd_will_ask(run->options->yes);
    int rc = 0;

    if (!run->options->dry_run && !asks && take_lock(run, err) < 0)
        return -1;
    if (look(run, err) < 0)
        return -1;
    if (has_work(run) && !run->options->dry_run) {
        if (asks)
            ds_cmd_deleted_preview(&run->total, &run->report);
        if (ds_cmd_ask(run->options->yes, err) < 0)
            return -1;
        if (!run->lock && take_lock(run, err) < 0)
            return -1;
        rc = delete_all(run, err);
    }
    return ds_cmd_deleted_show(run->ctx, &run->total, &run->report, rc, err);
}

static int run_command(struct ds_cmd_context *ctx, const void *opts, const char *command,
                       struct ds_error *err)
{
    const struct options *o = opts;
    struct run run = {
        .ctx = ctx,
        .options = o,
        .total = {.command = command,
                  .by_age = o->older_than_ms > 0,
                  .dry_run = o->dry_run},
    };
    int rc = -1;

    ds_config_init(&run.config);
    ds_mover_report_init(&run.report);
    ds_cmd_progress_init(&run.progress, ctx, "deleting groups");
    if (ds_cmd_match_parse(&run.match, &o->match, err) == 0 &&
        ds_cmd_load_config(ctx, &run.config, err) == 0)
        rc = work(&run, err);
    ds_fleet_lock_free(run.lock);
    free(run.total.removals);
    free(run.places);
    ds_mover_report_release(&run.report);
    ds_auto_cmd_match(&run.match);
    ds_config_release(&run.config);
    return rc;
}

static int run_delete(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    if (!o->match.n && o->older_than_ms <= 0)
        return ds_fail(err, DS_E_USAGE,
                       "which groups? say --match LABEL=VALUE or --older-than TIME");
    return run_command(ctx, o, "groups delete", err);
}

static int run_expire(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;

    if (o->older_than_ms <= 0)
        return ds_fail(err, DS_E_USAGE,
                       "how old is too old? say --older-than TIME, 7d for example");
    return run_command(ctx, o, "groups expire", err);
}

const struct ds_cmd ds_cmd_groups_delete = {
    .name = "groups delete",
    .summary = "delete groups by their labels, on every server",
    .operands = "",
    .outputs = "text json",
    .opts = delete_options,
    .n_opts = DS_COUNT(delete_options),
    .options_size = sizeof(struct options),
    .run = run_delete,
};

const struct ds_cmd ds_cmd_groups_expire = {
    .name = "groups expire",
    .summary = "delete groups that nobody has pushed for long",
    .operands = "",
    .outputs = "text json",
    .opts = expire_options,
    .n_opts = DS_COUNT(expire_options),
    .options_size = sizeof(struct options),
    .run = run_expire,
};
