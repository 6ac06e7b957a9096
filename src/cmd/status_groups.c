/* SPDX-License-Identifier: Apache-2.0 */
/* see status_groups.h */
#include "status_groups.h"
#include "dshard/clock.h"
#include "dshard/operation.h"
#include "dshard/pushgateway.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 2000 };

static void count(const struct ds_mover_report *report, struct ds_status_groups *out)
{
    size_t n;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;

    for (size_t i = 0, end; i < n; i = end) {
        size_t n_copies = 0;
        bool misplaced = false;

        end = ds_mover_group_end(places, n, i);
        for (size_t k = i; k < end; k++) {
            if (ds_mover_settles(&report->servers[places[k].server]))
                continue; /* the watch, or scale, is at its groups */
            n_copies++;
            misplaced = misplaced || places[k].misplaced;
        }
        out->n_misplaced += misplaced;
        out->n_doubled += n_copies > 1;
    }
}

/* Nothing is tended then, and either name may be served as if it had a share of its own.
   Who does not tell is no problem of its own. */
static void judge_twins(const struct ds_mover_report *report,
                        const struct ds_config *config, int64_t timeout_ms,
                        struct ds_status *status)
{
    struct ds_error err = DS_ERROR_INIT;

    if (ds_pushgateway_check_twins(config, report->inventories, report->n_servers,
                                   timeout_ms, &err) < 0 &&
        err.code == DS_E_FAILED)
        ds_status_add(status, DS_VERDICT_CRITICAL, "%s", err.text);
}

void ds_cmd_status_groups_ask(struct ds_cmd_status_groups *groups,
                              const struct ds_cmd_context *ctx,
                              const struct ds_config *config,
                              const struct ds_state *state, struct ds_status *status)
{
    enum ds_watch_groups mode = config->watch.groups;
    struct ds_mover_options options = {
        .mode = DS_PLAN_LOOK,
        .patience_ms = config->watch.patience_ms,
        .timeout_ms = ds_cmd_timeout_ms(ctx, TIMEOUT_MS),
    };
    struct ds_status_groups figures = {
        .moves = mode == DS_GROUPS_MOVE,
        .dedupes = mode == DS_GROUPS_DEDUPE,
        .busy = state->operation_kind && !ds_operation_is_dead(state),
        .patience_ms = config->watch.patience_ms,
    };
    struct ds_error err = DS_ERROR_INIT;

    groups->asked = true;
    ds_mover_report_init(&groups->report);
    if (ds_mover_pass(config, state, NULL, &options, &groups->report, &err) == 0) {
        groups->told = true;
        count(&groups->report, &figures);
        ds_status_judge_groups(status, state, &figures, ds_clock_wall_ms());
        judge_twins(&groups->report, config, options.timeout_ms, status);
    } else if (err.code != DS_E_NET) {
        ds_status_add(status, DS_VERDICT_DEGRADED, "the groups are not known: %s",
                      err.text);
    }
}

void ds_cmd_status_groups_text(const struct ds_cmd_status_groups *groups,
                               struct ds_buf *out)
{
    const struct ds_mover_report *report = &groups->report;
    size_t n_silent = 0;

    if (!groups->asked)
        return;
    ds_buf_addf(out, "%-12s ", "groups");
    if (groups->told)
        ds_buf_addf(out, "%zu, %zu misplaced, %zu %s too many", report->n_groups,
                    report->n_misplaced, report->n_copies,
                    report->n_copies == 1 ? "copy" : "copies");
    else
        ds_buf_adds(out, "not known");
    for (size_t i = 0; i < report->n_servers; i++) {
        const struct ds_mover_server *row = &report->servers[i];

        if (!row->reached && !row->down)
            ds_buf_addf(out, "%s%s", n_silent++ ? ", " : "; no answer from ",
                        row->address);
    }
    ds_buf_addc(out, '\n');
}

json_t *ds_cmd_status_groups_add_json(const struct ds_cmd_status_groups *groups,
                                      const char *address, json_t *object)
{
    const struct ds_mover_report *report = &groups->report;
    const struct ds_mover_server *row =
        address ? ds_mover_report_find(report, address) : NULL;
    bool known = address ? row && row->reached : groups->told;

    if (!known) {
        json_object_set_new(object, "groups", json_null());
        json_object_set_new(object, "misplaced", json_null());
        json_object_set_new(object, "copies", json_null());
        return object;
    }
    json_object_set_new(
        object, "groups",
        json_integer((json_int_t)(row ? row->n_groups : report->n_groups)));
    json_object_set_new(
        object, "misplaced",
        json_integer((json_int_t)(row ? row->n_misplaced : report->n_misplaced)));
    json_object_set_new(
        object, "copies",
        json_integer((json_int_t)(row ? row->n_copies : report->n_copies)));
    return object;
}

void ds_cmd_status_groups_release(struct ds_cmd_status_groups *groups)
{
    if (groups->asked)
        ds_mover_report_release(&groups->report);
}
