/* SPDX-License-Identifier: Apache-2.0 */
/* What is legal in a configuration and still worth a word. */
#include "config_impl.h"

/*
 * Point i of a server is the hash of i and its name with nothing between them, so the
 * names 1.1.1.1:9091 and 11.1.1.1:9091 have points in common: 2 and 11.1.1.1:9091 make
 * the same text as 21 and 1.1.1.1:9091.  How many, when the longer name is digits and the
 * shorter one; 0 when it is not.
 */
static size_t shared_points(const struct ds_server *shorter,
                            const struct ds_server *longer, unsigned replicas)
{
    size_t short_len = strlen(shorter->address), long_len = strlen(longer->address);
    size_t digits = long_len - short_len, shared = 0;
    uint64_t shorter_points = (uint64_t)replicas * shorter->weight;
    uint64_t longer_points = (uint64_t)replicas * longer->weight;
    uint64_t tail = 0, scale = 1;

    if (long_len <= short_len || digits > 7 ||
        strspn(longer->address, "0123456789") < digits ||
        strcmp(longer->address + digits, shorter->address) != 0)
        return 0;
    for (size_t i = 0; i < digits; i++, scale *= 10)
        tail = tail * 10 + (uint64_t)(longer->address[i] - '0');
    for (uint64_t i = 1; i < longer_points && i * scale + tail < shorter_points; i++)
        shared++;
    return shared;
}

static void hint_shared_points(const struct ds_config *config, struct ds_buf *out)
{
    const struct ds_server *servers = config->pushgateway.servers;
    size_t n = config->pushgateway.n_servers;

    for (size_t i = 0; i < n * n; i++) {
        const struct ds_server *a = &servers[i / n], *b = &servers[i % n];
        size_t shared = shared_points(a, b, config->ring.replicas);

        if (shared)
            ds_buf_addf(out,
                        "%s: '%s' and '%s' have %zu points of the ring in common, which "
                        "makes the share of one of them smaller\n",
                        config->path, a->address, b->address, shared);
    }
}

static bool is_local(const char *address)
{
    return strncmp(address, "localhost:", 10) == 0 || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "[::1]:", 6) == 0;
}

/* Only what can be told without a resolver.  Any 127.x.x.x is this host, but different
   ones are two on purpose. */
static void hint_twins(const struct ds_config *config, struct ds_buf *out)
{
    const struct ds_server *servers = config->pushgateway.servers;
    size_t n = config->pushgateway.n_servers;

    for (size_t i = 0; i < n * n; i++) {
        const char *a = servers[i / n].address, *b = servers[i % n].address;

        if (i % n > i / n && is_local(a) && is_local(b) &&
            !(a[0] == '1' && b[0] == '1') &&
            strcmp(strrchr(a, ':'), strrchr(b, ':')) == 0)
            ds_buf_addf(out,
                        "%s: '%s' and '%s' are probably one server, which then has two "
                        "shares, and its groups are not tended\n",
                        config->path, a, b);
    }
}

static void hint_names(const struct ds_config *config, struct ds_buf *out)
{
    const char *first = NULL;
    size_t names = 0;

    for (size_t i = 0; i < config->pushgateway.n_servers; i++) {
        const char *address = config->pushgateway.servers[i].address;

        if (!ds_address_is_name(address))
            continue;
        first = first ? first : address;
        names++;
    }
    if (names)
        ds_buf_addf(out,
                    "%s: nginx needs a resolver in proxy mode, because of servers with a "
                    "host name (%zu of %zu, the first is '%s')\n",
                    config->path, names, config->pushgateway.n_servers, first);
}

static void hint_consul(const struct ds_config *config, struct ds_buf *out)
{
    if (config->consul_server.username && !config->consul_server.password)
        ds_buf_addf(out, "%s: consul_server.username has no password beside it\n",
                    config->path);
    if (config->consul && config->health_check.interval_ms < 1000)
        ds_buf_addf(out, "%s: health_check.interval: Consul raises it to 1s\n",
                    config->path);
}

/* Somebody has saved what `config show` printed. */
static void hint_masks(const struct ds_config *config, struct ds_buf *out)
{
    for (size_t i = 0; i < ds_config_n_keys; i++) {
        const struct ds_config_key *key = &ds_config_keys[i];
        const char *value = NULL;

        if (!(key->flags & DS_CONFIG_SECRET))
            continue;
        value = *(char *const *)ds_config_cfield(key, config);
        if (value && strcmp(value, DS_CONFIG_MASK) == 0)
            ds_buf_addf(out, "%s: %s is '%s', which `config show` prints for a secret\n",
                        config->path, key->name, DS_CONFIG_MASK);
    }
}

void ds_config_hints(const struct ds_config *config, struct ds_buf *out)
{
    hint_shared_points(config, out);
    hint_twins(config, out);
    hint_names(config, out);
    hint_consul(config, out);
    hint_masks(config, out);
    if (config->http_listen_addr)
        ds_buf_addf(out,
                    "%s: http_listen_addr is not used: a web server listens in front of "
                    "dshard-fcgi\n",
                    config->path);
}
