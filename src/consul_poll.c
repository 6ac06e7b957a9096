/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_poll.h */
#include "dshard/consul_poll.h"
#include "dshard/clock.h"
#include "dshard/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 5000, /* or its return would be noticed too late */
    BACKOFF_LEAST_MS = 50,
    REFUSED_MS = 30000, /* 4xx: our own fault, asking again changes little */
    TOKEN_LOOK_MS = 1000,
    BUSY_MS = 15000, /* 429, 503 */
    BUSY_MAX_MS = 120000,
    ANSWER_EXTRA_MS = 15000, /* a server may hold a request for want of a leader */
};

void ds_consul_poll_init(struct ds_consul_poll *poll, struct ds_consul *consul,
                         struct ds_http_loop *loop, const char *path, int64_t wait_ms,
                         ds_consul_take_fn *take, void *arg)
{
    *poll = (struct ds_consul_poll){
        .consul = consul,
        .loop = loop,
        .path = ds_xstrdup(path),
        .wait_ms = wait_ms,
        .take = take,
        .arg = arg,
        .lost_since_ms = ds_clock_mono_ms(),
    };
}

void ds_consul_poll_release(struct ds_consul_poll *poll)
{
    if (poll->transfer)
        ds_http_cancel(poll->transfer);
    free(poll->path);
    free(poll->query);
    *poll = (struct ds_consul_poll){0};
}

/* ---- waiting ---- */

static int64_t random_up_to(int64_t max)
{
    uint32_t random = 0;

    ds_ignore(getrandom(&random, sizeof random, GRND_NONBLOCK) < 0); /* 0 is fine too */
    return (int64_t)(random % (uint32_t)(max + 1));
}

static int64_t retry_after_ms(const struct ds_http_response *response)
{
    DS_AUTO(str) char *text = ds_http_header(response, "Retry-After");
    struct ds_error ignored = DS_ERROR_INIT;
    uint64_t seconds;

    if (!text || ds_num_parse(text, 1, BUSY_MAX_MS / 1000, &seconds, &ignored) < 0)
        return 0;
    return (int64_t)seconds * 1000;
}

int64_t ds_consul_backoff_ms(const struct ds_http_response *response, unsigned failures)
{
    int64_t most = BACKOFF_FIRST_MS;

    if (response->status == 429 || response->status == 503) {
        int64_t told = retry_after_ms(response);

        return told ? told : BUSY_MS + random_up_to(BUSY_MS / 4);
    }
    if (response->status >= 400 && response->status < 500)
        return REFUSED_MS + random_up_to(REFUSED_MS / 4);
    for (unsigned i = 1; i < failures && most < BACKOFF_MAX_MS; i++)
        most *= 2;
    most = most < BACKOFF_MAX_MS ? most : BACKOFF_MAX_MS;
    return BACKOFF_LEAST_MS + random_up_to(most - BACKOFF_LEAST_MS);
}

/* A fresh Consul answers a query for a service that it does not have at every write. */
static int64_t not_before_ms(struct ds_consul_poll *poll, int64_t now_ms)
{
    int64_t oldest = poll->recent_ms[DS_CONSUL_POLL_BURST - 1];

    memmove(poll->recent_ms + 1, poll->recent_ms,
            sizeof poll->recent_ms - sizeof poll->recent_ms[0]);
    poll->recent_ms[0] = now_ms;
    return oldest && now_ms - oldest < 1000 ? oldest + 1000 : now_ms;
}

/* ---- asking ---- */

/* Whether the token file has one that was not sent yet; others may have read it. */
static bool has_new_token(struct ds_consul_poll *poll, int64_t now_ms)
{
    poll->look_ms = now_ms + TOKEN_LOOK_MS;
    ds_ignore(ds_consul_refresh_token(poll->consul));
    return ds_consul_token_version(poll->consul) != poll->token_version;
}

