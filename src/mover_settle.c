/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover_settle.c - after a batch of pushes: what has arrived is deleted where it was.
 *
 * A PUT that was answered with 200 has been done, so whatever the target has by now is
 * our exact copy, or newer: a client's push on top of it.  So the copy at the source can
 * go if nobody has pushed to it since we read it.  Where there was no guard, the creation
 * test shows whether somebody had pushed to the target just before our PUT, which has
 * then replaced that: Pushgateway writes push_failure_time_seconds once, with the first
 * push.
 */
#include "dshard/clock.h"
#include "mover_courier.h"

#include <stdlib.h>

enum { SHOW_MS = 1000, COPIES_MAX = 3 };

static bool is_merge(const struct ds_mover_sent *sent)
{
    return sent->job->move->kept != NULL;
}

/* Whether each family is there from our push or a later one.  One that is not there was
   dropped by a client, if the server has not been away. */
static bool have_families_arrived(struct ds_mover *mover,
                                  const struct ds_mover_sent *sent,
                                  const struct ds_group *target)
{
    const struct ds_move *move = sent->job->move;
    size_t n = is_merge(sent) ? move->n_families : sent->source->n_families;
    bool lacks_some = false;

    for (size_t i = 0; i < n; i++) {
        const char *name =
            is_merge(sent) ? move->families[i] : sent->source->families[i].name;
        const struct ds_family *family = ds_group_find_family(target, name);

        if (!family)
            lacks_some = true;
        else if (family->pushed_us < sent->began_us)
            return false;
    }
    return !lacks_some || ds_mover_has_run_on(mover, move->to);
}

/* Whether the target has what we pushed, or something later.  A server that died and came
   back with old data has neither; its stamps tell that only where they are older than
   another server's clock is known. */
static bool has_arrived(struct ds_mover *mover, const void *arg,
                        const struct ds_group *target)
{
    const struct ds_mover_sent *sent = arg;
    size_t to = sent->job->move->to;

    if (mover->peers[to].started_us && !ds_mover_has_run_on(mover, to))
        return false;
    return target && target->pushed_us && target->stamped_us != sent->before_us &&
           target->stamped_us >= sent->began_us &&
           have_families_arrived(mover, sent, target);
}

static bool have_all_arrived(struct ds_mover *mover, const struct ds_mover_batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        const struct ds_mover_sent *sent = &batch->sent[i];

        if (!sent->refused &&
            !has_arrived(mover, sent, ds_mover_now(mover, batch->to, sent->source)))
            return false;
    }
    return true;
}

/* Servers that do not check what is pushed queue it (202) and show it a moment later. */
static void await_arrival(struct ds_mover *mover, const struct ds_mover_batch *batch)
{
    for (int64_t pause_ms = 10; pause_ms < SHOW_MS; pause_ms *= 2) {
        if (mover->peers[batch->to].broken || have_all_arrived(mover, batch))
            return;
        ds_clock_sleep_ms(pause_ms);
        ds_mover_read(mover, &batch->to, 1);
    }
}

/* A refused PUT has left a phantom, unless a push has worked since. */
static enum ds_mover_end remove_phantom(struct ds_mover *mover,
                                        const struct ds_mover_sent *sent,
                                        const struct ds_group *target)
{
    size_t to = sent->job->move->to;
    struct ds_move move = {.group = sent->source, .from = to, .to = to};
    struct ds_group seen;
    struct ds_mover_deletion deletion = {.move = &move, .seen = &seen};

    if (sent->job->had || !target)
        return DS_MOVER_DELETED;
    if (target->pushed_us || target->n_families)
        return DS_MOVER_RACED;
    seen = *target; /* which a new reading frees */
    seen.families = NULL;
    seen.identity = sent->source->identity;
    return ds_mover_delete(mover, &deletion);
}

static void settle_refused(struct ds_mover *mover, const struct ds_mover_sent *sent,
                           const struct ds_group *target)
{
    struct ds_mover_job *job = sent->job;
    bool by_guard = sent->guarded && ds_mover_is_guards(job->why);

    if (sent->guarded && target && target->pushed_us) { /* a client was there first */
        mover->report->n_raced++;
        if (target->failed_us)
            ds_mover_clear_failure(mover, job->move->to, target);
    } else if (remove_phantom(mover, sent, target) == DS_MOVER_RACED) {
        mover->report->n_raced++;
    } else if (by_guard) { /* it kept something that is not there any more */
        job->unguarded = true;
        job->over = false;
        return;
    } else if (sent->guarded) {
        ds_mover_refuse(mover, job->move, job->why);
    }
    ds_mover_step(mover);
}

