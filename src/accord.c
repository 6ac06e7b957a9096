/* SPDX-License-Identifier: Apache-2.0 */
/* see accord.h; session and lock are in accord_lock.c, what the keys hold in
 * accord_ring.c */
#include "dshard/accord.h"
#include "accord_impl.h"
#include "dshard/base64.h"
#include "dshard/clock.h"
#include "dshard/ring.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ALONE_MS = 60000,
    LOST_MS = 7000,  /* more than a renewal's period */
    START_MS = 5000, /* how long a newcomer waits for the first word */
    GOODBYE_MS = 1000,
    TEXT_MAX = 1024 * 1024,
};

static const char *const role_names[] = {"unknown", "decider", "follower", "alone"};

const char *ds_accord_role_name(enum ds_accord_role role)
{
    return role_names[role];
}

/* ---- the published ring ---- */

static int take_ring(void *arg, const struct ds_http_response *response,
                     struct ds_error *err)
{
    struct ds_accord *accord = arg;
    struct ds_accord_ring ring = {0};
    struct ds_error why = DS_ERROR_INIT;

    (void)err; /* an answer is an answer, whatever the key holds */
    if (response->status == 404) {
        /* The first word counts even when it is that there is none. */
        accord->news = accord->news || accord->has_ring || !accord->poll.answered;
        accord->has_ring = accord->ring_is_newer = false;
        accord->ring_index = 0;
        return 0;
    }
    /* ?raw: the body is the value, and the index of the answer is the key's own. */
    accord->ring_index = ds_consul_index(response);
    accord->news = true;
    ds_accord_ring_release(&accord->ring);
    /* Garbage is no ring; who decides puts one in its place. */
    accord->has_ring =
        ds_accord_ring_parse(&ring, response->body.data, response->body.len, &why) == 0;
    accord->ring = ring;
    accord->ring_is_newer = why.code == DS_E_NEWER;
    return 0;
}

static void published(void *arg, struct ds_http_response *response)
{
    struct ds_errand *errand = arg;
    struct ds_accord *accord = errand->accord;

    if (ds_errand_succeeded(errand, response, 0))
        return;                    /* the poll brings what we wrote, with its index */
    if (response->status == 409) { /* the lock or the key is not as we thought */
        errand->failures = 0;
        errand->due_ms = ds_clock_mono_ms() + DS_ACCORD_RETRY_MS / 4;
        ds_consul_poll_again(&accord->lock_poll, ds_clock_mono_ms());
        ds_consul_poll_again(&accord->poll, ds_clock_mono_ms());
    }
}

static bool is_as_wanted(const struct ds_accord *accord)
{
    const struct ds_accord_ring *a = &accord->ring, *b = &accord->wanted;
    const char *frozen_a = a->frozen ? a->frozen : "",
               *frozen_b = b->frozen ? b->frozen : "";

    return accord->has_ring && strcmp(a->digest, b->digest) == 0 &&
           strcmp(frozen_a, frozen_b) == 0;
}

static bool wants_publication(const struct ds_accord *accord)
{
    return ds_accord_is_held(accord) && accord->has_wanted && accord->poll.ok &&
           !accord->ring_is_newer && !is_as_wanted(accord);
}

static void tend_ring(struct ds_accord *accord, int64_t now_ms)
{
    DS_AUTO(buf) struct ds_buf value = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(buf) struct ds_buf encoded = DS_BUF_INIT(TEXT_MAX);
    DS_AUTO(str) char *body = NULL;
    struct ds_consul_call call = {.method = "PUT", .path = "/v1/txn"};
    json_t *root;

    if (!wants_publication(accord) || accord->publication.transfer ||
        now_ms < accord->publication.due_ms)
        return;
    ds_accord_ring_format(&accord->wanted, &value);
    ds_base64_encode(&encoded, value.data, value.len);
    root = json_pack("[{s:{ss,ss,ss}},{s:{ss,ss,sI,ss}}]", "KV", "Verb", "check-session",
                     "Key", accord->lock_key, "Session", accord->session, "KV", "Verb",
                     "cas", "Key", accord->ring_key, "Index",
                     (json_int_t)accord->ring_index, "Value", encoded.data);
    body = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    call.body = body;
    ds_errand_start(&accord->publication, &call, published);
}

/* ---- the whole ---- */