static void fail(struct ds_consul_poll *poll, const struct ds_http_response *response,
                 const struct ds_error *err, int64_t now_ms)
{
    poll->refused = response->status == 403;
    if (poll->refused && has_new_token(poll, now_ms)) {
        poll->due_ms = now_ms;
        return;
    }
    if (poll->ok || !poll->tried)
        poll->lost_since_ms = now_ms;
    poll->ok = false;
    poll->tried = true;
    poll->err = *err;
    poll->index = 0;
    poll->failures++;
    poll->due_ms = now_ms + ds_consul_backoff_ms(response, poll->failures);
}

static void advance(struct ds_consul_poll *poll, uint64_t index, int64_t now_ms)
{
    bool early = now_ms - poll->started_ms < poll->wait_ms / 10 * 9;

    poll->due_ms = not_before_ms(poll, now_ms);
    if (poll->index && (index < poll->index || (index == poll->index && early)))
        poll->index = 0;
    else
        poll->index = index;
}

static void done(void *arg, struct ds_http_response *response)
{
    struct ds_consul_poll *poll = arg;
    struct ds_consul_call call = {.path = poll->path, .query = poll->query};
    int64_t now_ms = ds_clock_mono_ms();
    uint64_t index = ds_consul_index(response);
    struct ds_error err = DS_ERROR_INIT;

    poll->transfer = NULL;
    if (ds_consul_judge(poll->consul, &call,
                        poll->allow_404 ? DS_CONSUL_ALLOW_404 : DS_CONSUL_ALLOW_NONE,
                        response, &err) < 0) {
        fail(poll, response, &err, now_ms);
        return;
    }
    if (!index)
        ds_fail(&err, DS_E_FORMAT, "GET %s%s: no X-Consul-Index: is it Consul?",
                ds_consul_url(poll->consul), poll->path);
    else if (poll->take(poll->arg, response, &err) < 0)
        ds_wrap(&err, "GET %s%s", ds_consul_url(poll->consul), poll->path);
    if (err.code != DS_OK) {
        fail(poll, response, &err, now_ms);
        return;
    }
    poll->ok = poll->tried = poll->answered = true;
    poll->refused = false;
    poll->failures = 0;
    advance(poll, index, now_ms);
}

static void start(struct ds_consul_poll *poll, int64_t now_ms)
{
    DS_AUTO(buf) struct ds_buf query = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    struct ds_consul_call call = {
        .path = poll->path,
        .timeout_ms = poll->wait_ms + poll->wait_ms / 16 + ANSWER_EXTRA_MS,
    };

    if (poll->query)
        ds_buf_adds(&query, poll->query);
    if (poll->index)
        ds_buf_addf(&query, "%sindex=%" PRIu64 "&wait=%" PRId64 "ms",
                    query.len ? "&" : "", poll->index, poll->wait_ms);
    else
        call.timeout_ms = DS_CONSUL_TIMEOUT_MS;
    call.query = query.len ? query.data : NULL;
    poll->started_ms = now_ms;
    poll->token_version = ds_consul_token_version(poll->consul);
    poll->transfer = ds_consul_start(poll->consul, poll->loop, &call, done, poll);
}

void ds_consul_poll_tick(struct ds_consul_poll *poll, int64_t now_ms)
{
    if (poll->transfer)
        return;
    if (poll->refused && now_ms >= poll->look_ms && has_new_token(poll, now_ms))
        poll->due_ms = now_ms;
    if (now_ms >= poll->due_ms)
        start(poll, now_ms);
}

int64_t ds_consul_poll_next_ms(const struct ds_consul_poll *poll)
{
    if (poll->transfer)
        return INT64_MAX;
    return poll->refused && poll->look_ms < poll->due_ms ? poll->look_ms : poll->due_ms;
}

void ds_consul_poll_again(struct ds_consul_poll *poll, int64_t now_ms)
{
    if (poll->transfer)
        ds_http_cancel(poll->transfer);
    poll->transfer = NULL;
    poll->index = 0;
    poll->due_ms = now_ms;
}
