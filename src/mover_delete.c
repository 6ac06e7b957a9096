/* SPDX-License-Identifier: Apache-2.0 */
/* mover_delete.c - whether a copy may be deleted at this moment, and the copies that only
   have to go; see mover.h. */
#include "dshard/clock.h"
#include "mover_impl.h"

enum {
    LOOKS_MAX = 4,
    SLACK = 4,       /* a reading may take longer than the other one by a 4th */
    GONE_MS = 1000,  /* a DELETE is queued, and done so much later at the most */
    DELETES_MAX = 2, /* of one copy, which stays all the same */
    QUICK_MS = 100,  /* who takes no longer to read is read beside others */
};

/* ---- readings -----------------------------------------------------------------------
 */

int64_t ds_mover_reading_ms(const struct ds_mover *mover, size_t server)
{
    const struct ds_mover_peer *peer = &mover->peers[server];

    return peer->before_ms < peer->took_ms ? peer->before_ms : peer->took_ms;
}

/* Whether the reading is good in `ahead_ms`, too.  It counts from when it began. */
static bool is_fresh(const struct ds_mover *mover, size_t server, int64_t ahead_ms)
{
    const struct ds_mover_peer *peer = &mover->peers[server];
    int64_t usual_ms = ds_mover_reading_ms(mover, server);

    return peer->n_uses < DS_MOVER_BATCH_MAX &&
           ds_clock_boot_ms() + ahead_ms - peer->read_at_ms <=
               DS_MOVER_BATCH_MS + usual_ms + usual_ms / SLACK;
}

/* How long it takes to read those that must be; -1: all are fresh. */
static int64_t stale_ms(const struct ds_mover *mover, const size_t *servers, size_t n)
{
    int64_t most_ms = -1;

    for (size_t i = 0; i < n; i++) {
        int64_t took_ms = mover->peers[servers[i]].took_ms;

        if (!is_fresh(mover, servers[i], 0) && took_ms > most_ms)
            most_ms = took_ms;
    }
    return most_ms;
}

static bool is_any_broken(const struct ds_mover *mover, const size_t *servers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (mover->peers[servers[i]].broken)
            return true;
    }
    return false;
}

/* What would be too old when the others have been read is read beside them. */
bool ds_mover_look(struct ds_mover *mover, const size_t *servers, size_t n)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(size_t));
    size_t *stale = list;

    for (int tries = 0; !is_any_broken(mover, servers, n); tries++) {
        int64_t ahead_ms = stale_ms(mover, servers, n);
        size_t n_stale = 0;

        if (ahead_ms < 0)
            return true;
        if (tries == LOOKS_MAX)
            return false;
        for (size_t i = 0; i < n; i++) {
            if (!is_fresh(mover, servers[i], ahead_ms))
                stale[n_stale++] = servers[i];
        }
        ds_mover_read(mover, stale, n_stale);
    }
    return false;
}

/* ---- one DELETE ---------------------------------------------------------------------
 */

/* Where clients push it. */
static bool is_owner(const struct ds_mover *mover, const struct ds_move *move)
{
    const struct ds_mover_report *report = mover->report;

    return report->ring &&
           strcmp(ds_ring_owner_of_hash(report->ring, move->group->hash)->address,
                  report->servers[move->from].address) == 0;
}

/* What clients push to is read alone, and for this DELETE only. */
static bool is_ready(struct ds_mover *mover, const struct ds_mover_deletion *deletion)
{
    const struct ds_move *move = deletion->move;
    const size_t both[] = {move->from, move->to};
    size_t n = move->from == move->to ? 1 : 2;
    bool owner = !deletion->in_bulk && is_owner(mover, move);
    struct ds_error ignored = DS_ERROR_INIT; /* who asks next is told */

    if (!ds_mover_look(mover, both, n))
        return false;
    if (owner)
        ds_mover_read(mover, &move->from, 1);
    if (is_any_broken(mover, both, n) || ds_fleet_lock_check(mover->lock, &ignored) < 0)
        return false;
    return is_fresh(mover, move->from, 0) && (owner || is_fresh(mover, move->to, 0));
}

static bool may_delete(struct ds_mover *mover, const struct ds_mover_deletion *deletion)
{
    struct ds_move move = *deletion->move;
    const struct ds_group *goes = ds_mover_now(mover, move.from, move.group);
    const struct ds_group *stays = ds_mover_now(mover, move.to, move.group);

    move.group = deletion->seen;
    return ds_plan_may_delete(&move, goes, stays) &&
           (!deletion->suffices || deletion->suffices(mover, deletion->arg, stays));
}

