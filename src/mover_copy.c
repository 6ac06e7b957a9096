/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover_copy.c - groups, and families of groups, that are pushed to another server; see
 * mover.h.
 *
 * One source after another: a snapshot of what is to go, then batches to one target each.
 * The target is read before a batch, so that nothing is pushed over what is there; what
 * comes after the batch is in mover_settle.c.
 */
#include "dshard/clock.h"
#include "mover_courier.h"

#include <stdlib.h>

enum {
    SNAPSHOT_MAX = 500, /* groups whose texts are held at a time */
    SNAPSHOT_TRIES = 3,
    FRESH_MS = DS_MOVER_BATCH_MS,
    FRESH_MIN_MS = 5,    /* a look is good for so long beside twice the time it takes, */
    LOOKS_LAST = 2,      /* where a push could replace another one */
    LOOKS_MAX = 4,       /* until one is in time */
    BATCH_MS_MAX = 1500, /* of pushes: a batch may last as long as two readings */
};

static int by_identity(const void *a, const void *b)
{
    return ds_group_compare(*(const struct ds_group *const *)a,
                            *(const struct ds_group *const *)b);
}

static bool is_wanted(void *arg, const struct ds_group *group)
{
    const struct ds_mover_courier *courier = arg;

    return bsearch(&group, courier->wanted, courier->n_wanted, sizeof *courier->wanted,
                   by_identity) != NULL;
}

/* For the jobs from `at` on; false: the source failed. */
static bool take_snapshot(struct ds_mover_courier *courier, size_t at)
{
    struct ds_mover_peer *peer = &courier->mover->peers[courier->from];
    struct ds_error err = DS_ERROR_INIT;

    courier->n_wanted = 0;
    for (; at < courier->n && courier->n_wanted < SNAPSHOT_MAX; at++) {
        if (!courier->jobs[at].over)
            courier->wanted[courier->n_wanted++] = courier->jobs[at].move->group;
    }
    courier->wanted_end = at;
    qsort(courier->wanted, courier->n_wanted, sizeof *courier->wanted, by_identity);
    ds_snapshot_release(&courier->snapshot);
    ds_snapshot_init(&courier->snapshot, ds_pushgateway_address(peer->gateway));
    courier->taken_at_ms = ds_clock_boot_ms();
    courier->stale = false;
    if (ds_pushgateway_snapshot(peer->gateway, is_wanted, courier, &courier->snapshot,
                                &err) == 0)
        return true;
    ds_mover_break(courier->mover, courier->from, &err);
    return false;
}

/* ---- one push -----------------------------------------------------------------------
 */

/* Somebody else was there in between: that is for the next pass, and its plan. */
static bool give_up(struct ds_mover_courier *courier, struct ds_mover_job *job)
{
    job->over = true;
    courier->mover->report->n_raced++;
    ds_mover_step(courier->mover);
    return false;
}

static bool refuse(struct ds_mover_courier *courier, struct ds_mover_job *job,
                   const char *why)
{
    job->over = true;
    ds_mover_refuse(courier->mover, job->move, why);
    ds_mover_step(courier->mover);
    return false;
}

static int64_t time_of(const struct ds_group *group, const char *name)
{
    const struct ds_family *family = ds_group_find_family(group, name);

    return family ? family->pushed_us : -1;
}

/* Pushes of other families do not matter: a group that is always pushed could never be
   given what it lacks. */
static bool lacks_still(const struct ds_move *move, const struct ds_group *target)
{
    for (size_t i = 0; i < move->n_families; i++) {
        if (time_of(target, move->families[i]) != time_of(move->kept, move->families[i]))
            return false;
    }
    return target->pushed_us >= move->kept->pushed_us;
}

/* Whether the target is as the plan, or we, have seen it. */
static bool may_push(const struct ds_mover_job *job, const struct ds_group *target)
{
    if (job->mine_us)
        return target && target->stamped_us == job->mine_us;
    if (!job->move->kept) /* a phantom is nothing that could be lost */
        return !target || !target->pushed_us;
    return target && lacks_still(job->move, target);
}

/* Whether the source still has what the snapshot has. */
static bool is_current(const struct ds_mover_courier *courier,
                       const struct ds_group *group)
{
    const struct ds_mover_peer *peer = &courier->mover->peers[courier->from];
    const struct ds_group *now;

    if (peer->read_at_ms < courier->taken_at_ms)
        return true;
    now = ds_mover_now(courier->mover, courier->from, group);
    return now && ds_group_is_unchanged(group, now);
}

