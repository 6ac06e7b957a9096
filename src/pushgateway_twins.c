/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_twins.c - whether two names lead to one server. */
#include "dshard/pushgateway.h"
#include "dshard/twins.h"

/*
 * Nobody else was started in the same microsecond, but a copy of the whole machine: that
 * one is told apart by restarting it.  Looking whether one sees connections to the other
 * would tell, too, and not through a proxy.
 */
bool ds_pushgateway_is_one(const struct ds_pushgateway_status *a,
                           const struct ds_pushgateway_status *b)
{
    return a->started_us == b->started_us;
}

static int ask(const struct ds_config *config, const char *address, int64_t timeout_ms,
               struct ds_pushgateway_status *out, struct ds_error *err)
{
    DS_AUTO(pushgateway)
    struct ds_pushgateway *server = ds_pushgateway_new(config, address, timeout_ms, err);

    if (server && ds_pushgateway_status(server, out, err) == 0)
        return 0;
    return ds_wrap(err,
                   "%s lists the same groups as another server, and does not tell "
                   "whether it is that one",
                   address);
}

int ds_pushgateway_find_twins(const struct ds_config *config,
                              const struct ds_inventory *inventories, size_t n,
                              int64_t timeout_ms, size_t *first, struct ds_error *err)
{
    DS_AUTO(ptr) void *suspect_list = ds_xcalloc(n, sizeof(bool));
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(struct ds_pushgateway_status));
    struct ds_pushgateway_status *told = list;
    bool *suspects = suspect_list;

    ds_twins_suspect(inventories, n, suspects);
    for (size_t i = 0; i < n; i++) {
        first[i] = i;
        if (!suspects[i])
            continue;
        if (ask(config, inventories[i].address, timeout_ms, &told[i], err) < 0)
            return -1;
        for (size_t k = 0; first[i] == i && k < i; k++) {
            if (suspects[k] && ds_pushgateway_is_one(&told[i], &told[k]) &&
                ds_twins_look_alike(&inventories[i], &inventories[k]))
                first[i] = first[k];
        }
    }
    return 0;
}

int ds_pushgateway_check_twins(const struct ds_config *config,
                               const struct ds_inventory *inventories, size_t n,
                               int64_t timeout_ms, struct ds_error *err)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(size_t));
    size_t *first = list;

    if (ds_pushgateway_find_twins(config, inventories, n, timeout_ms, first, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (first[i] != i)
            return ds_fail(err, DS_E_FAILED,
                           "'%s' and '%s' are one server, and what is deleted at one is "
                           "gone at both: take one of them out (dshard deregister %s), "
                           "and out of the configuration",
                           inventories[first[i]].address, inventories[i].address,
                           inventories[i].address);
    }
    return 0;
}
