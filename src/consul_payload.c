/* SPDX-License-Identifier: Apache-2.0 */
/* see consul_payload.h */
#include "dshard/consul_payload.h"
#include "dshard/base64.h"
#include "dshard/num.h"

#include <crypt.h>
#include <jansson.h>
#include <stdlib.h>

enum { CREDENTIALS_MAX = 8192, CREDENTIALS64_MAX = 16384 };

/* ---- the password of the check ---- */

static int read_credentials(struct ds_buf *out, const struct ds_config *config,
                            struct ds_error *err)
{
    char *password;

    if (ds_config_read_password(config, &password, err) < 0)
        return -1;
    ds_buf_addf(out, "%s:%s", config->pushgateway.username, password ? password : "");
    ds_wipe(password);
    return ds_buf_check(out, "pushgateway's name and password", err);
}

/*
 * Whoever may read the catalog sees the digest and could try passwords on it, so each
 * attempt is made expensive.  The same everywhere: two frontends must agree on it.
 */
static int slow_digest(struct ds_consul_auth *auth, const char *credentials,
                       const char *service, struct ds_error *err)
{
    DS_AUTO(ptr) void *memory = ds_xcalloc(1, sizeof(struct crypt_data));
    DS_AUTO(str) char *setting = NULL;
    char salt[DS_DIGEST_MAX];
    const char *hash;

    ds_murmur3_digest(service, strlen(service), salt);
    setting = ds_xasprintf("$6$rounds=20000$%s$", salt);
    hash = crypt_rn(credentials, setting, memory, sizeof(struct crypt_data));
    if (!hash) /* too long a password, or a libcrypt without SHA-512 */
        return ds_fail_errno(err, "hashing pushgateway's password");
    ds_murmur3_digest(hash, strlen(hash), auth->digest);
    explicit_bzero(memory, sizeof(struct crypt_data));
    return 0;
}

int ds_consul_auth_init(struct ds_consul_auth *auth, const struct ds_config *config,
                        struct ds_error *err)
{
    DS_AUTO(buf) struct ds_buf credentials = DS_BUF_INIT(CREDENTIALS_MAX);
    DS_AUTO(buf) struct ds_buf header = DS_BUF_INIT(CREDENTIALS64_MAX);
    int rc;

    *auth = (struct ds_consul_auth){0};
    if (!config->pushgateway.username)
        return 0;
    ds_buf_reserve(&credentials, CREDENTIALS_MAX); /* no copy is left behind by growing */
    rc = read_credentials(&credentials, config, err);
    if (rc == 0)
        rc = slow_digest(auth, credentials.data, config->consul_server.service, err);
    if (rc == 0) {
        ds_buf_reserve(&header, CREDENTIALS64_MAX);
        ds_buf_adds(&header, "Basic ");
        ds_base64_encode(&header, credentials.data, credentials.len);
        auth->header = ds_buf_steal(&header);
    }
    explicit_bzero(credentials.data, credentials.len);
    return rc;
}

void ds_consul_auth_release(struct ds_consul_auth *auth)
{
    ds_wipe(auth->header);
    *auth = (struct ds_consul_auth){0};
}

/* ---- the payload ---- */

struct ds_consul_payload {
    char *id, *check_id;
    json_t *service; /* without the secret; has the digest */
    char *text;      /* what is sent */
};

/* The host without brackets, as Consul wants it. */
static char *host_of(const char *address)
{
    const char *colon = strrchr(address, ':');

    if (address[0] == '[')
        return ds_xstrndup(address + 1, (size_t)(colon - address) - 2);
    return ds_xstrndup(address, (size_t)(colon - address));
}

static json_int_t port_of(const char *address)
{
    struct ds_error ignored = DS_ERROR_INIT; /* the address is canonical */
    uint64_t port = 0;

    ds_ignore(ds_num_parse(strrchr(address, ':') + 1, 1, 65535, &port, &ignored));
    return (json_int_t)port;
}

char *ds_consul_service_id(const char *address)
{
    DS_AUTO(str) char *host = host_of(address);

    return ds_xasprintf("%s_%s", host, strrchr(address, ':') + 1);
}

/* A duration that every release of Consul reads: Go knows no days. */
static json_t *go_duration(int64_t ms)
{
    return ms % 1000 ? json_sprintf("%lldms", (long long)ms)
                     : json_sprintf("%llds", (long long)(ms / 1000));
}

static json_t *check_of(const struct ds_config *config, const struct ds_server *server,
                        const char *check_id)
{
    json_t *check = json_pack(
        "{ss,so,so,ss,so,so}", "CheckID", check_id, "Name",
        json_sprintf("GET %s", config->health_check.path), "HTTP",
        json_sprintf("%s://%s%s%s", config->pushgateway.scheme, server->address,
                     config->pushgateway.route_prefix, config->health_check.path),
        "Method", "GET", "Interval", go_duration(config->health_check.interval_ms),
        "Timeout", go_duration(config->health_check.timeout_ms));

    if (config->health_check.deregister_after_ms)
        json_object_set_new(check, "DeregisterCriticalServiceAfter",
                            go_duration(config->health_check.deregister_after_ms));
    return check;
}

