/* SPDX-License-Identifier: Apache-2.0 */
/* see relocate.h */
#include "dshard/relocate.h"
#include "dshard/clock.h"
#include "dshard/keeper.h"
#include "dshard/watch.h"

/* How long a server may be silent: a watch takes a member that is dead out by then. */
enum { SILENCE_MS = 60000, LOOK_MS = 200, TEXT_MAX = 8 * 1024 * 1024 };

static const struct ds_mover_server *find(const struct ds_mover_report *report,
                                          const char *address)
{
    for (size_t i = 0; i < report->n_servers; i++) {
        if (strcmp(report->servers[i].address, address) == 0)
            return &report->servers[i];
    }
    return NULL;
}

/* The first of those that leave that was not read; NULL: all were. */
static const struct ds_mover_server *first_silent(const struct ds_relocate *relocate,
                                                  const struct ds_mover_report *report)
{
    for (size_t i = 0; i < relocate->n_leaving; i++) {
        const struct ds_mover_server *server = find(report, relocate->leaving[i]);

        if (server && !server->reached)
            return server;
    }
    /* What belongs to a member that does not answer cannot go there. */
    for (size_t i = 0; report->plan.n_ownerless && i < report->n_servers; i++) {
        if (report->servers[i].member && !report->servers[i].reached)
            return &report->servers[i];
    }
    return NULL;
}

static bool are_empty(const struct ds_relocate *relocate,
                      const struct ds_mover_report *report)
{
    for (size_t i = 0; i < relocate->n_leaving; i++) {
        const struct ds_mover_server *server = find(report, relocate->leaving[i]);

        if (server && server->n_groups)
            return false;
    }
    return true;
}

static bool is_done(const struct ds_relocate *relocate,
                    const struct ds_mover_report *report)
{
    if (first_silent(relocate, report))
        return false;
    if (relocate->leaving_only)
        return are_empty(relocate, report);
    return ds_mover_is_done(report, relocate->options.mode);
}

/* Another pass would do no more than this one, however long we wait. */
static bool is_stuck(const struct ds_mover_report *report)
{
    const struct ds_plan *plan = &report->plan;

    return (report->n_refusals || plan->n_stuck) && !report->n_deleted &&
           !report->n_merged && !report->n_copied && !report->n_raced &&
           !report->n_undone && !plan->n_waiting && !plan->n_ownerless;
}

static int fail_stuck(const struct ds_mover_report *report, struct ds_error *err)
{
    const struct ds_mover_refusal *first = report->refusals;
    DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(TEXT_MAX);
    struct ds_group group = {0};

    if (!report->n_refusals)
        return ds_fail(err, DS_E_FAILED,
                       "%zu %s cannot be moved: no URL can name them; see groups list",
                       report->plan.n_stuck,
                       report->plan.n_stuck == 1 ? "group" : "groups");
    group.identity = first->identity; /* which is all that its name needs */
    group.identity_len = first->identity_len;
    ds_group_add_text(&group, &name);
    return ds_fail(err, DS_E_FAILED,
                   "%zu %s could not be moved and stayed; the first is %.500s on %s, "
                   "which %s refused: %.800s",
                   report->n_refusals, report->n_refusals == 1 ? "group" : "groups",
                   name.data, first->from, first->to, first->why);
}

/* Without a watch nobody else takes a server out of the ring that has died. */
static void follow_health(struct ds_config *config)
{
    struct ds_watch_options options = {0};
    struct ds_error ignored = DS_ERROR_INIT; /* the next round tries again */

    if (!ds_keeper_is_claimed(config->state_file))
        ds_ignore(ds_watch_once(config, &options, &ignored) < 0);
}

/* The lock is ours still, and nobody wants us to stop. */
static int may_go_on(const struct ds_relocate *relocate, struct ds_error *err)
{
    const struct ds_mover_options *options = &relocate->options;

    if (options->stop && options->stop(options->stop_arg))
        return ds_fail(err, DS_E_TEMP, "stopped");
    return ds_fleet_lock_check(relocate->lock, err);
}

static int pause_for(const struct ds_relocate *relocate, int64_t ms, struct ds_error *err)
{
    int64_t until_ms = ds_clock_mono_ms() + ms, left_ms;

    while ((left_ms = until_ms - ds_clock_mono_ms()) > 0) {
        if (may_go_on(relocate, err) < 0)
            return -1;
        ds_clock_sleep_ms(left_ms < LOOK_MS ? left_ms : LOOK_MS);
    }
    return 0;
}

static int run_pass(const struct ds_relocate *relocate, struct ds_mover_report *report,
                    struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};

    if (may_go_on(relocate, err) < 0 ||
        ds_state_load(&state, relocate->config->state_file, err) < 0)
        return -1;
    return ds_mover_pass(relocate->config, &state, relocate->lock, &relocate->options,
                         report, err);
}

int ds_relocate_run(const struct ds_relocate *relocate, struct ds_mover_report *report,
                    struct ds_error *err)
{
    int64_t heard_ms = ds_clock_mono_ms();

    for (;;) {
        const struct ds_mover_server *silent;

        if (run_pass(relocate, report, err) < 0)
            return -1;
        if (relocate->after)
            relocate->after(relocate->after_arg, report);
        if (is_done(relocate, report))
            return 0;
        if (!report->ring)
            return ds_fail(err, DS_E_FAILED,
                           "the ring has no members: nobody could take the groups");
        silent = first_silent(relocate, report);
        if (!silent && is_stuck(report))
            return fail_stuck(report, err);
        if (!silent)
            heard_ms = ds_clock_mono_ms();
        else if (ds_clock_mono_ms() - heard_ms >= SILENCE_MS)
            return ds_fail(err, DS_E_TEMP, "%s does not answer: %s", silent->address,
                           silent->down ? "it is down" : silent->why);
        else
            follow_health(relocate->config);
        if (!report->n_undone && pause_for(relocate, ds_mover_pause_ms(report), err) < 0)
            return -1;
    }
}
