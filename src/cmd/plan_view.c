/* SPDX-License-Identifier: Apache-2.0 */
/* see plan_view.h */
#include "plan_view.h"
#include "dshard/num.h"
#include "dshard/table.h"
#include "groups.h"

#include <stdlib.h>

enum { GROUP_TEXT_MAX = 8 * 1024 * 1024 };

/*
 * What one PUT costs: the server gathers all its series to check the new ones against
 * them, and adds two of its own to each group.  Source: Pushgateway 1.5.1, measured: 37
 * ms at 6,000 series, 428 ms at 60,000.
 */
enum { PUT_NS_PER_SERIES = 7000, SERIES_OF_ITS_OWN = 2 };

/* The servers of both rings with their shares; what is in one only has 0 in the other. */
struct row {
    struct ds_server server;
    uint64_t before, after, gains, loses; /* of 2^32 hashes */
    size_t n_series, n_new_series;        /* what it holds, and what would come */
    size_t n_new_groups;
};

/* A group that would move. */
struct moving {
    const struct ds_group *group; /* borrowed from the report */
    const char *from, *to;        /* borrowed: from report and ring */
};

struct ds_plan_view {
    struct ds_ring *before, *after; /* before NULL: without members */
    unsigned replicas;
    struct row *rows; /* by address */
    size_t n_rows;
    const struct ds_mover_report *report; /* NULL: nobody was asked */
    struct moving *moving;                /* by from, to, identity */
    size_t n_moving, n_groups;
    int64_t takes_ms;
};

static int row_compare(const void *a, const void *b)
{
    return ds_server_compare(&((const struct row *)a)->server,
                             &((const struct row *)b)->server);
}

static struct row *row_of(struct ds_plan_view *view, const char *address)
{
    for (size_t i = 0; i < view->n_rows; i++) {
        if (strcmp(view->rows[i].server.address, address) == 0)
            return &view->rows[i];
    }
    return NULL;
}

static struct row *add_row(struct ds_plan_view *view, const struct ds_server *server)
{
    struct row *row = row_of(view, server->address);

    if (row)
        return row;
    view->rows = ds_xreallocarray(view->rows, view->n_rows + 1, sizeof *view->rows);
    row = &view->rows[view->n_rows++];
    *row = (struct row){.server = *server};
    return row;
}

static void count_arc(void *arg, uint32_t first, uint32_t last,
                      const struct ds_server *from, const struct ds_server *to)
{
    uint64_t hashes = (uint64_t)last - first + 1;

    row_of(arg, from->address)->loses += hashes;
    row_of(arg, to->address)->gains += hashes;
}

static void fill_rows(struct ds_plan_view *view)
{
    const struct ds_server *members;
    size_t n;

    if (view->before) {
        members = ds_ring_members(view->before, &n);
        for (size_t i = 0; i < n; i++)
            add_row(view, &members[i])->before = ds_ring_share(view->before, i);
    }
    members = ds_ring_members(view->after, &n);
    for (size_t i = 0; i < n; i++) {
        struct row *row = add_row(view, &members[i]);

        row->after = ds_ring_share(view->after, i);
        row->gains = view->before ? 0 : row->after;
    }
    if (view->before)
        ds_ring_diff(view->before, view->after, count_arc, view);
    qsort(view->rows, view->n_rows, sizeof *view->rows, row_compare);
}

struct ds_plan_view *ds_plan_view_new(const struct ds_server *before, size_t n_before,
                                      const struct ds_server *after, size_t n_after,
                                      unsigned replicas, struct ds_error *err)
{
    struct ds_plan_view *view = ds_xcalloc(1, sizeof *view);

    view->replicas = replicas;
    if (n_before)
        view->before = ds_ring_new(before, n_before, replicas, err);
    if (!n_before || view->before)
        view->after = ds_ring_new(after, n_after, replicas, err);
    if (!view->after) {
        ds_plan_view_free(view);
        return NULL;
    }
    fill_rows(view);
    return view;
}

void ds_plan_view_free(struct ds_plan_view *view)
{
    if (!view)
        return;
    ds_ring_free(view->before);
    ds_ring_free(view->after);
    free(view->rows);
    free(view->moving);
    free(view);
}

void ds_auto_plan_view(struct ds_plan_view **view)
{
    ds_plan_view_free(*view);
}

/* ---- groups ---- */

static bool is_same_group(const struct ds_group *a, const struct ds_group *b)
{
    return a->identity_len == b->identity_len &&
           memcmp(a->identity, b->identity, a->identity_len) == 0;
}

