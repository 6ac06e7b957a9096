/* SPDX-License-Identifier: Apache-2.0 */
/* drain.c - takes servers out of the ring while Prometheus goes on scraping them, and the
   end of that. */
#include "acts.h"
#include "dshard/num.h"
#include "dshard/operation.h"
#include "dshard/relocate.h"
#include "dshard/settle.h"
#include "progress.h"
#include "stop.h"

#include <stdlib.h>

enum { PASS_MS = 1000, LOCK_MS = 60000, ANSWER_MS = 10000 };

struct options {
    bool force, dry_run, wait;
    const char *patience; /* a text, because 0 is not the default */
};

static const struct ds_opt drain_options[] = {
    {"force", '\0', DS_OPT_FLAG, offsetof(struct options, force), NULL,
     "even if too few servers would remain"},
    {"dry-run", '\0', DS_OPT_FLAG, offsetof(struct options, dry_run), NULL,
     "say what would be done and do nothing"},
    {"wait", '\0', DS_OPT_FLAG, offsetof(struct options, wait), NULL,
     "move their groups away, and end when they are empty"},
    {"patience", '\0', DS_OPT_TEXT, offsetof(struct options, patience), "TIME",
     "with --wait: how long a group must be silent before it is copied (watch.patience)"},
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

/* ---- --wait ---- */

struct emptying {
    struct ds_cmd_acts acts;
    struct ds_cmd_progress progress;
    struct ds_cmd_stop stop;
    size_t n_most; /* groups that they were seen to hold */
};

static bool are_out(const void *arg, const struct ds_state *state)
{
    const struct ds_cmd_acts *acts = arg;

    for (size_t i = 0; i < acts->n; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, acts->items[i].server.address);

        if (standing && standing->member)
            return false;
    }
    return true;
}

static void on_pass(void *arg, const struct ds_mover_report *report,
                    const struct ds_relocate_wait *wait)
{
    struct emptying *emptying = arg;
    size_t n = 0;

    for (size_t i = 0; i < report->n_servers; i++) {
        for (size_t k = 0; k < emptying->acts.n; k++) {
            if (strcmp(report->servers[i].address,
                       emptying->acts.items[k].server.address) == 0)
                n += report->servers[i].n_groups;
        }
    }
    emptying->n_most = n > emptying->n_most ? n : emptying->n_most;
    ds_cmd_progress_wait(&emptying->progress, wait ? wait->text : NULL,
                         wait ? wait->due_ms : 0);
    ds_cmd_progress_show(&emptying->progress, emptying->n_most - n, emptying->n_most);
}

static int move_away(struct ds_cmd_context *ctx, struct ds_config *config,
                     struct ds_fleet_lock *lock, struct emptying *emptying,
                     int64_t patience_ms, struct ds_error *err)
{
    DS_AUTO(mover_report) struct ds_mover_report report;
    DS_AUTO(ptr) void *list = ds_xcalloc(emptying->acts.n, sizeof(char *));
    const char **leaving = list;
    struct ds_relocate relocate = {
        .config = config,
        .lock = lock,
        .options = {.mode = DS_PLAN_MOVE,
                    .patience_ms = patience_ms,
                    .timeout_ms = ds_cmd_timeout_ms(ctx, ANSWER_MS),
                    .budget_ms = PASS_MS,
                    .stop = ds_cmd_stop_came,
                    .stop_arg = &emptying->stop},
        .leaving = leaving,
        .n_leaving = emptying->acts.n,
        .leaving_only = true,
        .after = on_pass,
        .after_arg = emptying,
    };
    struct ds_error ignored = DS_ERROR_INIT; /* status says that its process has ended */
    DS_AUTO(str) char *command = ds_cmd_acts_command("drain", &emptying->acts);
    int rc;

    ds_mover_report_init(&report);
    for (size_t i = 0; i < emptying->acts.n; i++)
        leaving[i] = emptying->acts.items[i].server.address;
    if (ds_operation_set(config->state_file, command, "moving groups", err) < 0)
        return -1;
    ds_cmd_stop_init(&emptying->stop);
    rc = ds_relocate_run(&relocate, &report, err);
    ds_cmd_progress_clear(&emptying->progress);
    if (rc < 0)
        ds_ignore(ds_operation_leave(config->state_file, &ignored));
    else
        ds_ignore(ds_operation_end(config->state_file, &ignored));
    if (rc < 0 && err->code == DS_E_TEMP)
        return ds_wrap(err, "not finished; the same command run again completes it");
    return rc;
}

static int wait_empty(struct ds_cmd_context *ctx, const struct options *o,
                      struct ds_config *config, struct ds_fleet_lock *lock,
                      struct ds_error *err)
{
    struct emptying emptying = {0};
    int64_t patience_ms = config->watch.patience_ms;
    int rc;

    ds_cmd_progress_init(&emptying.progress, ctx, "moving groups");
    if (o->patience && ds_duration_parse(o->patience, &patience_ms, err) < 0)
        return -1; /* it was read before, so it cannot */
    rc = ds_cmd_acts_from_operands(ctx, config, DS_ACT_DRAIN, &emptying.acts, err);
    if (rc == 0)
        rc = ds_settle(config, are_out, &emptying.acts,
                       ds_cmd_timeout_ms(ctx, DS_CMD_LOCK_TIMEOUT_MS), err);
    if (rc == 0)
        rc = move_away(ctx, config, lock, &emptying, patience_ms, err);
    for (size_t i = 0; rc == 0 && !ds_cmd_wants(ctx, "json") && i < emptying.acts.n; i++)
        ds_buf_addf(&ctx->out, "%s is empty\n", emptying.acts.items[i].server.address);
    ds_cmd_acts_release(&emptying.acts);
    return rc;
}

/* The lock comes first: or a server would be out of the ring, and its groups would stay.
 */
static int drain_and_wait(struct ds_cmd_context *ctx, const struct options *o,
                          struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(fleet_lock) struct ds_fleet_lock *lock = NULL;

    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    lock = ds_fleet_lock_take(&config, "drain", ds_cmd_timeout_ms(ctx, LOCK_MS), err);
    if (!lock)
        return ds_wrap(err, "nothing was drained; --timeout waits longer");
    if (ds_cmd_acts_do(ctx, choose_drain, o, "drained", false, err) < 0)
        return -1;
    if (ds_fleet_lock_check(lock, err) < 0)
        return ds_wrap(err, "drained, but the groups stay");
    return wait_empty(ctx, o, &config, lock, err);
}

static int run_drain(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    int64_t ignored;

    if (o->patience && ds_duration_parse(o->patience, &ignored, err) < 0) {
        err->code = DS_E_USAGE;
        return ds_wrap(err, "--patience");
    }
    if (o->patience && !o->wait)
        return ds_fail(err, DS_E_USAGE, "--patience goes with --wait");
    if (o->wait && !o->dry_run)
        return drain_and_wait(ctx, o, err);
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
