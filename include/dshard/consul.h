/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul.h - the one door to Consul's HTTP API: where it is, who we are there, and what
 * its answers mean.
 *
 * What the configuration leaves out, Consul's own environment variables fill in
 * (CONSUL_HTTP_ADDR and so on).  No secret reaches a URL, an error or a log line.
 * Source of the rules: Consul 1.8.7 and its documentation, in doc/operations.md.
 */
#ifndef DSHARD_CONSUL_H
#define DSHARD_CONSUL_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/http.h"
#include "dshard/roster.h"

enum {
    DS_CONSUL_TIMEOUT_MS = 10000, /* of a read */
    DS_CONSUL_WRITE_TIMEOUT_MS =
        30000, /* writes took 14 s and worked, without a leader */
    DS_CONSUL_ANSWER_MAX = 32 * 1024 * 1024,
    DS_CONSUL_PATH_MAX = 2048,
};

struct ds_consul;

/* DS_E_CONFIG when an environment variable is no good, or the token file unreadable. */
struct ds_consul *ds_consul_new(const struct ds_config *config, struct ds_error *err)
    DS_NODISCARD;
void ds_consul_free(struct ds_consul *consul);
void ds_auto_consul(struct ds_consul **consul);

/* The same Consul's settings for the agent at another host (its node address). */
struct ds_consul *ds_consul_for_host(const struct ds_consul *consul, const char *host)
    DS_NODISCARD;

const char *ds_consul_service(const struct ds_consul *consul); /* borrowed */
const char *ds_consul_url(const struct ds_consul *consul); /* borrowed: "http://..." */

/* Reads the token file again; true when the token is another one now. */
bool ds_consul_refresh_token(struct ds_consul *consul);
/* Another one with each token that was read. */
unsigned ds_consul_token_version(const struct ds_consul *consul);

struct ds_consul_call {
    const char *method; /* NULL: GET */
    const char *path;   /* "/v1/..."; its parts are escaped: ds_url_encode() */
    const char *query;  /* "index=5&wait=30s" without the '?'; NULL: none */
    const char *body;   /* JSON; NULL: none */
    int64_t timeout_ms; /* 0: the one of a read, or of a write for PUT and DELETE */
};

struct ds_http_transfer *ds_consul_start(const struct ds_consul *consul,
                                         struct ds_http_loop *loop,
                                         const struct ds_consul_call *call,
                                         ds_http_done_fn *done, void *arg) DS_NODISCARD;

/*
 * Does a call and waits.  0: the status was 2xx, or 404 when that is allowed
 * (response->status tells).  DS_E_TEMP: Consul cannot be reached, or has no leader, or
 * too much to do: try again.  DS_E_PEER: it said no.  The text has method, URL, status
 * and Consul's words.
 */
enum ds_consul_allow { DS_CONSUL_ALLOW_NONE, DS_CONSUL_ALLOW_404 };
int ds_consul_do(const struct ds_consul *consul, const struct ds_consul_call *call,
                 enum ds_consul_allow allow, struct ds_http_response *response,
                 struct ds_error *err) DS_NODISCARD;

/* The same judgement for an answer that came through ds_consul_start(). */
int ds_consul_judge(const struct ds_consul *consul, const struct ds_consul_call *call,
                    enum ds_consul_allow allow, const struct ds_http_response *response,
                    struct ds_error *err) DS_NODISCARD;

/* X-Consul-Index of an answer with status 200, or of a 404 of the KV store; 0 when there
   is none that can be used.  Errors carry a wrong one, so it is never read from them. */
uint64_t ds_consul_index(const struct ds_http_response *response);

/* Appends "dshard/SERVICE/REST", escaped but for its slashes, for /v1/kv/. */
void ds_consul_key(const struct ds_consul *consul, const char *rest, struct ds_buf *out);

#endif
