/* SPDX-License-Identifier: Apache-2.0 */
/* probe_all.c - one check of many servers, that is waited for: the feed's first round. */
#include "dshard/clock.h"
#include "dshard/discovery.h"

#include <stdio.h>
#include <stdlib.h>

static const int64_t ONCE_MS = INT64_MAX / 4; /* an interval that never ends */

enum { GIVE_UP_MS = 2000 };

static bool has_all(const struct ds_fleet *fleet)
{
    for (size_t i = 0; i < fleet->n; i++) {
        if (!fleet->items[i].seq)
            return false;
    }
    return true;
}

/* Each check ends in its time: when none has ended for longer, then there is nothing here
   to run them with. */
static void run_once(struct ds_feed *feed, struct ds_http_loop *loop, int64_t patience_ms)
{
    int64_t give_up_ms = ds_clock_mono_ms() + patience_ms;

    while (!has_all(feed->ops->view(feed))) {
        int64_t now_ms = ds_clock_mono_ms(), next_ms;

        if (feed->ops->tick(feed, now_ms))
            give_up_ms = now_ms + patience_ms;
        if (now_ms >= give_up_ms)
            return;
        next_ms = feed->ops->next_ms(feed);
        next_ms = next_ms < give_up_ms ? next_ms : give_up_ms;
        if (!has_all(feed->ops->view(feed)))
            ds_http_loop_run(loop, NULL, 0, next_ms - now_ms);
    }
}

static void say_unasked(struct ds_sighting *item)
{
    if (item->seq)
        return;
    item->sight = DS_SIGHT_FAIL;
    snprintf(
        item->why, sizeof item->why,
        "it could not be checked: this machine has no file descriptor or thread left "
        "for that (see ulimit -n, ulimit -u)");
}

int ds_probe_all(const struct ds_config *config, const struct ds_server *servers,
                 size_t n, struct ds_sighting *items, struct ds_error *err)
{
    struct ds_http_loop *loop = ds_http_loop_new();
    struct ds_config once = *config; /* borrows every string */
    DS_AUTO(ptr) void *list = ds_xcalloc(n, sizeof(struct ds_standing));
    struct ds_standing *standings = list;
    struct ds_feed *feed;

    once.health_check.interval_ms = ONCE_MS;
    feed = ds_feed_probe_new(&once, loop, err);
    if (!feed) {
        ds_http_loop_free(loop);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        standings[i].server = servers[i];
    feed->ops->track(feed, standings, n, ds_clock_mono_ms());
    run_once(feed, loop, config->health_check.timeout_ms + GIVE_UP_MS);
    for (size_t i = 0; i < n; i++) {
        items[i] = feed->ops->view(feed)->items[i];
        say_unasked(&items[i]);
    }
    feed->ops->free(feed);
    ds_http_loop_free(loop);
    return 0;
}