/* All copies of one group: it moves unless one of them lies where it would belong. */
static void take_group(struct ds_plan_view *view, const struct ds_mover_place *places,
                       size_t n)
{
    const struct ds_mover_place *from = &places[0];
    const char *to = ds_ring_owner_of_hash(view->after, places[0].group->hash)->address;
    struct row *row = row_of(view, to);

    view->n_groups++;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(view->report->servers[places[i].server].address, to) == 0)
            return;
        if (from->beaten && !places[i].beaten)
            from = &places[i];
    }
    view->moving[view->n_moving++] =
        (struct moving){.group = from->group,
                        .from = view->report->servers[from->server].address,
                        .to = to};
    row->n_new_groups++;
    row->n_new_series += from->group->n_series + SERIES_OF_ITS_OWN;
}

static int moving_compare(const void *a, const void *b)
{
    const struct moving *x = a, *y = b;
    int order = strcmp(x->from, y->from);

    if (!order)
        order = strcmp(x->to, y->to);
    return order ? order : ds_group_compare(x->group, y->group);
}

/* As if nobody pushed meanwhile: each group is copied once it has been silent for long
   enough, and a server gets at least as long for its clients as each copy took. */
static int64_t estimate_ms(const struct ds_plan_view *view, int64_t patience_ms)
{
    int64_t ns = 0;
    int64_t grace_ms = patience_ms < DS_PLAN_GRACE_MS ? patience_ms : DS_PLAN_GRACE_MS;
    int64_t wait_ms = patience_ms > grace_ms ? patience_ms : grace_ms;

    if (!view->n_moving)
        return 0;
    for (size_t i = 0; i < view->n_rows; i++) {
        const struct row *row = &view->rows[i];
        size_t series = row->n_series + row->n_new_series / 2;

        ns += (int64_t)(row->n_new_groups * series) * PUT_NS_PER_SERIES;
    }
    return wait_ms + 2 * ns / 1000000;
}

void ds_plan_view_take(struct ds_plan_view *view, const struct ds_mover_report *report,
                       int64_t patience_ms)
{
    size_t n;
    DS_AUTO(ptr) void *list = ds_mover_places(report, &n);
    const struct ds_mover_place *places = list;

    view->report = report;
    view->moving = ds_xcalloc(n, sizeof *view->moving);
    for (size_t i = 0; i < n; i++) {
        struct row *row = row_of(view, report->servers[places[i].server].address);

        if (row)
            row->n_series += places[i].group->n_series + SERIES_OF_ITS_OWN;
    }
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        while (end < n && is_same_group(places[i].group, places[end].group))
            end++;
        take_group(view, &places[i], end - i);
    }
    if (view->n_moving)
        qsort(view->moving, view->n_moving, sizeof *view->moving, moving_compare);
    view->takes_ms = estimate_ms(view, patience_ms);
}

/* ---- text ---- */

static double percent(uint64_t hashes)
{
    return ds_ring_ppm(hashes) / 10000.0;
}

static void add_shares(const struct ds_plan_view *view, struct ds_buf *out)
{
    static const char *const headings[] = {"SERVER", ">BEFORE", ">AFTER", ">GAINS",
                                           ">LOSES"};
    DS_AUTO(table) struct ds_table table;

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < view->n_rows; i++) {
        const struct row *row = &view->rows[i];

        ds_table_add(&table, row->server.address);
        ds_table_addf(&table, "%.1f%%", percent(row->before));
        ds_table_addf(&table, "%.1f%%", percent(row->after));
        ds_table_addf(&table, "%.1f%%", percent(row->gains));
        ds_table_addf(&table, "%.1f%%", percent(row->loses));
    }
    ds_table_format(&table, out);
    ds_buf_addf(out, "\n%.1f%% of the key space would get another owner\n",
                percent(ds_ring_moved(view->before, view->after)));
}

/* Where the moves with the same two ends as moving[i] end. */
static size_t end_of_pair(const struct ds_plan_view *view, size_t i)
{
    size_t end = i + 1;

    while (end < view->n_moving &&
           strcmp(view->moving[i].from, view->moving[end].from) == 0 &&
           strcmp(view->moving[i].to, view->moving[end].to) == 0)
        end++;
    return end;
}

