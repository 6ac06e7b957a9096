/* SPDX-License-Identifier: Apache-2.0 */
/* see remover.h */
#include "dshard/remover.h"
#include "dshard/clock.h"
#include "dshard/groupkey.h"
#include "mover_impl.h"

#include <stdlib.h>

enum {
    WAIT_FIRST_MS = 20, /* a DELETE is queued; then twice as long each time */
    WAIT_MOST_MS = 1000,
    DOUBTFUL_MS = 1000, /* for groups whose labels are perhaps others */
};

struct remover {
    struct ds_mover mover;
    struct ds_removal *removals;
    struct ds_removal **order; /* by the server of the first copy; owned array */
    size_t n;
    bool *wanted; /* servers to be read next; owned */
};

const char *ds_removal_end_name(enum ds_removal_end end)
{
    static const char *const names[] = {"open",    "deleted", "pushed",
                                        "unnamed", "stays",   "unreached"};

    return names[end];
}

/* ---- which groups ---- */

static bool has_url(const struct ds_group *group)
{
    DS_AUTO(groupkey) struct ds_groupkey key;
    struct ds_error ignored = DS_ERROR_INIT;

    ds_groupkey_init(&key);
    return ds_groupkey_from_identity(&key, group->identity, group->identity_len,
                                     &ignored) == 0;
}

/* Whether the group belongs to a server that has not told its copy. */
static bool is_owner_silent(const struct ds_mover_report *report,
                            const struct ds_mover_place *place)
{
    if (!report->ring)
        return false;
    return place->owner >= report->n_servers || !report->servers[place->owner].reached;
}

static bool is_old(const struct ds_mover_report *report,
                   const struct ds_mover_place *copies, size_t n, int64_t older_than_ms,
                   int64_t now_ms)
{
    const struct ds_mover_place *newest = ds_mover_newest(report, copies, n);

    return !is_owner_silent(report, copies) &&
           ds_mover_age_ms(report, newest, now_ms) > older_than_ms;
}

struct ds_removal *ds_remover_choose(const struct ds_mover_report *report,
                                     const struct ds_mover_place *places, size_t n_places,
                                     int64_t older_than_ms, int64_t now_ms, size_t *n)
{
    struct ds_removal *removals = ds_xcalloc(n_places, sizeof *removals);

    *n = 0;
    for (size_t i = 0, end; i < n_places; i = end) {
        end = ds_mover_group_end(places, n_places, i);
        if (older_than_ms && !is_old(report, places + i, end - i, older_than_ms, now_ms))
            continue;
        removals[(*n)++] = (struct ds_removal){
            .copies = places + i,
            .n_copies = end - i,
            .end = has_url(places[i].group) ? DS_REMOVAL_OPEN : DS_REMOVAL_UNNAMED,
            .server = places[i].server,
        };
    }
    return removals;
}

/* ---- looking again ---- */

/* It told its groups at the look.  It may have failed since. */
static bool is_known(const struct remover *r, size_t server)
{
    return server < r->mover.report->n_servers && r->mover.peers[server].gateway;
}

static bool is_broken(const struct remover *r, size_t server)
{
    return r->mover.peers[server].broken;
}

static void want(struct remover *r, size_t server)
{
    if (is_known(r, server) && !is_broken(r, server))
        r->wanted[server] = true;
}

static void read_wanted(struct remover *r)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(r->mover.report->n_servers, sizeof(size_t));
    size_t *servers = list, n = 0;

    for (size_t i = 0; i < r->mover.report->n_servers; i++) {
        if (r->wanted[i])
            servers[n++] = i;
        r->wanted[i] = false;
    }
    ds_mover_read(&r->mover, servers, n);
}

/* The copy that somebody has seen on this server; NULL: none. */
static const struct ds_mover_place *seen_at(const struct ds_removal *removal,
                                            size_t server)
{
    for (size_t i = 0; i < removal->n_copies; i++) {
        if (removal->copies[i].server == server)
            return &removal->copies[i];
    }
    return NULL;
}

static void end_at(struct ds_removal *removal, enum ds_removal_end end, size_t server)
{
    removal->end = end;
    removal->server = server;
}

/* Whether what the server has of the group, if anything, is what was seen. */
static bool is_as_seen(struct remover *r, struct ds_removal *removal, size_t server)
{
    const struct ds_mover_place *seen = seen_at(removal, server);
    const struct ds_group *now =
        ds_mover_now(&r->mover, server, removal->copies[0].group);

    if (is_broken(r, server))
        end_at(removal, DS_REMOVAL_UNREACHED, server);
    else if (now && (!seen || !ds_group_is_unchanged(seen->group, now)))
        end_at(removal, DS_REMOVAL_PUSHED, server);
    else
        return true;
    return false;
}

