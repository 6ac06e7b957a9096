/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed_consul.c - what Consul says about the servers, and dshard's own checks for what it
 * leaves open.
 *
 * Consul's checks are believed when they have run.  Where Consul only lost sight of a
 * server (its agent died or was restarted, most of the fleet vanished, Consul itself is
 * gone), silence takes nobody out: a check of our own must fail too.  And no check of our
 * own brings anybody back.
 */
#include "dshard/clock.h"
#include "dshard/consul_health.h"
#include "dshard/consul_poll.h"
#include "dshard/discovery.h"
#include "dshard/url.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    VANISH_SETTLE_MS = 1000,  /* how long several that vanish count as one event */
    VANISH_WINDOW_MS = 30000, /* "the members of 30 s ago" */
    UNPROBED_HOLD_MS =
        30000,              /* then our own check of a newcomer is as good as Consul's */
    UNREACHABLE_MS = 10000, /* then refused connections count */
    OWN_INTERVAL_MS = 1000,
    OWN_FALL = 2,
};

/* What Consul's last word about a server was. */
enum word { WORD_NONE, WORD_CHECKED, WORD_UNPROBED, WORD_AGENT_LOST, WORD_VANISHED };

struct known {
    struct ds_sighting sighting;
    enum word word;
    bool listed;    /* in the last answer */
    bool was_there; /* in an earlier one, or a member when we started */
    bool tracked;   /* watch knows it */
    bool drained, out;
    bool mass;             /* it vanished with most of the others */
    int64_t word_since_ms; /* monotonic */
    uint64_t own_seq;      /* our own check's evidence that has been weighed */
    unsigned own_fails;
};

struct consul_feed {
    struct ds_feed feed; /* first: a struct consul_feed is a struct ds_feed */
    struct ds_consul *consul;
    struct ds_feed *own; /* our own checks of the disputed */
    struct ds_consul_poll health, marks;
    int64_t shrink_hold_ms;
    struct known *known; /* sorted by address */
    size_t n;
    bool own_changed; /* who is disputed has changed */
    bool news;
    int64_t own_until_ms; /* when the next word grows old; INT64_MAX: none */
    struct ds_fleet fleet;
};

static struct known *find(const struct consul_feed *feed, const char *address)
{
    size_t low = 0, high = feed->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(address, feed->known[middle].sighting.address);

