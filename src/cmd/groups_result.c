/* SPDX-License-Identifier: Apache-2.0 */
/* see groups_result.h */
#include "groups_result.h"
#include "dshard/clock.h"
#include "dshard/num.h"
#include "dshard/table.h"
#include "json.h"

void ds_cmd_moved_add(struct ds_cmd_moved *total, const struct ds_mover_report *report)
{
    total->n_passes++;
    total->n_done += report->n_done;
    total->n_deleted += report->n_deleted;
    total->n_merged += report->n_merged;
    total->n_copied += report->n_copied;
    total->n_raced += report->n_raced;
}

/* ---- JSON ---------------------------------------------------------------------------
 */

static const char *what_of(const struct ds_move *move)
{
    if (move->from == move->to || (move->kept && !move->n_families))
        return "delete";
    return move->kept ? "merge" : "copy";
}

static json_t *moves_json(const struct ds_mover_report *report)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < report->plan.n_moves; i++) {
        const struct ds_move *move = &report->plan.moves[i];
        json_t *row =
            json_pack("{ss,ss,ss}", "from", report->servers[move->from].address, "to",
                      report->servers[move->to].address, "what", what_of(move));

        json_array_append_new(rows, ds_cmd_group_add_json(row, move->group->identity,
                                                          move->group->identity_len));
    }
    return rows;
}

static void show_json(struct ds_cmd_context *ctx, const struct ds_cmd_moved *total,
                      const struct ds_mover_report *report, bool failed)
{
    const struct ds_plan *plan = &report->plan;
    json_t *root = json_pack(
        "{ss,sb,sb,sI,sI,sI,sI,sI,sI,sI}", "mode",
        total->mode == DS_PLAN_MOVE ? "move" : "dedupe", "dry_run", (int)total->dry_run,
        "done",
        (int)(!failed && !total->n_vanished && ds_mover_is_done(report, total->mode)),
        "groups", (json_int_t)report->n_groups, "misplaced",
        (json_int_t)report->n_misplaced, "copies", (json_int_t)report->n_copies,
        "waiting", (json_int_t)plan->n_waiting, "left", (json_int_t)plan->n_left,
        "pause_ms", (json_int_t)ds_mover_pause_ms(report), "due_at",
        (json_int_t)(plan->due_ms == INT64_MAX ? 0 : plan->due_ms));

    json_object_set_new(root, "deleted", json_integer((json_int_t)total->n_deleted));
    json_object_set_new(root, "merged", json_integer((json_int_t)total->n_merged));
    json_object_set_new(root, "copied", json_integer((json_int_t)total->n_copied));
    json_object_set_new(root, "raced", json_integer((json_int_t)total->n_raced));
    json_object_set_new(root, "undone", json_integer((json_int_t)report->n_undone));
    json_object_set_new(root, "refused", ds_cmd_groups_refused_json(report));
    json_object_set_new(root, "servers", ds_cmd_groups_servers_json(report));
    if (total->dry_run)
        json_object_set_new(root, "moves", moves_json(report));
    ds_cmd_add_json(ctx, root);
}

/* ---- text ---------------------------------------------------------------------------
 */

static void show_moves(struct ds_cmd_context *ctx, const struct ds_mover_report *report)
{
    static const char *const headings[] = {"GROUP", "FROM", "TO", "WHAT"};
    DS_AUTO(table) struct ds_table table;

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < report->plan.n_moves; i++) {
        const struct ds_move *move = &report->plan.moves[i];
        bool alone = move->from == move->to;
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_OUT_MAX);

        ds_cmd_group_add_text(move->group->identity, move->group->identity_len, &text);
        ds_table_add(&table, text.data);
        ds_table_add(&table, report->servers[move->from].address);
        ds_table_add(&table, alone ? "-" : report->servers[move->to].address);
        ds_table_add(&table, what_of(move));
    }
    if (report->plan.n_moves)
        ds_table_format(&table, &ctx->out);
}

