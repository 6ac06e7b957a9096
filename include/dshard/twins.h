/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twins.h - one server under two names, as far as lists tell.  Pure.
 *
 * A copy "at the other name" is the same group: who deletes it there has lost it.  Two
 * names of one server list the same groups with the same times, to the microsecond, but
 * for what is pushed between the two readings; two servers never do, unless one began
 * with a copy of the other's persistence file or is a copy of its machine.  So this is a
 * suspicion; ds_pushgateway_check_twins() proves it.
 */
#ifndef DSHARD_TWINS_H
#define DSHARD_TWINS_H

#include "dshard/base.h"
#include "dshard/inventory.h"

/* suspects[i]: inventories[i] lists a group exactly as another one does. */
void ds_twins_suspect(const struct ds_inventory *inventories, size_t n, bool *suspects);
/* Whether these two do. */
bool ds_twins_look_alike(const struct ds_inventory *a, const struct ds_inventory *b);

#endif
