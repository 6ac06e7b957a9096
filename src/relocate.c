/* SPDX-License-Identifier: Apache-2.0 */
/* see relocate.h */
#include "dshard/relocate.h"
#include "dshard/clock.h"
#include "dshard/keeper.h"
#include "dshard/num.h"
#include "dshard/stall.h"
#include "dshard/watch.h"

enum {
    SILENCE_MS = 60000, /* of a server: a watch takes a member that is dead out by then */
    LOOK_MS = 200,
    TEXT_MAX = 8 * 1024 * 1024,
    SLACK_MS = 60000,
    WAIT_MAX = 4096
};

/* The first server that was not read and keeps us from the end; NULL: none. */
static const struct ds_mover_server *first_silent(const struct ds_relocate *relocate,
                                                  const struct ds_mover_report *report)
{
    for (size_t i = 0; i < relocate->n_leaving; i++) {
        const struct ds_mover_server *server =
            ds_mover_report_find(report, relocate->leaving[i]);

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
        const struct ds_mover_server *server =
            ds_mover_report_find(report, relocate->leaving[i]);

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

static bool did_nothing(const struct ds_mover_report *report)
{
    return !report->n_deleted && !report->n_merged && !report->n_copied &&
           !report->n_raced && !report->n_undone;
}

/* Another pass would do no more than this one, however long we wait. */
static bool is_stuck(const struct ds_mover_report *report)
{
    const struct ds_plan *plan = &report->plan;

    return (report->n_refusals || plan->n_stuck) && did_nothing(report) &&
           !plan->n_waiting && !plan->n_ownerless;
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

/* ---- what waits ---- */

static bool is_leaving(const struct ds_relocate *relocate, const char *address)
{
    for (size_t i = 0; i < relocate->n_leaving; i++) {
        if (strcmp(relocate->leaving[i], address) == 0)
            return true;
    }
    return false;
}

/* How much is still to be done; figures of one run, to be compared. */
static size_t count_open(const struct ds_relocate *relocate,
                         const struct ds_mover_report *report)
{
    size_t n = 0;

    if (!relocate->leaving_only)
        return report->n_misplaced + report->n_copies;
    for (size_t i = 0; i < report->n_servers; i++) {
        if (is_leaving(relocate, report->servers[i].address))
            n += report->servers[i].n_groups;
    }
    return n;
}

/* Not what is left where it is, or can never be moved. */
static bool waits(const struct ds_relocate *relocate,
                  const struct ds_mover_report *report,
                  const struct ds_mover_place *place, int64_t now_ms)
{
    int64_t old_ms = relocate->options.leave_older_than_ms;

    if (!place->misplaced && !place->beaten)
        return false;
    if (relocate->leaving_only &&
        !is_leaving(relocate, report->servers[place->server].address))
        return false;
    return !(place->group->flags & DS_GROUP_STUCK) &&
           !(old_ms && ds_mover_age_ms(report, place, now_ms) > old_ms);
}

/* "{job="a"} on 10.0.0.3:9091, which belongs on 10.0.0.1:9091" */
static bool add_first(const struct ds_relocate *relocate,
                      const struct ds_mover_report *report, struct ds_buf *out)
{
    int64_t now_ms = ds_clock_wall_ms();
    size_t n, at = 0;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;
    DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(TEXT_MAX);

    while (at < n && !waits(relocate, report, &places[at], now_ms))
        at++;
    if (at == n)
        return false;
    ds_group_add_text(places[at].group, &name);
    ds_buf_addf(out, "%.500s on %s", name.data,
                report->servers[places[at].server].address);
    if (places[at].owner < report->n_servers)
        ds_buf_addf(out, ", which belongs on %s",
                    report->servers[places[at].owner].address);
    return true;
}

/* False: nothing waits. */
static bool describe_wait(const struct ds_relocate *relocate,
                          const struct ds_mover_report *report, struct ds_buf *out)
{
    size_t n =
        relocate->leaving_only ? count_open(relocate, report) : report->plan.n_waiting;
    DS_AUTO(buf) struct ds_buf first = DS_BUF_INIT(WAIT_MAX);

    if (!n || !did_nothing(report) || !add_first(relocate, report, &first))
        return false;
    ds_buf_addf(out, "%zu %s until %s silent for long enough, or a tie ends", n,
                n == 1 ? "group waits" : "groups wait", n == 1 ? "it is" : "they are");
    if (report->plan.due_ms != INT64_MAX) {
        char at[DS_CLOCK_TEXT_MAX];

        ds_clock_format(report->plan.due_ms, at);
        ds_buf_addf(out, " (next at %.8s UTC)", at + strlen("2026-01-31T"));
    }
    ds_buf_addf(out, "; the first is %s", first.data);
    return true;
}

static void tell(const struct ds_relocate *relocate, const struct ds_mover_report *report)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(WAIT_MAX);
    struct ds_relocate_wait wait = {.due_ms = report->plan.due_ms};
    bool any;

    if (!relocate->after)
        return;
    any = !is_done(relocate, report) && describe_wait(relocate, report, &text);
    wait.text = text.data;
    relocate->after(relocate->after_arg, report, any ? &wait : NULL);
}

/* All that a group can wait for is over by then, unless somebody starts it anew. */
static int64_t limit_ms(const struct ds_relocate *relocate)
{
    int64_t patience_ms = relocate->options.patience_ms;

    return patience_ms > INT64_MAX / 2 ? patience_ms
                                       : patience_ms + DS_PLAN_TIE_LASTS_MS + SLACK_MS;
}

static int fail_stalled(const struct ds_relocate *relocate,
                        const struct ds_mover_report *report, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf first = DS_BUF_INIT(WAIT_MAX);
    char limit[DS_DURATION_TEXT_MAX];

    ds_duration_format_short(limit_ms(relocate), limit);
    if (!add_first(relocate, report, &first))
        ds_buf_adds(&first, "one that cannot be named");
    return ds_fail(err, DS_E_TEMP,
                   "for %s no group has come to its place, and some still wait: %s; does "
                   "a client push to that server past the frontends?",
                   limit, first.data);
}

/* ---- passes ---- */

static int run_pass(const struct ds_relocate *relocate, struct ds_mover_report *report,
                    uint64_t *generation, struct ds_error *err)
{
    DS_AUTO(state) struct ds_state state = {0};

    if (may_go_on(relocate, err) < 0 ||
        ds_state_load(&state, relocate->config->state_file, err) < 0)
        return -1;
    *generation = (uint64_t)state.generation;
    return ds_mover_pass(relocate->config, &state, relocate->lock, &relocate->options,
                         report, err);
}

int ds_relocate_run(const struct ds_relocate *relocate, struct ds_mover_report *report,
                    struct ds_error *err)
{
    int64_t heard_ms = ds_clock_mono_ms();
    struct ds_stall stall = {0};
    uint64_t generation = 0;

    for (;;) {
        const struct ds_mover_server *silent;

        if (run_pass(relocate, report, &generation, err) < 0)
            return -1;
        tell(relocate, report);
        if (is_done(relocate, report))
            return 0;
        if (!report->ring)
            return ds_fail(err, DS_E_FAILED,
                           "the ring has no members: nobody could take the groups");
        silent = first_silent(relocate, report);
        if (!silent && is_stuck(report))
            return fail_stuck(report, err);
        if (ds_stall_lasts(&stall, generation, count_open(relocate, report),
                           limit_ms(relocate), ds_clock_mono_ms()))
            return fail_stalled(relocate, report, err);
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
