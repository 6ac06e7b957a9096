/* SPDX-License-Identifier: Apache-2.0 */
/* mover_push.c - one push to another server, and what its failure means. */
#include "dshard/clock.h"
#include "mover_courier.h"

#include <stdlib.h>

/* As exact as another server's clock is known. */
enum { STAMP_MS = 1000 };

/* One error of the server's may be about this push; two are about the server. */
static void fail_push(struct ds_mover *mover, const struct ds_move *move,
                      const struct ds_error *err)
{
    struct ds_mover_peer *peer = &mover->peers[move->to];

    if (err->code != DS_E_NET && !peer->doubted) {
        ds_mover_refuse(mover, move, err->text);
        peer->doubted = mover->report->refusals[mover->report->n_refusals - 1].why;
        return;
    }
    if (peer->doubted)
        ds_mover_report_forgive(mover->report, peer->doubted);
    ds_mover_break(mover, move->to, err);
}

/* Earlier than that the server cannot have stamped what we push now. */
static int64_t began_us(const struct ds_inventory *target)
{
    return 1000 *
           (ds_clock_wall_ms() + target->skew_least_ms - target->taken_ms - STAMP_MS);
}

void ds_mover_push(struct ds_mover *mover, struct ds_mover_batch *batch,
                   struct ds_mover_sent *sent, const struct ds_payload *payload)
{
    const struct ds_move *move = sent->job->move;
    struct ds_mover_peer *peer = &mover->peers[move->to];
    enum ds_push how = move->kept ? DS_PUSH_MERGE : DS_PUSH_REPLACE;
    struct ds_error err = DS_ERROR_INIT;
    int64_t began_ms = ds_clock_mono_ms();
    int rc;

    sent->began_us = began_us(&peer->now);
    rc = ds_pushgateway_push(peer->gateway, how, move->group->identity,
                             move->group->identity_len, payload, &err);

    batch->push_ms = ds_clock_mono_ms() - began_ms;
    sent->job->n_copies++;
    sent->refused = rc < 0;
    if (rc < 0 && err.code != DS_E_REFUSED) {
        sent->guarded = false;
        fail_push(mover, move, &err);
    } else if (rc < 0 && !sent->guarded) {
        ds_mover_refuse(mover, move, err.text);
    } else if (rc < 0) { /* settling shows what that means */
        free(sent->job->why);
        sent->job->why = ds_xstrdup(err.text);
    }
    batch->sent[batch->n++] = *sent;
}
