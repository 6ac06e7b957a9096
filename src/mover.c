/* SPDX-License-Identifier: Apache-2.0 */
/* see mover.h */
#include "dshard/clock.h"
#include "dshard/utf8.h"
#include "mover_impl.h"

#include <stdlib.h>

enum { BUDGET_READINGS = 2 };

/* ---- the servers --------------------------------------------------------------------
 */

void ds_mover_break(struct ds_mover *mover, size_t server, const struct ds_error *err)
{
    struct ds_mover_server *row = &mover->report->servers[server];

    mover->peers[server].broken = true;
    row->reached = false;
    ds_utf8_clean(row->why, sizeof row->why, err->text, strlen(err->text));
}

void ds_mover_read(struct ds_mover *mover, const size_t *servers, size_t n)
{
    DS_AUTO(ptr) void *gateway_list = ds_xcalloc(n, sizeof(struct ds_pushgateway *));
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(struct ds_inventory));
    struct ds_pushgateway **gateways = gateway_list;
    struct ds_inventory *inventories = list;
    int64_t began_ms = ds_clock_boot_ms();

    for (size_t i = 0; i < n; i++) {
        gateways[i] = mover->peers[servers[i]].gateway;
        ds_inventory_release(
            &mover->peers[servers[i]].now); /* before the new one is in */
        ds_inventory_init(&inventories[i], ds_pushgateway_address(gateways[i]));
    }
    ds_pushgateway_list_all(gateways, n, inventories);
    for (size_t i = 0; i < n; i++) {
        struct ds_mover_peer *peer = &mover->peers[servers[i]];

        peer->now = inventories[i];
        peer->read_at_ms = began_ms;
        peer->before_ms = peer->took_ms;
        peer->took_ms = peer->now.taken_ms;
        peer->n_uses = 0;
        if (!peer->now.reached)
            ds_mover_break(mover, servers[i], &peer->now.err);
    }
}

const struct ds_group *ds_mover_now(const struct ds_mover *mover, size_t server,
                                    const struct ds_group *group)
{
    return ds_inventory_find(&mover->peers[server].now, group->identity,
                             group->identity_len);
}

bool ds_mover_can_do(const struct ds_mover *mover, const struct ds_move *move)
{
    return !mover->peers[move->from].broken && !mover->peers[move->to].broken;
}

bool ds_mover_must_stop(const struct ds_mover *mover)
{
    return mover->options->stop && mover->options->stop(mover->options->stop_arg);
}

/* ---- what is done to a group --------------------------------------------------------
 */

void ds_mover_step(struct ds_mover *mover)
{
    struct ds_mover_progress progress = {.n_done = ++mover->n_done,
                                         .n_todo = mover->n_todo};

    if (mover->options->progress)
        mover->options->progress(mover->options->progress_arg, &progress);
}

void ds_mover_refuse(struct ds_mover *mover, const struct ds_move *move, const char *why)
{
    struct ds_mover_report *report = mover->report;
    struct ds_mover_refusal *refusal;

    report->refusals = ds_xreallocarray(report->refusals, report->n_refusals + 1,
                                        sizeof *report->refusals);
    refusal = &report->refusals[report->n_refusals++];
    *refusal = (struct ds_mover_refusal){
        .identity = ds_xmemdup(move->group->identity, move->group->identity_len),
        .identity_len = move->group->identity_len,
        .why = ds_xstrdup(why),
    };
    memcpy(refusal->from, report->servers[move->from].address, DS_ADDRESS_MAX);
    memcpy(refusal->to, report->servers[move->to].address, DS_ADDRESS_MAX);
}

/* ---- a pass -------------------------------------------------------------------------
 */

static int by_address(const void *a, const void *b)
{
    return strcmp(((const struct ds_mover_server *)a)->address,
                  ((const struct ds_mover_server *)b)->address);
}

static void choose_servers(const struct ds_state *state, struct ds_mover_report *report)
{
    report->servers = ds_xcalloc(state->n_servers, sizeof *report->servers);
    for (size_t i = 0; i < state->n_servers; i++) {
        const struct ds_standing *standing = &state->servers[i];
        struct ds_mover_server *row = &report->servers[report->n_servers];

        if (standing->intent == DS_INTENT_OUT)
            continue;
        report->n_servers++;
        memcpy(row->address, standing->server.address, sizeof row->address);
        row->intent = standing->intent;
        row->member = standing->member;
        row->down = standing->health.state == DS_HEALTH_DOWN;
        if (row->down)
            ds_utf8_clean(row->why, sizeof row->why, standing->health.why,
                          strlen(standing->health.why));
    }
    qsort(report->servers, report->n_servers, sizeof *report->servers, by_address);
    report->inventories = ds_xcalloc(report->n_servers, sizeof *report->inventories);
    for (size_t i = 0; i < report->n_servers; i++)
        ds_inventory_init(&report->inventories[i], report->servers[i].address);
}

