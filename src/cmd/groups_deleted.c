/* SPDX-License-Identifier: Apache-2.0 */
/* see groups_deleted.h */
#include "groups_deleted.h"
#include "dshard/clock.h"
#include "dshard/num.h"
#include "dshard/table.h"
#include "json.h"

#include <stdio.h>

enum { NAMES_SHOWN = 5, NAME_MAX_BYTES = 1024 };

static size_t count(const struct ds_cmd_deleted *total, enum ds_removal_end end)
{
    size_t n = 0;

    for (size_t i = 0; i < total->n; i++)
        n += total->removals[i].end == end;
    return n;
}

static const char *groups(size_t n)
{
    return n == 1 ? "group" : "groups";
}

static const char *copies(size_t n)
{
    return n == 1 ? "copy" : "copies";
}

static void add_name(const struct ds_removal *removal, struct ds_buf *out)
{
    const struct ds_group *group = removal->copies[0].group;

    ds_cmd_group_add_text(group->identity, group->identity_len, out);
}

/* ---- before ---- */

void ds_cmd_deleted_preview(const struct ds_cmd_deleted *total,
                            const struct ds_mover_report *report)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(report->n_servers, sizeof(bool));
    size_t n_groups = 0, n_copies = 0, n_servers = 0;
    bool *seen = list;

    for (size_t i = 0; i < total->n; i++) {
        const struct ds_removal *removal = &total->removals[i];

        if (removal->end != DS_REMOVAL_OPEN)
            continue;
        n_groups++;
        n_copies += removal->n_copies;
        for (size_t k = 0; k < removal->n_copies; k++) {
            n_servers += !seen[removal->copies[k].server];
            seen[removal->copies[k].server] = true;
        }
        if (n_groups <= NAMES_SHOWN) {
            DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(NAME_MAX_BYTES);

            add_name(removal, &name);
            fprintf(stderr, "  %s\n", name.over ? "{...}" : name.data);
        }
    }
    if (n_groups > NAMES_SHOWN)
        fprintf(stderr, "  ... and %zu more\n", n_groups - NAMES_SHOWN);
    fprintf(stderr, "%zu %s (%zu %s on %zu %s) will be deleted.\n", n_groups,
            groups(n_groups), n_copies, copies(n_copies), n_servers,
            n_servers == 1 ? "server" : "servers");
}

/* ---- JSON ---- */

static const char *result_of(const struct ds_cmd_deleted *total,
                             const struct ds_removal *removal)
{
    if (total->dry_run && removal->end == DS_REMOVAL_OPEN)
        return "would be deleted";
    return ds_removal_end_name(removal->end);
}

static json_t *group_json(const struct ds_cmd_deleted *total,
                          const struct ds_mover_report *report,
                          const struct ds_removal *removal)
{
    const struct ds_mover_place *newest =
        ds_mover_newest(report, removal->copies, removal->n_copies);
    json_t *servers = json_array();

    for (size_t i = 0; i < removal->n_copies; i++)
        json_array_append_new(
            servers, json_string(report->servers[removal->copies[i].server].address));
    return ds_cmd_group_add_json(json_pack("{so,sI,ss}", "servers", servers, "pushed",
                                           (json_int_t)(newest->group->pushed_us / 1000),
                                           "result", result_of(total, removal)),
                                 newest->group->identity, newest->group->identity_len);
}

static json_t *servers_json(const struct ds_mover_report *report)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < report->n_servers; i++) {
        const struct ds_mover_server *row = &report->servers[i];

        json_array_append_new(servers,
                              json_pack("{ss,ss,sb,ss}", "address", row->address,
                                        "intent", ds_intent_name(row->intent), "reached",
                                        (int)row->reached, "why", row->why));
    }
    return servers;
}

static void show_json(struct ds_cmd_context *ctx, const struct ds_cmd_deleted *total,
                      const struct ds_mover_report *report)
{
    json_t *rows = json_array();
    size_t n_copies = 0;

    for (size_t i = 0; i < total->n; i++) {
        n_copies += total->removals[i].n_deleted;
        json_array_append_new(rows, group_json(total, report, &total->removals[i]));
    }
    ds_cmd_add_json(ctx, json_pack("{so,so,sb,sI,sI}", "groups", rows, "servers",
                                   servers_json(report), "dry_run", (int)total->dry_run,
                                   "deleted", (json_int_t)count(total, DS_REMOVAL_GONE),
                                   "copies", (json_int_t)n_copies));
}

/* ---- text ---- */

