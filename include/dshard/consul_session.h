/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_session.h - the words of Consul's sessions and locks, for those who hold one:
 * what a session is created with, and what the answers say.
 */
#ifndef DSHARD_CONSUL_SESSION_H
#define DSHARD_CONSUL_SESSION_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/http.h"

enum {
    DS_SESSION_TTL_MS = 10000, /* Consul's least; it ends a session after twice that */
    DS_SESSION_ID_MAX = 64,
};

/* With its agent: it ends when the agent's node is thought dead, long before the TTL. */
enum ds_session_ends { DS_SESSION_ENDS_WITH_AGENT, DS_SESSION_ENDS_BY_TTL };

/* The body of /v1/session/create. */
void ds_consul_session_body(enum ds_session_ends ends, struct ds_buf *out);
/* The id in its answer, new; NULL when there is none. */
char *ds_consul_session_id(const struct ds_http_response *response) DS_NODISCARD;

/* Whether an acquire, release or CAS worked. */
bool ds_consul_says_true(const struct ds_http_response *response);
/* Whether a call failed because the session has ended. */
bool ds_consul_says_no_session(const struct ds_http_response *response);

/* Who holds a key, from the answer to a GET of it (404: nobody).  *holder: the session,
   new, NULL when it is free.  -1: the answer is no entry of the KV store. */
int ds_consul_session_holder(const struct ds_http_response *response, char **holder)
    DS_NODISCARD;
/* Appends the key's value; nothing when there is none. */
void ds_consul_session_value(const struct ds_http_response *response, struct ds_buf *out);

#endif
