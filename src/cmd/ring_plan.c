/* SPDX-License-Identifier: Apache-2.0 */
/* ring_plan.c - what would move if servers were added or removed. */
#include "cmd.h"
#include "json.h"
#include "members.h"
#include "plan_view.h"

enum { ASK_TIMEOUT_MS = 10000 };

struct options {
    const char *state;
    struct ds_opt_list add, remove;
    bool groups;
};

static const struct ds_opt options[] = {
    {"add", '\0', DS_OPT_LIST, offsetof(struct options, add), "SERVER",
     "as if it were a member (host:port or host:port=weight; several)"},
    {"remove", '\0', DS_OPT_LIST, offsetof(struct options, remove), "SERVER",
     "as if it were none (several)"},
    {"groups", '\0', DS_OPT_FLAG, offsetof(struct options, groups), NULL,
     "name the groups, and not only how many they are"},
    {"state", '\0', DS_OPT_TEXT, offsetof(struct options, state), "FILE",
     "read this state file instead of the configuration's"},
};

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

static struct ds_plan_view *make_view(const struct ds_state *state,
                                      const struct options *o, unsigned port,
                                      struct ds_error *err)
{
    size_t n_old, n;
    DS_AUTO(ptr) void *old = ds_state_members(state, &n_old);
    DS_AUTO(ptr)
    void *members = ds_xcalloc(n_old + count_words(&o->add), sizeof(struct ds_server));

    if (!n_old) {
        ds_fail(err, DS_E_FAILED, "the ring has no members");
        return NULL;
    }
    memcpy(members, old, n_old * sizeof(struct ds_server));
    n = n_old;
    if (change_members(members, &n, o, port, err) < 0)
        return NULL;
    return ds_plan_view_new(old, n_old, members, n, state->replicas, err);
}

/* Which groups it is about: only who has the configuration can ask the servers. */
static int look(struct ds_cmd_context *ctx, const struct ds_state *state,
                struct ds_plan_view *view, struct ds_mover_report *report,
                struct ds_error *err)
{
    DS_AUTO(config) struct ds_config config;
    struct ds_mover_options how = {.mode = DS_PLAN_LOOK,
                                   .timeout_ms = ds_cmd_timeout_ms(ctx, ASK_TIMEOUT_MS)};

    ds_config_init(&config);
    if (ds_cmd_load_config(ctx, &config, err) < 0)
        return -1;
    if (ds_mover_pass(&config, state, NULL, &how, report, err) < 0 &&
        err->code != DS_E_NET)
        return -1;
    ds_plan_view_take(view, report, config.watch.patience_ms);
    return 0;
}

static int run(struct ds_cmd_context *ctx, const void *opts, struct ds_error *err)
{
    const struct options *o = opts;
    DS_AUTO(state) struct ds_state state = {0};
    DS_AUTO(str) char *path = NULL;
    DS_AUTO(mover_report) struct ds_mover_report report;
    DS_AUTO(plan_view) struct ds_plan_view *view = NULL;
    unsigned port = 0;

    ds_mover_report_init(&report);
    if (!o->add.n && !o->remove.n)
        return ds_fail(err, DS_E_USAGE, "it wants --add SERVER or --remove SERVER");
    if (ds_cmd_load_state(ctx, o->state, &state, &path, &port, err) < 0)
        return -1;
    view = make_view(&state, o, port, err);
    if (!view || (!o->state && look(ctx, &state, view, &report, err) < 0))
        return -1;
    if (ds_cmd_wants(ctx, "json"))
        ds_cmd_add_json(ctx, ds_plan_view_json(view));
    else
        ds_plan_view_add_text(view, o->groups, &ctx->out);
    return 0;
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
