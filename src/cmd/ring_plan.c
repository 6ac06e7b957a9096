/* SPDX-License-Identifier: Apache-2.0 */
/* ring_plan.c - what would move if servers were added or removed. */
#include "cmd.h"
#include "dshard/table.h"
#include "json.h"
#include "members.h"

#include <stdlib.h>

struct options {
    const char *state;
    struct ds_opt_list add, remove;
};

static const struct ds_opt options[] = {
    {"add", '\0', DS_OPT_LIST, offsetof(struct options, add), "SERVER",
     "as if it were a member (host:port or host:port=weight; several)"},
    {"remove", '\0', DS_OPT_LIST, offsetof(struct options, remove), "SERVER",
     "as if it were none (several)"},
    {"state", '\0', DS_OPT_TEXT, offsetof(struct options, state), "FILE",
     "read this state file instead of the configuration's"},
};

/* The servers of both rings with their shares; what is in one only has 0 in the other. */
struct row {
    struct ds_server server;
    uint64_t before, after, gains, loses; /* of 2^32 hashes */
};

struct plan {
    struct ds_ring *before, *after;
    struct row *rows;
    size_t n_rows;
};

static struct row *row_of(struct plan *plan, const struct ds_server *server)
{
    for (size_t i = 0; i < plan->n_rows; i++) {
        if (strcmp(plan->rows[i].server.address, server->address) == 0)
            return &plan->rows[i];
    }
    plan->rows = ds_xreallocarray(plan->rows, plan->n_rows + 1, sizeof *plan->rows);
    plan->rows[plan->n_rows] = (struct row){.server = *server};
    return &plan->rows[plan->n_rows++];
}

static void count_arc(void *arg, uint32_t first, uint32_t last,
                      const struct ds_server *from, const struct ds_server *to)
{
    uint64_t hashes = (uint64_t)last - first + 1;

    row_of(arg, from)->loses += hashes;
    row_of(arg, to)->gains += hashes;
}

static int row_compare(const void *a, const void *b)
{
    return ds_server_compare(&((const struct row *)a)->server,
                             &((const struct row *)b)->server);
}

static void fill_rows(struct plan *plan)
{
    const struct ds_server *members;
    size_t n;

    members = ds_ring_members(plan->before, &n);
    for (size_t i = 0; i < n; i++)
        row_of(plan, &members[i])->before = ds_ring_share(plan->before, i);
    members = ds_ring_members(plan->after, &n);
    for (size_t i = 0; i < n; i++)
        row_of(plan, &members[i])->after = ds_ring_share(plan->after, i);
    ds_ring_diff(plan->before, plan->after, count_arc, plan);
    qsort(plan->rows, plan->n_rows, sizeof *plan->rows, row_compare);
}

static size_t index_of(const struct ds_server *servers, size_t n, const char *address)
{
    size_t i = 0;

    while (i < n && !ds_address_equal(servers[i].address, address))
        i++;
    return i;
}

/* Changes a list of members, which has room for the additions. */
static int change_members(struct ds_server *members, size_t *n, const struct options *o,
                          unsigned port, struct ds_error *err)
{
    size_t n_add = 0, n_remove = 0, at;
    DS_AUTO(ptr) void *add_list = NULL;
    DS_AUTO(ptr) void *remove_list = NULL;
    const struct ds_server *add, *remove;

    if (o->add.n && !(add_list = ds_cmd_parse_members(&o->add, port, &n_add, err)))
        return ds_wrap(err, "--add");
    if (o->remove.n &&
        !(remove_list = ds_cmd_parse_members(&o->remove, port, &n_remove, err)))
        return ds_wrap(err, "--remove");
    add = add_list;
    remove = remove_list;
    for (size_t i = 0; i < n_remove; i++) {
        at = index_of(members, *n, remove[i].address);
        if (at == *n)
            return ds_fail(err, DS_E_FAILED, "--remove: '%s' is no member",
                           remove[i].address);
        members[at] = members[--*n];
    }
    for (size_t i = 0; i < n_add; i++) {
        if (index_of(members, *n, add[i].address) < *n)
            return ds_fail(err, DS_E_FAILED, "--add: '%s' is a member already",
                           add[i].address);
        members[(*n)++] = add[i];
    }
    if (!*n)
        return ds_fail(err, DS_E_FAILED, "no member would be left");
    return 0;
}

