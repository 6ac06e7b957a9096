/* SPDX-License-Identifier: Apache-2.0 */
/* see pushgateway.h */
#include "pushgateway_impl.h"

#include <stdlib.h>

enum { ANSWER_MAX = 1024 * 1024 };

struct ds_pushgateway *ds_pushgateway_new(const struct ds_config *config,
                                          const char *address, int64_t timeout_ms,
                                          struct ds_error *err)
{
    DS_AUTO(pushgateway) struct ds_pushgateway *server = ds_xcalloc(1, sizeof *server);

    if (ds_config_read_password(config, &server->password, err) < 0)
        return NULL;
    memcpy(server->address, address, strnlen(address, sizeof server->address - 1));
    server->base = ds_xasprintf("%s://%s%s", config->pushgateway.scheme, address,
                                config->pushgateway.route_prefix);
    ds_set_str(&server->username, config->pushgateway.username);
    server->timeout_ms = timeout_ms;
    server->loop = ds_http_loop_new();
    return ds_steal(&server);
}

void ds_pushgateway_free(struct ds_pushgateway *server)
{
    if (!server)
        return;
    ds_http_loop_free(server->loop);
    ds_wipe(server->password);
    free(server->username);
    free(server->base);
    free(server);
}

void ds_auto_pushgateway(struct ds_pushgateway **server)
{
    ds_pushgateway_free(*server);
}

const char *ds_pushgateway_address(const struct ds_pushgateway *server)
{
    return server->address;
}

char *ds_pushgateway_url(const struct ds_pushgateway *server, const char *path)
{
    return ds_xasprintf("%s%s", server->base, path);
}

struct ds_http_request ds_pushgateway_request(const struct ds_pushgateway *server,
                                              const char *url)
{
    return (struct ds_http_request){
        .url = url,
        .username = server->username,
        .password = server->password,
        .timeout_ms = server->timeout_ms,
        .body_max = ANSWER_MAX,
    };
}

int ds_pushgateway_fail(const struct ds_http_response *response, struct ds_error *err)
{
    *err = response->err;
    if (response->local)
        err->code = DS_E_TEMP;
    else if (response->body.over || response->headers.over)
        err->code = DS_E_FORMAT;
    return -1;
}

int ds_pushgateway_do(struct ds_pushgateway *server,
                      const struct ds_http_request *request,
                      struct ds_http_response *response, struct ds_error *err)
{
    if (ds_http_do_on(server->loop, request, response, err) < 0)
        return ds_pushgateway_fail(response, err);
    return 0;
}

int ds_pushgateway_get(struct ds_pushgateway *server,
                       const struct ds_http_request *request,
                       struct ds_http_response *response, struct ds_error *err)
{
    if (ds_pushgateway_do(server, request, response, err) < 0)
        return -1;
    if (response->status != 200)
        return ds_http_fail_status(request, response, err);
    return 0;
}
