/* SPDX-License-Identifier: Apache-2.0 */
/* see restarts.h */
#include "dshard/restarts.h"
#include "dshard/clock.h"
#include "dshard/pushgateway.h"

#include <stdlib.h>

enum { ANSWER_MAX = 1024 * 1024 };

/* One server.  It has its own allocation: a transfer in flight points to it. */
struct line {
    char address[DS_ADDRESS_MAX];
    struct ds_http_transfer *transfer; /* NULL: none in flight */
    int64_t due_ms;
    int64_t started_us; /* its clock; 0: not known yet */
    bool restarted;     /* and nobody has been told */
};

struct ds_restarts {
    struct ds_http_loop *loop; /* borrowed */
    char *scheme, *prefix, *username, *password;
    int64_t timeout_ms;
    struct line **lines; /* sorted by address */
    size_t n;
    size_t at; /* whose turn it is to be asked first */
};

static void line_free(struct line *line)
{
    if (line->transfer)
        ds_http_cancel(line->transfer);
    free(line);
}

void ds_restarts_free(struct ds_restarts *restarts)
{
    if (!restarts)
        return;
    for (size_t i = 0; i < restarts->n; i++)
        line_free(restarts->lines[i]);
    free(restarts->lines);
    free(restarts->scheme);
    free(restarts->prefix);
    free(restarts->username);
    ds_wipe(restarts->password);
    free(restarts);
}

struct ds_restarts *ds_restarts_new(const struct ds_config *config,
                                    struct ds_http_loop *loop, struct ds_error *err)
{
    struct ds_restarts *restarts;
    char *password;

    if (ds_config_read_password(config, &password, err) < 0)
        return NULL;
    restarts = ds_xcalloc(1, sizeof *restarts);
    restarts->loop = loop;
    restarts->scheme = ds_xstrdup(config->pushgateway.scheme);
    restarts->prefix = ds_xstrdup(config->pushgateway.route_prefix);
    ds_set_str(&restarts->username, config->pushgateway.username);
    restarts->password = password;
    restarts->timeout_ms = config->health_check.timeout_ms;
    return restarts;
}

/* ---- which servers ---- */

static bool is_asked(const struct ds_standing *standing)
{
    return (standing->intent == DS_INTENT_IN || standing->intent == DS_INTENT_DRAINING) &&
           (standing->health.state == DS_HEALTH_UP ||
            standing->health.state == DS_HEALTH_HELD);
}

static struct line *line_new(const char *address, int64_t now_ms)
{
    struct line *line = ds_xcalloc(1, sizeof *line);

    memcpy(line->address, address, DS_ADDRESS_MAX);
    line->due_ms = now_ms;
    return line;
}

static void track(struct ds_restarts *restarts, const struct ds_state *state,
                  int64_t now_ms)
{
    DS_AUTO(ptr) void *list = ds_xcalloc(state->n_servers, sizeof(struct line *));
    struct line **lines = list;
    size_t at = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        const char *address = state->servers[i].server.address;

        while (at < restarts->n && strcmp(restarts->lines[at]->address, address) < 0)
            line_free(restarts->lines[at++]);
        lines[i] = at < restarts->n && strcmp(restarts->lines[at]->address, address) == 0
                       ? restarts->lines[at++]
                       : line_new(address, now_ms);
    }
    while (at < restarts->n)
        line_free(restarts->lines[at++]);
    free(restarts->lines);
    restarts->lines = ds_steal(&list);
    restarts->n = state->n_servers;
}

static bool is_tracked(const struct ds_restarts *restarts, const struct ds_state *state)
{
    for (size_t i = 0; i < state->n_servers; i++) {
        if (i >= restarts->n ||
            strcmp(restarts->lines[i]->address, state->servers[i].server.address) != 0)
            return false;
    }
    return restarts->n == state->n_servers;
}

/* ---- asking ---- */

/* What cannot be read says nothing: health checks and passes complain about it. */
static void take_status(void *arg, struct ds_http_response *response)
{
    struct line *line = arg;
    struct ds_pushgateway_status status;
    struct ds_error ignored = DS_ERROR_INIT;

    line->transfer = NULL;
    if (response->status != 200 ||
        ds_pushgateway_parse_status(response->body.data, response->body.len, &status,
                                    &ignored) < 0)
        return;
    line->restarted =
        line->restarted || (line->started_us && line->started_us != status.started_us);
    line->started_us = status.started_us;
}

static void ask(const struct ds_restarts *restarts, struct line *line)
{
    DS_AUTO(str)
    char *url = ds_xasprintf("%s://%s%s/api/v1/status", restarts->scheme, line->address,
                             restarts->prefix);
    struct ds_http_request request = {
        .url = url,
        .username = restarts->username,
        .password = restarts->password,
        .fresh = true, /* who counts a server's connections must not find ours */
        .timeout_ms = restarts->timeout_ms,
        .body_max = ANSWER_MAX,
    };

    line->transfer = ds_http_start(restarts->loop, &request, take_status, line);
}

static size_t count_under_way(const struct ds_restarts *restarts)
{
    size_t n = 0;

    for (size_t i = 0; i < restarts->n; i++)
        n += restarts->lines[i]->transfer != NULL;
    return n;
}

/* Asks whose turn it is, from where it stopped the last time. */
static void ask_due(struct ds_restarts *restarts, const struct ds_state *state,
                    int64_t now_ms)
{
    size_t n = count_under_way(restarts), first = restarts->at;

    for (size_t i = 0; i < restarts->n && n < DS_RESTARTS_AT_ONCE; i++) {
        size_t at = (first + i) % restarts->n;
        struct line *line = restarts->lines[at];

        restarts->at = (at + 1) % restarts->n;
        if (line->transfer || now_ms < line->due_ms)
            continue;
        line->due_ms = now_ms + DS_RESTARTS_INTERVAL_MS;
        if (!is_asked(&state->servers[at]))
            continue;
        ask(restarts, line);
        n++;
    }
}

void ds_restarts_tick(struct ds_restarts *restarts, const struct ds_state *state,
                      int64_t now_ms)
{
    if (!is_tracked(restarts, state))
        track(restarts, state, now_ms);
    for (size_t i = 0; i < restarts->n; i++) {
        if (state->servers[i].health.state == DS_HEALTH_DOWN)
            restarts->lines[i]->started_us = 0; /* its return is known without us */
    }
    ask_due(restarts, state, now_ms);
}

const char *ds_restarts_take(struct ds_restarts *restarts)
{
    for (size_t i = 0; i < restarts->n; i++) {
        if (!restarts->lines[i]->restarted)
            continue;
        restarts->lines[i]->restarted = false;
        return restarts->lines[i]->address;
    }
    return NULL;
}

int64_t ds_restarts_next_ms(const struct ds_restarts *restarts)
{
    bool is_full = count_under_way(restarts) >= DS_RESTARTS_AT_ONCE;
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < restarts->n; i++) {
        const struct line *line = restarts->lines[i];

        if (line->restarted)
            return 0;
        if (!is_full && !line->transfer && line->due_ms < next)
            next = line->due_ms;
    }
    return next;
}