static void say_done(const struct ds_cmd_context *ctx, const struct ds_cmd_moved *total,
                     const struct ds_mover_report *report)
{
    ds_cmd_say(
        ctx, "%zu %s moved, %zu %s removed; %zu %s, %zu misplaced, %zu %s too many",
        total->n_copied, total->n_copied == 1 ? "group" : "groups",
        total->n_deleted + total->n_merged,
        total->n_deleted + total->n_merged == 1 ? "copy" : "copies", report->n_groups,
        report->n_groups == 1 ? "group" : "groups", report->n_misplaced, report->n_copies,
        report->n_copies == 1 ? "copy" : "copies");
}

/* ---- the exit status ----------------------------------------------------------------
 */

static int fail_refused(const struct ds_cmd_context *ctx,
                        const struct ds_mover_report *report, struct ds_error *err)
{
    for (size_t i = 0; i < report->n_refusals; i++) {
        const struct ds_mover_refusal *refusal = &report->refusals[i];
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_ERROR_TEXT_MAX / 2);
        DS_AUTO(buf) struct ds_buf why = DS_BUF_INIT(DS_ERROR_TEXT_MAX);

        ds_cmd_group_add_text(refusal->identity, refusal->identity_len, &text);
        ds_buf_adds(&why, refusal->why);
        ds_cmd_warn(ctx, "%s stays on %s: %s", text.over ? "a group" : text.data,
                    refusal->from, why.data);
    }
    return ds_fail(err, DS_E_FAILED,
                   "%zu %s could not be moved, and stay where they are: push them with "
                   "other names or types, or delete what is in their way",
                   report->n_refusals, report->n_refusals == 1 ? "group" : "groups");
}

static int fail_waiting(const struct ds_mover_report *report, struct ds_error *err)
{
    const struct ds_plan *plan = &report->plan;
    char in[DS_DURATION_TEXT_MAX];
    size_t n =
        report->n_misplaced > report->n_copies ? report->n_misplaced : report->n_copies;

    if (plan->n_stuck && !plan->n_waiting && !report->n_undone)
        return ds_fail(err, DS_E_FAILED,
                       "%zu %s labels that no URL can say: see groups list",
                       plan->n_stuck, plan->n_stuck == 1 ? "group has" : "groups have");
    if (plan->due_ms == INT64_MAX)
        return ds_fail(err, DS_E_NO, "%zu %s not in place yet: run it again", n,
                       n == 1 ? "group is" : "groups are");
    ds_duration_format_short(plan->due_ms - ds_clock_wall_ms(), in);
    return ds_fail(err, DS_E_NO, "%zu %s not in place yet: the next is due in %s", n,
                   n == 1 ? "group is" : "groups are", in);
}

int ds_cmd_moved_show(struct ds_cmd_context *ctx, const struct ds_cmd_moved *total,
                      const struct ds_mover_report *report, int rc, struct ds_error *err)
{
    if (ds_cmd_wants(ctx, "json"))
        show_json(ctx, total, report, rc < 0);
    else if (total->dry_run)
        show_moves(ctx, report);
    if (rc < 0)
        return -1;
    if (report->n_refusals)
        return fail_refused(ctx, report, err);
    if (total->stopped)
        return ds_fail(err, DS_E_TEMP, "interrupted: run it again");
    if (ds_cmd_groups_check_read(report, false, err) < 0)
        return -1;
    if (total->n_vanished)
        return ds_fail(
            err, DS_E_FAILED,
            "%zu %s gone since the pass before: a client has deleted %s, or the "
            "server was restarted and has lost %s",
            total->n_vanished, total->n_vanished == 1 ? "group is" : "groups are",
            total->n_vanished == 1 ? "it" : "them",
            total->n_vanished == 1 ? "it" : "them");
    if (!ds_mover_is_done(report, total->mode))
        return total->dry_run ? 0 : fail_waiting(report, err);
    if (!total->dry_run)
        say_done(ctx, total, report);
    return 0;
}