static enum ds_accord_role judge_role(const struct ds_accord *accord, int64_t now_ms)
{
    if (ds_accord_is_held(accord))
        return DS_ACCORD_DECIDER;
    if (!accord->holder_seen_ms) {
        if (now_ms - accord->started_ms < START_MS)
            return DS_ACCORD_UNKNOWN;
        return DS_ACCORD_ALONE;
    }
    return now_ms - accord->holder_seen_ms < ALONE_MS ? DS_ACCORD_FOLLOWER
                                                      : DS_ACCORD_ALONE;
}

/* It may do what the old one could not. */
static void take_new_token(struct ds_accord *accord, int64_t now_ms)
{
    unsigned version = ds_consul_token_version(accord->consul);

    if (accord->token_version == version)
        return;
    accord->token_version = version;
    accord->renewal.due_ms = accord->lock.due_ms = accord->publication.due_ms =
        accord->frontend.due_ms = now_ms;
}

bool ds_accord_tick(struct ds_accord *accord, int64_t now_ms)
{
    enum ds_accord_role role;
    bool news;

    take_new_token(accord, now_ms);
    ds_accord_tend_session(accord, now_ms);
    ds_accord_tend_lock(accord, now_ms);
    ds_consul_poll_tick(&accord->lock_poll, now_ms);
    ds_consul_poll_tick(&accord->poll, now_ms);
    if (accord->frontend_text)
        ds_consul_poll_tick(&accord->frontend_poll, now_ms);
    tend_ring(accord, now_ms);
    ds_accord_tend_frontend(accord, now_ms);
    role = judge_role(accord, now_ms);
    news = accord->news || role != accord->role;
    accord->role = role;
    accord->news = false;
    return news;
}

static int64_t errand_next_ms(const struct ds_errand *errand, bool wanted)
{
    return wanted && !errand->transfer ? errand->due_ms : INT64_MAX;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t ds_accord_next_ms(const struct ds_accord *accord)
{
    int64_t next = ds_consul_poll_next_ms(&accord->poll);

    if (accord->news)
        return 0;
    next = earlier(next, errand_next_ms(&accord->renewal, true));
    next = earlier(next, ds_consul_poll_next_ms(&accord->lock_poll));
    next = earlier(next, errand_next_ms(&accord->lock, ds_accord_wants_lock(accord)));
    next = earlier(next, errand_next_ms(&accord->publication, wants_publication(accord)));
    next = earlier(next, errand_next_ms(&accord->frontend, accord->frontend_due &&
                                                               accord->session &&
                                                               accord->digest[0]));
    if (accord->frontend_text)
        next = earlier(next, ds_consul_poll_next_ms(&accord->frontend_poll));
    if (accord->role == DS_ACCORD_UNKNOWN)
        next = earlier(next, accord->started_ms + START_MS);
    return next;
}

bool ds_accord_is_fresh(const struct ds_accord *accord)
{
    return accord->poll.ok && accord->lock_poll.ok;
}

void ds_accord_set_fit(struct ds_accord *accord, bool fit)
{
    if (fit)
        accord->unfit_since_ms = 0;
    else if (!accord->unfit_since_ms)
        accord->unfit_since_ms = ds_clock_mono_ms();
}

bool ds_accord_knows_ring(const struct ds_accord *accord)
{
    return accord->poll.answered;
}

const char *ds_accord_error(const struct ds_accord *accord)
{
    if (accord->ring_is_newer)
        return "the published ring is of a later dshard, and is left alone";
    if (!accord->poll.ok && accord->poll.tried)
        return accord->poll.err.text;
    return accord->error;
}

int64_t ds_accord_lost_since_ms(const struct ds_accord *accord)
{
    int64_t since_ms = accord->session_ok_ms ? accord->session_ok_ms : accord->started_ms;

    /* A renewal may fail once without meaning anything. */
    if (!accord->fails_for_now || ds_clock_mono_ms() - since_ms < LOST_MS)
        return 0;
    return since_ms;
}

bool ds_accord_is_settled(const struct ds_accord *accord)
{
    return accord->role != DS_ACCORD_UNKNOWN && accord->poll.tried &&
           !wants_publication(accord);
}

enum ds_accord_role ds_accord_role(const struct ds_accord *accord)
{
    return accord->role;
}

const struct ds_accord_ring *ds_accord_ring(const struct ds_accord *accord)
{
    return accord->has_ring ? &accord->ring : NULL;
}

void ds_accord_publish(struct ds_accord *accord, const struct ds_server *members,
                       size_t n, unsigned replicas, const char *frozen)
{
    struct ds_accord_ring *wanted = &accord->wanted;

    ds_accord_ring_release(wanted);
    wanted->members = ds_xcalloc(n, sizeof *members);
    if (n)
        memcpy(wanted->members, members, n * sizeof *members);
    wanted->n = n;
    wanted->replicas = replicas;
    ds_ring_digest(members, n, replicas, wanted->digest);
    ds_set_str(&wanted->frozen, frozen);
    ds_set_str(&wanted->by, accord->name);
    accord->has_wanted = true;
}

void ds_accord_applied(struct ds_accord *accord, const char *digest, uint64_t generation)
{
    if (strcmp(accord->digest, digest) == 0)
        return;
    snprintf(accord->digest, sizeof accord->digest, "%s", digest);
    accord->generation = generation;
    accord->frontend_due = true;
}

static char *kv_path(const struct ds_consul *consul, const char *rest)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);

    ds_buf_adds(&path, "/v1/kv/");
    ds_consul_key(consul, rest, &path);
    return ds_buf_steal(&path);
}

