/* SPDX-License-Identifier: Apache-2.0 */
/* accord_ring.c - the ring and the frontends as they stand in Consul's KV store. */
#include "dshard/accord.h"
#include "dshard/base64.h"
#include "dshard/consul.h"
#include "dshard/file.h"
#include "dshard/ring.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { RING_FORMAT = 1, RING_BYTES_MAX = 512 * 1024 /* Consul's limit of a value */ };

void ds_accord_ring_release(struct ds_accord_ring *ring)
{
    free(ring->members);
    free(ring->frozen);
    free(ring->by);
    *ring = (struct ds_accord_ring){0};
}

void ds_auto_accord_ring(struct ds_accord_ring *ring)
{
    ds_accord_ring_release(ring);
}

void ds_accord_ring_format(const struct ds_accord_ring *ring, struct ds_buf *out)
{
    json_t *members = json_array();
    DS_AUTO(str) char *text = NULL;
    json_t *root;

    for (size_t i = 0; i < ring->n; i++)
        json_array_append_new(members,
                              json_pack("{ss,sI}", "address", ring->members[i].address,
                                        "weight", (json_int_t)ring->members[i].weight));
    root =
        json_pack("{si,ss,so,sI,ss,ss?}", "format", RING_FORMAT, "digest", ring->digest,
                  "members", members, "replicas", (json_int_t)ring->replicas, "by",
                  ring->by ? ring->by : "", "frozen", ring->frozen);
    text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    ds_buf_adds(out, text ? text : "");
}

static int parse_member(const json_t *json, struct ds_server *out, struct ds_error *err)
{
    const char *address = json_string_value(json_object_get(json, "address"));
    json_int_t weight = json_integer_value(json_object_get(json, "weight"));
    char canonical[DS_ADDRESS_MAX];

    if (!address || ds_address_parse(canonical, address, 0, err) < 0)
        return ds_fail(err, DS_E_FORMAT, "a member has no proper address");
    if (weight < 1 || weight > DS_WEIGHT_MAX)
        return ds_fail(err, DS_E_FORMAT, "'%s' has no proper weight", canonical);
    memcpy(out->address, canonical, sizeof canonical);
    out->weight = (unsigned)weight;
    return 0;
}

static int parse_root(const json_t *root, struct ds_accord_ring *ring,
                      struct ds_error *err)
{
    const json_t *members = json_object_get(root, "members");
    json_int_t format = json_integer_value(json_object_get(root, "format"));
    json_int_t replicas = json_integer_value(json_object_get(root, "replicas"));
    const char *digest = json_string_value(json_object_get(root, "digest"));
    const char *by = json_string_value(json_object_get(root, "by"));

    if (format > RING_FORMAT)
        return ds_fail(err, DS_E_NEWER, "the published ring is of a later dshard");
    if (format < 1 || !json_is_array(members) || !digest || replicas < 1 ||
        replicas > DS_REPLICAS_MAX || json_array_size(members) > DS_SERVERS_MAX)
        return ds_fail(err, DS_E_FORMAT, "the published ring is none");
    ring->n = json_array_size(members);
    ring->members = ds_xcalloc(ring->n, sizeof *ring->members);
    for (size_t i = 0; i < ring->n; i++) {
        if (parse_member(json_array_get(members, i), &ring->members[i], err) < 0)
            return ds_wrap(err, "the published ring");
    }
    if (ring->n)
        qsort(ring->members, ring->n, sizeof *ring->members, ds_server_compare);
    for (size_t i = 1; i < ring->n; i++) {
        if (ds_server_compare(&ring->members[i - 1], &ring->members[i]) == 0)
            return ds_fail(err, DS_E_FORMAT, "the published ring has '%s' twice",
                           ring->members[i].address);
    }
    ring->replicas = (unsigned)replicas;
    ds_ring_digest(ring->members, ring->n, ring->replicas, ring->digest);
    if (strcmp(ring->digest, digest) != 0)
        return ds_fail(err, DS_E_FORMAT, "the published ring's digest is not its own");
    ds_set_str(&ring->by, by ? by : "?");
    ds_set_str(&ring->frozen, json_string_value(json_object_get(root, "frozen")));
    return 0;
}

int ds_accord_ring_parse(struct ds_accord_ring *ring, const char *text, size_t len,
                         struct ds_error *err)
{
    json_error_t json_err;
    json_t *root = len <= RING_BYTES_MAX
                       ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &json_err)
                       : NULL;
    int rc;

    *ring = (struct ds_accord_ring){0};
    if (!json_is_object(root)) {
        json_decref(root);
        return ds_fail(err, DS_E_FORMAT, "the published ring is no JSON object");
    }
    rc = parse_root(root, ring, err);
    json_decref(root);
    if (rc < 0)
        ds_accord_ring_release(ring);
    return rc;
}

/* ---- frontends ---- */