/* Whether the server itself sees to it that no push is replaced. */
static bool can_guard(struct ds_mover *mover, const struct ds_mover_job *job)
{
    return !job->move->kept && !job->mine_us && !job->unguarded &&
           ds_mover_can_guard(mover, job->move->to);
}

/* Otherwise it is on us to have looked at the target as late as possible, as long as most
   of the time does not go into looking. */
static bool has_looked(const struct ds_mover *mover, size_t to)
{
    int64_t fresh_ms = FRESH_MIN_MS + ds_mover_reading_ms(mover, to) * LOOKS_LAST;

    return ds_clock_boot_ms() - mover->peers[to].read_at_ms <= fresh_ms;
}

static bool look_last(struct ds_mover *mover, const struct ds_mover_job *job)
{
    size_t to = job->move->to;

    if (can_guard(mover, job) && !job->had && !ds_mover_now(mover, to, job->move->group))
        return true;
    for (int i = 0; i < LOOKS_MAX && !mover->peers[to].broken; i++) {
        if (has_looked(mover, to))
            return true;
        ds_mover_read(mover, &to, 1);
    }
    return has_looked(mover, to);
}

/* Finds what is to be pushed; false: this job is over, or the snapshot is too old. */
static bool prepare(struct ds_mover_courier *courier, struct ds_mover_job *job,
                    struct ds_mover_sent *sent)
{
    const struct ds_move *move = job->move;
    const struct ds_inventory *inventory = &courier->snapshot.inventory;
    const struct ds_group *target = ds_mover_now(courier->mover, move->to, move->group);
    const struct ds_group *group =
        ds_inventory_find(inventory, move->group->identity, move->group->identity_len);
    size_t at;

    if (!group || !may_push(job, target) || !is_current(courier, group))
        return give_up(courier, job);
    if (!job->n_copies && !ds_group_is_unchanged(move->group, group))
        return give_up(courier, job);
    if (!job->n_copies)
        job->had = target != NULL;
    at = (size_t)(group - inventory->groups);
    *sent = (struct ds_mover_sent){
        .job = job,
        .source = group,
        .json = courier->snapshot.json[at],
        .json_len = courier->snapshot.json_len[at],
        .before_us = target ? target->stamped_us : 0,
        .guarded = can_guard(courier->mover, job) && !job->had,
    };
    return true;
}

static int make_payload(const struct ds_mover_courier *courier,
                        const struct ds_mover_sent *sent, struct ds_payload *payload,
                        struct ds_error *err)
{
    const struct ds_move *move = sent->job->move;
    const struct ds_snapshot *snapshot = &courier->snapshot;

    if (ds_payload_make(payload, snapshot->scrape, sent->json, sent->json_len,
                        move->kept ? move->families : NULL, move->n_families, err) == 0)
        return 0;
    if (!snapshot->scrape && err->code == DS_E_FAILED)
        ds_wrap(err, "it cannot be scraped (%s), and as text", snapshot->scrape_err.text);
    return -1;
}

/* False: it is not to be pushed now. */
static bool make(struct ds_mover_courier *courier, struct ds_mover_sent *sent,
                 struct ds_payload *payload)
{
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_clear(&payload->body);
    if (make_payload(courier, sent, payload, &err) == 0) {
        if (sent->guarded)
            ds_mover_guard(payload);
        return true;
    }
    if (err.code != DS_E_TEMP)
        return refuse(courier, sent->job, err.text);
    if (++sent->job->n_reads >= SNAPSHOT_TRIES)
        return give_up(courier, sent->job);
    courier->stale = true;
    return false;
}

/* ---- batches ------------------------------------------------------------------------
 */

static int64_t batch_ms(const struct ds_mover_courier *courier, size_t to)
{
    int64_t reading_ms =
        courier->mover->peers[to].now.taken_ms + courier->snapshot.inventory.taken_ms;

    if (reading_ms * 2 < DS_MOVER_BATCH_MS)
        return DS_MOVER_BATCH_MS;
    return reading_ms * 2 < BATCH_MS_MAX ? reading_ms * 2 : BATCH_MS_MAX;
}

/* Pushes jobs from `at` on that have one target, with pauses, until something ends the
   batch. */