        if (!order)
            return &feed->known[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static struct known *find_or_add(struct consul_feed *feed, const char *address)
{
    struct known *known = find(feed, address);
    size_t at = 0;

    if (known)
        return known;
    while (at < feed->n && strcmp(feed->known[at].sighting.address, address) < 0)
        at++;
    feed->known = ds_xreallocarray(feed->known, feed->n + 1, sizeof *feed->known);
    known = &feed->known[at];
    memmove(known + 1, known, (feed->n - at) * sizeof *known);
    feed->n++;
    *known = (struct known){.sighting.weight = 1};
    memcpy(known->sighting.address, address, strlen(address) + 1);
    return known;
}

static void set_word(struct consul_feed *feed, struct known *known, enum word word,
                     int64_t now_ms)
{
    if (known->word == word)
        return;
    known->word = word;
    known->word_since_ms = now_ms;
    known->own_fails = 0;
    known->own_seq = 0;
    known->mass = false;
    feed->own_changed = true;
}

static void set_evidence(struct consul_feed *feed, struct known *known,
                         enum ds_sight sight, const char *why)
{
    known->sighting.sight = sight;
    known->sighting.seq++;
    snprintf(known->sighting.why, sizeof known->sighting.why, "%.*s", DS_WHY_MAX - 1,
             why);
    feed->news = true;
}

/* ---- Consul's answers ---- */

static void take_instance(struct consul_feed *feed,
                          const struct ds_consul_instance *instance, int64_t now_ms)
{
    struct known *known = find_or_add(feed, instance->server.address);

    known->listed = known->was_there = true;
    known->drained = instance->drained;
    known->sighting.weight = instance->server.weight;
    switch (instance->kind) {
    case DS_CONSUL_PASSING:
        set_word(feed, known, WORD_CHECKED, now_ms);
        set_evidence(feed, known, DS_SIGHT_OK, instance->why);
        return;
    case DS_CONSUL_FAILING:
        set_word(feed, known, WORD_CHECKED, now_ms);
        set_evidence(feed, known, DS_SIGHT_FAIL, instance->why);
        return;
    case DS_CONSUL_UNPROBED:
        set_word(feed, known, WORD_UNPROBED, now_ms);
        return;
    case DS_CONSUL_AGENT_LOST:
        set_word(feed, known, WORD_AGENT_LOST, now_ms);
        return;
    }
}

/* More than half of those who were there within the window are gone, and nobody took them
   out: that is Consul's loss, not theirs. */
static void judge_vanished(struct consul_feed *feed, int64_t now_ms)
{
    size_t there = 0, gone = 0;

    for (size_t i = 0; i < feed->n; i++) {
        const struct known *known = &feed->known[i];
        bool recent = known->word == WORD_VANISHED && !known->out &&
                      (known->mass || now_ms - known->word_since_ms <= VANISH_WINDOW_MS);

        gone += recent;
        there += recent || known->listed;
    }
    if (gone * 2 <= there)
        return;
    for (size_t i = 0; i < feed->n; i++) {
        struct known *known = &feed->known[i];

        /* Who has been let go by then is not called back. */
        if (known->word != WORD_VANISHED || known->mass ||
            now_ms - known->word_since_ms > VANISH_SETTLE_MS)
            continue;
        known->mass = true;
        feed->own_changed = true;
    }
}

static void take_absent(struct consul_feed *feed, int64_t now_ms)
{
    for (size_t i = 0; i < feed->n; i++) {
        struct known *known = &feed->known[i];

        if (known->listed)
            continue;
        if (known->was_there) {
            set_word(feed, known, WORD_VANISHED, now_ms);
        } else {
            set_word(feed, known, WORD_CHECKED, now_ms);
            set_evidence(feed, known, DS_SIGHT_FAIL, "not registered in Consul");
        }
    }
    judge_vanished(feed, now_ms);
}

static int take_health(void *arg, const struct ds_http_response *response,
                       struct ds_error *err)
{
    struct consul_feed *feed = arg;
    DS_AUTO(consul_view) struct ds_consul_view view = {0};
    int64_t now_ms = ds_clock_mono_ms();

    if (ds_consul_view_parse(&view, response->body.data, response->body.len, err) < 0)
        return -1;
    for (size_t i = 0; i < feed->n; i++)
        feed->known[i].listed = feed->known[i].drained = false;
    for (size_t i = 0; i < view.n; i++)
        take_instance(feed, &view.items[i], now_ms);
    take_absent(feed, now_ms);
    feed->news = feed->own_changed = true;
    return 0;
}

static int take_mark(struct consul_feed *feed, const char *key)
{
    const char *slash = key ? strrchr(key, '/') : NULL;
    struct ds_error ignored = DS_ERROR_INIT;
    char address[DS_ADDRESS_MAX];

    if (!slash || ds_address_parse(address, slash + 1, 0, &ignored) < 0)
        return -1;
    find_or_add(feed, address)->out = true;
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
    for (size_t i = 0; i < feed->n; i++)
        feed->known[i].out = false;
    for (size_t i = 0; i < json_array_size(keys);
         i++) /* other keys are not ours to judge */
        ds_ignore(take_mark(feed, json_string_value(json_array_get(keys, i))) < 0);
    json_decref(keys);
    feed->news = feed->own_changed = true;
    return 0;
}

/* ---- our own checks ---- */

static bool is_unreachable(const struct consul_feed *feed, int64_t now_ms)
{
    return !feed->health.ok && now_ms - feed->health.lost_since_ms >= UNREACHABLE_MS;
}

static bool is_disputed(const struct consul_feed *feed, const struct known *known,
                        int64_t now_ms)
{
    if (known->out)
        return false;
    if (known->word == WORD_UNPROBED || known->word == WORD_AGENT_LOST)
        return true;
    if (known->word == WORD_VANISHED)
        return known->mass;
    return is_unreachable(feed, now_ms) && known->was_there;
}

static void track_disputed(struct consul_feed *feed, int64_t now_ms)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(feed->n, sizeof(struct ds_standing));
    struct ds_standing *disputed = list;
    size_t n = 0;

    feed->own_changed = false;
    for (size_t i = 0; i < feed->n; i++) {
        const struct known *known = &feed->known[i];

        if (!is_disputed(feed, known, now_ms))
            continue;
        memcpy(disputed[n++].server.address, known->sighting.address, DS_ADDRESS_MAX);
    }
    feed->own->ops->track(feed->own, disputed, n, now_ms);
}

static const char *word_text(const struct consul_feed *feed, const struct known *known)
{
    if (!feed->health.ok)
        return "Consul cannot be reached";
    switch (known->word) {
    case WORD_UNPROBED:
        return "Consul has not checked it since its agent started";
    case WORD_AGENT_LOST:
        return "its Consul agent is lost";
    case WORD_VANISHED:
        return "it vanished from Consul";
    case WORD_NONE:
    case WORD_CHECKED:
        break;
    }
    return "Consul cannot be reached";
}

static void weigh_own(struct consul_feed *feed, struct known *known,
                      const struct ds_sighting *own, int64_t now_ms)
{
    bool final = own->sight == DS_SIGHT_FINAL;
    char why[DS_WHY_MAX];

    if (own->sight == DS_SIGHT_OK) {
        bool newcomer = known->word == WORD_UNPROBED &&
                        now_ms - known->word_since_ms < UNPROBED_HOLD_MS;

        known->own_fails = 0;
        if (!newcomer && feed->health.ok)
            set_evidence(feed, known, DS_SIGHT_ALIVE, word_text(feed, known));
        return;
    }
    known->own_fails++;
    if (!feed->health.ok && known->word == WORD_CHECKED && !final)
        return; /* without Consul only a refused connection counts */
    if (!final && known->own_fails < OWN_FALL)
        return;
    if (known->word == WORD_VANISHED &&
        now_ms - known->word_since_ms < feed->shrink_hold_ms)
        return;
    snprintf(why, sizeof why, "%.60s, and our own check: %.110s", word_text(feed, known),
             own->why);
    if (known->word == WORD_VANISHED)
        known->was_there = false; /* nobody speaks for it any more */
    set_evidence(feed, known, DS_SIGHT_FINAL, why);
}

static void take_own(struct consul_feed *feed, int64_t now_ms)
{
    const struct ds_fleet *fleet = feed->own->ops->view(feed->own);

    for (size_t i = 0; i < fleet->n; i++) {
        const struct ds_sighting *own = &fleet->items[i];
        struct known *known = find(feed, own->address);

        if (!known || !is_disputed(feed, known, now_ms) || own->seq == known->own_seq)
            continue;
        known->own_seq = own->seq;
        weigh_own(feed, known, own, now_ms);
    }
}

/* One or a few that are gone while the others are there were deregistered. */
static void release_vanished(struct consul_feed *feed, int64_t now_ms)
{
    for (size_t i = 0; i < feed->n; i++) {
        struct known *known = &feed->known[i];

        if (known->word != WORD_VANISHED || known->mass || !known->was_there)
            continue;
        if (now_ms - known->word_since_ms < VANISH_SETTLE_MS)
            continue;
        known->was_there = false;
        set_evidence(feed, known, DS_SIGHT_FAIL, "no longer registered in Consul");
    }
}

/* ---- the feed ---- */

static void rebuild_fleet(struct consul_feed *feed)
{
    feed->fleet.items =
        ds_xreallocarray(feed->fleet.items, feed->n, sizeof *feed->fleet.items);
    feed->fleet.n = feed->n;
    for (size_t i = 0; i < feed->n; i++) {
        struct known *known = &feed->known[i];

        known->sighting.listed = known->listed || known->was_there;
        known->sighting.intent = known->out       ? DS_INTENT_OUT
                                 : known->drained ? DS_INTENT_DRAINING
                                                  : DS_INTENT_IN;
        feed->fleet.items[i] = known->sighting;
    }
}

static void forget_unknown(struct consul_feed *feed)
{
    size_t kept = 0;

    for (size_t i = 0; i < feed->n; i++) {
        const struct known *known = &feed->known[i];

        if (known->tracked || known->listed || known->was_there || known->out)
            feed->known[kept++] = *known;
    }
    feed->n = kept;
}

static void consul_track(struct ds_feed *base, const struct ds_standing *servers,
                         size_t n, int64_t now_ms)
{
    struct consul_feed *feed = (struct consul_feed *)base;

    for (size_t i = 0; i < feed->n; i++)
        feed->known[i].tracked = false;
    for (size_t i = 0; i < n; i++) {
        bool is_new = !find(feed, servers[i].server.address);
        struct known *known = find_or_add(feed, servers[i].server.address);

        known->tracked = true;
        if (!is_new)
            continue;
        known->was_there = servers[i].member;
        known->sighting.weight = servers[i].server.weight;
        known->out = servers[i].intent == DS_INTENT_OUT && !feed->marks.answered;
        known->drained = servers[i].intent == DS_INTENT_DRAINING;
    }
    forget_unknown(feed);
    if (feed->health.answered)
        take_absent(feed, now_ms);
    feed->own_changed = true;
    rebuild_fleet(feed);
}

static void describe_source(struct consul_feed *feed)
{
    struct ds_fleet *fleet = &feed->fleet;

    fleet->fresh = feed->health.ok;
    fleet->known = feed->health.answered && feed->marks.tried;
    fleet->error[0] = '\0';
    if (!feed->health.ok && feed->health.tried)
        memcpy(fleet->error, feed->health.err.text, sizeof fleet->error);
    else if (!feed->marks.ok && feed->marks.tried)
        memcpy(fleet->error, feed->marks.err.text, sizeof fleet->error);
}

static int consul_tick(struct ds_feed *base, int64_t now_ms)
{
    struct consul_feed *feed = (struct consul_feed *)base;
    bool was_fresh = feed->fleet.fresh, was_known = feed->fleet.known, news;

    ds_consul_poll_tick(&feed->health, now_ms);
    ds_consul_poll_tick(&feed->marks, now_ms);
    /* Who is disputed can change with time alone. */
    if (feed->own_changed || now_ms >= feed->own_until_ms) {
        track_disputed(feed, now_ms);
        feed->own_until_ms = feed->health.ok || is_unreachable(feed, now_ms)
                                 ? INT64_MAX
                                 : feed->health.lost_since_ms + UNREACHABLE_MS;
    }
    if (feed->own->ops->tick(feed->own, now_ms))
        take_own(feed, now_ms);
    release_vanished(feed, now_ms);
    describe_source(feed);
    news = feed->news || feed->fleet.fresh != was_fresh || feed->fleet.known != was_known;
    if (was_fresh && !feed->fleet.fresh)
        feed->own_changed = true;
    feed->news = false;
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

    if (feed->news || feed->own_changed)
        return 0;
    next = earlier(next, feed->own->ops->next_ms(feed->own));
    next = earlier(next, feed->own_until_ms);
    for (size_t i = 0; i < feed->n; i++) {
        const struct known *known = &feed->known[i];

        if (known->word == WORD_VANISHED && !known->mass && known->was_there)
            next = earlier(next, known->word_since_ms + VANISH_SETTLE_MS);
    }
    return next;
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
    free(feed->known);
    free(feed->fleet.items);
    free(feed);
}

static const struct ds_feed_ops consul_ops = {
    .track = consul_track,
    .tick = consul_tick,
    .next_ms = consul_next_ms,
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
    feed->shrink_hold_ms = config->ring.shrink_hold_ms;
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