/* Pushgateway takes this family as it is given, but not with the first push to a group.
   It makes the creation test worthless, which therefore comes before. */
static bool restore_failure_time(struct ds_mover *mover, const struct ds_mover_sent *sent)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX)};
    size_t to = sent->job->move->to;
    struct ds_error err = DS_ERROR_INIT;
    int rc = 0;

    if (ds_payload_failure_time(&payload, sent->json, sent->json_len))
        rc = ds_pushgateway_push(mover->peers[to].gateway, DS_PUSH_MERGE,
                                 sent->source->identity, sent->source->identity_len,
                                 &payload, &err);
    ds_buf_release(&payload.body);
    if (rc < 0 && err.code != DS_E_REFUSED)
        ds_mover_break(mover, to, &err);
    return rc == 0;
}

/* The copy at the source may be gone already; then there is nothing to delete. */
static void finish(struct ds_mover *mover, const struct ds_mover_sent *sent,
                   bool is_there)
{
    const struct ds_move *move = sent->job->move;
    struct ds_mover_deletion deletion = {
        .move = move, .seen = sent->source, .suffices = has_arrived, .arg = sent};
    enum ds_mover_end end = DS_MOVER_DELETED;

    if (!is_merge(sent) && sent->source->failed_us && !restore_failure_time(mover, sent))
        return;
    if (is_there)
        end = ds_mover_delete(mover, &deletion);
    if (end == DS_MOVER_LEFT)
        return;
    if (end == DS_MOVER_RACED) {
        mover->report->n_raced++;
    } else if (end == DS_MOVER_DELETED) {
        ds_mover_report_gone(mover->report, move->from, move->group);
        if (is_merge(sent))
            mover->report->n_merged++;
        else
            mover->report->n_copied++;
    }
    ds_mover_step(mover);
}

/*
 * The source was pushed to after we had read it, so what the target got is old by now;
 * and the next plan would not see that, because our copy is the later push on the owner's
 * clock.  While it is still ours alone, the newer one replaces it.
 */
static bool copy_again(struct ds_mover_courier *courier, const struct ds_mover_sent *sent,
                       const struct ds_group *target, bool is_ours)
{
    struct ds_mover_job *job = sent->job;

    if (is_merge(sent) || !is_ours || job->n_copies >= COPIES_MAX)
        return false;
    job->mine_us = target->stamped_us;
    job->created_us = target->created_us;
    job->over = false;
    courier->stale = true;
    return true;
}

static void settle_one(struct ds_mover_courier *courier, const struct ds_mover_sent *sent)
{
    struct ds_mover *mover = courier->mover;
    const struct ds_move *move = sent->job->move;
    const struct ds_group *target = ds_mover_now(mover, move->to, sent->source);
    const struct ds_group *source = ds_mover_now(mover, move->from, sent->source);
    bool is_ours;

    if (sent->refused) {
        settle_refused(mover, sent, target);
        return;
    }
    if (!has_arrived(mover, sent, target)) { /* deleted, or lost by a restart */
        mover->report->n_raced++;
        ds_mover_step(mover);
        return;
    }
    if (!is_merge(sent) && !sent->job->made)
        ds_mover_report_made(mover->report, move->to, move->group);
    sent->job->made = true;
    is_ours = sent->job->mine_us ? target->created_us == sent->job->created_us
                                 : target->created_us == target->stamped_us;
    if (!is_merge(sent) && !is_ours && !sent->job->had && !sent->guarded)
        mover->report->n_raced++;
    if (!source || ds_group_is_unchanged(sent->source, source)) {
        finish(mover, sent, source != NULL);
        return;
    }
    if (copy_again(courier, sent, target, is_ours))
        return;
    if (is_merge(sent) || is_ours || sent->job->had || sent->guarded)
        mover->report->n_raced++;
    ds_mover_step(mover);
}

void ds_mover_settle(struct ds_mover_courier *courier, struct ds_mover_batch *batch)
{
    struct ds_mover *mover = courier->mover;
    const size_t both[] = {courier->from, batch->to};

    for (size_t i = 0; i < batch->n; i++)
        batch->sent[i].job->over = true;
    if (mover->peers[both[0]].broken || mover->peers[both[1]].broken)
        return; /* what was pushed and not deleted is a copy for the next pass */
    ds_mover_read(mover, both, 2);
    await_arrival(mover, batch);
    for (size_t i = 0; i < batch->n && ds_mover_look(mover, both, 2); i++)
        settle_one(courier, &batch->sent[i]);
}
