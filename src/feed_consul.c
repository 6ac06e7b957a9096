/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed_consul.c - asks Consul about the servers, and the servers themselves where Consul
 * leaves something open; what follows from both is the ledger's business.
 */
#include "dshard/clock.h"
#include "dshard/consul_health.h"
#include "dshard/consul_poll.h"
#include "dshard/discovery.h"
#include "dshard/ledger.h"
#include "dshard/url.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { OWN_INTERVAL_MS = 1000, TOKEN_LOOK_MS = 1000 };

struct consul_feed {
    struct ds_feed feed; /* first: a struct consul_feed is a struct ds_feed */
    struct ds_consul *consul;
    struct ds_feed *own; /* our own checks of the disputed */
    struct ds_consul_poll health, marks;
    struct ds_ledger ledger;
    int64_t token_due_ms;   /* while nobody is listed: when to look at the token's file */
    int64_t doubt_since_ms; /* 0: Consul writes; otherwise an open query proves nothing */
    int64_t own_until_ms;   /* when who is disputed changes by itself; INT64_MAX: never */
    struct ds_fleet fleet;
};

static int take_health(void *arg, const struct ds_http_response *response,
                       struct ds_error *err)
{
    struct consul_feed *feed = arg;
    DS_AUTO(consul_view) struct ds_consul_view view = {0};

    if (ds_consul_view_parse(&view, response->body.data, response->body.len, err) < 0)
        return -1;
    ds_ledger_take(&feed->ledger, &view, ds_clock_mono_ms());
    return 0;
}

static int take_mark(struct consul_feed *feed, const char *key)
{
    const char *slash = key ? strrchr(key, '/') : NULL;
    struct ds_error ignored = DS_ERROR_INIT;
    char address[DS_ADDRESS_MAX];

    if (!slash || ds_address_parse(address, slash + 1, 0, &ignored) < 0)
        return -1;
    ds_ledger_mark(&feed->ledger, address);
    return 0;
}

/* dshard/SERVICE/out/SERVER: a key for each server that an operator took out; 404: none.
 */
static int take_marks(void *arg, const struct ds_http_response *response,
                      struct ds_error *err)
{
    struct consul_feed *feed = arg;
    json_error_t json_err;
    json_t *keys = NULL;

    if (response->status == 200) {
        keys = json_loadb(response->body.data, response->body.len, 0, &json_err);
        if (!json_is_array(keys)) {
            json_decref(keys);
            return ds_fail(err, DS_E_FORMAT, "it is no list of keys");
        }
    }
    ds_ledger_clear_marks(&feed->ledger);
    for (size_t i = 0; i < json_array_size(keys);
         i++) /* other keys are not ours to judge */
        ds_ignore(take_mark(feed, json_string_value(json_array_get(keys, i))) < 0);
    json_decref(keys);
    return 0;
}

/* ---- our own checks ---- */

static void track_disputed(struct consul_feed *feed, int64_t now_ms)
{
    struct ds_ledger *ledger = &feed->ledger;
    DS_AUTO(ptr) void *list = ds_xcalloc(ledger->n, sizeof(struct ds_standing));
    struct ds_standing *disputed = list;
    size_t n = 0;

    ledger->disputes_changed = false;
    for (size_t i = 0; i < ledger->n; i++) {
        if (ds_ledger_is_disputed(ledger, &ledger->lines[i], now_ms))
            memcpy(disputed[n++].server.address, ledger->lines[i].sighting.address,
                   DS_ADDRESS_MAX);
    }
    feed->own->ops->track(feed->own, disputed, n, now_ms);
    feed->fleet.fds_wanted = feed->own->ops->view(feed->own)->fds_wanted;
    feed->fleet.at_once = feed->own->ops->view(feed->own)->at_once;
}

/* ---- the feed ---- */

static void rebuild_fleet(struct consul_feed *feed)
{
    feed->fleet.n = ds_ledger_sightings(&feed->ledger, &feed->fleet.items);
}

static void consul_track(struct ds_feed *base, const struct ds_standing *servers,
                         size_t n, int64_t now_ms)
{
    struct consul_feed *feed = (struct consul_feed *)base;

    ds_ledger_track(&feed->ledger, servers, n, now_ms);
    rebuild_fleet(feed);
}

static void describe_source(struct consul_feed *feed)
{
    struct ds_fleet *fleet = &feed->fleet;

    fleet->fresh = feed->health.ok && !feed->doubt_since_ms;
    fleet->known = feed->health.answered && feed->marks.tried;
    fleet->error[0] = '\0';
    fleet->deserted = ds_ledger_is_deserted(&feed->ledger);
    fleet->lists_any = ds_ledger_lists_any(&feed->ledger);
    if (feed->health.ok && feed->doubt_since_ms)
        snprintf(fleet->error, sizeof fleet->error,
                 "it answers and takes no writes, so it may be blind");
    else if (!feed->health.ok && feed->health.tried)
        memcpy(fleet->error, feed->health.err.text, sizeof fleet->error);
    else if (!feed->marks.ok && feed->marks.tried)
        memcpy(fleet->error, feed->marks.err.text, sizeof fleet->error);
}