/* What was deleted in a pass before is there still. */
static enum ds_mover_end again(struct ds_mover *mover, const struct ds_move *move,
                               unsigned n_sent, int64_t ago_ms)
{
    if (ago_ms < GONE_MS)
        return DS_MOVER_RACED;
    if (n_sent < DELETES_MAX)
        return DS_MOVER_DELETED;
    ds_mover_refuse(mover, move,
                    "the server has said yes to its DELETE, and has it still");
    return DS_MOVER_REFUSED;
}

enum ds_mover_end ds_mover_delete(struct ds_mover *mover,
                                  const struct ds_mover_deletion *deletion)
{
    const struct ds_move *move = deletion->move;
    struct ds_error err = DS_ERROR_INIT;
    int64_t ago_ms;
    unsigned n_sent;

    for (int tries = 0; !is_ready(mover, deletion);) {
        if (++tries == LOOKS_MAX || !ds_mover_can_do(mover, move))
            return DS_MOVER_LEFT;
    }
    if (!may_delete(mover, deletion))
        return DS_MOVER_RACED;
    n_sent =
        ds_mover_report_count_sent(mover->report, move->from, deletion->seen, &ago_ms);
    if (n_sent) {
        enum ds_mover_end end = again(mover, move, n_sent, ago_ms);

        if (end != DS_MOVER_DELETED)
            return end;
    }
    mover->peers[move->from].n_uses++;
    ds_mover_report_sent(mover->report, move, deletion->seen);
    if (ds_pushgateway_delete(mover->peers[move->from].gateway, move->group->identity,
                              move->group->identity_len, &err) == 0)
        return DS_MOVER_DELETED;
    ds_mover_break(mover, move->from, &err);
    return DS_MOVER_LEFT;
}

/* ---- moves that are nothing else ----------------------------------------------------
 */

static void run_delete(struct ds_mover *mover, const struct ds_move *move)
{
    struct ds_mover_deletion deletion = {.move = move, .seen = move->group};

    switch (ds_mover_delete(mover, &deletion)) {
    case DS_MOVER_DELETED:
        ds_mover_report_gone(mover->report, move->from, move->group);
        mover->report->n_deleted++;
        break;
    case DS_MOVER_RACED:
        mover->report->n_raced++;
        break;
    case DS_MOVER_REFUSED:
        break;
    case DS_MOVER_LEFT: /* counted as undone */
        return;
    }
    ds_mover_step(mover);
}

static bool is_quick(const struct ds_mover *mover, size_t server)
{
    return !mover->peers[server].broken && !is_fresh(mover, server, 0) &&
           ds_mover_reading_ms(mover, server) <= QUICK_MS;
}

/* One after the other would take longer.  Who is slow makes the others wait, and so is
   left for its own turn. */
static void read_ahead(struct ds_mover *mover, struct ds_move *const *moves, size_t n)
{
    DS_AUTO(ptr) void *seen_list = ds_xcalloc(mover->report->n_servers, sizeof(bool));
    DS_AUTO(ptr) void *list = ds_xcalloc(mover->report->n_servers, sizeof(size_t));
    bool *seen = seen_list;
    size_t *servers = list, n_servers = 0;

    for (size_t i = 0; i < n && i < DS_MOVER_BATCH_MAX; i++) {
        const size_t both[] = {moves[i]->from, moves[i]->to};

        for (size_t k = 0; k < 2; k++) {
            if (!seen[both[k]] && is_quick(mover, both[k]))
                servers[n_servers++] = both[k];
            seen[both[k]] = true;
        }
    }
    ds_mover_read(mover, servers, n_servers);
}

int ds_mover_run_deletes(struct ds_mover *mover, struct ds_move **moves, size_t n,
                         struct ds_error *err)
{
    ds_mover_sort(moves, n);
    for (size_t i = 0; i < n && !ds_mover_must_stop(mover); i++) {
        if (ds_fleet_lock_check(mover->lock, err) < 0)
            return -1;
        if (!ds_mover_can_do(mover, moves[i]))
            continue;
        if (!is_fresh(mover, moves[i]->from, 0) || !is_fresh(mover, moves[i]->to, 0))
            read_ahead(mover, moves + i, n - i);
        if (ds_mover_can_do(mover, moves[i]))
            run_delete(mover, moves[i]);
    }
    return 0;
}
