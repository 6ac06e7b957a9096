/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_catalog.h - which server is registered where in Consul, and who is marked `out`.
 *
 * A server may be registered on several agents; each of these registrations is a place.
 * The marks are keys dshard/SERVICE/out/ADDRESS, which count even while the service is
 * still registered.
 */
#ifndef DSHARD_CONSUL_CATALOG_H
#define DSHARD_CONSUL_CATALOG_H

#include "dshard/base.h"
#include "dshard/consul.h"
#include "dshard/consul_health.h"

struct ds_consul_place {
    char address[DS_ADDRESS_MAX]; /* of the server */
    char *id;                     /* of the service on that agent */
    char *node, *node_address;    /* the agent's; owned */
    bool agent_alive;             /* as far as Consul knows; false without any agent */
    bool drained;                 /* the service is in maintenance */
    bool node_drained;            /* the whole node is */
};

struct ds_consul_catalog {
    struct ds_consul_view view;     /* the servers, by address */
    struct ds_consul_place *places; /* in no order; owned */
    size_t n_places;
    char (*marks)[DS_ADDRESS_MAX]; /* in no order; owned */
    size_t n_marks;
};

/* Asks Consul.  *catalog must be fresh or released, and is released on failure. */
int ds_consul_catalog_read(struct ds_consul_catalog *catalog,
                           const struct ds_consul *consul, struct ds_error *err)
    DS_NODISCARD;
void ds_consul_catalog_release(struct ds_consul_catalog *catalog);
void ds_auto_consul_catalog(struct ds_consul_catalog *catalog);

bool ds_consul_catalog_is_marked(const struct ds_consul_catalog *catalog,
                                 const char *address);

/* From texts, for ds_consul_catalog_read(): the answer of /v1/health/service, and a list
   of keys that begin with `prefix`. */
int ds_consul_catalog_take_health(struct ds_consul_catalog *catalog, const char *text,
                                  size_t len, struct ds_error *err) DS_NODISCARD;
int ds_consul_catalog_take_marks(struct ds_consul_catalog *catalog, const char *text,
                                 size_t len, const char *prefix, struct ds_error *err)
    DS_NODISCARD;

#endif
