/* SPDX-License-Identifier: Apache-2.0 */
/* consul_registry.h - what registry_consul.c and consul_acts.c share; private to them. */
#ifndef DSHARD_CONSUL_REGISTRY_H
#define DSHARD_CONSUL_REGISTRY_H

#include "dshard/consul_agent.h"
#include "dshard/consul_catalog.h"
#include "dshard/consul_payload.h"
#include "dshard/discovery.h"

struct ds_consul_registry {
    struct ds_registry registry; /* first: this is a struct ds_registry */
    const struct ds_config *config;
    struct ds_consul *consul;
    struct ds_consul_auth auth;
    struct ds_consul_catalog catalog; /* of the last list() */
    bool listed;                      /* the catalog has been read */
    struct ds_http_response checks;   /* the agent's, once they have been asked for */
    int64_t timeout_ms;
};

/* Reads the catalog anew. */
int ds_consul_registry_read(struct ds_consul_registry *registry, struct ds_error *err)
    DS_NODISCARD;

/* How our agent's registration compares with what it should be. */
int ds_consul_registry_compare(const struct ds_consul_registry *registry,
                               const struct ds_consul_payload *payload,
                               enum ds_consul_match *out, struct ds_error *err)
    DS_NODISCARD;

/* The places of a server, and how many of them are drained. */
size_t ds_consul_registry_count(const struct ds_consul_registry *registry,
                                const char *address, size_t *n_drained);

/* What the catalog says about a server: `out` when it has none of that name, or a mark.
 */
enum ds_intent ds_consul_registry_intent(const struct ds_consul_registry *registry,
                                         const char *address);
/* The intent that an act of registering it leads to. */
enum ds_intent ds_consul_registry_wanted(const struct ds_consul_registry *registry,
                                         const struct ds_act *act);

/* Carries out one act; 0, or -1 and act->err. */
int ds_consul_registry_act(struct ds_consul_registry *registry, struct ds_act *act);

#endif
