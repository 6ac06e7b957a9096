/* SPDX-License-Identifier: Apache-2.0 */
/* see group.h */
#include "dshard/group.h"
#include "dshard/buf.h"
#include "dshard/groupkey.h"

#include <stdlib.h>

void ds_group_release(struct ds_group *group)
{
    free(group->identity);
    for (size_t i = 0; i < group->n_families; i++)
        free(group->families[i].name);
    free(group->families);
    memset(group, 0, sizeof *group);
}

int ds_group_compare(const void *a, const void *b)
{
    const struct ds_group *x = a, *y = b;
    bool shorter = x->identity_len < y->identity_len;
    int order =
        memcmp(x->identity, y->identity, shorter ? x->identity_len : y->identity_len);

    if (order)
        return order;
    return shorter ? -1 : x->identity_len > y->identity_len;
}

static int by_name(const void *name, const void *family)
{
    return strcmp(name, ((const struct ds_family *)family)->name);
}

const struct ds_family *ds_group_find_family(const struct ds_group *group,
                                             const char *name)
{
    if (!group->n_families)
        return NULL;
    return bsearch(name, group->families, group->n_families, sizeof *group->families,
                   by_name);
}

static bool is_same_family(const struct ds_family *a, const struct ds_family *b)
{
    return a->pushed_us == b->pushed_us && strcmp(a->name, b->name) == 0;
}

bool ds_group_is_unchanged(const struct ds_group *before, const struct ds_group *now)
{
    if (before->pushed_us != now->pushed_us || before->failed_us != now->failed_us ||
        before->created_us != now->created_us || before->stamped_us != now->stamped_us ||
        before->n_series != now->n_series || before->n_families != now->n_families)
        return false;
    for (size_t i = 0; i < now->n_families; i++) {
        if (!is_same_family(&before->families[i], &now->families[i]))
            return false;
    }
    return true;
}

static bool is_job(const struct ds_label *label)
{
    return label->name_len == 3 && memcmp(label->name, "job", 3) == 0;
}

/* Names that PromQL would not take as they are stand in quotes, as it has them then. */
static void add_label(struct ds_buf *out, const struct ds_label *label, bool is_first)
{
    ds_buf_adds(out, is_first ? "" : ",");
    if (ds_label_name_is_good(label->name, label->name_len))
        ds_buf_add(out, label->name, label->name_len);
    else
        ds_buf_add_quoted(out, label->name, label->name_len);
    ds_buf_addc(out, '=');
    ds_buf_add_quoted(out, label->value, label->value_len);
}

void ds_group_add_text(const struct ds_group *group, struct ds_buf *out)
{
    const char *end = group->identity + group->identity_len;
    struct ds_label label;
    bool is_first = true;

    ds_buf_addc(out, '{');
    for (int job = 1; job >= 0; job--) {
        const char *at = group->identity;

        while (at && ds_identity_next(&at, end, &label)) {
            if (is_job(&label) != job)
                continue;
            add_label(out, &label, is_first);
            is_first = false;
        }
    }
    ds_buf_addc(out, '}');
}