struct ds_accord *ds_accord_new(const struct ds_config *config, struct ds_http_loop *loop,
                                struct ds_error *err)
{
    DS_AUTO(consul) struct ds_consul *consul = ds_consul_new(config, err);
    DS_AUTO(str) char *ring_path = NULL;
    DS_AUTO(str) char *lock_path = NULL;
    DS_AUTO(str) char *rest = NULL;
    struct ds_accord *accord;

    if (!consul)
        return NULL;
    accord = ds_xcalloc(1, sizeof *accord);
    accord->consul = ds_steal(&consul);
    accord->loop = loop;
    accord->name = ds_frontend_name(config, &accord->host);
    rest = ds_xasprintf("frontends/%s", accord->name);
    lock_path = kv_path(accord->consul, "lock");
    accord->lock_key = ds_xasprintf("dshard/%s/lock", ds_consul_service(accord->consul));
    accord->ring_key = ds_xasprintf("dshard/%s/ring", ds_consul_service(accord->consul));
    accord->frontend_path = kv_path(accord->consul, rest);
    accord->started_ms = accord->unfit_since_ms = ds_clock_mono_ms();
    accord->renewal.accord = accord->lock.accord = accord->publication.accord =
        accord->frontend.accord = accord;
    ring_path = kv_path(accord->consul, "ring");
    ds_consul_poll_init(&accord->poll, accord->consul, loop, ring_path,
                        config->consul_server.wait_ms, take_ring, accord);
    ds_consul_poll_init(&accord->lock_poll, accord->consul, loop, lock_path,
                        config->consul_server.wait_ms, ds_accord_take_lock, accord);
    accord->lock_poll.allow_404 = true;
    ds_consul_poll_init(&accord->frontend_poll, accord->consul, loop,
                        accord->frontend_path, config->consul_server.wait_ms,
                        ds_accord_take_frontend, accord);
    accord->frontend_poll.query = ds_xstrdup("raw");
    accord->frontend_poll.allow_404 = true;
    accord->poll.query = ds_xstrdup("raw");
    accord->poll.allow_404 = true;
    return accord;
}

static void end_session(struct ds_accord *accord)
{
    DS_AUTO(str) char *path = ds_xasprintf("/v1/session/destroy/%s", accord->session);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {
        .method = "PUT", .path = path, .timeout_ms = GOODBYE_MS};
    struct ds_error ignored = DS_ERROR_INIT;

    ds_http_response_init(&response);
    ds_ignore(ds_consul_refresh_token(accord->consul)); /* the old one may be gone */
    /* It ends by itself too, only later. */
    ds_ignore(ds_consul_do(accord->consul, &call, DS_CONSUL_ALLOW_404, &response,
                           &ignored) < 0);
}

static void cancel(struct ds_errand *errand)
{
    free(errand->what);
    if (errand->transfer)
        ds_http_cancel(errand->transfer);
}

void ds_accord_free(struct ds_accord *accord)
{
    if (!accord)
        return;
    cancel(&accord->renewal);
    cancel(&accord->lock);
    cancel(&accord->publication);
    cancel(&accord->frontend);
    ds_consul_poll_release(&accord->lock_poll);
    ds_consul_poll_release(&accord->frontend_poll);
    ds_consul_poll_release(&accord->poll);
    if (accord->session)
        end_session(accord);
    ds_accord_ring_release(&accord->ring);
    ds_accord_ring_release(&accord->wanted);
    ds_consul_free(accord->consul);
    free(accord->session);
    free(accord->host);
    free(accord->name);
    free(accord->holder);
    free(accord->frontend_text);
    free(accord->lock_key);
    free(accord->ring_key);
    free(accord->frontend_path);
    free(accord);
}
