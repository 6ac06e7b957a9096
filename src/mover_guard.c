/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover_guard.c - a PUT that a Pushgateway only does when it does not have the group yet.
 *
 * There are no conditional requests.  But Pushgateway writes push_failure_time_seconds
 * itself with the first push to a group, whatever the push says of it, and with any later
 * push it takes what it is given, and refuses the whole push if that is inconsistent.  So
 * a push in which that family has one series twice creates a group, and never changes
 * one.  A refused push leaves a time of failure behind, which is set back.  (Measured,
 * and read in storage/diskmetricstore.go of Pushgateway 1.5.1.)
 *
 * A server that does not check would keep the family, and could not be scraped any more;
 * and so could one that is told to end at that very moment, since what is queued then is
 * not checked.  The next pass mends that.
 */
#include "mover_impl.h"

#include <stdlib.h>

#define NAME "push_failure_time_seconds"

void ds_mover_guard(struct ds_payload *payload)
{
    /* MetricFamily, with its length: name, type GAUGE, twice a Metric with Gauge 0. */
    static const char family[] = "\x37"
                                 "\x0a\x19" NAME "\x18\x01"
                                 "\x22\x0b\x12\x09\x09\0\0\0\0\0\0\0\0"
                                 "\x22\x0b\x12\x09\x09\0\0\0\0\0\0\0\0";

    if (strcmp(payload->content_type, DS_PAYLOAD_PROTOBUF) == 0)
        ds_buf_add(&payload->body, family, sizeof family - 1);
    else
        ds_buf_adds(&payload->body, "# TYPE " NAME " gauge\n" NAME " 0\n" NAME " 0\n");
}

/* The family is older than version 1; no version before that is known to us. */
static bool is_known(const char *version)
{
    return version[0] >= '1' && version[0] <= '9';
}

bool ds_mover_can_guard(struct ds_mover *mover, size_t server)
{
    struct ds_mover_peer *peer = &mover->peers[server];
    struct ds_pushgateway_status status;
    struct ds_error err = DS_ERROR_INIT;

    if (!peer->asked) {
        peer->asked = true;
        if (ds_pushgateway_status(peer->gateway, &status, &err) == 0) {
            peer->checks = !status.unchecked && is_known(status.version);
            peer->started_us = status.started_us;
        }
    }
    return peer->checks;
}

bool ds_mover_is_guards(const char *why)
{
    return strstr(why, NAME) != NULL;
}

bool ds_mover_has_run_on(struct ds_mover *mover, size_t server)
{
    struct ds_mover_peer *peer = &mover->peers[server];
    struct ds_pushgateway_status status;
    struct ds_error err = DS_ERROR_INIT;

    if (peer->ran_at_ms != peer->read_at_ms) {
        peer->ran_at_ms = peer->read_at_ms;
        peer->runs_on = peer->started_us &&
                        ds_pushgateway_status(peer->gateway, &status, &err) == 0 &&
                        status.started_us == peer->started_us;
    }
    return peer->runs_on;
}

void ds_mover_clear_failure(struct ds_mover *mover, size_t server,
                            const struct ds_group *group)
{
    struct ds_payload payload = {.body = DS_BUF_INIT(DS_PAYLOAD_MAX),
                                 .content_type = DS_PAYLOAD_TEXT};
    struct ds_error err = DS_ERROR_INIT;

    ds_buf_adds(&payload.body, "# TYPE " NAME " gauge\n" NAME " 0\n");
    if (ds_pushgateway_push(mover->peers[server].gateway, DS_PUSH_MERGE, group->identity,
                            group->identity_len, &payload, &err) < 0 &&
        err.code != DS_E_REFUSED)
        ds_mover_break(mover, server, &err);
    ds_buf_release(&payload.body);
}

int ds_mover_mend(struct ds_mover *mover, struct ds_error *err)
{
    struct ds_mover_report *report = mover->report;

    for (size_t i = 0; i < report->n_servers; i++) {
        const struct ds_inventory *inventory = &report->inventories[i];

        for (size_t k = 0; k < inventory->n && !mover->peers[i].broken; k++) {
            if (!(inventory->groups[k].flags & DS_GROUP_GUARDED))
                continue;
            if (ds_fleet_lock_check(mover->lock, err) < 0)
                return -1;
            ds_mover_clear_failure(mover, i, &inventory->groups[k]);
        }
    }
    return 0;
}
