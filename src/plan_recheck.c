/* SPDX-License-Identifier: Apache-2.0 */
/* plan_recheck.c - the last look before a DELETE; see plan.h. */
#include "plan_impl.h"

/* NULL: it has no such family.  Both are sorted: *at goes on from call to call. */
static const struct ds_family *find_family(const struct ds_group *group, const char *name,
                                           size_t *at)
{
    while (*at < group->n_families && strcmp(group->families[*at].name, name) < 0)
        ++*at;
    if (*at < group->n_families && strcmp(group->families[*at].name, name) == 0)
        return &group->families[*at];
    return NULL;
}

/* What `kept` had of the families of `goes`, it still has, or newer.  (What it lacked was
   given, but for families without a metric, which cannot be copied.) */
static bool has_kept_all(const struct ds_group *goes, const struct ds_group *kept,
                         const struct ds_group *stays)
{
    size_t at_kept = 0, at_stays = 0;

    for (size_t i = 0; i < goes->n_families; i++) {
        const char *name = goes->families[i].name;
        const struct ds_family *before = find_family(kept, name, &at_kept);
        const struct ds_family *now = find_family(stays, name, &at_stays);

        if (before && (!now || now->pushed_us < before->pushed_us))
            return false;
    }
    return true;
}

bool ds_plan_may_delete(const struct ds_move *move, const struct ds_group *goes,
                        const struct ds_group *stays)
{
    if (!goes || !ds_group_is_unchanged(move->group, goes))
        return false;
    if (move->from == move->to)
        return true;
    if (!stays || (ds_plan_is_phantom(stays) && !ds_plan_is_phantom(goes)))
        return false;
    return !move->kept || (stays->pushed_us >= move->kept->pushed_us &&
                           has_kept_all(goes, move->kept, stays));
}