static void show_table(struct ds_cmd_context *ctx, const struct ds_cmd_deleted *total,
                       const struct ds_mover_report *report)
{
    static const char *const headings[] = {"GROUP", "SERVERS", ">PUSHED"};
    DS_AUTO(table) struct ds_table table;
    int64_t now_ms = ds_clock_wall_ms();

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < total->n; i++) {
        const struct ds_removal *removal = &total->removals[i];
        const struct ds_mover_place *newest =
            ds_mover_newest(report, removal->copies, removal->n_copies);
        DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(DS_OUT_MAX);
        DS_AUTO(buf) struct ds_buf servers = DS_BUF_INIT(DS_OUT_MAX);
        char age[DS_DURATION_TEXT_MAX];

        add_name(removal, &name);
        for (size_t k = 0; k < removal->n_copies; k++)
            ds_buf_addf(&servers, "%s%s", k ? ", " : "",
                        report->servers[removal->copies[k].server].address);
        ds_duration_format_short(ds_mover_age_ms(report, newest, now_ms), age);
        ds_table_add(&table, name.data);
        ds_table_add(&table, servers.data);
        ds_table_add(&table, newest->group->pushed_us ? age : "never");
    }
    if (total->n)
        ds_table_format(&table, &ctx->out);
}

static const char *why_of(const struct ds_removal *removal)
{
    bool replaced = removal->copies[0].group->flags & DS_GROUP_REPLACED;

    switch (removal->end) {
    case DS_REMOVAL_UNNAMED:
        return "no push path can say its labels, so it is left on";
    case DS_REMOVAL_STAYS:
        return replaced ? "it has bytes that are not UTF-8, shown as U+FFFD; the error "
                          "of GET /metrics tells them (\\377 is %FF in a path), on"
                        : "the DELETE was taken, and it is there still, on";
    case DS_REMOVAL_PUSHED:
        return "it was pushed meanwhile, and is on";
    case DS_REMOVAL_UNREACHED:
        return "it may be there still, on";
    case DS_REMOVAL_OPEN:
    case DS_REMOVAL_GONE:
        break;
    }
    return NULL;
}

static void warn_each(const struct ds_cmd_context *ctx,
                      const struct ds_cmd_deleted *total,
                      const struct ds_mover_report *report)
{
    for (size_t i = 0; i < total->n; i++) {
        const struct ds_removal *removal = &total->removals[i];
        DS_AUTO(buf) struct ds_buf name = DS_BUF_INIT(NAME_MAX_BYTES);
        const char *why = why_of(removal);

        if (!why || (removal->end == DS_REMOVAL_PUSHED && total->by_age))
            continue;
        add_name(removal, &name);
        ds_cmd_warn(ctx, "%s: %s %s", name.over ? "a group" : name.data, why,
                    report->servers[removal->server].address);
    }
}

static void say_done(const struct ds_cmd_context *ctx, const struct ds_cmd_deleted *total)
{
    size_t n_gone = count(total, DS_REMOVAL_GONE), n_copies = 0;
    size_t n_pushed = count(total, DS_REMOVAL_PUSHED);

    for (size_t i = 0; i < total->n; i++)
        n_copies += total->removals[i].n_deleted;
    ds_cmd_say(ctx, "%zu %s deleted (%zu %s)", n_gone, groups(n_gone), n_copies,
               copies(n_copies));
    if (n_pushed)
        ds_cmd_say(ctx, "%zu %s pushed meanwhile, and left alone", n_pushed,
                   n_pushed == 1 ? "group was" : "groups were");
}

/* ---- the exit status ---- */

int ds_cmd_deleted_show(struct ds_cmd_context *ctx, const struct ds_cmd_deleted *total,
                        const struct ds_mover_report *report, int rc,
                        struct ds_error *err)
{
    size_t n_failed = count(total, DS_REMOVAL_UNNAMED) + count(total, DS_REMOVAL_STAYS);
    size_t n_pushed = count(total, DS_REMOVAL_PUSHED);

    if (ds_cmd_wants(ctx, "json"))
        show_json(ctx, total, report);
    else if (total->dry_run)
        show_table(ctx, total, report);
    warn_each(ctx, total, report);
    if (rc < 0)
        return -1;
    if (n_failed)
        return ds_fail(err, DS_E_FAILED, "%zu %s could not be deleted", n_failed,
                       groups(n_failed));
    if (total->stopped)
        return ds_fail(err, DS_E_TEMP, "interrupted: run it again");
    if (ds_cmd_groups_check_read(report, true, err) < 0)
        return ds_wrap(err, "copies may be left");
    if (n_pushed && !total->by_age)
        return ds_fail(err, DS_E_NO, "%zu %s pushed meanwhile, and left alone", n_pushed,
                       n_pushed == 1 ? "group was" : "groups were");
    if (!total->dry_run)
        say_done(ctx, total);
    return 0;
}