/* ---- deleting ---- */

static bool delete_copy(struct remover *r, struct ds_removal *removal,
                        const struct ds_mover_place *copy)
{
    struct ds_move move = {
        .group = copy->group, .from = copy->server, .to = copy->server};
    struct ds_mover_deletion deletion = {
        .move = &move, .seen = copy->group, .in_bulk = true};

    switch (ds_mover_delete(&r->mover, &deletion)) {
    case DS_MOVER_DELETED:
        removal->n_deleted++;
        return true;
    case DS_MOVER_RACED:
        end_at(removal, DS_REMOVAL_PUSHED, copy->server);
        return false;
    case DS_MOVER_REFUSED:
    case DS_MOVER_LEFT:
        end_at(removal, DS_REMOVAL_UNREACHED, copy->server);
        break;
    }
    return false;
}

/* The servers that hold copies, and the owner: how many, in a new array. */
static size_t *servers_of(const struct remover *r, const struct ds_removal *removal,
                          size_t *n)
{
    size_t *servers = ds_xcalloc(removal->n_copies + 1, sizeof *servers);
    size_t owner = removal->copies[0].owner;

    *n = 0;
    if (is_known(r, owner) && !seen_at(removal, owner))
        servers[(*n)++] = owner;
    for (size_t i = 0; i < removal->n_copies; i++)
        servers[(*n)++] = removal->copies[i].server;
    return servers;
}

static void remove_group(struct remover *r, struct ds_removal *removal)
{
    const struct ds_mover_place *copies = removal->copies;
    size_t n;
    DS_AUTO(ptr) void *list = servers_of(r, removal, &n);
    const size_t *servers = list;
    bool fresh = ds_mover_look(&r->mover, servers, n);

    for (size_t i = 0; i < n; i++) {
        if (!is_as_seen(r, removal, servers[i]))
            return;
    }
    if (!fresh) {
        end_at(removal, DS_REMOVAL_UNREACHED, servers[0]);
        return;
    }
    for (size_t i = 0; i < removal->n_copies; i++) {
        if (ds_mover_now(&r->mover, copies[i].server, copies[i].group) &&
            !delete_copy(r, removal, &copies[i]))
            return;
    }
    removal->end = DS_REMOVAL_GONE; /* if it is true */
}

static int run_all(struct remover *r, struct ds_error *err)
{
    struct ds_mover_progress progress = {.n_todo = r->mover.n_todo};
    size_t n = r->mover.n_todo;

    if (n && r->mover.options->progress)
        r->mover.options->progress(r->mover.options->progress_arg, &progress);
    for (size_t i = 0; i < n && !ds_mover_must_stop(&r->mover); i++) {
        if (ds_fleet_lock_check(r->mover.lock, err) < 0)
            return -1;
        remove_group(r, r->order[i]);
        ds_mover_step(&r->mover);
    }
    return 0;
}

/* ---- whether they are gone ---- */

static bool has_instance(const struct ds_group *group)
{
    const char *at = group->identity, *end = at + group->identity_len;
    struct ds_label label;

    while (at && ds_identity_next(&at, end, &label)) {
        if (label.name_len == 8 && memcmp(label.name, "instance", 8) == 0)
            return true;
    }
    return false;
}

/* What a family hides of a group's labels is perhaps instance="", which is not to be seen
   in its series.  Only asked when the group without it is not there. */
static void delete_hidden(struct remover *r, const struct ds_removal *removal)
{
    const struct ds_group *group = removal->copies[0].group;
    DS_AUTO(groupkey) struct ds_groupkey key;
    DS_AUTO(buf) struct ds_buf url = DS_BUF_INIT(DS_TARGET_MAX);
    DS_AUTO(buf) struct ds_buf identity = DS_BUF_INIT(DS_IDENTITY_MAX);
    struct ds_error ignored = DS_ERROR_INIT; /* then it stays, and that is told */

    ds_groupkey_init(&key);
    if (has_instance(group) ||
        ds_groupkey_from_identity(&key, group->identity, group->identity_len, &ignored) <
            0)
        return;
    ds_buf_addf(&url, "%s/instance@base64/=", key.url.data);
    if (url.over || ds_groupkey_parse(&key, url.data, url.len, &ignored) < 0)
        return;
    ds_groupkey_identity(&key, &identity);
    ds_ignore(ds_pushgateway_delete(r->mover.peers[removal->server].gateway,
                                    identity.data, identity.len, &ignored));
}