char *ds_frontend_name(const struct ds_config *config, char **host)
{
    DS_AUTO(str) char *dir = ds_file_dir(config->state_file);
    DS_AUTO(str) char *real_dir = realpath(dir, NULL);
    const char *slash = strrchr(config->state_file, '/');
    DS_AUTO(str)
    char *path = ds_xasprintf("%s/%s", real_dir ? real_dir : dir,
                              slash ? slash + 1 : config->state_file);
    char name[256] = "unknown", digest[DS_DIGEST_MAX];

    if (gethostname(name, sizeof name - 1) < 0)
        memcpy(name, "unknown", sizeof "unknown");
    ds_murmur3_digest(path, strlen(path), digest);
    if (host)
        ds_set_str(host, name);
    return ds_xasprintf("%s-%.8s", name, digest);
}

void ds_frontends_release(struct ds_frontends *frontends)
{
    for (size_t i = 0; i < frontends->n; i++) {
        free(frontends->items[i].name);
        free(frontends->items[i].host);
    }
    free(frontends->items);
    *frontends = (struct ds_frontends){0};
}

void ds_auto_frontends(struct ds_frontends *frontends)
{
    ds_frontends_release(frontends);
}

/* An entry of a recursive read: only those that a session holds are alive. */
static int parse_frontend(const json_t *entry, struct ds_frontend *out)
{
    const char *key = json_string_value(json_object_get(entry, "Key"));
    const char *value = json_string_value(json_object_get(entry, "Value"));
    const char *slash = key ? strrchr(key, '/') : NULL;
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(RING_BYTES_MAX);
    const char *digest, *host;
    json_int_t generation, at;
    json_error_t json_err;
    json_t *root;
    int rc;

    if (!slash || !value || !json_object_get(entry, "Session") ||
        ds_base64_decode_standard(&text, value) < 0)
        return -1;
    root = json_loadb(text.data, text.len, 0, &json_err);
    rc = json_unpack(root, "{ss,ss,sI,sI}", "digest", &digest, "host", &host,
                     "generation", &generation, "at", &at);
    if (rc == 0 && strlen(digest) == DS_DIGEST_MAX - 1) {
        *out = (struct ds_frontend){.name = ds_xstrdup(slash + 1),
                                    .host = ds_xstrdup(host),
                                    .generation = (uint64_t)generation,
                                    .at_ms = at};
        memcpy(out->digest, digest, DS_DIGEST_MAX);
    } else {
        rc = -1;
    }
    json_decref(root);
    return rc;
}

static const char *session_of(const json_t *entries, const char *suffix, size_t *at)
{
    size_t len = strlen(suffix);

    for (; *at < json_array_size(entries); ++*at) {
        const json_t *entry = json_array_get(entries, *at);
        const char *key = json_string_value(json_object_get(entry, "Key"));
        size_t key_len = key ? strlen(key) : 0;

        if (key_len >= len && strcmp(key + key_len - len, suffix) == 0)
            return json_string_value(json_object_get(entry, "Session"));
    }
    return NULL;
}

static void take_entries(const json_t *entries, const char *own, struct ds_frontends *out)
{
    size_t n = json_array_size(entries), at = 0;
    const char *decider = session_of(entries, "/lock", &at);

    out->items = ds_xcalloc(n, sizeof *out->items);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *key = json_string_value(json_object_get(entry, "Key"));
        const char *session = json_string_value(json_object_get(entry, "Session"));

        if (!key || !strstr(key, "/frontends/") ||
            parse_frontend(entry, &out->items[out->n]) < 0)
            continue;
        out->items[out->n].here = strcmp(out->items[out->n].name, own) == 0;
        out->items[out->n++].decides =
            decider && session && strcmp(decider, session) == 0;
    }
}

int ds_frontends_list(const struct ds_config *config, int64_t timeout_ms,
                      struct ds_frontends *out, struct ds_error *err)
{
    DS_AUTO(consul) struct ds_consul *consul = ds_consul_new(config, err);
    DS_AUTO(http_response) struct ds_http_response response;
    DS_AUTO(buf) struct ds_buf path = DS_BUF_INIT(DS_CONSUL_PATH_MAX);
    json_error_t json_err;
    DS_AUTO(str) char *own = ds_frontend_name(config, NULL);
    json_t *entries;

    ds_http_response_init(&response);
    if (!consul)
        return -1;
    ds_buf_adds(&path, "/v1/kv/");
    ds_consul_key(consul, "", &path);
    struct ds_consul_call call = {
        .path = path.data, .query = "recurse", .timeout_ms = timeout_ms};
    if (ds_consul_do(consul, &call, DS_CONSUL_ALLOW_404, &response, err) < 0)
        return -1;
    *out = (struct ds_frontends){0};
    if (response.status == 404)
        return 0;
    entries = json_loadb(response.body.data, response.body.len, 0, &json_err);
    if (json_is_array(entries))
        take_entries(entries, own, out);
    json_decref(entries);
    return 0;
}
