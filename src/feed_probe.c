/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed_probe.c - dshard's own health checks: GET of health_check.path on each server,
 * each interval, one in flight a server, none waits for another.
 *
 * Overload is not death: 429, and 500 with Pushgateway's "write queue is full", keep a
 * server up.  401, 403 and 404 are a wrong configuration and keep it up too, with the
 * reason shown.  A refused connection is tried again at once-and-a-bit (a restart in
 * between would be missed otherwise) and then needs no further confirmation.
 *
 * With few descriptors only so many checks are under way at once (slots.h), and who has
 * waited longest is the next.  Should one get no descriptor nevertheless, it is tried
 * again in a moment, and until then nobody else.
 */
#include "dshard/clock.h"
#include "dshard/discovery.h"
#include "dshard/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    REFUSED_RETRY_MS = 200,
    STARVED_MS = 50,
    SLOW_PART = 4, /* slow: a check that took this part of the timeout, or more */
    ANSWER_MAX = 64 * 1024,
};

struct probe {
    struct ds_server server;
    struct prober *owner;
    struct ds_http_transfer *transfer; /* NULL: none in flight */
    int64_t due_ms, started_ms;
    int64_t
        turn_ms; /* when it was due first, if it got no descriptor; INT64_MAX: not so */
    bool retry;  /* the last one was refused, this is the second look */
    bool slow;   /* the last one took long */
    struct ds_sighting sighting;
};

struct prober {
    struct ds_feed feed; /* first: a struct prober is a struct ds_feed */
    struct ds_http_loop *loop;
    char *scheme, *path, *username, *password;
    int64_t interval_ms, timeout_ms;
    struct probe **probes; /* sorted by address; each its own allocation: curl has them */
    size_t n;
    uint64_t seq; /* of all: who comes back counts on, and is not mistaken for the past */
    uint64_t fds_max; /* what this process may open */
    struct ds_slots slots;
    int64_t pause_until_ms; /* no check starts before: there are no descriptors */
    bool news;
    struct ds_fleet fleet;
};

static void probe_free(struct probe *probe)
{
    if (probe->transfer)
        ds_http_cancel(probe->transfer);
    free(probe);
}

static void prober_free(struct ds_feed *feed)
{
    struct prober *prober = (struct prober *)feed;

    for (size_t i = 0; i < prober->n; i++)
        probe_free(prober->probes[i]);
    free(prober->probes);
    free(prober->fleet.items);
    free(prober->scheme);
    free(prober->path);
    free(prober->username);
    ds_wipe(prober->password);
    free(prober);
}

/* ---- one answer ---- */

static enum ds_sight judge_status(const struct ds_http_response *response, char *why,
                                  size_t size)
{
    if (response->status >= 200 && response->status < 300) {
        why[0] = '\0';
        return DS_SIGHT_OK;
    }
    if (response->status == 429 ||
        (response->status == 500 && strstr(response->body.data, "write queue is full"))) {
        snprintf(why, size, "overloaded: %d", response->status);
        return DS_SIGHT_OK;
    }
    if (response->status == 401 || response->status == 403 || response->status == 404) {
        snprintf(why, size, "the health check is wrong: %d from the server (see %s)",
                 response->status,
                 response->status == 404 ? "health_check.path, pushgateway.route_prefix"
                                         : "pushgateway.username, password_file");
        return DS_SIGHT_OK;
    }
    snprintf(why, size, "health check: %d", response->status);
    return DS_SIGHT_FAIL;
}

/* Nothing was learnt about the server: it is us who could not ask. */
static bool is_our_fault(const struct ds_http_response *response)
{
    return !response->status && response->local;
}

static enum ds_sight judge(struct probe *probe, const struct ds_http_response *response)
{
    char *why = probe->sighting.why;
    size_t size = sizeof probe->sighting.why;

    if (response->status)
        return judge_status(response, why, size);
    if (response->refused) {
        snprintf(why, size, "connect: refused");
        return probe->retry ? DS_SIGHT_FINAL : DS_SIGHT_NONE;
    }
    if (response->timed_out)
        snprintf(why, size, "no answer within %lld ms",
                 (long long)probe->owner->timeout_ms);
    else
        snprintf(why, size, "%.*s", (int)size - 1, response->err.text);
    return DS_SIGHT_FAIL;
}

