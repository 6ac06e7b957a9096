/* SPDX-License-Identifier: Apache-2.0 */
/* pushgateway_push.c - what changes a server: pushes, deletes, wipes. */
#include "dshard/groupkey.h"
#include "pushgateway_impl.h"

/* New: the URL of a group, in the one spelling that every Pushgateway reads alike. */
static char *group_url(const struct ds_pushgateway *server, const char *identity,
                       size_t len, struct ds_error *err)
{
    DS_AUTO(groupkey) struct ds_groupkey group;

    ds_groupkey_init(&group);
    if (ds_groupkey_from_identity(&group, identity, len, err) < 0) {
        ds_wrap(err, "'%s'", server->address);
        return NULL;
    }
    return ds_pushgateway_url(server, group.url.data);
}

int ds_pushgateway_push(struct ds_pushgateway *server, enum ds_push how,
                        const char *identity, size_t identity_len,
                        const struct ds_payload *payload, struct ds_error *err)
{
    DS_AUTO(str) char *url = group_url(server, identity, identity_len, err);
    DS_AUTO(str) char *type = ds_xasprintf("Content-Type: %s", payload->content_type);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    ds_http_response_init(&response);
    if (!url)
        return -1;
    request.method = how == DS_PUSH_REPLACE ? "PUT" : "POST";
    request.headers[0] = type;
    request.body = payload->body.data;
    request.body_len = payload->body.len;
    if (ds_pushgateway_do(server, &request, &response, err) < 0)
        return -1;
    if (response.status == 200 || response.status == 202)
        return 0;
    ds_http_fail_status(&request, &response, err);
    if (response.status == 400)
        err->code = DS_E_REFUSED;
    return -1;
}

int ds_pushgateway_delete(struct ds_pushgateway *server, const char *identity,
                          size_t identity_len, struct ds_error *err)
{
    DS_AUTO(str) char *url = group_url(server, identity, identity_len, err);
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    ds_http_response_init(&response);
    if (!url)
        return -1;
    request.method = "DELETE";
    if (ds_pushgateway_do(server, &request, &response, err) < 0)
        return -1;
    if (response.status == 202 || response.status == 200)
        return 0;
    return ds_http_fail_status(&request, &response, err);
}

int ds_pushgateway_wipe(struct ds_pushgateway *server, struct ds_error *err)
{
    DS_AUTO(str) char *url = ds_pushgateway_url(server, "/api/v1/admin/wipe");
    DS_AUTO(http_response) struct ds_http_response response;
    struct ds_http_request request = ds_pushgateway_request(server, url);

    request.method = "PUT";
    if (ds_pushgateway_do(server, &request, &response, err) < 0)
        return -1;
    if (response.status == 202 || response.status == 200)
        return 0;
    if (response.status == 404)
        return ds_fail(err, DS_E_REFUSED,
                       "PUT %s: 404: the server's admin API is off "
                       "(--web.enable-admin-api turns it on)",
                       url);
    return ds_http_fail_status(&request, &response, err);
}