static int consul_tick(struct ds_feed *base, int64_t now_ms)
{
    struct consul_feed *feed = (struct consul_feed *)base;
    struct ds_ledger *ledger = &feed->ledger;
    bool was_known = feed->fleet.known, was_fresh = feed->fleet.fresh, news;

    /* Nobody listed may mean that our token is no good any more: there may be a new one.
     */
    if (feed->fleet.deserted && now_ms >= feed->token_due_ms) {
        feed->token_due_ms = now_ms + TOKEN_LOOK_MS;
        if (ds_consul_refresh_token(feed->consul))
            ds_consul_poll_again(&feed->health, now_ms);
    }
    ds_consul_poll_tick(&feed->health, now_ms);
    ds_consul_poll_tick(&feed->marks, now_ms);
    if (!feed->health.ok)
        ds_ledger_lose(ledger, feed->health.lost_since_ms);
    else if (feed->doubt_since_ms)
        ds_ledger_lose(ledger, feed->doubt_since_ms);
    else
        ledger->reachable = ledger->answered;
    /* Who is disputed can change with time alone. */
    if (ledger->disputes_changed || now_ms >= feed->own_until_ms) {
        track_disputed(feed, now_ms);
        feed->own_until_ms = ledger->lost_since_ms + DS_LEDGER_UNREACHABLE_MS;
        if (ledger->reachable || feed->own_until_ms <= now_ms)
            feed->own_until_ms = INT64_MAX;
    }
    if (feed->own->ops->tick(feed->own, now_ms))
        ds_ledger_weigh(ledger, feed->own->ops->view(feed->own), now_ms);
    ds_ledger_tick(ledger, now_ms);
    describe_source(feed);
    news =
        ledger->news || feed->fleet.known != was_known || feed->fleet.fresh != was_fresh;
    ledger->news = false;
    if (news)
        rebuild_fleet(feed);
    return news;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t consul_next_ms(const struct ds_feed *base)
{
    const struct consul_feed *feed = (const struct consul_feed *)base;
    int64_t next = earlier(ds_consul_poll_next_ms(&feed->health),
                           ds_consul_poll_next_ms(&feed->marks));

    next = earlier(next, feed->own->ops->next_ms(feed->own));
    next = earlier(next, feed->own_until_ms);
    if (feed->fleet.deserted)
        next = earlier(next, feed->token_due_ms);
    return earlier(next, ds_ledger_next_ms(&feed->ledger, ds_clock_mono_ms()));
}

static void consul_doubt(struct ds_feed *base, int64_t since_ms)
{
    struct consul_feed *feed = (struct consul_feed *)base;

    if ((feed->doubt_since_ms != 0) != (since_ms != 0))
        feed->ledger.disputes_changed = true;
    feed->doubt_since_ms = since_ms;
}

static const struct ds_fleet *consul_view(const struct ds_feed *base)
{
    return &((const struct consul_feed *)base)->fleet;
}

static void consul_free(struct ds_feed *base)
{
    struct consul_feed *feed = (struct consul_feed *)base;

    ds_consul_poll_release(&feed->health);
    ds_consul_poll_release(&feed->marks);
    if (feed->own)
        feed->own->ops->free(feed->own);
    ds_consul_free(feed->consul);
    ds_ledger_release(&feed->ledger);
    free(feed->fleet.items);
    free(feed);
}

static const struct ds_feed_ops consul_ops = {
    .track = consul_track,
    .tick = consul_tick,
    .next_ms = consul_next_ms,
    .doubt = consul_doubt,
    .view = consul_view,
    .free = consul_free,
};

/* Our own checks have their own, shorter period: they are asked only when in doubt. */
static struct ds_feed *new_own(const struct ds_config *config, struct ds_http_loop *loop,
                               struct ds_error *err)
{
    struct ds_config own = *config; /* borrows every string */

    if (own.health_check.interval_ms > OWN_INTERVAL_MS)
        own.health_check.interval_ms = OWN_INTERVAL_MS;
    return ds_feed_probe_new(&own, loop, err);
}

struct ds_feed *ds_feed_consul_new(const struct ds_config *config,
                                   struct ds_http_loop *loop, struct ds_error *err)
{
    DS_AUTO(consul) struct ds_consul *consul = ds_consul_new(config, err);
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    DS_AUTO(buf) struct ds_buf key = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    struct ds_feed *own = consul ? new_own(config, loop, err) : NULL;
    struct consul_feed *feed;
    const char *service;

    if (!own)
        return NULL;
    service = ds_consul_service(consul);
    ds_buf_adds(&path, "/v1/health/service/");
    ds_url_encode(&path, service, strlen(service));
    ds_buf_adds(&key, "/v1/kv/");
    ds_consul_key(consul, "out/", &key);
    feed = ds_xcalloc(1, sizeof *feed);
    feed->feed.ops = &consul_ops;
    feed->consul = ds_steal(&consul);
    feed->own = own;
    ds_ledger_init(&feed->ledger, config->ring.shrink_hold_ms, ds_clock_mono_ms());
    feed->own_until_ms = INT64_MAX;
    feed->fleet.discovers = true;
    ds_consul_poll_init(&feed->health, feed->consul, loop, path.data,
                        config->consul_server.wait_ms, take_health, feed);
    ds_consul_poll_init(&feed->marks, feed->consul, loop, key.data,
                        config->consul_server.wait_ms, take_marks, feed);
    feed->marks.query = ds_xstrdup("keys");
    feed->marks.allow_404 = true;
    return &feed->feed;
}
