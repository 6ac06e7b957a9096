/* SPDX-License-Identifier: Apache-2.0 */
/* consul_acts.c - registering, deregistering and draining one server with Consul. */
#include "consul_registry.h"
#include "dshard/clock.h"

#include <unistd.h>

enum { VERIFY_POLL_MS = 50, HOST_MAX = 256 };

int ds_consul_registry_read(struct ds_consul_registry *registry, struct ds_error *err)
{
    ds_consul_catalog_release(&registry->catalog);
    registry->listed =
        ds_consul_catalog_read(&registry->catalog, registry->consul, err) == 0;
    return registry->listed ? 0 : -1;
}

/* Calls the agent about one service; 404 is an answer, too. */
static int ask_agent(const struct ds_consul_registry *registry, const char *service_id,
                     struct ds_http_response *response, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    struct ds_consul_call call = {0};

    ds_consul_agent_path(&path, "/v1/agent/service/", service_id);
    call.path = path.data;
    if (ds_buf_check(&path, "the path of a service", err) < 0)
        return -1;
    return ds_consul_do(registry->consul, &call, DS_CONSUL_ALLOW_404, response, err);
}

int ds_consul_registry_compare(const struct ds_consul_registry *registry,
                               const struct ds_consul_payload *payload,
                               enum ds_consul_match *out, struct ds_error *err)
{
    DS_AUTO(http_response) struct ds_http_response response;
    const char *id = ds_consul_payload_id(payload);

    ds_http_response_init(&response);
    *out = DS_CONSUL_DIFFERENT;
    if (ask_agent(registry, id, &response, err) < 0)
        return -1;
    if (response.status == 404)
        return 0;
    if (ds_consul_payload_compare(payload, response.body.data, response.body.len, out,
                                  err) < 0)
        return ds_wrap(err, "Consul's service '%s'", id);
    if (*out == DS_CONSUL_FOREIGN)
        return ds_fail(err, DS_E_FAILED,
                       "Consul's agent has a service '%s' with another address", id);
    return 0;
}

size_t ds_consul_registry_count(const struct ds_consul_registry *registry,
                                const char *address, size_t *n_drained)
{
    size_t n = 0;

    *n_drained = 0;
    for (size_t i = 0; i < registry->catalog.n_places; i++) {
        const struct ds_consul_place *place = &registry->catalog.places[i];

        if (!ds_address_equal(place->address, address))
            continue;
        n++;
        *n_drained += place->drained;
    }
    return n;
}

enum ds_intent ds_consul_registry_intent(const struct ds_consul_registry *registry,
                                         const char *address)
{
    const struct ds_consul_view *view = &registry->catalog.view;

    if (ds_consul_catalog_is_marked(&registry->catalog, address))
        return DS_INTENT_OUT;
    for (size_t i = 0; i < view->n; i++) {
        if (ds_address_equal(view->items[i].server.address, address))
            return ds_consul_instance_intent(&view->items[i]);
    }
    return DS_INTENT_OUT;
}

enum ds_intent ds_consul_registry_wanted(const struct ds_consul_registry *registry,
                                         const struct ds_act *act)
{
    enum ds_intent now = ds_consul_registry_intent(registry, act->server.address);

    if (act->kind == DS_ACT_ADMIT)
        return DS_INTENT_IN;
    if (act->kind == DS_ACT_JOIN && now == DS_INTENT_OUT)
        return DS_INTENT_JOINING;
    return now == DS_INTENT_OUT ? DS_INTENT_IN : now;
}

/* ---- marks ---- */

static int write_mark(const struct ds_consul_registry *registry, const char *method,
                      const char *address, struct ds_error *err)
{
    DS_AUTO(http_response) struct ds_http_response response;
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    DS_AUTO(str) char *key = ds_xasprintf("out/%s", address);
    DS_AUTO(str) char *value = NULL;
    char host[HOST_MAX] = "?", at[DS_CLOCK_TEXT_MAX];
    struct ds_consul_call call = {.method = method};

    ds_http_response_init(&response);
    ds_ignore(gethostname(host, sizeof host - 1)); /* it is for people to read only */
    ds_clock_format(ds_clock_wall_ms(), at);
    value = ds_xasprintf("deregistered %s on %s", at, host);
    ds_buf_adds(&path, "/v1/kv/");
    ds_consul_key(registry->consul, key, &path);
    call.path = path.data;
    call.body = strcmp(method, "PUT") == 0 ? value : NULL;
    if (ds_buf_check(&path, "the path of a mark", err) < 0)
        return -1;
    return ds_consul_do(registry->consul, &call, DS_CONSUL_ALLOW_NONE, &response, err);
}

