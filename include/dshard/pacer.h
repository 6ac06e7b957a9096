/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pacer.h - when the next pass over the fleet's groups is due: from what happens to ring
 * and servers, and from how the passes end.
 *
 *  at once  an event; while a pass runs: right after it, for it may have missed that
 *  pause    (the pass says how long) for 90 s after a change of the ring or the return of
 *           a server, when each client's next push doubles a group; for 10 s when all is
 *           in place by then, since only late pushes can double one.  Also while groups
 *           wait, as long as passes find something to do
 *  15 s     while groups wait or are misplaced
 *  60 s     while nothing is out of place but what a server has refused
 *  5 min    otherwise: groups can come back by themselves
 *
 * A pass that found the fleet locked is repeated after 2 s, then 4, 8, 15, but without
 * such patience while a server is held for it; one that failed after 15 s.  Pure: times
 * are arguments, monotonic.
 */
#ifndef DSHARD_PACER_H
#define DSHARD_PACER_H

#include "dshard/base.h"

enum {
    DS_PACER_LIVELY_MS = 90000,
    DS_PACER_SETTLED_MS = 10000,
    DS_PACER_WAITS_MS = 15000,
    DS_PACER_STUCK_MS = 60000,
    DS_PACER_IDLE_MS = 300000,
    DS_PACER_BUSY_MS = 2000,
    DS_PACER_FAILED_MS = 15000,
    DS_PACER_REFUSED_MS = 5000, /* the least between two tries of a refused group */
    DS_PACER_PAUSE_MS = 1000,   /* the least of all */
};

enum ds_pacer_event {
    DS_PACER_START,   /* from now on the groups are ours, or to be tended otherwise */
    DS_PACER_RING,    /* pushes go elsewhere */
    DS_PACER_BACK,    /* a server is back, held, and to be cleaned */
    DS_PACER_RESTART, /* a server has started anew: old groups may be back */
};

enum ds_pass_end {
    DS_PASS_DONE,    /* everything is in place */
    DS_PASS_WAITS,   /* something waits or is left over */
    DS_PASS_REFUSED, /* a server refused a group */
    DS_PASS_BUSY,    /* somebody else has the fleet's lock, or it cannot be had now */
    DS_PASS_FAILED,
};

/* How a pass ended, as far as it matters here. */
struct ds_pacer_result {
    enum ds_pass_end end;
    bool did_something; /* deleted, merged or copied */
    bool waits;         /* also when something was refused */
    bool in_place;      /* every group is where it belongs, and nowhere else */
    bool holds_up;      /* a server cannot rejoin before a pass has seen it */
    int64_t pause_ms;   /* before another pass; 0: not told */
    int64_t due_in_ms;  /* what waits for time alone; INT64_MAX: nothing */
};

struct ds_pacer {
    bool runs, again;        /* a pass runs; another one is wanted after it */
    int64_t due_ms;          /* the next one; INT64_MAX: none is wanted */
    int64_t lively_until_ms; /* after an event, and */
    int64_t settled_ms;      /* from when on that is over if all is in place */
    int64_t busy_until_ms;   /* after a pass that did something */
    unsigned n_busy;         /* passes in a row that found the fleet locked */
};

void ds_pacer_init(struct ds_pacer *pacer); /* also: the groups are not ours any more */
void ds_pacer_note(struct ds_pacer *pacer, enum ds_pacer_event event, int64_t now_ms);
void ds_pacer_begin(struct ds_pacer *pacer);
void ds_pacer_end(struct ds_pacer *pacer, const struct ds_pacer_result *result,
                  int64_t now_ms);
/* When a pass is to begin; INT64_MAX: not before something happens. */
int64_t ds_pacer_due_ms(const struct ds_pacer *pacer);

#endif