/* A line a group, or one for all that go the same way. */
static void add_moves(const struct ds_plan_view *view, bool with_groups,
                      struct ds_buf *out)
{
    const char *const headings[] = {"FROM", "TO", with_groups ? "GROUP" : ">GROUPS"};
    DS_AUTO(table) struct ds_table table;

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0, end; i < view->n_moving; i = end) {
        const struct moving *moving = &view->moving[i];
        DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(GROUP_TEXT_MAX);

        end = with_groups ? i + 1 : end_of_pair(view, i);
        ds_cmd_group_add_text(moving->group->identity, moving->group->identity_len,
                              &text);
        ds_table_add(&table, moving->from);
        ds_table_add(&table, moving->to);
        if (with_groups)
            ds_table_add(&table, text.data);
        else
            ds_table_addf(&table, "%zu", end - i);
    }
    ds_table_format(&table, out);
}

static size_t add_unreached(const struct ds_plan_view *view, struct ds_buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < view->report->n_servers; i++) {
        const struct ds_mover_server *server = &view->report->servers[i];

        if (server->reached)
            continue;
        n++;
        ds_buf_addf(out, "what %s holds is not known: %s\n", server->address,
                    server->down ? "it is down" : server->why);
    }
    return n;
}

static void add_takes(const struct ds_plan_view *view, struct ds_buf *out)
{
    char takes[DS_DURATION_TEXT_MAX];

    ds_duration_format((view->takes_ms + 999) / 1000 * 1000, takes);
    ds_buf_addf(out, ", in about %s if nobody pushes them", takes);
}

void ds_plan_view_add_text(const struct ds_plan_view *view, bool with_groups,
                           struct ds_buf *out)
{
    add_shares(view, out);
    if (!view->report)
        return;
    if (view->n_moving) {
        ds_buf_addc(out, '\n');
        add_moves(view, with_groups, out);
    }
    ds_buf_addc(out, '\n');
    if (add_unreached(view, out) == view->report->n_servers)
        return; /* nothing is known of any group */
    ds_buf_addf(out, "%zu of %zu %s would move", view->n_moving, view->n_groups,
                view->n_groups == 1 ? "group" : "groups");
    if (view->n_moving)
        add_takes(view, out);
    ds_buf_addc(out, '\n');
}

/* ---- JSON ---- */

static json_t *shares_json(const struct ds_plan_view *view)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < view->n_rows; i++) {
        const struct row *row = &view->rows[i];

        json_array_append_new(
            servers, json_pack("{ss,sI,sI,sI,sI}", "address", row->server.address,
                               "before_ppm", (json_int_t)ds_ring_ppm(row->before),
                               "after_ppm", (json_int_t)ds_ring_ppm(row->after),
                               "gains_ppm", (json_int_t)ds_ring_ppm(row->gains),
                               "loses_ppm", (json_int_t)ds_ring_ppm(row->loses)));
    }
    return servers;
}

static json_t *groups_json(const struct ds_plan_view *view)
{
    json_t *list = json_array(), *unreached = json_array();

    for (size_t i = 0; i < view->n_moving; i++) {
        const struct moving *moving = &view->moving[i];
        json_t *row = json_pack("{ss,ss}", "from", moving->from, "to", moving->to);

        json_array_append_new(list, ds_cmd_group_add_json(row, moving->group->identity,
                                                          moving->group->identity_len));
    }
    for (size_t i = 0; i < view->report->n_servers; i++) {
        const struct ds_mover_server *server = &view->report->servers[i];

        if (!server->reached)
            json_array_append_new(
                unreached,
                json_pack("{ss,so}", "address", server->address, "why",
                          ds_cmd_json_string(server->why, strlen(server->why))));
    }
    return json_pack("{sI,so,sI,so}", "known", (json_int_t)view->n_groups, "moving", list,
                     "takes_ms", (json_int_t)view->takes_ms, "unreached", unreached);
}

static void digest_of(const struct ds_plan_view *view, const struct ds_ring *ring,
                      char out[DS_DIGEST_MAX])
{
    const struct ds_server *members = NULL;
    size_t n = 0;

    if (ring)
        members = ds_ring_members(ring, &n);
    ds_ring_digest(members, n, view->replicas, out);
}

json_t *ds_plan_view_json(const struct ds_plan_view *view)
{
    char before[DS_DIGEST_MAX], after[DS_DIGEST_MAX];

    digest_of(view, view->before, before);
    digest_of(view, view->after, after);
    return json_pack("{so,sI,ss,ss,so}", "servers", shares_json(view), "moved_ppm",
                     (json_int_t)ds_ring_ppm(ds_ring_moved(view->before, view->after)),
                     "digest", before, "digest_after", after, "groups",
                     view->report ? groups_json(view) : json_null());
}
