/* SPDX-License-Identifier: Apache-2.0 */
/* mover_delete.c - copies that only have to go, in batches; see mover.h. */
#include "dshard/clock.h"
#include "mover_impl.h"

static void read_servers(struct ds_mover *mover, struct ds_move *const *moves, size_t n)
{
    DS_AUTO(ptr) void *seen_list = ds_xcalloc(mover->report->n_servers, sizeof(bool));
    DS_AUTO(ptr) void *list = ds_xcalloc(mover->report->n_servers, sizeof(size_t));
    bool *seen = seen_list;
    size_t *servers = list, n_servers = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t both[] = {moves[i]->from, moves[i]->to};

        for (size_t k = 0; ds_mover_can_do(mover, moves[i]) && k < 2; k++) {
            if (!seen[both[k]])
                servers[n_servers++] = both[k];
            seen[both[k]] = true;
        }
    }
    ds_mover_read(mover, servers, n_servers);
}

static bool is_still_right(const struct ds_mover *mover, const struct ds_move *move)
{
    return ds_plan_may_delete(move, ds_mover_now(mover, move->from, move->group),
                              ds_mover_now(mover, move->to, move->group));
}

/* How many of the moves have been dealt with: 1 at least. */
static size_t run_batch(struct ds_mover *mover, struct ds_move *const *moves, size_t n)
{
    int64_t ends_ms;
    size_t i = 0;

    read_servers(mover, moves, n);
    ends_ms = ds_clock_mono_ms() + DS_MOVER_BATCH_MS;
    do {
        const struct ds_move *move = moves[i++];

        if (!ds_mover_can_do(mover, move))
            continue; /* counted as undone */
        if (!is_still_right(mover, move))
            mover->report->n_raced++;
        else if (ds_mover_delete(mover, move))
            mover->report->n_deleted++;
        else
            continue;
        ds_mover_step(mover);
    } while (i < n && ds_clock_mono_ms() < ends_ms);
    return i;
}

int ds_mover_run_deletes(struct ds_mover *mover, struct ds_move **moves, size_t n,
                         struct ds_error *err)
{
    ds_mover_sort(moves, n);
    for (size_t i = 0; i < n && !ds_mover_must_stop(mover);) {
        size_t left = n - i;

        if (ds_fleet_lock_check(mover->lock, err) < 0)
            return -1;
        i += run_batch(mover, moves + i,
                       left < DS_MOVER_BATCH_MAX ? left : DS_MOVER_BATCH_MAX);
    }
    return 0;
}