/* ---- acts ---- */

static bool has_check(struct ds_consul_registry *registry,
                      const struct ds_consul_payload *payload, struct ds_error *err)
{
    struct ds_consul_call call = {.path = "/v1/agent/checks"};

    if (!registry->checks.status &&
        ds_consul_do(registry->consul, &call, DS_CONSUL_ALLOW_NONE, &registry->checks,
                     err) < 0)
        return false;
    return ds_consul_payload_has_check(payload, registry->checks.body.data,
                                       registry->checks.body.len);
}

static int do_register(struct ds_consul_registry *registry, struct ds_act *act,
                       struct ds_error *err)
{
    enum ds_intent wanted = ds_consul_registry_wanted(registry, act);
    DS_AUTO(consul_payload)
    struct ds_consul_payload *payload =
        ds_consul_payload_new(registry->config, &act->server, wanted, &registry->auth);
    DS_AUTO(http_response) struct ds_http_response response;
    /* Never with replace-existing-checks: that would end a drain. */
    struct ds_consul_call call = {.method = "PUT", .path = "/v1/agent/service/register"};
    enum ds_consul_match match;

    ds_http_response_init(&response);
    if (act->kind == DS_ACT_REGISTER && wanted == DS_INTENT_JOINING)
        return 0; /* who lets it join will say how it is registered */
    if (ds_consul_registry_compare(registry, payload, &match, err) < 0)
        return -1;
    if (match != DS_CONSUL_SAME || !has_check(registry, payload, err)) {
        if (err->code != DS_OK)
            return -1;
        call.body = ds_consul_payload_text(payload);
        if (ds_consul_do(registry->consul, &call, DS_CONSUL_ALLOW_NONE, &response, err) <
            0)
            return -1;
        act->changed = true;
    }
    if (!ds_consul_catalog_is_marked(&registry->catalog, act->server.address))
        return 0;
    act->changed = true;
    return write_mark(registry, "DELETE", act->server.address, err);
}

/* What must become true of every place of a server; count: the places that cannot. */
typedef bool state_fn(size_t n, size_t n_drained, size_t n_failed);

static bool is_gone(size_t n, size_t n_drained, size_t n_failed)
{
    (void)n_drained;
    return n <= n_failed;
}

static bool is_drained(size_t n, size_t n_drained, size_t n_failed)
{
    return n_drained + n_failed >= n;
}

static bool is_undrained(size_t n, size_t n_drained, size_t n_failed)
{
    (void)n;
    return n_drained <= n_failed;
}

/* An agent's 200 is no proof: only the catalog is, and it may take a moment. */
static int verify(struct ds_consul_registry *registry, const char *address,
                  state_fn *is_so, size_t n_failed, const char *what,
                  struct ds_error *err)
{
    int64_t deadline = ds_clock_mono_ms() + registry->timeout_ms;

    for (;;) {
        size_t n_drained, n;

        if (ds_consul_registry_read(registry, err) < 0)
            return -1;
        n = ds_consul_registry_count(registry, address, &n_drained);
        if (is_so(n, n_drained, n_failed))
            return 0;
        if (ds_clock_mono_ms() >= deadline)
            return ds_fail(err, DS_E_FAILED,
                           "its agent has done it, but Consul's catalog still has it %s",
                           what);
        ds_clock_sleep_ms(VERIFY_POLL_MS);
    }
}

