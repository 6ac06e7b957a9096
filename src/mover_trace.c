/* SPDX-License-Identifier: Apache-2.0 */
/* mover_trace.c - what passes before this one have deleted, so that a copy which is still
   there, and a group which is nowhere any more, is noticed. */
#include "dshard/clock.h"
#include "mover_impl.h"

#include <stdlib.h>

static struct ds_mover_trace *find(const struct ds_mover_report *report,
                                   const char *address, const struct ds_group *group)
{
    for (size_t i = 0; i < report->n_traces; i++) {
        struct ds_mover_trace *trace = &report->traces[i];

        if (trace->hash == group->hash && trace->identity_len == group->identity_len &&
            memcmp(trace->identity, group->identity, group->identity_len) == 0 &&
            strcmp(trace->from, address) == 0)
            return trace;
    }
    return NULL;
}

static bool is_same_copy(const struct ds_mover_trace *trace, const struct ds_group *group)
{
    return trace->pushed_us == group->pushed_us && trace->failed_us == group->failed_us &&
           trace->created_us == group->created_us &&
           trace->stamped_us == group->stamped_us;
}

static struct ds_mover_trace *add(struct ds_mover_report *report, const char *from,
                                  const struct ds_group *group)
{
    struct ds_mover_trace *trace;

    if (report->n_traces == report->cap_traces) {
        report->cap_traces = report->cap_traces ? 2 * report->cap_traces : 16;
        report->traces =
            ds_xreallocarray(report->traces, report->cap_traces, sizeof *report->traces);
    }
    trace = &report->traces[report->n_traces++];
    *trace = (struct ds_mover_trace){
        .identity = ds_xmemdup(group->identity, group->identity_len),
        .identity_len = group->identity_len,
        .hash = group->hash,
    };
    memcpy(trace->from, from, DS_ADDRESS_MAX);
    return trace;
}

void ds_mover_report_sent(struct ds_mover_report *report, const struct ds_move *move,
                          const struct ds_group *seen)
{
    const char *from = report->servers[move->from].address;
    struct ds_mover_trace *trace = NULL;

    if (report->n_old_traces) /* of this pass there is none: a copy goes once */
        trace = find(report, from, seen);
    if (!trace)
        trace = add(report, from, seen);
    else if (!is_same_copy(trace, seen))
        trace->n = 0;
    trace->pushed_us = seen->pushed_us;
    trace->failed_us = seen->failed_us;
    trace->created_us = seen->created_us;
    trace->stamped_us = seen->stamped_us;
    memcpy(trace->to, report->servers[move->to].address, DS_ADDRESS_MAX);
    trace->n++;
    trace->at_ms = ds_clock_boot_ms();
    trace->settled = move->from == move->to || !seen->pushed_us;
}

unsigned ds_mover_report_count_sent(const struct ds_mover_report *report, size_t server,
                                    const struct ds_group *group, int64_t *ago_ms)
{
    const struct ds_mover_trace *trace;

    if (!report->n_old_traces)
        return 0;
    trace = find(report, report->servers[server].address, group);
    if (!trace || !is_same_copy(trace, group))
        return 0;
    *ago_ms = ds_clock_boot_ms() - trace->at_ms;
    return trace->n;
}

/* Whether a server has it; true also when the one that should have it was not read. */
static bool is_somewhere(const struct ds_mover_report *report,
                         const struct ds_mover_trace *trace)
{
    const struct ds_mover_server *to = ds_mover_report_find(report, trace->to);

    for (size_t i = 0; i < report->n_servers; i++) {
        if (ds_inventory_find(&report->inventories[i], trace->identity,
                              trace->identity_len))
            return true;
    }
    return to && !to->reached;
}

const struct ds_mover_trace *ds_mover_next_vanished(struct ds_mover_report *report)
{
    for (size_t i = 0; i < report->n_old_traces; i++) {
        struct ds_mover_trace *trace = &report->traces[i];

        if (trace->settled)
            continue;
        trace->settled = true; /* what clients do later is not about us */
        if (!is_somewhere(report, trace))
            return trace;
    }
    return NULL;
}

void ds_mover_report_forget(struct ds_mover_report *report)
{
    for (size_t i = 0; i < report->n_traces; i++)
        free(report->traces[i].identity);
    free(report->traces);
    report->traces = NULL;
    report->n_traces = report->n_old_traces = report->cap_traces = 0;
}
