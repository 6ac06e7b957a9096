/* SPDX-License-Identifier: Apache-2.0 */
/* see pushgateway.h */
#include "dshard/pushgateway.h"
#include "dshard/file.h"
#include "dshard/http.h"

#include <jansson.h>

enum { PASSWORD_MAX = 4096 };
static const size_t ANSWER_MAX = (size_t)512 * 1024 * 1024;

static int count(const struct ds_http_response *response, size_t *n, struct ds_error *err)
{
    json_error_t json_err;
    json_t *root =
        json_loadb(response->body.data, response->body.len, JSON_ALLOW_NUL, &json_err);
    const json_t *data = json_object_get(root, "data");
    bool is_list = json_is_array(data);

    *n = json_array_size(data);
    json_decref(root);
    if (!is_list)
        return ds_fail(err, DS_E_FORMAT, "it has no list of groups");
    return 0;
}

int ds_pushgateway_count_groups(const struct ds_config *config, const char *address,
                                int64_t timeout_ms, size_t *n, struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf password = DS_BUF_INIT(PASSWORD_MAX);
    DS_AUTO(http_response) struct ds_http_response response = {0};
    DS_AUTO(str)
    char *url = ds_xasprintf("%s://%s%s/api/v1/metrics", config->pushgateway.scheme,
                             address, config->pushgateway.route_prefix);
    struct ds_http_request request = {
        .url = url,
        .username = config->pushgateway.username,
        .timeout_ms = timeout_ms,
        .body_max = ANSWER_MAX,
    };

    ds_http_response_init(&response);
    if (config->pushgateway.password_file) {
        if (ds_file_read(&password, config->pushgateway.password_file, err) < 0)
            return ds_wrap(err, "pushgateway.password_file");
        ds_buf_truncate(&password, strcspn(password.data, "\r\n"));
        request.password = password.data;
    }
    if (ds_http_do(&request, &response, err) < 0)
        return -1;
    if (response.status != 200)
        return ds_http_fail_status(&request, &response, err);
    if (count(&response, n, err) < 0)
        return ds_wrap(err, "%s", url);
    return 0;
}
