/* SPDX-License-Identifier: Apache-2.0 */
/* groups_move.c - brings every group to its owner, or removes the copies too many: once,
   or until it is done. */
#include "dshard/clock.h"
#include "dshard/num.h"
#include "dshard/operation.h"
#include "groups.h"
#include "groups_result.h"
#include "progress.h"
#include "stop.h"

/* So often the state file, and with it the ring, is read again. */
enum { BUDGET_MS = 2000 };

/* A DELETE is answered before it is done. */
enum { CONFIRM_MS = 50, NAMES_MAX = 10 };

enum {
    ONCE_LOCK_MS = 3000, /* watch asks again by itself, and says who has it */
    LOOK_MS = 500,       /* for a signal, while the lock is waited for */
    TURN_MS = 400,       /* without the lock, so that who waits for it gets it */
};

struct options {
    struct ds_opt_list match;
    bool once, dry_run;
    const char *patience; /* a text, because 0 is not the default */
    int64_t leave_older_than_ms;
};

static const struct ds_opt options[] = {
    {"match", '\0', DS_OPT_LIST, offsetof(struct options, match), "LABEL=VALUE",
     "only groups with that label (several: all must hold)"},
    {"once", '\0', DS_OPT_FLAG, offsetof(struct options, once), NULL,
     "one pass, of some seconds, over what is due now"},
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done now and do nothing"},
    {"patience", '\0', DS_OPT_TEXT, offsetof(struct options, patience), "TIME",
     "how long a group must be silent before it is copied (watch.patience)"},
    {"leave-older-than", '\0', DS_OPT_DURATION,
     offsetof(struct options, leave_older_than_ms), "TIME",
     "do not copy groups that have not been pushed for so long"},
};

struct run {
    struct ds_cmd_context *ctx;
    const struct options *options;
    struct ds_config *config;
    struct ds_mover_options mover;
    struct ds_cmd_progress progress;
    struct ds_mover_report report;
    struct ds_cmd_moved total; /* of all passes */
    struct ds_cmd_stop stop;
    bool operation; /* `operation` in the state is ours */
    bool said_waiting;
    bool changed;            /* the last pass has: what it says is to be seen */
    int64_t unread_since_ms; /* 0: every server was read in the last pass */
};

/* ---- a pass -------------------------------------------------------------------------
 */

static void on_progress(void *arg, const struct ds_mover_progress *progress)
{
    struct run *run = arg;
    struct ds_error err = DS_ERROR_INIT;
    size_t before = run->total.n_done;

    if (!run->operation) {
        run->operation = true;
        if (ds_operation_set(run->config->state_file, run->total.command, "moving groups",
                             &err) < 0)
            ds_cmd_warn(run->ctx, "the state does not tell what is done: %s", err.text);
    }
    ds_cmd_progress_show(&run->progress, before + progress->n_done,
                         before + progress->n_todo);
}

/* What the pass before said is in place, and is not there. */
static void say_vanished(struct run *run)
{
    const struct ds_mover_trace *trace;

    while ((trace = ds_mover_next_vanished(&run->report))) {
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_ERROR_TEXT_MAX / 2);

        ds_cmd_group_add_text(trace->identity, trace->identity_len, &text);
        if (run->total.n_vanished++ >= NAMES_MAX)
            continue;
        ds_cmd_progress_clear(&run->progress);
        ds_cmd_warn(run->ctx, "%s is gone from %s, where it was to stay",
                    text.over ? "a group" : text.data, trace->to);
    }
}

static int do_pass(struct run *run, struct ds_fleet_lock *lock, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};
    int rc;

    if (ds_state_load(&state, run->config->state_file, err) < 0)
        return -1;
    rc = ds_mover_pass(run->config, &state, lock, &run->mover, &run->report, err);
    run->changed = run->report.n_deleted + run->report.n_merged + run->report.n_copied;
    say_vanished(run);
    ds_cmd_moved_add(&run->total, &run->report);
    if (rc < 0 && err->code == DS_E_NET)
        err->code = DS_E_TEMP;
    return rc;
}

