/* SPDX-License-Identifier: Apache-2.0 */
/* scale_join.c - newcomers are emptied if that is wanted, listed, cleaned of what others
   have newer, and scraped before they become members. */
#include "dshard/clock.h"
#include "dshard/num.h"
#include "dshard/pushgateway.h"
#include "dshard/settle.h"
#include "scale_impl.h"

#include <stdlib.h>

enum {
    GONE_MS = 10000, /* deletes are carried out a moment later */
    POLL_MS = 50,
    LOOK_MS = 1000,
    LONG_MS = 10000,
    LOOKS_IN_A_ROW = 3, /* health checks come and go; who scrapes keeps coming */
    CLEAN_ROUNDS = 20,
};

/* ---- wiping ---- */

static int delete_each(struct ds_pushgateway *server,
                       const struct ds_inventory *inventory, struct ds_error *err)
{
    for (size_t i = 0; i < inventory->n; i++) {
        const struct ds_group *group = &inventory->groups[i];

        if (ds_pushgateway_delete(server, group->identity, group->identity_len, err) < 0)
            return -1;
    }
    return 0;
}

/* Deletes what it lists; *n: how many groups that were. */
static int delete_all(struct ds_pushgateway *server, size_t *n, struct ds_error *err)
{
    struct ds_inventory held;
    int rc;

    ds_inventory_init(&held, ds_pushgateway_address(server));
    rc = ds_pushgateway_list(server, &held, err);
    if (rc == 0)
        rc = delete_each(server, &held, err);
    *n = held.n;
    ds_inventory_release(&held);
    return rc;
}

/* Until it lists nothing; with the admin API in one go, without it group by group. */
static int wipe(struct ds_scale *scale, const char *address, struct ds_error *err)
{
    DS_AUTO(pushgateway)
    struct ds_pushgateway *server =
        ds_pushgateway_new(scale->config, address, scale->options.timeout_ms, err);
    int64_t deadline_ms = ds_clock_mono_ms() + GONE_MS;

    if (!server)
        return -1;
    if (ds_pushgateway_wipe(server, err) < 0 && err->code != DS_E_REFUSED)
        return -1;
    for (;;) {
        size_t n;

        if (delete_all(server, &n, err) < 0)
            return -1;
        if (!n)
            return 0;
        if (ds_clock_mono_ms() >= deadline_ms)
            return ds_fail(err, DS_E_FAILED,
                           "%s still holds %zu %s that cannot be deleted", address, n,
                           n == 1 ? "group" : "groups");
        ds_clock_sleep_ms(POLL_MS);
    }
}