static json_t *service_of(const struct ds_config *config, const struct ds_server *server,
                          const char *id, const char *check_id)
{
    DS_AUTO(str) char *host = host_of(server->address);
    json_t *tags = json_array();

    for (size_t i = 0; i < config->consul_server.n_tags; i++)
        json_array_append_new(tags, json_string(config->consul_server.tags[i]));
    return json_pack("{ss,ss,ss,sI,so,s{so},so}", "ID", id, "Name",
                     config->consul_server.service, "Address", host, "Port",
                     port_of(server->address), "Tags", tags, "Meta", "dshard-weight",
                     json_sprintf("%u", server->weight), "Check",
                     check_of(config, server, check_id));
}

static char *dump(const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);

    if (!text)
        abort(); /* only without memory: every string in it is UTF-8 */
    return text;
}

struct ds_consul_payload *ds_consul_payload_new(const struct ds_config *config,
                                                const struct ds_server *server,
                                                enum ds_intent intent,
                                                const struct ds_consul_auth *auth)
{
    struct ds_consul_payload *payload = ds_xcalloc(1, sizeof *payload);
    DS_AUTO(str) char *canonical = NULL;
    char digest[DS_DIGEST_MAX];
    json_t *check;

    payload->id = ds_consul_service_id(server->address);
    payload->check_id = ds_xasprintf("service:%s", payload->id);
    payload->service = service_of(config, server, payload->id, payload->check_id);
    if (intent == DS_INTENT_JOINING)
        json_object_set_new(json_object_get(payload->service, "Meta"), "dshard-intent",
                            json_string(ds_intent_name(intent)));
    check = json_object_get(payload->service, "Check");
    if (auth->header)
        json_object_set_new(check, "Header",
                            json_pack("{s[s]}", "Authorization", auth->digest));
    canonical = dump(payload->service);
    ds_murmur3_digest(canonical, strlen(canonical), digest);
    json_object_set_new(json_object_get(payload->service, "Meta"), "dshard-reg",
                        json_string(digest));
    if (auth->header)
        json_object_set_new(check, "Header",
                            json_pack("{s[s]}", "Authorization", auth->header));
    payload->text = dump(payload->service);
    json_object_del(check, "Header");
    return payload;
}

void ds_consul_payload_free(struct ds_consul_payload *payload)
{
    if (!payload)
        return;
    json_decref(payload->service);
    ds_wipe(payload->text);
    free(payload->id);
    free(payload->check_id);
    free(payload);
}

void ds_auto_consul_payload(struct ds_consul_payload **payload)
{
    ds_consul_payload_free(*payload);
}

const char *ds_consul_payload_id(const struct ds_consul_payload *payload)
{
    return payload->id;
}

const char *ds_consul_payload_text(const struct ds_consul_payload *payload)
{
    return payload->text;
}

static bool same(const json_t *a, const char *key_a, const json_t *b, const char *key_b)
{
    return json_equal(json_object_get(a, key_a), json_object_get(b, key_b));
}

/* No tags at all may come as null. */
static bool same_tags(const json_t *mine, const json_t *theirs)
{
    const json_t *tags = json_object_get(mine, "Tags");

    return json_array_size(tags) ? same(mine, "Tags", theirs, "Tags")
                                 : !json_array_size(json_object_get(theirs, "Tags"));
}

static enum ds_consul_match compare(const json_t *mine, const json_t *theirs)
{
    const json_t *my_meta = json_object_get(mine, "Meta");
    const json_t *their_meta = json_object_get(theirs, "Meta");

    if (!same(mine, "Address", theirs, "Address") || !same(mine, "Port", theirs, "Port"))
        return DS_CONSUL_FOREIGN;
    if (!same(mine, "Name", theirs, "Service") || !same_tags(mine, theirs) ||
        !same(my_meta, "dshard-reg", their_meta, "dshard-reg") ||
        !same(my_meta, "dshard-weight", their_meta, "dshard-weight"))
        return DS_CONSUL_DIFFERENT;
    return DS_CONSUL_SAME;
}

int ds_consul_payload_compare(const struct ds_consul_payload *payload, const char *answer,
                              size_t len, enum ds_consul_match *out, struct ds_error *err)
{
    json_error_t json_err;
    json_auto_t *theirs = json_loadb(answer, len, JSON_ALLOW_NUL, &json_err);

    if (!json_is_object(theirs))
        return ds_fail(err, DS_E_FORMAT, "it is no description of a service");
    *out = compare(payload->service, theirs);
    return 0;
}

bool ds_consul_payload_has_check(const struct ds_consul_payload *payload,
                                 const char *checks, size_t len)
{
    json_error_t json_err;
    json_auto_t *root = json_loadb(checks, len, JSON_ALLOW_NUL, &json_err);
    const json_t *check = json_object_get(root, payload->check_id);
    const char *service_id = json_string_value(json_object_get(check, "ServiceID"));

    return service_id && strcmp(service_id, payload->id) == 0;
}
