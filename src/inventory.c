/* SPDX-License-Identifier: Apache-2.0 */
/* see inventory.h */
#include "dshard/inventory.h"

#include <assert.h>
#include <stdlib.h>

enum { GROUPS_AT_FIRST = 64, DATE_STEP_MS = 1000 };

void ds_inventory_init(struct ds_inventory *inventory, const char *address)
{
    size_t len = strlen(address);

    assert(len < sizeof inventory->address);
    memset(inventory, 0, sizeof *inventory);
    memcpy(inventory->address, address, len);
}

void ds_inventory_release(struct ds_inventory *inventory)
{
    for (size_t i = 0; i < inventory->n; i++)
        ds_group_release(&inventory->groups[i]);
    free(inventory->groups);
    memset(inventory, 0, sizeof *inventory);
}

/* Room is always a power of two, so that it need not be kept. */
static bool is_full(size_t n)
{
    return n == 0 || (n >= GROUPS_AT_FIRST && (n & (n - 1)) == 0);
}

void ds_inventory_add(struct ds_inventory *inventory, struct ds_group *group_take)
{
    size_t n = inventory->n;

    if (is_full(n))
        inventory->groups = ds_xreallocarray(
            inventory->groups, n ? 2 * n : GROUPS_AT_FIRST, sizeof *inventory->groups);
    inventory->groups[inventory->n++] = *group_take;
    memset(group_take, 0, sizeof *group_take);
}

/* Makes one of two that look the same. */
static void merge(struct ds_group *kept, struct ds_group *other)
{
    unsigned flags = kept->flags | other->flags | DS_GROUP_GUESSED;

    if (other->pushed_us > kept->pushed_us) {
        struct ds_group swapped = *kept;

        *kept = *other;
        *other = swapped;
    }
    kept->flags = flags;
    ds_group_release(other);
}

void ds_inventory_sort(struct ds_inventory *inventory)
{
    struct ds_group *groups = inventory->groups;
    size_t kept = 0;

    if (!inventory->n)
        return;
    qsort(groups, inventory->n, sizeof *groups, ds_group_compare);
    for (size_t i = 1; i < inventory->n; i++) {
        if (ds_group_compare(&groups[kept], &groups[i]) == 0)
            merge(&groups[kept], &groups[i]);
        else if (++kept != i)
            groups[kept] = groups[i];
    }
    inventory->n = kept + 1;
}

const struct ds_group *ds_inventory_find(const struct ds_inventory *inventory,
                                         const char *identity, size_t len)
{
    const struct ds_group *groups = inventory->groups;
    size_t low = 0, high = inventory->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2, n = groups[middle].identity_len;
        int order = memcmp(identity, groups[middle].identity, len < n ? len : n);

        if (!order && len == n)
            return &groups[middle];
        if (order < 0 || (!order && len < n))
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void ds_inventory_set_clock(struct ds_inventory *inventory, int64_t date_ms,
                            int64_t sent_ms, int64_t received_ms)
{
    int64_t least = date_ms - received_ms, most = date_ms + DATE_STEP_MS - 1 - sent_ms;
    bool one = least <= 0 && most >= 0;

    inventory->skew_least_ms = one ? 0 : least;
    inventory->skew_most_ms = one ? 0 : most;
}