int ds_mover_connect(struct ds_mover *mover, const struct ds_config *config,
                     struct ds_error *err)
{
    struct ds_mover_report *report = mover->report;

    mover->peers = ds_xcalloc(report->n_servers, sizeof *mover->peers);
    for (size_t i = 0; i < report->n_servers; i++) {
        ds_inventory_init(&mover->peers[i].now, report->servers[i].address);
        mover->peers[i].read_at_ms = DS_MOVER_NEVER_MS;
        if (report->servers[i].down)
            continue;
        mover->peers[i].gateway = ds_pushgateway_new(config, report->servers[i].address,
                                                     mover->options->timeout_ms, err);
        if (!mover->peers[i].gateway)
            return -1;
    }
    return 0;
}

void ds_mover_disconnect(struct ds_mover *mover)
{
    for (size_t i = 0; mover->peers && i < mover->report->n_servers; i++) {
        ds_pushgateway_free(mover->peers[i].gateway);
        ds_inventory_release(&mover->peers[i].now);
    }
    free(mover->peers);
    mover->peers = NULL;
}

static void keep_matching(const struct ds_mover_options *options,
                          struct ds_inventory *inventory)
{
    size_t n = 0;

    for (size_t i = 0; options->match && i < inventory->n; i++) {
        if (options->match(options->match_arg, &inventory->groups[i]))
            inventory->groups[n++] = inventory->groups[i];
        else
            ds_group_release(&inventory->groups[i]);
    }
    if (options->match)
        inventory->n = n;
}

/* Reads every list, and takes the readings over as those that the plan is made from. */
static int read_all(struct ds_mover *mover, struct ds_error *err)
{
    struct ds_mover_report *report = mover->report;
    DS_AUTO(ptr) void *list = ds_xcalloc(report->n_servers, sizeof(size_t));
    const struct ds_mover_server *last = NULL;
    size_t *asked = list, n = 0, n_reached = 0;

    for (size_t i = 0; i < report->n_servers; i++) {
        if (mover->peers[i].gateway)
            asked[n++] = i;
    }
    ds_mover_read(mover, asked, n);
    for (size_t i = 0; i < n; i++) {
        struct ds_inventory *inventory = &report->inventories[asked[i]];
        struct ds_mover_server *row = &report->servers[asked[i]];

        *inventory = mover->peers[asked[i]].now;
        ds_inventory_init(&mover->peers[asked[i]].now, row->address);
        mover->peers[asked[i]].read_at_ms = DS_MOVER_NEVER_MS;
        row->reached = inventory->reached;
        n_reached += row->reached;
        if (!row->reached)
            last = row;
        if (inventory->taken_ms > report->read_ms)
            report->read_ms = inventory->taken_ms;
        keep_matching(mover->options, inventory);
    }
    if (n_reached)
        return 0;
    if (!last)
        return ds_fail(err, DS_E_NET, "no server is up: there is none to ask for groups");
    return ds_fail(err, DS_E_NET, "no server told its groups; %s: %s", last->address,
                   last->why);
}

static bool does_yield(const struct ds_mover_options *options, const char *address)
{
    for (size_t i = 0; i < options->n_yields; i++) {
        if (strcmp(options->yields[i], address) == 0)
            return true;
    }
    return false;
}

static void make_plan(struct ds_mover *mover, const struct ds_state *state)
{
    const struct ds_mover_options *options = mover->options;
    struct ds_mover_report *report = mover->report;
    DS_AUTO(ptr)
    void *list = ds_xcalloc(report->n_servers, sizeof(struct ds_plan_server));
    DS_AUTO(ptr) void *index_list = ds_xcalloc(report->n_servers, sizeof(size_t));
    struct ds_plan_server *servers = list;
    size_t *indexes = index_list, n = 0;
    struct ds_plan_config config = {
        .mode = options->mode,
        .now_ms = ds_clock_wall_ms(),
        .ring_changed_ms = state->n_history ? state->history[0].at_ms : 0,
        .grace_ms = options->patience_ms < DS_PLAN_GRACE_MS ? options->patience_ms
                                                            : DS_PLAN_GRACE_MS,
        .patience_ms = options->patience_ms,
        .leave_older_than_ms = options->leave_older_than_ms,
        .ring = report->ring,
    };

    for (size_t i = 0; i < report->n_servers; i++) {
        if (!report->servers[i].reached)
            continue;
        indexes[n] = i;
        servers[n++] = (struct ds_plan_server){
            .inventory = &report->inventories[i],
            .yields = does_yield(options, report->servers[i].address),
            .settles = ds_mover_settles(&report->servers[i]),
        };
    }
    ds_plan_make(&report->plan, &config, servers, n);
    for (size_t i = 0; i < report->plan.n_moves; i++) {
        struct ds_move *move = &report->plan.moves[i];

        move->from = indexes[move->from];
        move->to = indexes[move->to];
    }
}