static size_t count_words(const struct ds_opt_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        n++;
        for (const char *p = list->items[i]; *p; p++)
            n += *p == ',';
    }
    return n;
}

static int make_plan(const struct ds_state *state, const struct options *o, unsigned port,
                     struct plan *plan, struct ds_error *err)
{
    size_t n_old, n;
    DS_AUTO(ptr) void *old = ds_state_members(state, &n_old);
    DS_AUTO(ptr)
    void *members = ds_xcalloc(n_old + count_words(&o->add), sizeof(struct ds_server));

    if (!n_old)
        return ds_fail(err, DS_E_FAILED, "the ring has no members");
    memcpy(members, old, n_old * sizeof(struct ds_server));
    n = n_old;
    if (change_members(members, &n, o, port, err) < 0)
        return -1;
    plan->before = ds_ring_new(old, n_old, state->replicas, err);
    plan->after = plan->before ? ds_ring_new(members, n, state->replicas, err) : NULL;
    if (!plan->after)
        return -1;
    fill_rows(plan);
    return 0;
}

static void show_text(const struct plan *plan, struct ds_buf *out)
{
    static const char *const headings[] = {"SERVER", ">BEFORE", ">AFTER", ">GAINS",
                                           ">LOSES"};
    uint64_t moved = ds_ring_moved(plan->before, plan->after);
    DS_AUTO(table) struct ds_table table;

    ds_table_init(&table, headings, DS_COUNT(headings));
    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct row *row = &plan->rows[i];

        ds_table_add(&table, row->server.address);
        ds_table_addf(&table, "%.1f%%", ds_ring_ppm(row->before) / 10000.0);
        ds_table_addf(&table, "%.1f%%", ds_ring_ppm(row->after) / 10000.0);
        ds_table_addf(&table, "%.1f%%", ds_ring_ppm(row->gains) / 10000.0);
        ds_table_addf(&table, "%.1f%%", ds_ring_ppm(row->loses) / 10000.0);
    }
    ds_table_format(&table, out);
    ds_buf_addf(out, "\n%.1f%% of the key space would get another owner\n",
                ds_ring_ppm(moved) / 10000.0);
}

static void show_json(struct ds_cmd_context *ctx, const struct plan *plan,
                      const struct ds_state *state)
{
    char digest[DS_DIGEST_MAX];
    json_t *servers = json_array();
    const struct ds_server *members;
    size_t n;

    for (size_t i = 0; i < plan->n_rows; i++) {
        const struct row *row = &plan->rows[i];

        json_array_append_new(
            servers, json_pack("{ss,sI,sI,sI,sI}", "address", row->server.address,
                               "before_ppm", (json_int_t)ds_ring_ppm(row->before),
                               "after_ppm", (json_int_t)ds_ring_ppm(row->after),
                               "gains_ppm", (json_int_t)ds_ring_ppm(row->gains),
                               "loses_ppm", (json_int_t)ds_ring_ppm(row->loses)));
    }
    members = ds_ring_members(plan->after, &n);
    ds_ring_digest(members, n, state->replicas, digest);
    ds_cmd_add_json(
        ctx, json_pack("{so,sI,ss,ss}", "servers", servers, "moved_ppm",
                       (json_int_t)ds_ring_ppm(ds_ring_moved(plan->before, plan->after)),
                       "digest", state->digest, "digest_after", digest));
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(str) char *path = NULL;
    struct plan plan = {0};
    unsigned port = 0;
    int rc;

    if (!o->add.n && !o->remove.n)
        return ds_fail(err, DS_E_USAGE, "it wants --add SERVER or --remove SERVER");
    if (ds_cmd_load_state(ctx, o->state, &state, &path, &port, err) < 0)
        return -1;
    rc = make_plan(&state, o, port, &plan, err);
    if (rc == 0 && ds_cmd_wants(ctx, "json"))
        show_json(ctx, &plan, &state);
    else if (rc == 0)
        show_text(&plan, &ctx->out);
    ds_ring_free(plan.before);
    ds_ring_free(plan.after);
    free(plan.rows);
    return rc;
}

const struct ds_cmd ds_cmd_ring_plan = {
    .name = "ring plan",
    .summary = "what would move if servers were added or removed",
    .operands = "",
    .outputs = "text json",
    .opts = options,
    .n_opts = DS_COUNT(options),
    .options_size = sizeof(struct options),
    .run = run,
};