static void push_batch(struct ds_mover_courier *courier, size_t at,
                       struct ds_mover_batch *batch)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    struct ds_mover *mover = courier->mover;
    int64_t ends_ms = ds_clock_mono_ms() + batch_ms(courier, batch->to);

    for (; at < courier->wanted_end && courier->jobs[at].move->to == batch->to; at++) {
        struct ds_mover_job *job = &courier->jobs[at];
        struct ds_mover_sent sent;
        bool in_time;

        if (job->over)
            continue;
        if (batch->n) /* what clients need is not ours to take */
            ds_clock_sleep_ms(batch->push_ms);
        in_time = look_last(mover, job);
        if (mover->peers[batch->to].broken)
            break;
        if (!in_time) {
            give_up(courier, job);
            continue;
        }
        if (!prepare(courier, job, &sent))
            continue;
        if (!make(courier, &sent, &payload)) {
            if (courier->stale)
                break;
            continue;
        }
        ds_mover_push(mover, batch, &sent, &payload);
        if (batch->n == DS_MOVER_PUSHES_MAX || mover->peers[batch->to].broken ||
            ds_clock_mono_ms() >= ends_ms || ds_mover_must_stop(mover))
            break;
    }
    ds_buf_release(&payload.body);
}

static void skip_target(struct ds_mover_courier *courier, size_t at, size_t to)
{
    for (; at < courier->n && courier->jobs[at].move->to == to; at++)
        courier->jobs[at].over = true;
}

static void run_batch(struct ds_mover_courier *courier, size_t at)
{
    struct ds_mover *mover = courier->mover;
    struct ds_mover_batch batch = {.to = courier->jobs[at].move->to};
    struct ds_mover_peer *target = &mover->peers[batch.to];

    if (!target->broken && ds_clock_boot_ms() - target->read_at_ms > FRESH_MS)
        ds_mover_read(mover, &batch.to, 1);
    if (!target->broken) {
        (void)ds_mover_can_guard(mover, batch.to); /* so that a restart is noticed */
        push_batch(courier, at, &batch);
    }
    if (batch.n)
        ds_mover_settle(courier, &batch);
    if (target->broken)
        skip_target(courier, at, batch.to); /* they count as undone */
}

/* -1: the lock is lost. */
static int run_courier(struct ds_mover_courier *courier, struct ds_error *err)
{
    struct ds_mover *mover = courier->mover;

    for (size_t at = 0;;) {
        while (at < courier->n && courier->jobs[at].over)
            at++;
        if (at == courier->n || mover->peers[courier->from].broken ||
            ds_mover_must_stop(mover) || ds_clock_mono_ms() >= mover->ends_ms)
            return 0;
        if (ds_fleet_lock_check(mover->lock, err) < 0)
            return -1;
        if ((courier->stale || at >= courier->wanted_end) && !take_snapshot(courier, at))
            return 0;
        run_batch(courier, at);
    }
}

static int run_source(struct ds_mover *mover, struct ds_move **moves, size_t n,
                      struct ds_error *err)
{
    DS_AUTO(ptr) void *jobs = ds_xcalloc(n, sizeof(struct ds_mover_job));
    DS_AUTO(ptr) void *wanted = ds_xcalloc(SNAPSHOT_MAX, sizeof(struct ds_group *));
    struct ds_mover_courier courier = {
        .mover = mover,
        .from = moves[0]->from,
        .jobs = jobs,
        .n = n,
        .wanted = wanted,
        .stale = true,
    };
    int rc;

    for (size_t i = 0; i < n; i++)
        courier.jobs[i].move = moves[i];
    ds_snapshot_init(&courier.snapshot, mover->report->servers[courier.from].address);
    rc = run_courier(&courier, err);
    for (size_t i = 0; i < n; i++)
        free(courier.jobs[i].why);
    ds_snapshot_release(&courier.snapshot);
    return rc;
}

static int run_kind(struct ds_mover *mover, struct ds_move **moves, size_t n,
                    struct ds_error *err)
{
    ds_mover_sort(moves, n);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;

        while (end < n && moves[end]->from == moves[i]->from)
            end++;
        if (run_source(mover, moves + i, end - i, err) < 0)
            return -1;
        i = end;
    }
    return 0;
}

/* What is there twice comes first: Prometheus sees its old and its new value in turn. */
int ds_mover_run_copies(struct ds_mover *mover, struct ds_move **moves, size_t n,
                        struct ds_error *err)
{
    size_t n_merges = 0;

    while (n_merges < n && moves[n_merges]->kept)
        n_merges++;
    if (run_kind(mover, moves, n_merges, err) < 0)
        return -1;
    return run_kind(mover, moves + n_merges, n - n_merges, err);
}
