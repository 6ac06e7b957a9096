/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_agent.h */
#include "dshard/consul_agent.h"
#include "dshard/url.h"

#include <jansson.h>
#include <stdlib.h>

enum { ASK_TIMEOUT_MS = 5000 }; /* of another host's agent, which few can reach */

void ds_consul_agent_path(struct ds_buf *out, const char *prefix, const char *service_id)
{
    ds_buf_adds(out, prefix);
    ds_url_encode(out, service_id, strlen(service_id));
}

/* ---- which agent ---- */

static json_t *get_json(const struct ds_consul *consul, const char *path)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {.path = path, .timeout_ms = ASK_TIMEOUT_MS};
    struct ds_error ignored = DS_ERROR_INIT; /* the caller has other ways */
    json_error_t json_err;

    ds_http_response_init(&response);
    if (ds_consul_do(consul, &call, DS_CONSUL_ALLOW_NONE, &response, &ignored) < 0)
        return NULL;
    return json_loadb(response.body.data, response.body.len, JSON_ALLOW_NUL, &json_err);
}

/*
 * The name of an agent's node, new; NULL when it does not tell.  /v1/agent/self needs a
 * right of its own (agent:read); the checks of our service are there for us anyway.
 */
static char *node_of(const struct ds_consul *consul, const char *service_id)
{
    json_auto_t *self = get_json(consul, "/v1/agent/self");
    const char *name =
        json_string_value(json_object_get(json_object_get(self, "Config"), "NodeName"));
    json_auto_t *checks = name ? NULL : get_json(consul, "/v1/agent/checks");
    const char *key;
    json_t *check;

    if (name)
        return ds_xstrdup(name);
    json_object_foreach(checks, key, check)
    {
        const char *id = json_string_value(json_object_get(check, "ServiceID"));

        name = json_string_value(json_object_get(check, "Node"));
        if (id && name && strcmp(id, service_id) == 0)
            return ds_xstrdup(name);
    }
    return NULL;
}

/* Whether this agent holds the place; not to know its name is no reason against it. */
static int ask(const struct ds_consul *consul, const struct ds_consul_place *place,
               bool *holds, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {.timeout_ms = ASK_TIMEOUT_MS};
    DS_AUTO(str) char *node = NULL;

    *holds = false;
    ds_http_response_init(&response);
    ds_consul_agent_path(&path, "/v1/agent/service/", place->id);
    call.path = path.data;
    if (ds_buf_check(&path, "the path of a service", err) < 0 ||
        ds_consul_do(consul, &call, DS_CONSUL_ALLOW_404, &response, err) < 0)
        return -1;
    if (response.status == 404)
        return 0;
    node = node_of(consul, place->id);
    *holds = !node || strcmp(node, place->node) == 0;
    return 0;
}

/* The agent to talk to: `local` itself, or *other, a new one.  NULL: err says why. */
static const struct ds_consul *find(const struct ds_consul *local,
                                    const struct ds_consul_place *place,
                                    struct ds_consul **other, struct ds_error *err)
{
    bool holds;

    if (ask(local, place, &holds, err) < 0)
        return NULL;
    if (holds)
        return local;
    if (!place->agent_alive) {
        ds_fail(err, DS_E_FAILED, "its agent is dead");
        return NULL;
    }
    *other = ds_consul_for_host(local, place->node_address);
    if (ask(*other, place, &holds, err) < 0)
        return NULL;
    if (holds)
        return *other;
    ds_fail(err, DS_E_FAILED, "the agent at %s does not have it", ds_consul_url(*other));
    return NULL;
}

/* ---- what is done ---- */

static int put(const struct ds_consul *consul, const char *path, const char *query,
               const char *body, struct ds_error *err)
{
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {
        .method = "PUT", .path = path, .query = query, .body = body};

    ds_http_response_init(&response);
    return ds_consul_do(consul, &call, DS_CONSUL_ALLOW_NONE, &response, err);
}

static int deregister_in_catalog(const struct ds_consul *local,
                                 const struct ds_consul_place *place,
                                 struct ds_error *err)
{
    json_auto_t *body = json_pack("{ss,ss}", "Node", place->node, "ServiceID", place->id);
    DS_AUTO(str) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (!text)
        return ds_fail(err, DS_E_FORMAT, "node and service have no proper names");
    return put(local, "/v1/catalog/deregister", NULL, text, err);
}

/* "the agent of node 'n2' (10.0.0.2) has it and ...: WHY; run there: consul ..." */
static int explain(const struct ds_consul_place *place, const char *command,
                   struct ds_error *err)
{
    DS_AUTO(str) char *why = ds_xstrdup(err->text);

    return ds_fail(err, DS_E_FAILED,
                   "it is registered on node '%s' (%s), whose agent cannot be told from "
                   "here: %s; run there: %s%s",
                   place->node, place->node_address, why, command, place->id);
}

int ds_consul_agent_deregister(const struct ds_consul *local,
                               const struct ds_consul_place *place, struct ds_error *err)
{
    DS_AUTO(consul) struct ds_consul *other = NULL;
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    const struct ds_consul *agent = find(local, place, &other, err);

    if (!agent && !place->agent_alive) {
        *err = (struct ds_error)DS_ERROR_INIT;
        return deregister_in_catalog(local, place, err);
    }
    if (!agent)
        return explain(place, "consul services deregister -id=", err);
    ds_consul_agent_path(&path, "/v1/agent/service/deregister/", place->id);
    if (ds_buf_check(&path, "the path of a service", err) < 0)
        return -1;
    return put(agent, path.data, NULL, NULL, err);
}

int ds_consul_agent_maintain(const struct ds_consul *local,
                             const struct ds_consul_place *place,
                             enum ds_consul_maintenance what, struct ds_error *err)
{
    DS_AUTO(consul) struct ds_consul *other = NULL;
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    const struct ds_consul *agent = find(local, place, &other, err);
    bool on = what == DS_CONSUL_MAINTENANCE_ON;

    if (!agent)
        return explain(place,
                       on ? "consul maint -enable -service="
                          : "consul maint -disable "
                            "-service=",
                       err);
    ds_consul_agent_path(&path, "/v1/agent/service/maintenance/", place->id);
    if (ds_buf_check(&path, "the path of a service", err) < 0)
        return -1;
    return put(agent, path.data,
               on ? "enable=true&reason=drained%20by%20dshard" : "enable=false", NULL,
               err);
}
