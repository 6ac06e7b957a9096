/* SPDX-License-Identifier: Apache-2.0 */
/* scale_move.c - the groups move, and nothing is lost by it. */
#include "dshard/relocate.h"
#include "scale_impl.h"

#include <stdlib.h>

enum {
    PASS_MS = 1000, /* then what is there is read again: pushes go on meanwhile */
    NAME_MAX_BYTES = 8 * 1024 * 1024,
    VERIFY_ROUNDS = 5,
    MISSING_SHOWN = 10,
};

void ds_auto_census(struct ds_census *census)
{
    for (size_t i = 0; i < census->n; i++)
        free(census->groups[i].identity);
    free(census->groups);
}

void ds_scale_take_census(struct ds_census *census, const struct ds_mover_report *report)
{
    size_t n;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;

    census->groups = ds_xcalloc(n, sizeof *census->groups);
    for (size_t i = 0; i < n; i++) {
        const struct ds_group *group = places[i].group;
        struct ds_group *last = census->n ? &census->groups[census->n - 1] : NULL;

        if (!group->pushed_us || (last && ds_group_compare(last, group) == 0))
            continue;
        census->groups[census->n++] = (struct ds_group){
            .identity = ds_xmemdup(group->identity, group->identity_len),
            .identity_len = group->identity_len,
        };
    }
}

int ds_scale_look(struct ds_scale *scale, struct ds_mover_report *report,
                  struct ds_error *err)
{
    struct ds_mover_options how = {.mode = DS_PLAN_LOOK,
                                   .patience_ms = scale->options.patience_ms,
                                   .timeout_ms = scale->options.timeout_ms};
    DS_AUTO(state) struct ds_state state = {0};

    if (ds_state_load(&state, scale->config->state_file, err) < 0)
        return -1;
    return ds_mover_pass(scale->config, &state, NULL, &how, report, err);
}

static void after_pass(void *arg, const struct ds_mover_report *report,
                       const struct ds_relocate_wait *wait)
{
    struct ds_scale *scale = arg;

    scale->n_copied += report->n_copied;
    scale->n_merged += report->n_merged;
    scale->n_deleted += report->n_deleted;
    if (scale->hooks.moved)
        scale->hooks.moved(scale->hooks.arg, report, wait);
}

static int move(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(scale->n_remove, sizeof(char *));
    const char **leaving = list;
    struct ds_relocate relocate = {
        .config = scale->config,
        .lock = scale->lock,
        .options = {.mode = DS_PLAN_MOVE,
                    .patience_ms = scale->options.patience_ms,
                    .leave_older_than_ms = scale->options.leave_older_than_ms,
                    .timeout_ms = scale->options.timeout_ms,
                    .budget_ms = PASS_MS,
                    .stop = scale->hooks.stop,
                    .stop_arg = scale->hooks.stop_arg},
        .leaving = leaving,
        .after = after_pass,
        .after_arg = scale,
    };

    for (size_t i = 0; i < scale->n_remove; i++) {
        if (scale->remove[i].reached) /* or it is given up */
            leaving[relocate.n_leaving++] = scale->remove[i].server.address;
    }
    return ds_relocate_run(&relocate, &scale->report, err);
}

/* Who was there and is nowhere now.  Nothing of ours deletes a last copy; clients do. */
static void find_missing(struct ds_scale *scale, const struct ds_census *before,
                         const struct ds_census *now)
{
    for (size_t i = 0; i < before->n; i++) {
        DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(NAME_MAX_BYTES);

        if (now->n && bsearch(&before->groups[i], now->groups, now->n,
                              sizeof *now->groups, ds_group_compare))
            continue;
        ds_group_add_text(&before->groups[i], &name);
        scale->missing = ds_xreallocarray(scale->missing, scale->n_missing + 1,
                                          sizeof *scale->missing);
        scale->missing[scale->n_missing++] = ds_buf_steal(&name);
    }
    for (size_t i = 0; i < scale->n_missing && i < MISSING_SHOWN; i++)
        ds_scale_warn(scale,
                      "%.2000s was there when this began and is gone now: a "
                      "client has deleted it, or its server lost it",
                      scale->missing[i]);
    if (scale->n_missing > MISSING_SHOWN)
        ds_scale_warn(scale, "so are %zu others", scale->n_missing - MISSING_SHOWN);
}

int ds_scale_move(struct ds_scale *scale, const struct ds_census *before,
                  struct ds_error *err)
{
    DS_AUTO(mover_report) struct ds_mover_report report;
    DS_AUTO(census) struct ds_census now = {0};

    ds_mover_report_init(&report);
    if (ds_scale_enter(scale, "moving groups", true, err) < 0)
        return -1;
    for (int round = 0; round < VERIFY_ROUNDS; round++) {
        if (move(scale, err) < 0 ||
            ds_scale_enter(scale, "verifying", round == 0, err) < 0 ||
            ds_scale_look(scale, &report, err) < 0)
            return -1;
        /* A push that came past the ring is no failure of ours: it moves, too. */
        if (report.n_copies == 0 && report.n_misplaced <= scale->report.plan.n_left)
            break;
    }
    ds_scale_take_census(&now, &report);
    find_missing(scale, before, &now);
    return 0;
}
