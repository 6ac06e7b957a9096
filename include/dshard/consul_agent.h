/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_agent.h - doing something to a registration, which only the agent that holds it
 * can.
 *
 * Another agent answers 200 and does nothing, so the right one is looked for: the agent
 * that we talk to anyway, or the one at the node's address, each asked whether it has the
 * service and is that node.  When the agent is dead, the catalog itself may be changed:
 * nobody will put the service back.  Otherwise the error says what to run where.
 */
#ifndef DSHARD_CONSUL_AGENT_H
#define DSHARD_CONSUL_AGENT_H

#include "dshard/base.h"
#include "dshard/consul.h"
#include "dshard/consul_catalog.h"

/* The caller verifies in the catalog that it is gone. */
int ds_consul_agent_deregister(const struct ds_consul *local,
                               const struct ds_consul_place *place, struct ds_error *err)
    DS_NODISCARD;

enum ds_consul_maintenance { DS_CONSUL_MAINTENANCE_OFF, DS_CONSUL_MAINTENANCE_ON };
int ds_consul_agent_maintain(const struct ds_consul *local,
                             const struct ds_consul_place *place,
                             enum ds_consul_maintenance what, struct ds_error *err)
    DS_NODISCARD;

/* Appends PREFIX and the service's ID, escaped, as the path of a call. */
void ds_consul_agent_path(struct ds_buf *out, const char *prefix, const char *service_id);

#endif
