/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_catalog.h */
#include "dshard/consul_catalog.h"
#include "dshard/url.h"

#include <jansson.h>
#include <stdlib.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

void ds_consul_catalog_release(struct ds_consul_catalog *catalog)
{
    for (size_t i = 0; i < catalog->n_places; i++) {
        free(catalog->places[i].id);
        free(catalog->places[i].node);
        free(catalog->places[i].node_address);
    }
    free(catalog->places);
    free(catalog->marks);
    ds_consul_view_release(&catalog->view);
    *catalog = (struct ds_consul_catalog){0};
}

void ds_auto_consul_catalog(struct ds_consul_catalog *catalog)
{
    ds_consul_catalog_release(catalog);
}

bool ds_consul_catalog_is_marked(const struct ds_consul_catalog *catalog,
                                 const char *address)
{
    for (size_t i = 0; i < catalog->n_marks; i++) {
        if (ds_address_equal(catalog->marks[i], address))
            return true;
    }
    return false;
}

/* ---- places ---- */

/* The address of one entry, by the same rules as everywhere; false: it is no server. */
static bool read_address(const json_t *entry, char out[DS_ADDRESS_MAX])
{
    struct ds_error ignored = DS_ERROR_INIT; /* the view has counted it */
    DS_AUTO(consul_view) struct ds_consul_view view = {0};
    json_auto_t *list = json_pack("[O]", entry);
    DS_AUTO(str) char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;

    if (!text || ds_consul_view_parse(&view, text, strlen(text), &ignored) < 0 || !view.n)
        return false;
    memcpy(out, view.items[0].server.address, DS_ADDRESS_MAX);
    return true;
}

static void take_checks(struct ds_consul_place *place, const json_t *checks)
{
    size_t n = json_array_size(checks);

    for (size_t i = 0; i < n; i++) {
        const json_t *check = json_array_get(checks, i);
        const char *id = text_of(check, "CheckID");

        if (strcmp(id, "serfHealth") == 0)
            place->agent_alive = strcmp(text_of(check, "Status"), "critical") != 0;
        else if (strcmp(id, "_node_maintenance") == 0)
            place->node_drained = true;
        else if (strncmp(id, "_service_maintenance:", 21) == 0)
            place->drained = true;
    }
}

static void take_place(struct ds_consul_catalog *catalog, const json_t *entry)
{
    const json_t *node = json_object_get(entry, "Node");
    struct ds_consul_place place = {0};

    if (!read_address(entry, place.address))
        return;
    place.id = ds_xstrdup(text_of(json_object_get(entry, "Service"), "ID"));
    place.node = ds_xstrdup(text_of(node, "Node"));
    place.node_address = ds_xstrdup(text_of(node, "Address"));
    take_checks(&place, json_object_get(entry, "Checks"));
    catalog->places[catalog->n_places++] = place;
}

int ds_consul_catalog_take_health(struct ds_consul_catalog *catalog, const char *text,
                                  size_t len, struct ds_error *err)
{
    json_error_t json_err;
    json_auto_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &json_err);
    size_t n = json_array_size(root);

    if (ds_consul_view_parse(&catalog->view, text, len, err) < 0)
        return -1;
    catalog->places = ds_xcalloc(n, sizeof *catalog->places);
    for (size_t i = 0; i < n; i++)
        take_place(catalog, json_array_get(root, i));
    return 0;
}

/* ---- marks ---- */

int ds_consul_catalog_take_marks(struct ds_consul_catalog *catalog, const char *text,
                                 size_t len, const char *prefix, struct ds_error *err)
{
    json_error_t json_err;
    json_auto_t *root = json_loadb(text, len, JSON_ALLOW_NUL, &json_err);
    size_t n = json_array_size(root), prefix_len = strlen(prefix);

    if (!json_is_array(root))
        return ds_fail(err, DS_E_FORMAT, "it is no list of keys");
    catalog->marks = ds_xcalloc(n, sizeof *catalog->marks);
    for (size_t i = 0; i < n; i++) {
        const char *key = json_string_value(json_array_get(root, i));
        struct ds_error ignored = DS_ERROR_INIT; /* somebody else's key */

        if (key && strncmp(key, prefix, prefix_len) == 0 &&
            ds_address_parse(catalog->marks[catalog->n_marks], key + prefix_len, 0,
                             &ignored) == 0)
            catalog->n_marks++;
    }
    return 0;
}

static int read_marks(struct ds_consul_catalog *catalog, const struct ds_consul *consul,
                      struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    DS_AUTO(str)
    char *prefix = ds_xasprintf("dshard/%s/out/", ds_consul_service(consul));
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {.query = "keys"};

    ds_http_response_init(&response);
    ds_buf_adds(&path, "/v1/kv/");
    ds_consul_key(consul, "out/", &path);
    call.path = path.data;
    if (ds_buf_check(&path, "the path of a key", err) < 0 ||
        ds_consul_do(consul, &call, DS_CONSUL_ALLOW_404, &response, err) < 0)
        return -1;
    if (response.status == 404) /* nobody is marked */
        return 0;
    if (ds_consul_catalog_take_marks(catalog, response.body.data, response.body.len,
                                     prefix, err) < 0)
        return ds_wrap(err, "GET %s%s", ds_consul_url(consul), path.data);
    return 0;
}

static int read_health(struct ds_consul_catalog *catalog, const struct ds_consul *consul,
                       struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_consul_call call = {0};

    ds_http_response_init(&response);
    ds_buf_adds(&path, "/v1/health/service/");
    ds_url_encode(&path, ds_consul_service(consul), strlen(ds_consul_service(consul)));
    call.path = path.data;
    if (ds_buf_check(&path, "the path of a service", err) < 0 ||
        ds_consul_do(consul, &call, DS_CONSUL_ALLOW_NONE, &response, err) < 0)
        return -1;
    if (ds_consul_catalog_take_health(catalog, response.body.data, response.body.len,
                                      err) < 0)
        return ds_wrap(err, "GET %s%s", ds_consul_url(consul), path.data);
    return 0;
}

int ds_consul_catalog_read(struct ds_consul_catalog *catalog,
                           const struct ds_consul *consul, struct ds_error *err)
{
    if (read_health(catalog, consul, err) == 0 && read_marks(catalog, consul, err) == 0)
        return 0;
    ds_consul_catalog_release(catalog);
    return -1;
}
