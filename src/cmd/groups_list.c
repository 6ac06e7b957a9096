/* SPDX-License-Identifier: Apache-2.0 */
/* groups_list.c - the groups of the whole fleet: where they are, and where they belong.
 */
#include "dshard/clock.h"
#include "dshard/num.h"
#include "dshard/table.h"
#include "groups.h"
#include "json.h"

struct options {
    struct ds_opt_list match;
    int64_t older_than_ms;
    bool misplaced;
};

static const struct ds_opt options[] = {
    {"match", '\0', DS_OPT_LIST, offsetof(struct options, match), "LABEL=VALUE",
     "only groups with that label (several: all must hold)"},
    {"older-than", '\0', DS_OPT_DURATION, offsetof(struct options, older_than_ms), "TIME",
     "only groups that have not been pushed for so long"},
    {"misplaced", '\0', DS_OPT_FLAG, offsetof(struct options, misplaced), NULL,
     "only groups that lie on a server that does not own them"},
};

/* Moves those that are shown to the front, and returns their number. */
static size_t choose(const struct options *o, const struct ds_mover_report *report,
                     struct ds_mover_place *places, size_t n)
{
    int64_t now_ms = ds_clock_wall_ms();
    size_t kept = 0;

    for (size_t i = 0, end; i < n; i = end) {
        const struct ds_mover_place *newest;

        end = ds_mover_group_end(places, n, i);
        newest = ds_mover_newest(report, places + i, end - i);
        if (o->older_than_ms &&
            ds_mover_age_ms(report, newest, now_ms) <= o->older_than_ms)
            continue;
        for (size_t k = i; k < end; k++) {
            if (!o->misplaced || places[k].misplaced)
                places[kept++] = places[k];
        }
    }
    return kept;
}

static void add_age(struct ds_table *table, const struct ds_mover_report *report,
                    const struct ds_mover_place *place, int64_t now_ms)
{
    char age[DS_DURATION_TEXT_MAX];

    ds_duration_format_short(ds_mover_age_ms(report, place, now_ms), age);
    ds_table_add(table, place->group->pushed_us ? age : "never");
}

static void add_note(struct ds_buf *notes, bool is_so, const char *note)
{
    if (is_so)
        ds_buf_addf(notes, "%s%s", notes->len ? ", " : "", note);
}

static void add_notes(struct ds_table *table, const struct ds_mover_place *place)
{
    DS_AUTO(buf) struct ds_buf notes = DS_BUF_INIT(256);
    const struct ds_group *group = place->group;

    add_note(&notes, place->misplaced, "misplaced");
    add_note(&notes, place->beaten, "copy");
    add_note(&notes, group->failed_us > group->pushed_us, "last push failed");
    add_note(&notes, (group->flags & DS_GROUP_ODD_NAME) != 0, "no URL can name it");
    add_note(&notes, (group->flags & DS_GROUP_REPLACED) != 0, "invalid UTF-8");
    ds_table_add(table, notes.data);
}

static void add_row(struct ds_table *table, const struct ds_mover_report *report,
                    const struct ds_mover_place *place, bool wide, int64_t now_ms)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_OUT_MAX);

    ds_cmd_group_add_text(place->group->identity, place->group->identity_len, &text);
    ds_table_add(table, text.data);
    ds_table_add(table, report->servers[place->server].address);
    if (place->misplaced && place->owner < report->n_servers)
        ds_table_add(table, report->servers[place->owner].address);
    else
        ds_table_add(table, "-");
    add_age(table, report, place, now_ms);
    if (wide) {
        ds_table_addf(table, "%zu", place->group->n_families);
        ds_table_addf(table, "%zu", place->group->n_series);
    }
    add_notes(table, place);
}

static void show_text(struct ds_cmd_context *ctx, const struct ds_mover_report *report,
                      const struct ds_mover_place *places, size_t n)
{
    static const char *const headings[] = {"GROUP", "SERVER", "OWNER", ">PUSHED",
                                           "NOTES"};
    static const char *const wide_headings[] = {
        "GROUP", "SERVER", "OWNER", ">PUSHED", ">FAMILIES", ">SERIES", "NOTES"};
    bool wide = ds_cmd_wants(ctx, "wide");
    int64_t now_ms = ds_clock_wall_ms();
    DS_AUTO(table) struct ds_table table;

    if (wide)
        ds_table_init(&table, wide_headings, DS_COUNT(wide_headings));
    else
        ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < n; i++)
        add_row(&table, report, &places[i], wide, now_ms);
    ds_table_format(&table, &ctx->out);
    ds_buf_addf(&ctx->out, "\n%zu %s, %zu misplaced, %zu %s too many\n", report->n_groups,
                report->n_groups == 1 ? "group" : "groups", report->n_misplaced,
                report->n_copies, report->n_copies == 1 ? "copy" : "copies");
}

static json_t *row_json(const struct ds_mover_report *report,
                        const struct ds_mover_place *place)
{
    const struct ds_group *group = place->group;
    bool owned = place->owner < report->n_servers;
    json_t *row = json_pack(
        "{ss,ss?,sI,sI,sI,sI,sb,sb}", "server", report->servers[place->server].address,
        "owner", owned ? report->servers[place->owner].address : NULL, "pushed",
        (json_int_t)(group->pushed_us / 1000), "failed",
        (json_int_t)(group->failed_us / 1000), "families", (json_int_t)group->n_families,
        "series", (json_int_t)group->n_series, "misplaced", (int)place->misplaced, "copy",
        (int)place->beaten);

    return ds_cmd_group_add_json(row, group->identity, group->identity_len);
}

static void show_json(struct ds_cmd_context *ctx, const struct ds_mover_report *report,
                      const struct ds_mover_place *places, size_t n)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(rows, row_json(report, &places[i]));
    ds_cmd_add_json(ctx, json_pack("{so,so,sI,sI}", "groups", rows, "servers",
                                   ds_cmd_groups_servers_json(report), "misplaced",
                                   (json_int_t)report->n_misplaced, "copies",
                                   (json_int_t)report->n_copies));
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    DS_AUTO(config) struct ds_config config;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(cmd_match) struct ds_cmd_match match = {0};
    DS_AUTO(mover_report) struct ds_mover_report report;
    DS_AUTO(ptr) void *places = NULL;
    size_t n;

    ds_config_init(&config);
    ds_mover_report_init(&report);
    if (ds_cmd_match_parse(&match, &o->match, err) < 0 ||
        ds_cmd_load_config(ctx, &config, err) < 0 ||
        ds_state_load(&state, config.state_file, err) < 0)
        return -1;
    if (ds_cmd_groups_look(ctx, &config, &state, &match, &report, err) < 0) {
        err->code = err->code == DS_E_NET ? DS_E_TEMP : err->code;
        return -1;
    }
    places = ds_mover_places(&report, &n);
    n = choose(o, &report, places, n);
    if (ds_cmd_wants(ctx, "json"))
        show_json(ctx, &report, places, n);
    else
        show_text(ctx, &report, places, n);
    return ds_cmd_groups_check_read(&report, true, err);
}

const struct ds_cmd ds_cmd_groups_list = {
    .name = "groups list",
    .summary = "the groups of all servers: where they are and where they belong",
    .operands = "",
    .outputs = "text wide json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .is_default = true,
    .run = run,
};
