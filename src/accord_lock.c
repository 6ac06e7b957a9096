/* SPDX-License-Identifier: Apache-2.0 */
/* accord_lock.c - the session, and the lock that it may hold. */
#include "accord_impl.h"
#include "dshard/clock.h"
#include "dshard/consul_session.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RENEW_MS = DS_SESSION_TTL_MS / 2,
    CALL_TIMEOUT_MS = 8000,
    BODY_MAX = 1024,
    WORDS_MAX = 200,
    UNFIT_MS = 10000, /* then the lock is given back */
};

/* ---- what all calls share ---- */

void ds_errand_start(struct ds_errand *errand, const struct ds_consul_call *call,
                     ds_http_done_fn *done)
{
    struct ds_accord *accord = errand->accord;
    struct ds_consul_call timed = *call;

    timed.timeout_ms = CALL_TIMEOUT_MS;
    free(errand->what);
    errand->what = ds_xasprintf("%s %s", call->method ? call->method : "GET", call->path);
    errand->transfer =
        ds_consul_start(accord->consul, accord->loop, &timed, done, errand);
}

/* 409 is how a race ends, 404 how a session does: both are met and not told. */
static void note(struct ds_errand *errand, const struct ds_http_response *response,
                 bool ok)
{
    struct ds_accord *accord = errand->accord;
    int len = (int)strcspn(response->body.data, "\r\n");

    if (ok || response->status == 404 || response->status == 409) {
        accord->fails_for_now = false;
        accord->error[0] = '\0';
        return;
    }
    accord->fails_for_now =
        !response->status || response->status == 429 || response->status >= 500;
    if (!response->status)
        snprintf(accord->error, sizeof accord->error, "%s", response->err.text);
    else
        snprintf(accord->error, sizeof accord->error, "%s: %d: %.*s", errand->what,
                 response->status, len < WORDS_MAX ? len : WORDS_MAX,
                 response->body.data);
}

bool ds_errand_succeeded(struct ds_errand *errand,
                         const struct ds_http_response *response, int64_t again_ms)
{
    bool ok = response->status >= 200 && response->status < 300;
    int64_t now_ms = ds_clock_mono_ms();

    errand->transfer = NULL;
    errand->failures = ok ? 0 : errand->failures + 1;
    note(errand, response, ok);
    errand->due_ms =
        now_ms + (ok ? again_ms : ds_consul_backoff_ms(response, errand->failures));
    return ok;
}

static void set_holder(struct ds_accord *accord, const char *holder)
{
    ds_set_str(&accord->holder, holder);
    accord->news = true;
}

bool ds_accord_is_held(const struct ds_accord *accord)
{
    return accord->session && accord->holder &&
           strcmp(accord->session, accord->holder) == 0;
}

static void lose_session(struct ds_accord *accord)
{
    if (ds_accord_is_held(accord))
        set_holder(accord, NULL);
    free(accord->session);
    accord->session = NULL;
    accord->frontend_due = true;
    accord->renewal.due_ms = ds_clock_mono_ms();
}

/* ---- the session ---- */

static void created(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;
    struct ds_accord *accord = errand->accord;
    char *id;

    if (!ds_errand_succeeded(errand, response, RENEW_MS))
        return;
    id = ds_consul_session_id(response);
    if (!id)
        return;
    free(accord->session);
    accord->session = id;
    accord->session_ok_ms = ds_clock_mono_ms();
    accord->lock.due_ms = accord->frontend.due_ms = accord->session_ok_ms;
    accord->frontend_due = true;
}

static void renewed(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;

    if (ds_errand_succeeded(errand, response, RENEW_MS)) {
        errand->accord->session_ok_ms = ds_clock_mono_ms();
        return;
    }
    if (response->status == 404) /* it has ended without us */
        lose_session(errand->accord);
}

void ds_accord_tend_session(struct ds_accord *accord, int64_t now_ms)
{
    struct ds_consul_call call = {.method = "PUT"};
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(BODY_MAX);
    DS_AUTO(str) char *path = NULL;

    /* Consul may have ended it by now: act as if it had. */
    if (accord->session && now_ms - accord->session_ok_ms >= 2 * DS_SESSION_TTL_MS)
        lose_session(accord);
    if (accord->renewal.transfer || now_ms < accord->renewal.due_ms)
        return;
    if (accord->session) {
        call.path = path = ds_xasprintf("/v1/session/renew/%s", accord->session);
        ds_errand_start(&accord->renewal, &call, renewed);
        return;
    }
    ds_consul_session_body(DS_SESSION_ENDS_WITH_AGENT, &body);
    call.path = "/v1/session/create";
    call.body = body.data;
    ds_errand_start(&accord->renewal, &call, created);
}

/* ---- the lock ---- */

/* Reading tells who holds it; asking for it is a write, so that is done only when it is
   free. */
int ds_accord_take_lock(void *arg, const struct ds_http_response *response,
                        struct ds_error *err)
{
    struct ds_accord *accord = arg;
    DS_AUTO(str) char *holder = NULL;

    if (ds_consul_session_holder(response, &holder) < 0)
        return ds_fail(err, DS_E_FORMAT, "it is no entry of the KV store");
    set_holder(accord, holder);
    return 0;
}

static void acquired(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;
    struct ds_accord *accord = errand->accord;

    if (!ds_errand_succeeded(errand, response, DS_ACCORD_RETRY_MS)) {
        if (ds_consul_says_no_session(response))
            lose_session(accord);
        return;
    }
    if (ds_consul_says_true(response) && accord->session)
        set_holder(accord, accord->session);
}

bool ds_accord_wants_lock(const struct ds_accord *accord)
{
    return accord->session && accord->lock_poll.ok && !accord->holder &&
           !accord->unfit_since_ms;
}

static void released(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;

    /* Whether it went or not, the poll of the lock tells who holds it. */
    ds_ignore(ds_errand_succeeded(errand, response, DS_ACCORD_RETRY_MS));
}

/* Who sees nothing must not decide for those who do. */
static void give_back(struct ds_accord *accord, int64_t now_ms)
{
    DS_AUTO(str) char *query = NULL;
    struct ds_consul_call call = {.method = "PUT", .path = accord->lock_poll.path};

    if (!ds_accord_is_held(accord) || !accord->unfit_since_ms || accord->lock.transfer ||
        now_ms - accord->unfit_since_ms < UNFIT_MS || now_ms < accord->lock.due_ms)
        return;
    call.query = query = ds_xasprintf("release=%s", accord->session);
    ds_errand_start(&accord->lock, &call, released);
}

void ds_accord_tend_lock(struct ds_accord *accord, int64_t now_ms)
{
    DS_AUTO(buf) struct ds_buf body = DS_BUF_INIT(BODY_MAX);
    DS_AUTO(str) char *query = NULL;
    struct ds_consul_call call = {.method = "PUT", .path = accord->lock_poll.path};

    if (accord->holder && accord->lock_poll.ok)
        accord->holder_seen_ms = now_ms;
    give_back(accord, now_ms);
    if (!ds_accord_wants_lock(accord) || accord->lock.transfer ||
        now_ms < accord->lock.due_ms)
        return;
    ds_buf_add_json(&body, accord->name, strlen(accord->name));
    call.body = body.data;
    call.query = query = ds_xasprintf("acquire=%s", accord->session);
    ds_errand_start(&accord->lock, &call, acquired);
}
