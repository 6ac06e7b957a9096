/* SPDX-License-Identifier: Apache-2.0 */
/* scale_check.c - whether an operation may begin: asked before anything is changed. */
#include "dshard/num.h"
#include "dshard/pushgateway.h"
#include "scale_impl.h"

#include <stdlib.h>

/* ---- what the servers tell of themselves ---- */

struct told {
    char address[DS_ADDRESS_MAX];
    struct ds_pushgateway_status status;
};

/* Those that answer, the fleet's first. */
struct fleet {
    struct told *items; /* owned */
    size_t n;
};

static void ds_auto_fleet(struct fleet *fleet)
{
    free(fleet->items);
}

static void remember(struct fleet *fleet, const char *address,
                     const struct ds_pushgateway_status *status)
{
    struct told *told;

    fleet->items = ds_xreallocarray(fleet->items, fleet->n + 1, sizeof *fleet->items);
    told = &fleet->items[fleet->n++];
    told->status = *status;
    memcpy(told->address, address, strlen(address) + 1);
}

static struct ds_pushgateway *open_server(const struct ds_scale *scale,
                                          const char *address, struct ds_error *err)
{
    return ds_pushgateway_new(scale->config, address, scale->options.timeout_ms, err);
}

static void look_at_fleet(const struct ds_scale *scale, struct fleet *fleet)
{
    for (size_t i = 0; i < scale->known.n_servers; i++) {
        const struct ds_standing *standing = &scale->known.servers[i];
        struct ds_pushgateway_status status;
        struct ds_error ignored = DS_ERROR_INIT; /* who is down is no business of ours */
        DS_AUTO(pushgateway) struct ds_pushgateway *server = NULL;

        if (standing->intent == DS_INTENT_OUT || standing->health.state == DS_HEALTH_DOWN)
            continue;
        server = open_server(scale, standing->server.address, &ignored);
        if (server && ds_pushgateway_status(server, &status, &ignored) == 0)
            remember(fleet, standing->server.address, &status);
    }
}

/* ---- one server under two names ---- */

/* Two names of one server would get its share twice, and deleting a copy at one name
   would delete it at the other. */
static int check_twin(const char *address, const struct ds_pushgateway_status *status,
                      const struct fleet *fleet, struct ds_error *err)
{
    for (size_t i = 0; i < fleet->n; i++) {
        const struct told *told = &fleet->items[i];

        if (ds_pushgateway_is_one(&told->status, status) &&
            strcmp(told->address, address) != 0)
            return ds_fail(err, DS_E_FAILED, "%s and %s are the same server", address,
                           told->address);
    }
    return 0;
}

/* ---- who comes ---- */

/* Up to 1.6.0 one push with a bad base64 value locks a server up for good.  What is no
   version of three small numbers counts as a later one. */
static bool is_fragile(const char *version)
{
    static const unsigned last[] = {1, 6, 0};

    for (size_t i = 0; i < DS_COUNT(last); i++) {
        size_t len = strspn(version, "0123456789");
        DS_AUTO(str) char *digits = ds_xstrndup(version, len);
        struct ds_error ignored = DS_ERROR_INIT;
        uint64_t n;

        if (ds_num_parse(digits, 0, 1000, &n, &ignored) < 0)
            return false;
        if (n != last[i])
            return n < last[i];
        version += len + (version[len] == '.');
    }
    return true;
}

static int check_status(const struct ds_scale *scale, const char *address,
                        const struct ds_pushgateway_status *status,
                        const struct fleet *fleet, struct ds_error *err)
{
    const struct told *first = fleet->n ? &fleet->items[0] : NULL;

    if (first && first->status.utf8_names != status->utf8_names && !scale->options.force)
        return ds_fail(err, DS_E_REFUSED,
                       "%s runs %s --push.enable-utf8-names and %s %s it: what one takes "
                       "the other refuses (--force does it)",
                       address, status->utf8_names ? "with" : "without", first->address,
                       status->utf8_names ? "without" : "with");
    if (!status->persists)
        ds_scale_warn(scale,
                      "%s has no --persistence.file: what it holds is lost when it is "
                      "restarted",
                      address);
    if (is_fragile(status->version))
        ds_scale_note(scale,
                      "%s is Pushgateway %s: before 1.6.1 a push that comes past the "
                      "handler with a bad base64 value can lock it up",
                      address, status->version);
    return 0;
}

static int check_empty(const struct ds_scale *scale, struct ds_scale_server *item,
                       struct ds_pushgateway *server, struct ds_error *err)
{
    struct ds_inventory held;
    int rc;

    ds_inventory_init(&held, item->server.address);
    rc = ds_pushgateway_list(server, &held, err);
    item->n_held = held.n;
    ds_inventory_release(&held);
    if (rc < 0 || !item->n_held || scale->options.adopt || scale->options.wipe)
        return rc;
    return ds_fail(err, DS_E_REFUSED,
                   "'%s' holds %zu %s already: --adopt keeps what no other server has, "
                   "--wipe deletes all",
                   item->server.address, item->n_held,
                   item->n_held == 1 ? "group" : "groups");
}

