/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_payload.h - what is registered with a Consul agent for one server.
 *
 * One service with one HTTP check under a fixed name.  An agent does not show how a check
 * is defined, so a digest of the whole registration goes along in Meta ("dshard-reg"):
 * the same digest means that nothing has to be written.  The check's password is in the
 * digest only through a slow hash, and nowhere else in what Consul shows.
 */
#ifndef DSHARD_CONSUL_PAYLOAD_H
#define DSHARD_CONSUL_PAYLOAD_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/murmur3.h"
#include "dshard/roster.h"
#include "dshard/server.h"

/* What the check says to a server that asks who comes; empty when none does. */
struct ds_consul_auth {
    char *header;               /* "Basic ..."; owned; NULL: none */
    char digest[DS_DIGEST_MAX]; /* of it, slow to reverse; "" without a header */
};

/* DS_E_CONFIG when the password's file cannot be read. */
int ds_consul_auth_init(struct ds_consul_auth *auth, const struct ds_config *config,
                        struct ds_error *err) DS_NODISCARD;
void ds_consul_auth_release(struct ds_consul_auth *auth);

/* "10.0.0.1_9091", "::1_9091": host and port, as the program before dshard did. */
char *ds_consul_service_id(const char *address) DS_NODISCARD;

struct ds_consul_payload;

/* intent: one that is joining says so in Meta ("dshard-intent"), so that no watch makes
   it a member; any other says nothing there. */
struct ds_consul_payload *ds_consul_payload_new(const struct ds_config *config,
                                                const struct ds_server *server,
                                                enum ds_intent intent,
                                                const struct ds_consul_auth *auth)
    DS_NODISCARD;
void ds_consul_payload_free(struct ds_consul_payload *payload);
void ds_auto_consul_payload(struct ds_consul_payload **payload);

const char *ds_consul_payload_id(const struct ds_consul_payload *payload); /* borrowed */
const char *ds_consul_payload_text(
    const struct ds_consul_payload *payload); /* borrowed */

/* How an agent's answer about the service of this ID compares with it. */
enum ds_consul_match {
    DS_CONSUL_SAME,
    DS_CONSUL_DIFFERENT,
    DS_CONSUL_FOREIGN, /* it is about another address: not ours to replace */
};
int ds_consul_payload_compare(const struct ds_consul_payload *payload, const char *answer,
                              size_t len, enum ds_consul_match *out, struct ds_error *err)
    DS_NODISCARD;

/* Whether the agent's list of checks has the one that belongs to the payload. */
bool ds_consul_payload_has_check(const struct ds_consul_payload *payload,
                                 const char *checks, size_t len);

#endif
