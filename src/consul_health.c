/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_health.h */
#include "dshard/consul_health.h"
#include "dshard/num.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* The first line, to be shown; what is no printable text is cleaned by who keeps it. */
static void describe(char why[DS_WHY_MAX], const json_t *check, const char *instead)
{
    const char *output = text_of(check, "Output");
    const char *name = text_of(check, "Name");

    if (!*output)
        output = instead;
    snprintf(why, DS_WHY_MAX, "%.80s: %.*s", name, (int)strcspn(output, "\r\n"), output);
}

static bool is_maintenance(const char *id)
{
    return strcmp(id, "_node_maintenance") == 0 ||
           strncmp(id, "_service_maintenance:", strlen("_service_maintenance:")) == 0;
}

/* The worst check speaks for the instance. */
static void take_check(struct ds_consul_instance *instance, const json_t *check)
{
    const char *id = text_of(check, "CheckID"), *status = text_of(check, "Status");
    enum ds_consul_kind kind = DS_CONSUL_PASSING;
    const char *instead = "";

    if (is_maintenance(id)) {
        instance->drained = true;
        return;
    }
    if (strcmp(status, "passing") == 0)
        return;
    if (strcmp(status, "critical") == 0) {
        kind = DS_CONSUL_FAILING;
        if (strcmp(id, "serfHealth") == 0)
            kind = DS_CONSUL_AGENT_LOST;
        else if (!*text_of(check, "Output"))
            kind = DS_CONSUL_UNPROBED;
        instead =
            kind == DS_CONSUL_UNPROBED ? "not probed since the agent started" : status;
    } else {
        instead = status;
    }
    if (kind < instance->kind || !instance->why[0]) {
        instance->kind = kind < instance->kind ? kind : instance->kind;
        describe(instance->why, check, instead);
    }
}

static unsigned weight_of(const json_t *service)
{
    const char *text = text_of(json_object_get(service, "Meta"), "dshard-weight");
    struct ds_error ignored = DS_ERROR_INIT;
    uint64_t weight;

    if (!*text || ds_num_parse(text, 1, DS_WEIGHT_MAX, &weight, &ignored) < 0)
        return 1;
    return (unsigned)weight;
}

static bool is_joining(const json_t *service)
{
    return strcmp(text_of(json_object_get(service, "Meta"), "dshard-intent"),
                  ds_intent_name(DS_INTENT_JOINING)) == 0;
}

/* As Prometheus does it: the service's address, or its node's if it has none. */
static int take_address(struct ds_consul_instance *instance, const json_t *entry,
                        const json_t *service, struct ds_error *err)
{
    const json_t *address = json_object_get(service, "Address");
    const char *host = text_of(service, "Address");
    json_int_t port = json_integer_value(json_object_get(service, "Port"));
    char text[DS_ADDRESS_MAX + 32];
    bool is_bare_v6;

    if (!json_string_length(address)) {
        address = json_object_get(json_object_get(entry, "Node"), "Address");
        host = text_of(json_object_get(entry, "Node"), "Address");
    }
    if (json_string_length(address) != strlen(host))
        return ds_fail(err, DS_E_FORMAT, "'%.40s' and a NUL is no host", host);
    is_bare_v6 = strchr(host, ':') && host[0] != '[';
    if (strlen(host) > DS_ADDRESS_MAX)
        return ds_fail(err, DS_E_FORMAT, "'%.40s...' is too long a host", host);
    snprintf(text, sizeof text, "%s%s%s:%lld", is_bare_v6 ? "[" : "", host,
             is_bare_v6 ? "]" : "", (long long)port);
    return ds_address_parse(instance->server.address, text, 0, err);
}

static int parse_instance(struct ds_consul_instance *instance, const json_t *entry,
                          struct ds_error *err)
{
    const json_t *service = json_object_get(entry, "Service");
    const json_t *checks = json_object_get(entry, "Checks");
    size_t n = json_array_size(checks);

    *instance = (struct ds_consul_instance){.kind = DS_CONSUL_PASSING};
    if (!json_is_object(service))
        return ds_fail(err, DS_E_FORMAT, "an entry has no \"Service\"");
    if (take_address(instance, entry, service, err) < 0)
        return -1;
    instance->server.weight = weight_of(service);
    instance->joining = is_joining(service);
    for (size_t i = 0; i < n; i++)
        take_check(instance, json_array_get(checks, i));
    return 0;
}

enum ds_intent ds_consul_instance_intent(const struct ds_consul_instance *instance)
{
    if (instance->drained)
        return DS_INTENT_DRAINING;
    return instance->joining ? DS_INTENT_JOINING : DS_INTENT_IN;
}

static int compare(const void *a, const void *b)
{
    const struct ds_consul_instance *x = a, *y = b;

    return ds_server_compare(&x->server, &y->server);
}

/* One server registered on two agents is up if either says so, drained if either says so,
   and joining if both do: who admits it reaches one of them only. */
static void merge_duplicates(struct ds_consul_view *view)
{
    size_t kept = 0;

    for (size_t i = 0; i < view->n; i++) {
        struct ds_consul_instance *last = kept ? &view->items[kept - 1] : NULL;
        bool drained, joining;

        if (!last || compare(last, &view->items[i]) != 0) {
            view->items[kept++] = view->items[i];
            continue;
        }
        drained = last->drained || view->items[i].drained;
        joining = last->joining && view->items[i].joining;
        if (view->items[i].kind > last->kind)
            *last = view->items[i];
        last->drained = drained;
        last->joining = joining;
    }
    view->n = kept;
}

static void refuse(struct ds_consul_view *view, const struct ds_error *why)
{
    view->n_refused++;
    snprintf(view->refused, sizeof view->refused, "%.*s", DS_WHY_MAX - 1, why->text);
}

int ds_consul_view_parse(struct ds_consul_view *view, const char *text, size_t len,
                         struct ds_error *err)
{
    json_error_t json_err;
    json_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &json_err);
    size_t n = json_array_size(root);

    *view = (struct ds_consul_view){0};
    if (!root)
        return ds_fail(err, DS_E_FORMAT, "it is no JSON: %s", json_err.text);
    if (!json_is_array(root)) {
        json_decref(root);
        return ds_fail(err, DS_E_FORMAT, "it is no list of services");
    }
    view->items = ds_xcalloc(n, sizeof *view->items);
    for (size_t i = 0; i < n; i++) {
        struct ds_error why = DS_ERROR_INIT;

        if (parse_instance(&view->items[view->n], json_array_get(root, i), &why) < 0)
            refuse(view, &why);
        else
            view->n++;
    }
    json_decref(root);
    qsort(view->items, view->n, sizeof *view->items, compare);
    merge_duplicates(view);
    if (view->n > DS_SERVERS_MAX) {
        ds_fail(err, DS_E_FORMAT, "%zu servers are more than %d", view->n,
                DS_SERVERS_MAX);
        ds_consul_view_release(view);
        return -1;
    }
    return 0;
}

void ds_consul_view_release(struct ds_consul_view *view)
{
    free(view->items);
    *view = (struct ds_consul_view){0};
}

void ds_auto_consul_view(struct ds_consul_view *view)
{
    ds_consul_view_release(view);
}