/* Does one thing to every place of a server that needs it; the first failure is kept. */
static size_t for_places(struct ds_consul_registry *registry, struct ds_act *act,
                         size_t *n_done, struct ds_error *err)
{
    size_t n_failed = 0;

    for (size_t i = 0; i < registry->catalog.n_places; i++) {
        const struct ds_consul_place *place = &registry->catalog.places[i];
        struct ds_error why = DS_ERROR_INIT;
        int rc = 0;

        if (!ds_address_equal(place->address, act->server.address))
            continue;
        if (act->kind == DS_ACT_DEREGISTER)
            rc = ds_consul_agent_deregister(registry->consul, place, &why);
        else if (place->drained != (act->kind == DS_ACT_DRAIN))
            rc = ds_consul_agent_maintain(registry->consul, place,
                                          act->kind == DS_ACT_DRAIN
                                              ? DS_CONSUL_MAINTENANCE_ON
                                              : DS_CONSUL_MAINTENANCE_OFF,
                                          &why);
        else
            continue;
        if (rc == 0)
            (*n_done)++;
        else if (!n_failed++)
            *err = why;
    }
    act->changed = act->changed || *n_done;
    return n_failed;
}

static int do_deregister(struct ds_consul_registry *registry, struct ds_act *act,
                         struct ds_error *err)
{
    struct ds_error why = DS_ERROR_INIT;
    size_t n_done = 0, n_failed;

    /* First the mark: whatever happens then, every watch leaves the server out. */
    if (!ds_consul_catalog_is_marked(&registry->catalog, act->server.address)) {
        if (write_mark(registry, "PUT", act->server.address, err) < 0)
            return -1;
        act->changed = true;
    }
    n_failed = for_places(registry, act, &n_done, &why);
    if (n_done &&
        verify(registry, act->server.address, is_gone, n_failed, "registered", err) < 0)
        return -1;
    if (!n_failed)
        return 0;
    *err = why;
    return ds_wrap(err, "marked as out, but still registered");
}

static int do_drain(struct ds_consul_registry *registry, struct ds_act *act,
                    struct ds_error *err)
{
    struct ds_error why = DS_ERROR_INIT;
    size_t n_done = 0, n_drained, n_failed;

    if (!ds_consul_registry_count(registry, act->server.address, &n_drained))
        return ds_fail(err, DS_E_FAILED, "it is not registered");
    n_failed = for_places(registry, act, &n_done, &why);
    if (n_failed && !n_done && !n_drained) { /* drained anywhere counts for the server */
        *err = why;
        return -1;
    }
    return n_done ? verify(registry, act->server.address, is_drained, n_failed,
                           "in service", err)
                  : 0;
}

static int do_undrain(struct ds_consul_registry *registry, struct ds_act *act,
                      struct ds_error *err)
{
    struct ds_error why = DS_ERROR_INIT;
    size_t n_done = 0, n_drained, n_failed;

    if (!ds_consul_registry_count(registry, act->server.address, &n_drained))
        return ds_fail(err, DS_E_FAILED, "it is not registered");
    n_failed = for_places(registry, act, &n_done, &why);
    if (n_done && verify(registry, act->server.address, is_undrained, n_failed,
                         "in maintenance", err) < 0)
        return -1;
    if (n_failed) {
        *err = why;
        return -1;
    }
    for (size_t i = 0; i < registry->catalog.n_places; i++) {
        const struct ds_consul_place *place = &registry->catalog.places[i];

        if (place->node_drained && ds_address_equal(place->address, act->server.address))
            return ds_fail(err, DS_E_FAILED,
                           "its whole node '%s' is in maintenance; run there: consul "
                           "maint -disable",
                           place->node);
    }
    return 0;
}

/* Whatever it was. */
static int do_admit(struct ds_consul_registry *registry, struct ds_act *act,
                    struct ds_error *err)
{
    size_t n_drained;

    ds_consul_registry_count(registry, act->server.address, &n_drained);
    if (n_drained && do_undrain(registry, act, err) < 0)
        return -1;
    return do_register(registry, act, err);
}

int ds_consul_registry_act(struct ds_consul_registry *registry, struct ds_act *act)
{
    if (!registry->listed && ds_consul_registry_read(registry, &act->err) < 0)
        return -1;
    switch (act->kind) {
    case DS_ACT_REGISTER:
    case DS_ACT_JOIN:
        return do_register(registry, act, &act->err);
    case DS_ACT_ADMIT:
        return do_admit(registry, act, &act->err);
    case DS_ACT_DEREGISTER:
        return do_deregister(registry, act, &act->err);
    case DS_ACT_DRAIN:
        return do_drain(registry, act, &act->err);
    case DS_ACT_UNDRAIN:
        return do_undrain(registry, act, &act->err);
    }
    return 0;
}
