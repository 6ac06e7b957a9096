/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - from the groups on every server and a ring: which copies are to go, and what
 * the copy that stays has to be given first.  Pure.
 *
 * Every move takes one copy of one group away from where it lies, after making sure that
 * the server named in `to` has all that must survive:
 *   kept NULL                 `to` lacks the group: PUT an exact copy there, then DELETE
 *   kept, families            POST these families to it, then DELETE
 *   kept, no families         DELETE
 *
 * Which of several copies is the newest:
 *  1. The owner's, when it was pushed after the last change of the ring (and a grace) on
 *     the owner's own clock.  No other clock is asked.
 *  2. Else push times count, each corrected by its server's skew.  The spans that the
 *     skews leave must be more than DS_PLAN_TIE_MS apart; otherwise it is a tie, and all
 *     stay until the next push, or until DS_PLAN_TIE_LASTS_MS after the later one: then
 *     the copy on the server with the (bytewise) lower name goes.
 *  A push time in its server's future is not trusted: it never wins by 1 or 2.
 *  Copies on servers that `yield` lose against any other.  A group that no push ever
 *  worked for (a phantom) loses against any other, and its copy is just dropped.
 *
 * Families are compared in the same way one by one: what the older copy has and the
 * newer one lacks, or has older, is POSTed to it before the older copy goes.  A family
 * that a PUT had dropped may so reappear until the next PUT; a lost one would not.
 */
#ifndef DSHARD_PLAN_H
#define DSHARD_PLAN_H

#include "dshard/base.h"
#include "dshard/inventory.h"
#include "dshard/ring.h"

enum ds_plan_mode {
    DS_PLAN_LOOK,   /* no moves, only the figures */
    DS_PLAN_DEDUPE, /* of several copies the newest stays, wherever it lies */
    DS_PLAN_MOVE,   /* misplaced groups go to their owners, too */
};

enum { DS_PLAN_TIE_MS = 2000, DS_PLAN_TIE_LASTS_MS = 300000, DS_PLAN_GRACE_MS = 5000 };

struct ds_plan_server {
    const struct ds_inventory *inventory; /* reached; borrowed */
    bool yields;  /* its copies never win: old data on a server that joins */
    bool settles; /* not a member yet and about to be one (joining, held): nothing is
                     copied from it that it alone has */
};

struct ds_plan_config {
    enum ds_plan_mode mode;
    int64_t now_ms;              /* our clock */
    int64_t ring_changed_ms;     /* our clock; 0: never */
    int64_t grace_ms;            /* until pushes follow a changed ring everywhere */
    int64_t patience_ms;         /* copy what has not been pushed for so long */
    int64_t leave_older_than_ms; /* do not copy what is older; 0: copy all */
    const struct ds_ring *ring;  /* NULL: no ring, nothing is misplaced */
};

struct ds_move {
    const struct ds_group *group; /* the copy that goes; borrowed from its inventory */
    const struct ds_group *kept;  /* the copy at `to`, borrowed; NULL: none there */
    size_t from, to;              /* indexes of servers; equal for a lone phantom that is
                                     misplaced: only the DELETE */
    const char **families;        /* sorted names to POST first, borrowed; the array is
                                     owned by the plan */
    size_t n_families;
};

struct ds_plan {
    struct ds_move
        *moves; /* DELETEs alone first, then POSTs, then PUTs; by group within */
    size_t n_moves;
    size_t n_groups;    /* identities */
    size_t n_misplaced; /* of them: no copy at the owner, or copies elsewhere, too */
    size_t n_copies;    /* one too many, summed over groups */
    size_t
        n_waiting; /* misplaced or doubled groups that wait: for patience, grace, a tie */
    size_t n_left; /* misplaced ones older than leave_older_than_ms */
    size_t n_ownerless; /* whose owner was not reached: they wait, too */
    size_t n_stuck;     /* that no URL can name: never moved */
    int64_t due_ms;     /* when the first of those that wait is due by time alone, our
                           clock; INT64_MAX: none */
};

/* Servers are sorted by address (inventory->address), names unique. */
void ds_plan_make(struct ds_plan *plan, const struct ds_plan_config *config,
                  const struct ds_plan_server *servers, size_t n);
void ds_plan_release(struct ds_plan *plan);
void ds_auto_plan(struct ds_plan *plan);

/* The index of the server that owns a group; n when the ring has none of them. */
size_t ds_plan_owner(const struct ds_ring *ring, const struct ds_plan_server *servers,
                     size_t n, const struct ds_group *group);

#endif
