/* SPDX-License-Identifier: Apache-2.0 */
/* inventory.h - which groups one server holds, as it said at one moment. */
#ifndef DSHARD_INVENTORY_H
#define DSHARD_INVENTORY_H

#include "dshard/base.h"
#include "dshard/group.h"
#include "dshard/server.h"

struct ds_inventory {
    char address[DS_ADDRESS_MAX];
    bool reached;            /* it answered, and the answer was good */
    struct ds_error err;     /* not reached: why */
    struct ds_group *groups; /* sorted by identity, unique; owned */
    size_t n;
    int64_t bytes;    /* of the answer */
    int64_t taken_ms; /* how long the answer took */
    /*
     * The server's clock less ours, in milliseconds, lies between these two.  A Date
     * header tells whole seconds, and it was written some time between request and
     * answer.  Both 0 when 0 is possible: then the clocks count as one.
     */
    int64_t skew_least_ms, skew_most_ms;
};

void ds_inventory_init(struct ds_inventory *inventory, const char *address);
void ds_inventory_release(struct ds_inventory *inventory);
/* Takes the group over, and leaves *group_take empty.  Call ds_inventory_sort() when all
   are in: of groups that look the same, which they do only where a server cannot show
   their labels, the one that was pushed last stays, flagged DS_GROUP_GUESSED. */
void ds_inventory_add(struct ds_inventory *inventory, struct ds_group *group_take);
void ds_inventory_sort(struct ds_inventory *inventory);
/* Borrowed; NULL: it has no such group. */
const struct ds_group *ds_inventory_find(const struct ds_inventory *inventory,
                                         const char *identity, size_t len);

/* What a Date header says about a clock: date_ms is its value (whole seconds), the
   request was sent and the answer received at these times of ours. */
void ds_inventory_set_clock(struct ds_inventory *inventory, int64_t date_ms,
                            int64_t sent_ms, int64_t received_ms);

#endif
