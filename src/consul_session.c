/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_session.h */
#include "dshard/consul_session.h"
#include "dshard/base64.h"

#include <jansson.h>

void ds_consul_session_body(enum ds_session_ends ends, struct ds_buf *out)
{
    /* A short LockDelay will do: who holds a lock looks at it before it writes. */
    ds_buf_addf(out,
                "{\"Name\":\"dshard\",\"TTL\":\"%ds\",\"LockDelay\":\"1s\","
                "\"Behavior\":\"delete\"",
                DS_SESSION_TTL_MS / 1000);
    if (ends == DS_SESSION_ENDS_BY_TTL)
        ds_buf_adds(out, ",\"NodeChecks\":[]"); /* Consul's default is serfHealth */
    ds_buf_addc(out, '}');
}

static json_t *parse(const struct ds_http_response *response)
{
    json_error_t json_err;

    return json_loadb(response->body.data, response->body.len, 0, &json_err);
}

char *ds_consul_session_id(const struct ds_http_response *response)
{
    json_auto_t *root = parse(response);
    const char *id = json_string_value(json_object_get(root, "ID"));

    /* It becomes a part of URLs. */
    if (!id || !id[0] || strlen(id) >= DS_SESSION_ID_MAX ||
        id[strspn(id, "0123456789abcdefABCDEF-")])
        return NULL;
    return ds_xstrdup(id);
}

bool ds_consul_says_true(const struct ds_http_response *response)
{
    return strncmp(response->body.data, "true", 4) == 0;
}

bool ds_consul_says_no_session(const struct ds_http_response *response)
{
    return response->status == 500 && strstr(response->body.data, "invalid session");
}

int ds_consul_session_holder(const struct ds_http_response *response, char **holder)
{
    json_auto_t *root = response->status == 200 ? parse(response) : NULL;
    const char *session =
        json_string_value(json_object_get(json_array_get(root, 0), "Session"));

    *holder = NULL;
    if (response->status == 200 && !json_is_array(root))
        return -1;
    if (session)
        *holder = ds_xstrdup(session);
    return 0;
}

void ds_consul_session_value(const struct ds_http_response *response, struct ds_buf *out)
{
    json_auto_t *root = response->status == 200 ? parse(response) : NULL;
    const char *value =
        json_string_value(json_object_get(json_array_get(root, 0), "Value"));
    size_t len = out->len;

    if (value && ds_base64_decode_standard(out, value) < 0)
        ds_buf_truncate(out, len);
}
