/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - the report of a pass that has read the servers of a struct fleet. */
#ifndef DSHARD_TEST_REPORT_H
#define DSHARD_TEST_REPORT_H

#include "dshard/mover.h"
#include "fleet.h"

/* New, with the fleet's groups and ring, which move; D is no member. */
static inline struct ds_mover_report *report_take(struct fleet *fleet)
{
    struct ds_mover_report *report = ds_xcalloc(1, sizeof *report);

    ds_mover_report_init(report);
    report->n_servers = FLEET;
    report->servers = ds_xcalloc(FLEET, sizeof *report->servers);
    report->inventories = ds_xcalloc(FLEET, sizeof *report->inventories);
    for (size_t i = 0; i < FLEET; i++) {
        memcpy(report->servers[i].address, fleet->inventories[i].address, DS_ADDRESS_MAX);
        report->servers[i].member = i != D;
        report->servers[i].reached = true;
        report->inventories[i] = fleet->inventories[i];
        fleet->inventories[i].groups = NULL; /* the report's now */
        fleet->inventories[i].n = 0;
    }
    report->ring = fleet->ring;
    fleet->ring = NULL;
    return report;
}

static inline void report_end(struct fleet *fleet, struct ds_mover_report *report)
{
    ds_mover_report_release(report);
    ds_mover_report_release(report); /* twice is fine */
    free(report);
    fleet_end(fleet);
}

#endif