/* What the last reading says about a group that was deleted. */
static void look_after(struct remover *r, struct ds_removal *removal)
{
    const struct ds_group *group = removal->copies[0].group;

    if (removal->end != DS_REMOVAL_GONE && removal->end != DS_REMOVAL_STAYS)
        return;
    removal->end = DS_REMOVAL_GONE;
    for (size_t i = 0; i < r->mover.report->n_servers; i++) {
        const struct ds_mover_place *seen = seen_at(removal, i);
        bool there = is_known(r, i) && ds_mover_now(&r->mover, i, group);

        if (!there && !(seen && is_broken(r, i)))
            continue;
        if (!is_as_seen(r, removal, i))
            return;
        end_at(removal, DS_REMOVAL_STAYS, i);
    }
}

/* The groups that are there still, and might only be late. */
static size_t look_after_all(struct remover *r, bool *doubtful)
{
    size_t n = 0;

    *doubtful = true;
    for (size_t i = 0; i < r->n; i++) {
        struct ds_removal *removal = &r->removals[i];

        look_after(r, removal);
        if (removal->end != DS_REMOVAL_STAYS)
            continue;
        n++;
        want(r, removal->server);
        if (!(removal->copies[0].group->flags & (DS_GROUP_REPLACED | DS_GROUP_GUESSED)))
            *doubtful = false;
    }
    return n;
}

static void delete_all_hidden(struct remover *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->removals[i].end == DS_REMOVAL_STAYS &&
            (r->removals[i].copies[0].group->flags & DS_GROUP_GUESSED))
            delete_hidden(r, &r->removals[i]);
    }
}

/* A server says 202, and deletes when what was sent before is done. */
static void wait_gone(struct remover *r)
{
    int64_t began_ms = ds_clock_mono_ms(), wait_ms = WAIT_FIRST_MS;
    bool doubtful;

    for (size_t i = 0; i < r->mover.report->n_servers; i++)
        want(r, i);
    read_wanted(r);
    while (look_after_all(r, &doubtful)) {
        int64_t took_ms = ds_clock_mono_ms() - began_ms;

        if (took_ms > r->mover.options->timeout_ms ||
            (doubtful && took_ms > DOUBTFUL_MS) || ds_mover_must_stop(&r->mover))
            return;
        ds_clock_sleep_ms(wait_ms);
        wait_ms = 2 * wait_ms < WAIT_MOST_MS ? 2 * wait_ms : WAIT_MOST_MS;
        delete_all_hidden(r);
        read_wanted(r);
    }
}

/* ---- all of it ---- */

static int by_server(const void *a, const void *b)
{
    const struct ds_removal *x = *(struct ds_removal *const *)a;
    const struct ds_removal *y = *(struct ds_removal *const *)b;

    if (x->copies[0].server != y->copies[0].server)
        return x->copies[0].server < y->copies[0].server ? -1 : 1;
    return ds_group_compare(x->copies[0].group, y->copies[0].group);
}

static int start(struct remover *r, const struct ds_config *config, struct ds_error *err)
{
    const struct ds_mover_report *report = r->mover.report;

    r->wanted = ds_xcalloc(report->n_servers, sizeof *r->wanted);
    r->order = ds_xcalloc(r->n, sizeof(struct ds_removal *));
    for (size_t i = 0; i < r->n; i++) {
        if (r->removals[i].end == DS_REMOVAL_OPEN)
            r->order[r->mover.n_todo++] = &r->removals[i];
    }
    qsort(r->order, r->mover.n_todo, sizeof(struct ds_removal *), by_server);
    if (ds_mover_connect(&r->mover, config, err) < 0)
        return -1;
    for (size_t i = 0; i < report->n_servers; i++) {
        r->mover.peers[i].took_ms = report->inventories[i].taken_ms;
        if (report->servers[i].reached)
            continue;
        ds_pushgateway_free(r->mover.peers[i].gateway);
        r->mover.peers[i].gateway = NULL;
    }
    return 0;
}

int ds_remover_run(const struct ds_config *config, struct ds_fleet_lock *lock,
                   const struct ds_mover_options *options, struct ds_mover_report *report,
                   struct ds_removal *removals, size_t n, struct ds_error *err)
{
    struct remover r = {
        .mover = {.options = options, .lock = lock, .report = report},
        .removals = removals,
        .n = n,
    };
    int rc = ds_pushgateway_check_twins(config, report->inventories, report->n_servers,
                                        options->timeout_ms, err);

    if (rc == 0)
        rc = start(&r, config, err);
    if (rc == 0)
        rc = run_all(&r, err);
    if (rc == 0)
        wait_gone(&r);
    ds_mover_disconnect(&r.mover);
    free(r.order);
    free(r.wanted);
    return rc;
}