static void choose_moves(struct ds_mover *mover)
{
    struct ds_plan *plan = &mover->report->plan;

    mover->todo = ds_xcalloc(plan->n_moves, sizeof(struct ds_move *));
    for (size_t i = 0; i < plan->n_moves; i++) {
        if (!ds_mover_report_has_refused(mover->report, &plan->moves[i]))
            mover->todo[mover->n_todo++] = &plan->moves[i];
    }
}

static int by_servers(const void *a, const void *b)
{
    const struct ds_move *x = *(struct ds_move *const *)a;
    const struct ds_move *y = *(struct ds_move *const *)b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    if (x->to != y->to)
        return x->to < y->to ? -1 : 1;
    return ds_group_compare(x->group, y->group);
}

void ds_mover_sort(struct ds_move **moves, size_t n)
{
    qsort(moves, n, sizeof(struct ds_move *), by_servers);
}

static bool is_delete_only(const struct ds_move *move)
{
    return move->from == move->to || (move->kept && !move->n_families);
}

/* Reading must not be what most of the time goes into. */
static int64_t budget_ms(const struct ds_mover *mover)
{
    int64_t reading_ms = mover->report->read_ms * BUDGET_READINGS;

    return reading_ms > mover->options->budget_ms ? reading_ms
                                                  : mover->options->budget_ms;
}

static int carry_out(struct ds_mover *mover, struct ds_error *err)
{
    struct ds_mover_progress progress = {.n_todo = mover->n_todo};
    size_t n_deletes = 0;

    if (!mover->n_todo)
        return 0;
    if (mover->options->progress)
        mover->options->progress(mover->options->progress_arg, &progress);
    while (n_deletes < mover->n_todo && is_delete_only(mover->todo[n_deletes]))
        n_deletes++;
    if (ds_mover_run_deletes(mover, mover->todo, n_deletes, err) < 0)
        return -1;
    if (mover->options->budget_ms)
        mover->ends_ms = ds_clock_mono_ms() + budget_ms(mover);
    return ds_mover_run_copies(mover, mover->todo + n_deletes, mover->n_todo - n_deletes,
                               err);
}

static bool is_looking(const struct ds_mover *mover)
{
    return mover->options->dry_run || mover->options->mode == DS_PLAN_LOOK;
}

static int run_pass(struct ds_mover *mover, const struct ds_config *config,
                    const struct ds_state *state, struct ds_error *err)
{
    int rc = 0;

    choose_servers(state, mover->report);
    mover->report->ring = ds_state_ring(state);
    if (ds_mover_connect(mover, config, err) < 0 || read_all(mover, err) < 0)
        return -1;
    make_plan(mover, state);
    choose_moves(mover);
    if (is_looking(mover))
        mover->n_todo = 0;
    if (mover->options->mode != DS_PLAN_LOOK)
        rc = ds_pushgateway_check_twins(config, mover->report->inventories,
                                        mover->report->n_servers,
                                        mover->options->timeout_ms, err);
    if (rc == 0 && !is_looking(mover))
        rc = ds_mover_mend(mover, err);
    if (rc == 0)
        rc = carry_out(mover, err);
    mover->report->n_done = mover->n_done;
    mover->report->n_undone = mover->n_todo - mover->n_done;
    ds_mover_report_count(mover->report);
    return rc;
}

int ds_mover_pass(const struct ds_config *config, const struct ds_state *state,
                  struct ds_fleet_lock *lock, const struct ds_mover_options *options,
                  struct ds_mover_report *report, struct ds_error *err)
{
    struct ds_mover mover = {
        .options = options,
        .lock = lock,
        .report = report,
        .ends_ms = INT64_MAX,
    };
    int rc;

    ds_mover_report_clear(report);
    rc = run_pass(&mover, config, state, err);
    ds_mover_disconnect(&mover);
    free(mover.todo);
    return rc;
}
