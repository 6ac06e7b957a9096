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
 * A move is right while the copy that goes is unchanged and the ring is the same; the
 * POST while no client has pushed these families to `kept` since it was read; the DELETE
 * while `kept` is there and at least as new as it was.
 *
 * Which of several copies is the newest:
 *  1. The owner's, when it was pushed after the last change of the ring (and a grace) on
 *     the owner's own clock.  No other clock is asked.
 *  2. Else push times count, each corrected by its server's skew.  The spans that the
 *     skews leave must be more than DS_PLAN_TIE_MS apart; otherwise it is a tie, and all
 *     stay until the next push, or until DS_PLAN_TIE_LASTS_MS after the later one: then
 *     the owner's copy stays, because that is where the later pushes go, and where it has
 *     none, the copy on the server with the (bytewise) highest address.  So every
 *     observer keeps the same one, whatever its clock says.
 *  A push time in its server's future (its clock was set back) is not trusted: it never
 *  wins by 1 or 2, and by 2 it ties with every other.
 *
 * Before all that, some copies lose against any other: those on servers that `yield`, but
 * for what came to the owner after the last change of the ring, which is no old data;
 * what a server that `settles` took when every push went elsewhere already (the push had
 * waited at it while it hung); and a phantom, a group that no push ever worked for, whose
 * copy is just dropped.
 *
 * Which one stays: in dedupe mode, without a ring, and where the owner has none, the
 * newest.  In move mode the copy at the owner stays in any case, as pushes may come in
 * there at any moment; when another is newer, it gives what it has that is newer.
 *
 * Families are compared in the same way one by one: what a copy that goes has and the one
 * that stays lacks, or has older, is POSTed to it first; of several copies only the one
 * that has it newest gives it, and the others stay until a later plan finds it given.  So
 * the moves of a group may be made in any order and each may fail, and nothing is lost.
 * In a tie of families what stays counts; groups none of whose families tie (disjoint
 * ones, POSTed around the flap of a server) do not tie.  A family that a PUT had dropped
 * may so reappear until the next PUT; a lost one would not.
 *
 * When: a copy counts as pushed at the moment of copying, and would beat a push that came
 * late to the former owner.  So nothing is copied before ring_changed_ms + grace_ms, and
 * no copy deleted but one beside a newer one at the owner, which lacks nothing: there a
 * late push would only bring the copy back.  Even so that waits for a quarter of the
 * grace, because between the last look at a copy and its DELETE a push can be lost.  A
 * POST to the owner could replace a push of the same family that comes in between, too;
 * so it waits until that family is grace_ms old: one that is pushed more often comes to
 * the owner by itself.  A group whose owner was not reached waits: the owner may have a
 * newer copy, and what is given to another one now would beat that later.
 *
 * What no rule here can know: that a server which is away has a newer copy of what is
 * moved meanwhile (it loses when it comes back), and that a clock was set forward (its
 * pushes before that look older than they are until the owner's next one).
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

enum {
    DS_PLAN_TIE_MS = 2000,
    DS_PLAN_TIE_LASTS_MS = 300000,
    DS_PLAN_GRACE_MS = 5000,
};

struct ds_plan_server {
    const struct ds_inventory *inventory; /* borrowed; not reached: as if absent */
    bool yields;  /* its copies lose: old data on a server that joins */
    bool settles; /* not a member yet and about to be one (joining, held): nothing is
                     copied from it that it alone has */
};

struct ds_plan_config {
    enum ds_plan_mode mode;
    int64_t now_ms;          /* our clock */
    int64_t ring_changed_ms; /* our clock; 0 (or more than grace_ms in the future): not
                                known, and rule 1 is out */
    int64_t grace_ms;        /* until pushes follow a changed ring everywhere */
    int64_t patience_ms;     /* copy what has not been pushed for so long */
    int64_t leave_older_than_ms; /* no PUT of what is older; 0: of all */
    const struct ds_ring *ring;  /* NULL: no ring, nothing is misplaced */
};

struct ds_move {
    const struct ds_group *group; /* the copy that goes; borrowed from its inventory */
    const struct ds_group *kept;  /* the copy at `to`, borrowed; NULL: none there */
    size_t from, to;              /* indexes of servers; equal: a misplaced phantom of
                                     which there is nothing else, so only the DELETE */
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
    size_t n_copies;    /* those beyond the first, summed over groups */
    size_t n_waiting;   /* misplaced or doubled groups of which some copy waits: for
                           patience, grace, a tie, another copy, a member, an owner.  In
                           dedupe mode only doubled ones */
    size_t n_left;      /* misplaced ones, not doubled, older than leave_older_than_ms */
    size_t n_ownerless; /* groups whose owner was not reached */
    size_t n_stuck;     /* misplaced or doubled, and no URL can name them: never moved */
    const struct ds_group **ties; /* copies of which none is known to be old: they wait
                                     for the end of a tie; the array is owned */
    size_t n_ties;
    int64_t due_ms; /* when the first of those that wait has to be looked at again
                       because of the time alone, our clock, > now_ms; INT64_MAX:
                       none */
};

/* Servers are sorted by address (inventory->address), names unique. */
void ds_plan_make(struct ds_plan *plan, const struct ds_plan_config *config,
                  const struct ds_plan_server *servers, size_t n);
void ds_plan_release(struct ds_plan *plan);
void ds_auto_plan(struct ds_plan *plan);

/*
 * Whether the copy that goes may be deleted, by both copies as they have just been read
 * again (NULL: not there): nobody has pushed to the one that goes, and the one that stays
 * still has all that the plan counted on, or newer.  A server that was restarted in
 * between may have lost that, and a client's push to it look like a newer copy.
 */
bool ds_plan_may_delete(const struct ds_move *move, const struct ds_group *goes,
                        const struct ds_group *stays);

/* The index of the server that owns a group; n when the ring has none of them. */
size_t ds_plan_owner(const struct ds_ring *ring, const struct ds_plan_server *servers,
                     size_t n, const struct ds_group *group);

#endif