/* Whether another pass could do more. */
static bool is_over(struct run *run)
{
    const struct ds_mover_report *report = &run->report;
    struct ds_error unread = DS_ERROR_INIT;
    int64_t now_ms = ds_clock_mono_ms();

    if (ds_cmd_groups_check_read(report, false, &unread) == 0 &&
        !report->plan.n_ownerless)
        run->unread_since_ms = 0;
    else if (!run->unread_since_ms)
        run->unread_since_ms = now_ms;
    if (run->unread_since_ms)
        return now_ms - run->unread_since_ms > run->mover.timeout_ms;
    return ds_mover_is_done(report, run->mover.mode) ||
           !(report->plan.n_waiting || report->n_undone || report->n_raced);
}

static void say_waiting(struct run *run)
{
    if (run->said_waiting || !run->report.plan.n_waiting)
        return;
    run->said_waiting = true;
    ds_cmd_progress_clear(&run->progress);
    ds_cmd_say(run->ctx, "%zu %s: for the next push, or until %s silent long enough",
               run->report.plan.n_waiting,
               run->report.plan.n_waiting == 1 ? "group waits" : "groups wait",
               run->report.plan.n_waiting == 1 ? "it has been" : "they have been");
}

/* ---- the lock -----------------------------------------------------------------------
 */

/* Waits for it, but looks for a signal now and then. */
static int take_lock(struct run *run, struct ds_fleet_lock **lock, struct ds_error *err)
{
    int64_t timeout_ms = run->mover.timeout_ms, deadline_ms;

    if (*lock || run->options->dry_run)
        return 0;
    if (run->options->once && timeout_ms > ONCE_LOCK_MS)
        timeout_ms = ONCE_LOCK_MS;
    deadline_ms = ds_clock_mono_ms() + timeout_ms;
    for (;;) {
        int64_t began_ms = ds_clock_mono_ms(), left_ms = deadline_ms - began_ms;
        int64_t slice_ms = left_ms < LOOK_MS ? left_ms : LOOK_MS;

        *lock = ds_fleet_lock_take(run->config, run->total.command, slice_ms, err);
        if (*lock)
            return 0;
        /* What is said before its time is no lock, and final. */
        if (err->code != DS_E_TEMP || left_ms <= LOOK_MS ||
            ds_clock_mono_ms() - began_ms < LOOK_MS / 2)
            return -1;
        if (ds_cmd_stop_came(&run->stop))
            return ds_fail(err, DS_E_TEMP, "interrupted: run it again");
    }
}

static void end_operation(struct run *run)
{
    struct ds_error ignored = DS_ERROR_INIT;

    /* What cannot be written stays there, and `status` says that its process has ended.
     */
    if (run->operation)
        ds_ignore(ds_operation_end(run->config->state_file, &ignored));
    run->operation = false;
}

/* While it only waits, others may have something to do: a watch, for a server that is
   back.  False: a signal has come. */
static bool give_others_a_turn(struct run *run, struct ds_fleet_lock **lock)
{
    int64_t pause_ms = ds_mover_pause_ms(&run->report);

    end_operation(run);
    ds_fleet_lock_free(*lock);
    *lock = NULL;
    if (run->report.n_undone && !run->unread_since_ms)
        pause_ms = TURN_MS;
    return !ds_cmd_stop_wait(&run->stop, pause_ms > TURN_MS ? pause_ms : TURN_MS);
}

static int repeat(struct run *run, struct ds_fleet_lock **lock, struct ds_error *err)
{
    for (;;) {
        if (take_lock(run, lock, err) < 0 || do_pass(run, *lock, err) < 0)
            return -1;
        if (run->options->once || run->options->dry_run || ds_cmd_stop_came(&run->stop))
            return 0;
        if (is_over(run)) {
            if (!run->changed || ds_cmd_stop_wait(&run->stop, CONFIRM_MS))
                return 0;
            continue;
        }
        say_waiting(run);
        /* Each pass cleans all servers, too, unless it is about some groups only. */
        if (run->report.n_undone && !run->unread_since_ms && !run->mover.match)
            continue;
        if (!give_others_a_turn(run, lock))
            return 0;
    }
}

