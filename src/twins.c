/* SPDX-License-Identifier: Apache-2.0 */
/* see twins.h */
#include "dshard/twins.h"

#include <stdlib.h>

struct copy {
    const struct ds_group *group;
    size_t server;
};

static int by_identity(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;

    return ds_group_compare(x->group, y->group);
}

/* Without a time there is nothing to know a group by. */
static bool is_one_group(const struct ds_group *a, const struct ds_group *b)
{
    return (a->created_us || a->stamped_us) && ds_group_is_unchanged(a, b);
}

/* All of one identity.  Who is a suspect already is not compared again but for others. */
static void suspect_copies(const struct copy *copies, size_t n, bool *suspects)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; !suspects[copies[i].server] && k < n; k++) {
            if (k == i || !is_one_group(copies[i].group, copies[k].group))
                continue;
            suspects[copies[i].server] = suspects[copies[k].server] = true;
        }
    }
}

void ds_twins_suspect(const struct ds_inventory *inventories, size_t n, bool *suspects)
{
    DS_AUTO(ptr) void *list = NULL;
    struct copy *copies;
    size_t n_copies = 0;

    for (size_t i = 0; i < n; i++) {
        suspects[i] = false;
        n_copies += inventories[i].n;
    }
    copies = list = ds_xcalloc(n_copies, sizeof *copies);
    n_copies = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < inventories[i].n; k++)
            copies[n_copies++] = (struct copy){&inventories[i].groups[k], i};
    }
    qsort(copies, n_copies, sizeof *copies, by_identity);
    for (size_t i = 0, end; i < n_copies; i = end) {
        for (end = i + 1; end < n_copies && by_identity(&copies[i], &copies[end]) == 0;)
            end++;
        suspect_copies(copies + i, end - i, suspects);
    }
}

bool ds_twins_look_alike(const struct ds_inventory *a, const struct ds_inventory *b)
{
    size_t i = 0, k = 0;

    while (i < a->n && k < b->n) {
        int order = ds_group_compare(&a->groups[i], &b->groups[k]);

        if (order == 0 && is_one_group(&a->groups[i], &b->groups[k]))
            return true;
        i += order <= 0;
        k += order >= 0;
    }
    return false;
}