static void probe_done(void *arg, struct ds_http_response *response)
{
    struct probe *probe = arg;
    struct prober *prober = probe->owner;
    int64_t now_ms = ds_clock_mono_ms();
    enum ds_sight sight;

    probe->transfer = NULL;
    if (is_our_fault(response)) {
        probe->due_ms = prober->pause_until_ms = now_ms + STARVED_MS;
        return;
    }
    sight = judge(probe, response);
    probe->turn_ms = INT64_MAX;
    probe->slow = now_ms - probe->started_ms >= prober->timeout_ms / SLOW_PART;
    if (sight == DS_SIGHT_NONE) { /* refused once: look again before believing it */
        probe->retry = true;
        probe->due_ms = now_ms + REFUSED_RETRY_MS;
        return;
    }
    probe->retry = false;
    probe->due_ms = probe->started_ms + prober->interval_ms;
    probe->sighting.sight = sight;
    probe->sighting.seq = ++prober->seq;
    prober->news = true;
}

static void probe_start(struct probe *probe, int64_t now_ms)
{
    struct prober *prober = probe->owner;
    DS_AUTO(str)
    char *url =
        ds_xasprintf("%s://%s%s", prober->scheme, probe->server.address, prober->path);
    struct ds_http_request request = {
        .url = url,
        .username = prober->username,
        .password = prober->password,
        .fresh = true, /* a kept connection says nothing about accepting new ones */
        .timeout_ms = prober->timeout_ms,
        .body_max = ANSWER_MAX,
    };

    probe->started_ms = now_ms;
    probe->transfer = ds_http_start(prober->loop, &request, probe_done, probe);
}

/* ---- the feed ---- */

static void rebuild_fleet(struct prober *prober)
{
    prober->fleet.items =
        ds_xreallocarray(prober->fleet.items, prober->n, sizeof *prober->fleet.items);
    prober->fleet.n = prober->n;
    for (size_t i = 0; i < prober->n; i++)
        prober->fleet.items[i] = prober->probes[i]->sighting;
}

static struct probe *take_probe(struct prober *prober, const char *address)
{
    for (size_t i = 0; i < prober->n; i++) {
        if (prober->probes[i] && strcmp(prober->probes[i]->server.address, address) == 0)
            return ds_steal(&prober->probes[i]);
    }
    return NULL;
}

static void share_slots(struct prober *prober)
{
    size_t n = prober->n, wanted;
    bool names = false;

    for (size_t i = 0; i < n; i++)
        names = names || ds_address_is_name(prober->probes[i]->server.address);
    prober->slots = ds_slots_share(prober->fds_max, n, names);
    wanted = ds_slots_fds(n, names);
    prober->fleet.at_once = prober->slots.most;
    prober->fleet.fds_wanted = prober->slots.most < n ? wanted : 0;
}

static void prober_track(struct ds_feed *feed, const struct ds_standing *servers,
                         size_t n, int64_t now_ms)
{
    struct prober *prober = (struct prober *)feed;
    struct probe **probes = ds_xcalloc(n, sizeof *probes);

    for (size_t i = 0; i < n; i++) {
        probes[i] = take_probe(prober, servers[i].server.address);
        if (probes[i])
            continue;
        probes[i] = ds_xcalloc(1, sizeof **probes);
        probes[i]->server = servers[i].server;
        probes[i]->owner = prober;
        probes[i]->due_ms = now_ms;
        probes[i]->turn_ms = INT64_MAX;
        memcpy(probes[i]->sighting.address, servers[i].server.address, DS_ADDRESS_MAX);
    }
    for (size_t i = 0; i < prober->n; i++) {
        if (prober->probes[i])
            probe_free(prober->probes[i]);
    }
    free(prober->probes);
    prober->probes = probes;
    prober->n = n;
    share_slots(prober);
    rebuild_fleet(prober);
}

static int by_turn(const void *a, const void *b)
{
    const struct probe *x = *(struct probe *const *)a, *y = *(struct probe *const *)b;

    return (x->turn_ms > y->turn_ms) - (x->turn_ms < y->turn_ms);
}

