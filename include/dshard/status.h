/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what a state means: is all well, and if not, what is wrong.  The command
 * `status` and the handler's pages say the same because they ask here.
 */
#ifndef DSHARD_STATUS_H
#define DSHARD_STATUS_H

#include "dshard/buf.h"
#include "dshard/state.h"

enum ds_verdict {
    DS_VERDICT_HEALTHY, /* every server that should be a member is one, the watch lives */
    DS_VERDICT_DEGRADED, /* pushes are served, but not everything is as it should be */
    DS_VERDICT_CRITICAL, /* no member, a frozen ring, a watch that is dead, or one
                            server under two names */
};
enum { DS_N_VERDICTS = 3, DS_PROBLEMS_MAX = 32 };
/* So long after a change of the ring, and watch.patience, groups have followed it. */
enum { DS_STATUS_GROUPS_LATE_MS = 60000 };
/* An operation that takes longer, beside the patience, is no excuse any more. */
enum { DS_STATUS_BUSY_MS = 600000 };

struct ds_status {
    enum ds_verdict verdict;
    size_t n_servers, n_members, n_up;       /* servers: without those that are out */
    struct ds_buf problems[DS_PROBLEMS_MAX]; /* one sentence each, the worst first */
    size_t n_problems; /* more than fit are counted in the last one */
};

void ds_status_judge(struct ds_status *status, const struct ds_state *state,
                     int64_t wall_ms);
/* There is nothing to say about this server. */
bool ds_status_is_well(const struct ds_standing *standing);
/* Groups out of place, without those on servers that are about to come in. */
struct ds_status_groups {
    size_t n_misplaced; /* groups that do not lie at their owner, or not only there */
    size_t n_doubled;   /* groups with more than one copy */
    bool moves;         /* misplaced ones are moved, doubled ones cleaned: watch.groups */
    bool dedupes;
    bool busy; /* an operation is at work on it */
    int64_t patience_ms;
};
/* Adds what is wrong with that, if it has been so for longer than a change of the ring
   explains. */
void ds_status_judge_groups(struct ds_status *status, const struct ds_state *state,
                            const struct ds_status_groups *groups, int64_t wall_ms);
/* One more thing that is wrong, which is not in the state. */
void ds_status_add(struct ds_status *status, enum ds_verdict verdict, const char *fmt,
                   ...) DS_PRINTF(3, 4);
/* The same for the state's `operation`, whose process is found dead. */
void ds_status_add_interrupted(struct ds_status *status, const struct ds_state *state,
                               int64_t wall_ms);
void ds_status_release(struct ds_status *status);
void ds_auto_status(struct ds_status *status);

const char *ds_verdict_name(enum ds_verdict verdict); /* "healthy", ... */

#endif