/* Only who has never served this fleet, whatever was asked for. */
static int wipe_newcomers(struct ds_scale *scale, struct ds_error *err)
{
    for (size_t i = 0; i < scale->n_add; i++) {
        if (!ds_scale_is_newcomer(&scale->add[i]) || !scale->add[i].n_held)
            continue;
        if (ds_scale_enter(scale, "wiping newcomers", false, err) < 0 ||
            wipe(scale, scale->add[i].server.address, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- adopting ---- */

const char **ds_scale_yields(const struct ds_scale *scale, size_t *n)
{
    const char **yields = ds_xcalloc(scale->n_add, sizeof *yields);

    *n = 0;
    for (size_t i = 0; i < scale->n_add; i++) {
        if (ds_scale_is_newcomer(&scale->add[i]) && scale->add[i].n_held)
            yields[(*n)++] = scale->add[i].server.address;
    }
    return yields;
}

/* Copies of what others have, too, go; what it has alone stays until it is a member. */
static int clean_newcomers(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(ptr) void *list = NULL;
    struct ds_mover_options how = {.mode = DS_PLAN_MOVE,
                                   .patience_ms = scale->options.patience_ms,
                                   .timeout_ms = scale->options.timeout_ms,
                                   .stop = scale->hooks.stop,
                                   .stop_arg = scale->hooks.stop_arg};

    how.yields = list = ds_scale_yields(scale, &how.n_yields);
    if (!how.n_yields)
        return 0;
    for (int round = 0; round < CLEAN_ROUNDS; round++) {
        DS_AUTO(state) struct ds_state state = {0};
        size_t n_copies = 0;

        if (ds_scale_enter(scale, "cleaning newcomers", false, err) < 0 ||
            ds_state_load(&state, scale->config->state_file, err) < 0 ||
            ds_mover_pass(scale->config, &state, scale->lock, &how, &scale->report, err) <
                0)
            return -1;
        for (size_t i = 0; i < scale->report.n_servers; i++) {
            if (scale->report.servers[i].intent == DS_INTENT_JOINING)
                n_copies += scale->report.servers[i].n_copies;
        }
        if (!n_copies)
            return 0;
        ds_clock_sleep_ms(ds_mover_pause_ms(&scale->report));
    }
    return ds_fail(err, DS_E_TEMP, "newcomers still hold copies of what others have");
}

/* ---- waiting for Prometheus ---- */

/* How often somebody has scraped it, if it counts that; otherwise how many connections
   and files it has open. */
static int look(struct ds_pushgateway *server, uint64_t *scrapes, uint64_t *open,
                struct ds_error *err)
{
    *scrapes = *open = 0;
    if (ds_pushgateway_count_scrapes(server, scrapes, err) == 0)
        return 0;
    if (err->code != DS_E_MISSING)
        return -1;
    return ds_pushgateway_count_open(server, open, err);
}

/* One more look; true once somebody but us keeps coming. */
static bool is_scraped(struct ds_scale_server *item, struct ds_pushgateway *server)
{
    struct ds_error ignored = DS_ERROR_INIT; /* then it has not been seen this time */
    uint64_t scrapes, open;

    if (item->scraped)
        return true;
    if (look(server, &scrapes, &open, &ignored) < 0)
        return false;
    if (scrapes) {
        item->scraped = scrapes > item->scrapes + 1;
        item->scrapes = scrapes; /* the next look is one more */
        return item->scraped;
    }
    if (open < item->open) /* what our checks had opened is closed by now */
        item->open = open;
    item->n_more = open > item->open ? item->n_more + 1 : 0;
    item->scraped = item->n_more >= LOOKS_IN_A_ROW;
    return item->scraped;
}

struct lookouts {
    struct ds_pushgateway **servers; /* of scale->add; NULL: nothing to look out for */
    size_t n;
};

static void ds_auto_lookouts(struct lookouts *lookouts)
{
    for (size_t i = 0; i < lookouts->n; i++)
        ds_pushgateway_free(lookouts->servers[i]);
    free(lookouts->servers);
}

/* Before they are listed: what is there then is no Prometheus of this fleet. */
static int post_lookouts(struct ds_scale *scale, struct lookouts *lookouts,
                         struct ds_error *err)
{
    lookouts->servers = ds_xcalloc(scale->n_add, sizeof(struct ds_pushgateway *));
    lookouts->n = scale->n_add;
    for (size_t i = 0; i < scale->n_add; i++) {
        struct ds_scale_server *item = &scale->add[i];
        struct ds_error why = DS_ERROR_INIT;

        if (!ds_scale_is_newcomer(item) || !scale->options.settle_ms)
            continue;
        lookouts->servers[i] = ds_pushgateway_new(scale->config, item->server.address,
                                                  scale->options.timeout_ms, err);
        if (!lookouts->servers[i])
            return -1;
        if (look(lookouts->servers[i], &item->scrapes, &item->open, &why) == 0)
            continue;
        ds_scale_note(scale, "%s does not tell whether it is scraped: %s",
                      item->server.address, why.text);
    }
    return 0;
}

/* Since when it has been listed: one that joined in a run before has waited already. */
static int64_t listed_since_ms(const struct ds_scale *scale, const char *address)
{
    DS_AUTO(state) struct ds_state state = {0};
    struct ds_error ignored = DS_ERROR_INIT;
    int64_t now_ms = ds_clock_wall_ms();
    const struct ds_standing *standing;

    if (ds_state_load(&state, scale->config->state_file, &ignored) < 0)
        return now_ms;
    standing = ds_state_find(&state, address);
    if (!standing || !standing->health.since_ms || standing->health.since_ms > now_ms)
        return now_ms;
    return standing->health.since_ms;
}

static int64_t settled_at_ms(const struct ds_scale *scale)
{
    int64_t at_ms = ds_clock_mono_ms();

    for (size_t i = 0; i < scale->n_add; i++) {
        const struct ds_scale_server *item = &scale->add[i];
        int64_t age_ms = 0, until_ms;

        if (!ds_scale_is_newcomer(item))
            continue;
        if (item->was == DS_INTENT_JOINING)
            age_ms = ds_clock_wall_ms() - listed_since_ms(scale, item->server.address);
        until_ms = ds_clock_mono_ms() + scale->options.settle_ms - age_ms;
        at_ms = until_ms > at_ms ? until_ms : at_ms;
    }
    return at_ms;
}

static int await_scrapes(struct ds_scale *scale, const struct lookouts *lookouts,
                         struct ds_error *err)
{
    int64_t deadline_ms = settled_at_ms(scale), left_ms;
    char most[DS_DURATION_TEXT_MAX];

    left_ms = deadline_ms - ds_clock_mono_ms();
    ds_duration_format_short(left_ms > 0 ? left_ms : 0, most);
    if (left_ms > LONG_MS)
        ds_scale_warn(scale, "waiting for at most %s (--settle 0s does not wait)", most);
    for (;;) {
        size_t n_missing = 0;

        for (size_t i = 0; i < lookouts->n; i++)
            n_missing +=
                lookouts->servers[i] && !is_scraped(&scale->add[i], lookouts->servers[i]);
        left_ms = deadline_ms - ds_clock_mono_ms();
        if (!n_missing || left_ms <= 0)
            break;
        if (ds_scale_pause(scale, left_ms < LOOK_MS ? left_ms : LOOK_MS, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < lookouts->n; i++) {
        /* One that had joined before may have been scraped when we first looked. */
        if (lookouts->servers[i] && !scale->add[i].scraped &&
            scale->add[i].was != DS_INTENT_JOINING)
            ds_scale_warn(
                scale,
                "nobody seems to scrape %s yet: what moves there may be missing "
                "in Prometheus until it asks for its targets again",
                scale->add[i].server.address);
    }
    return 0;
}

/* ---- joining ---- */

/* The watch has taken them up, so they are in /sd, and their health is being asked. */
static bool are_listed(const void *arg, const struct ds_state *state)
{
    const struct ds_scale *scale = arg;

    for (size_t i = 0; i < scale->n_add; i++) {
        const struct ds_standing *standing =
            ds_state_find(state, scale->add[i].server.address);

        if (!standing || standing->intent == DS_INTENT_OUT)
            return false;
    }
    return true;
}

static int edit_config(const struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(ptr) void *add_list = NULL;
    DS_AUTO(ptr) void *remove_list = NULL;
    struct ds_confedit edit;
    bool changed;

    ds_scale_edit(scale, DS_SCALE_EDIT_ADD, &edit, &add_list, &remove_list);
    return ds_confedit_file(scale->config->path, &edit, &changed, err);
}

int ds_scale_join(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(lookouts) struct lookouts lookouts = {0};
    bool any = false;

    for (size_t i = 0; i < scale->n_add; i++)
        any = any || ds_scale_is_newcomer(&scale->add[i]);
    if (!any) /* members may be missing in the configuration all the same */
        return scale->n_add ? edit_config(scale, err) : 0;
    if (ds_scale_enter(scale, "joining", true, err) < 0 ||
        (scale->options.wipe && wipe_newcomers(scale, err) < 0) ||
        post_lookouts(scale, &lookouts, err) < 0 ||
        ds_scale_apply(scale, DS_ACT_JOIN, scale->add, scale->n_add, ds_scale_is_newcomer,
                       err) < 0 ||
        ds_settle(scale->config, are_listed, scale, scale->options.lock_ms, err) < 0)
        return -1;
    if (ds_scale_enter(scale, "editing the configuration", false, err) < 0 ||
        edit_config(scale, err) < 0 || clean_newcomers(scale, err) < 0)
        return -1;
    if (!scale->options.settle_ms)
        return 0;
    if (ds_scale_enter(scale, "waiting for Prometheus", true, err) < 0)
        return -1;
    return await_scrapes(scale, &lookouts, err);
}