/* How many checks are under way; slow: those that take long among them. */
static size_t count_under_way(const struct prober *prober, size_t *slow)
{
    size_t n = 0;

    *slow = 0;
    for (size_t i = 0; i < prober->n; i++) {
        n += prober->probes[i]->transfer != NULL;
        *slow += prober->probes[i]->transfer && prober->probes[i]->slow;
    }
    return n;
}

static bool has_slot(const struct prober *prober, const struct probe *probe, size_t n,
                     size_t n_slow)
{
    return n < prober->slots.most && (!probe->slow || n_slow < prober->slots.most_slow);
}

/* Whose check is due, in the order of their turns; their number. */
static size_t list_due(const struct prober *prober, struct probe **due, int64_t now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < prober->n; i++) {
        struct probe *probe = prober->probes[i];

        if (probe->transfer || now_ms < probe->due_ms)
            continue;
        if (probe->due_ms < probe->turn_ms)
            probe->turn_ms = probe->due_ms;
        due[n++] = probe;
    }
    qsort(due, n, sizeof(struct probe *), by_turn);
    return n;
}

/* Those that have waited longest come first: there may be no slot for the last. */
static void start_due(struct prober *prober, int64_t now_ms)
{
    DS_AUTO(ptr) void *list = NULL;
    struct probe **due;
    size_t n_due, n, n_slow;

    n = count_under_way(prober, &n_slow);
    if (now_ms < prober->pause_until_ms || n >= prober->slots.most)
        return;
    due = list = ds_xcalloc(prober->n, sizeof(struct probe *));
    n_due = list_due(prober, due, now_ms);
    for (size_t i = 0; i < n_due; i++) {
        if (!has_slot(prober, due[i], n, n_slow))
            continue;
        probe_start(due[i], now_ms);
        n++;
        n_slow += due[i]->slow;
    }
}

static int prober_tick(struct ds_feed *feed, int64_t now_ms)
{
    struct prober *prober = (struct prober *)feed;
    bool news = prober->news;

    start_due(prober, now_ms);
    prober->news = false;
    if (news)
        rebuild_fleet(prober);
    return news;
}

static int64_t prober_next_ms(const struct ds_feed *feed)
{
    const struct prober *prober = (const struct prober *)feed;
    int64_t next = INT64_MAX;
    size_t n, n_slow;

    if (prober->news)
        return 0;
    n = count_under_way(prober, &n_slow);
    for (size_t i = 0; i < prober->n; i++) {
        const struct probe *probe = prober->probes[i];

        /* Without a slot it can begin only when another one ends. */
        if (!probe->transfer && probe->due_ms < next &&
            has_slot(prober, probe, n, n_slow))
            next = probe->due_ms;
    }
    return next < prober->pause_until_ms ? prober->pause_until_ms : next;
}

static const struct ds_fleet *prober_view(const struct ds_feed *feed)
{
    return &((const struct prober *)feed)->fleet;
}

static const struct ds_feed_ops prober_ops = {
    .track = prober_track,
    .tick = prober_tick,
    .next_ms = prober_next_ms,
    .view = prober_view,
    .free = prober_free,
};

static uint64_t fds_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

struct ds_feed *ds_feed_probe_new(const struct ds_config *config,
                                  struct ds_http_loop *loop, struct ds_error *err)
{
    struct prober *prober = NULL;
    char *password;

    if (ds_config_read_password(config, &password, err) < 0)
        return NULL;
    prober = ds_xcalloc(1, sizeof *prober);
    prober->feed.ops = &prober_ops;
    prober->loop = loop;
    prober->fds_max = fds_max();
    prober->scheme = ds_xstrdup(config->pushgateway.scheme);
    prober->path =
        ds_xasprintf("%s%s", config->pushgateway.route_prefix, config->health_check.path);
    ds_set_str(&prober->username, config->pushgateway.username);
    prober->password = password;
    prober->interval_ms = config->health_check.interval_ms;
    prober->timeout_ms = config->health_check.timeout_ms;
    return &prober->feed;
}