/* ---- the commands -------------------------------------------------------------------
 */

/* A look at some of the groups, or at some of the servers, does not tell. */
static bool is_all_in_place(const struct run *run)
{
    struct ds_error ignored = DS_ERROR_INIT;

    return !run->options->dry_run && !run->mover.match &&
           run->mover.mode == DS_PLAN_MOVE && !run->report.plan.n_ownerless &&
           ds_cmd_groups_check_read(&run->report, false, &ignored) == 0 &&
           ds_mover_is_done(&run->report, DS_PLAN_MOVE);
}

static int work(struct run *run, struct ds_error *err)
{
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = NULL;
    struct ds_error ignored = DS_ERROR_INIT;
    int rc;

    ds_cmd_stop_init(&run->stop);
    /* A pass of a watch is told to end by the watch, and by systemd as well. */
    run->stop.patient = true;
    rc = repeat(run, &lock, err);
    ds_cmd_progress_clear(&run->progress);
    end_operation(run);
    if (rc == 0 && lock)
        ds_ignore(
            ds_operation_end_dead(run->config->state_file, run->total.command, &ignored));
    if (rc == 0 && lock && is_all_in_place(run))
        ds_ignore(ds_operation_groups_done(run->config->state_file, &ignored));
    return rc;
}

static int prepare(struct run *run, struct ds_cmd_match *match, struct ds_error *err)
{
    const struct options *o = run->options;
    int64_t patience_ms;

    if (ds_cmd_match_parse(match, &o->match, err) < 0)
        return -1;
    if (o->patience && ds_duration_parse(o->patience, &patience_ms, err) < 0) {
        err->code = DS_E_USAGE;
        return ds_wrap(err, "--patience");
    }
    if (ds_cmd_load_config(run->ctx, run->config, err) < 0)
        return -1;
    run->mover.patience_ms = o->patience ? patience_ms : run->config->watch.patience_ms;
    run->mover.leave_older_than_ms = o->leave_older_than_ms;
    run->mover.timeout_ms = ds_cmd_timeout_ms(run->ctx, DS_CMD_GROUPS_TIMEOUT_MS);
    run->mover.budget_ms = BUDGET_MS;
    run->mover.dry_run = o->dry_run;
    run->mover.match = match->n ? ds_cmd_match_holds : NULL;
    run->mover.match_arg = match;
    run->mover.progress = on_progress;
    run->mover.progress_arg = run;
    run->mover.stop = ds_cmd_stop_came;
    run->mover.stop_arg = &run->stop;
    return 0;
}

static int run_command(struct ds_cmd_context *ctx, const void *opts,
                       enum ds_plan_mode mode, struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(cmd_match) struct ds_cmd_match match = {0};
    struct run run = {
        .ctx = ctx,
        .options = opts,
        .config = &config,
        .mover.mode = mode,
        .total.command = mode == DS_PLAN_MOVE ? "groups move" : "groups dedupe",
        .total.mode = mode,
    };
    int rc;

    ds_config_init(&config);
    ds_mover_report_init(&run.report);
    ds_cmd_progress_init(&run.progress, ctx,
                         mode == DS_PLAN_MOVE ? "moving groups" : "removing copies");
    rc = prepare(&run, &match, err);
    if (rc == 0)
        rc = work(&run, err);
    run.total.dry_run = run.mover.dry_run;
    run.total.stopped = run.stop.came;
    if (run.total.n_passes)
        rc = ds_cmd_moved_show(ctx, &run.total, &run.report, rc, err);
    ds_mover_report_release(&run.report);
    return rc;
}

static int run_move(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    return run_command(ctx, opts, DS_PLAN_MOVE, err);
}

static int run_dedupe(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    return run_command(ctx, opts, DS_PLAN_DEDUPE, err);
}

const struct ds_cmd ds_cmd_groups_move = {
    .name = "groups move",
    .summary = "bring every group to its owner",
    .operands = "",
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run_move,
};

const struct ds_cmd ds_cmd_groups_dedupe = {
    .name = "groups dedupe",
    .summary = "of several copies of a group, keep the newest",
    .operands = "",
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run_dedupe,
};