static int check_newcomer(const struct ds_scale *scale, struct ds_scale_server *item,
                          struct fleet *fleet, struct ds_error *err)
{
    const char *address = item->server.address;
    DS_AUTO(pushgateway)
    struct ds_pushgateway *server = open_server(scale, address, err);
    struct ds_pushgateway_status status = {0};

    if (!server || ds_pushgateway_ready(server, err) < 0 ||
        ds_pushgateway_status(server, &status, err) < 0) {
        if (err->code == DS_E_NET) /* it may do so in a moment */
            err->code = DS_E_TEMP;
        return -1;
    }
    item->reached = true;
    if (check_twin(address, &status, fleet, err) < 0 ||
        check_status(scale, address, &status, fleet, err) < 0)
        return -1;
    remember(fleet, address, &status);
    return check_empty(scale, item, server, err);
}

/* ---- who goes ---- */

static int check_leaver(const struct ds_scale *scale, struct ds_scale_server *item,
                        struct ds_error *err)
{
    const char *address = item->server.address;
    struct ds_error why = DS_ERROR_INIT;

    item->reached =
        ds_pushgateway_count_groups(scale->config, address, scale->options.timeout_ms,
                                    &item->n_held, &why) == 0;
    if (scale->options.force)
        return 0;
    if (item->was == DS_INTENT_OUT && item->reached && item->n_held)
        return ds_fail(err, DS_E_REFUSED,
                       "%s is out already and still holds %zu %s, which nobody scrapes "
                       "(--force leaves them; scale up --adopt saves them)",
                       address, item->n_held, item->n_held == 1 ? "group" : "groups");
    if (item->was != DS_INTENT_OUT && !item->reached)
        return ds_fail(err, DS_E_REFUSED,
                       "%s does not answer, so what it holds cannot be saved: %s "
                       "(--force takes it out without)",
                       address, why.text);
    return 0;
}

/* ---- all ---- */

/* How many would be up, and how many there would be. */
static int check_healthy(const struct ds_scale *scale, struct ds_error *err)
{
    size_t n_up = 0, n_in = 0, n_lost = 0, needed;

    for (size_t i = 0; i < scale->known.n_servers; i++) {
        const struct ds_standing *standing = &scale->known.servers[i];
        bool up = standing->health.state == DS_HEALTH_UP;

        if (standing->intent != DS_INTENT_IN)
            continue;
        n_in++;
        n_up += up;
        for (size_t k = 0; k < scale->n_remove; k++) {
            if (!ds_address_equal(scale->remove[k].server.address,
                                  standing->server.address))
                continue;
            n_in--;
            n_up -= up;
            n_lost += up || standing->member;
        }
    }
    for (size_t i = 0; i < scale->n_add; i++) {
        n_in += scale->add[i].was != DS_INTENT_IN;
        n_up += scale->add[i].was != DS_INTENT_IN;
    }
    if (!n_in && scale->n_remove)
        return ds_fail(err, DS_E_FAILED, "no server would be left");
    needed = ds_config_min_healthy(scale->config, n_in);
    if (!n_lost || n_up >= needed || scale->options.force)
        return 0;
    return ds_fail(err, DS_E_REFUSED,
                   "%zu healthy %s would remain and ring.min_healthy is %zu (--force "
                   "does it)",
                   n_up, n_up == 1 ? "server" : "servers", needed);
}

static int check_config(const struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(ptr) void *add_list = NULL;
    DS_AUTO(ptr) void *remove_list = NULL;
    struct ds_confedit edit;
    bool changed;

    ds_scale_edit(scale, DS_SCALE_EDIT_BOTH, &edit, &add_list, &remove_list);
    return ds_confedit_check(scale->config->path, &edit, &changed, err);
}

int ds_scale_check(struct ds_scale *scale, struct ds_error *err)
{
    DS_AUTO(fleet) struct fleet fleet = {0};

    if (scale->options.adopt && scale->options.wipe)
        return ds_fail(err, DS_E_USAGE, "--adopt and --wipe exclude each other");
    for (size_t i = 0; i < scale->n_remove; i++) {
        if (!scale->remove[i].known)
            return ds_fail(err, DS_E_FAILED, "'%s' is not registered",
                           scale->remove[i].server.address);
    }
    if (check_healthy(scale, err) < 0 || check_config(scale, err) < 0)
        return -1;
    look_at_fleet(scale, &fleet);
    for (size_t i = 0; i < scale->n_add; i++) {
        if (ds_scale_is_newcomer(&scale->add[i]) &&
            check_newcomer(scale, &scale->add[i], &fleet, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < scale->n_remove; i++) {
        if (check_leaver(scale, &scale->remove[i], err) < 0)
            return -1;
    }
    return 0;
}
