/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consul_env.c - from the configuration and Consul's environment variables to one set of
 * settings.  The file wins; what it leaves out, the environment fills in.
 */
#include "consul_impl.h"
#include "dshard/num.h"

#include <stdlib.h>
#include <strings.h>

static const char DEFAULT_ADDR[] = "127.0.0.1:8500";

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static void pick(char **field, const char *configured, const char *variable)
{
    ds_set_str(field, configured ? configured : env(variable));
}

/* Go's ParseBool, but what it does not know is an error and not `false`. */
static int env_bool(const char *name, bool absent, bool *out, struct ds_error *err)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    const char *value = env(name);

    *out = absent;
    if (!value)
        return 0;
    for (size_t i = 0; i < DS_COUNT(yes); i++) {
        *out = strcmp(value, yes[i]) == 0;
        if (*out || strcmp(value, no[i]) == 0)
            return 0;
    }
    return ds_fail(err, DS_E_CONFIG, "%s is '%s': true or false is expected", name,
                   value);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* addr: host:port, http://..., https://... or unix:///path. */
static int set_url(struct ds_consul *consul, const char *addr, bool tls,
                   struct ds_error *err)
{
    const char *scheme = tls ? "https" : "http";
    const char *rest = addr;
    size_t len;

    if (strchr(addr, '@')) /* and not a word of it in the message */
        return ds_fail(err, DS_E_CONFIG,
                       "Consul's address has credentials in it: they have keys and "
                       "variables of their own");
    if (starts_with(addr, "unix://")) {
        ds_set_str(&consul->unix_socket, addr + strlen("unix://"));
        ds_set_str(&consul->url, tls ? "https://localhost" : "http://localhost");
        return 0;
    }
    if (starts_with(addr, "https://")) {
        scheme = "https";
        rest = addr + strlen("https://");
    } else if (starts_with(addr, "http://")) {
        rest = addr + strlen("http://");
    } else if (strstr(addr, "://")) {
        return ds_fail(
            err, DS_E_CONFIG,
            "Consul's address '%s' has a scheme that is none of http, https, unix", addr);
    }
    len = strlen(rest);
    while (len && rest[len - 1] == '/')
        len--;
    if (!len || rest[0] == '/' || rest[strcspn(rest, "?#\\ \t\r\n")])
        return ds_fail(err, DS_E_CONFIG, "Consul's address '%s' is not like host:port",
                       addr);
    free(consul->url);
    consul->url = ds_xasprintf("%s://%.*s", scheme, (int)len, rest);
    return 0;
}

static int set_auth(struct ds_consul *consul, const struct ds_config *config,
                    struct ds_error *err)
{
    const char *auth = env("CONSUL_HTTP_AUTH");
    const char *colon = auth ? strchr(auth, ':') : NULL;

    ds_set_str(&consul->username, config->consul_server.username);
    ds_set_str(&consul->password, config->consul_server.password);
    if (consul->username || !auth)
        return 0;
    if (!colon)
        return ds_fail(err, DS_E_CONFIG, "CONSUL_HTTP_AUTH wants user:password");
    consul->username = ds_xstrndup(auth, (size_t)(colon - auth));
    ds_set_str(&consul->password, colon + 1);
    return 0;
}

/* It becomes a line of the request's head; its own text is not for messages. */
static int check_token(const struct ds_consul *consul, const char *origin,
                       struct ds_error *err)
{
    for (const char *c = consul->token; c && *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F)
            return ds_fail(err, DS_E_CONFIG,
                           "the Consul token of %s has a space or a control character",
                           origin);
    }
    return 0;
}

static int set_token(struct ds_consul *consul, const struct ds_config *config,
                     struct ds_error *err)
{
    if (config->consul_server.token) {
        ds_set_str(&consul->token, config->consul_server.token);
        return 0;
    }
    pick(&consul->token_file, config->consul_server.token_file, "CONSUL_HTTP_TOKEN_FILE");
    if (consul->token_file) {
        if (ds_consul_read_token(consul->token_file, &consul->token, err) < 0) {
            err->code = DS_E_CONFIG;
            return -1;
        }
        return check_token(consul, consul->token_file, err);
    }
    ds_set_str(&consul->token, env("CONSUL_HTTP_TOKEN"));
    return check_token(consul, "CONSUL_HTTP_TOKEN", err);
}

static int set_tls(struct ds_consul *consul, const struct ds_config *config,
                   struct ds_error *err)
{
    bool verify;

    pick(&consul->ca_file, config->consul_server.ca_file, "CONSUL_CACERT");
    pick(&consul->cert_file, config->consul_server.cert_file, "CONSUL_CLIENT_CERT");
    pick(&consul->key_file, config->consul_server.key_file, "CONSUL_CLIENT_KEY");
    pick(&consul->tls_server_name, config->consul_server.tls_server_name,
         "CONSUL_TLS_SERVER_NAME");
    if (env_bool("CONSUL_HTTP_SSL_VERIFY", true, &verify, err) < 0)
        return -1;
    consul->tls_insecure = !verify;
    return 0;
}

static int set_address(struct ds_consul *consul, const struct ds_config *config,
                       struct ds_error *err)
{
    const char *addr = config->consul_server.addr;
    bool tls;

    if (addr) /* with its scheme: config.c has put one there */
        return set_url(consul, addr, false, err);
    if (env_bool("CONSUL_HTTP_SSL", false, &tls, err) < 0)
        return -1;
    addr = env("CONSUL_HTTP_ADDR");
    addr = addr ? addr : DEFAULT_ADDR;
    /* The variable wins over an http:// in the address, as it does for Consul's own CLI.
     */
    if (tls && starts_with(addr, "http://"))
        addr += strlen("http://");
    return set_url(consul, addr, tls, err);
}

struct ds_consul *ds_consul_new(const struct ds_config *config, struct ds_error *err)
{
    struct ds_consul *consul = ds_xcalloc(1, sizeof *consul);

    ds_set_str(&consul->datacenter, config->consul_server.datacenter);
    ds_set_str(&consul->service, config->consul_server.service);
    if (set_address(consul, config, err) < 0 || set_auth(consul, config, err) < 0 ||
        set_token(consul, config, err) < 0 || set_tls(consul, config, err) < 0) {
        ds_consul_free(consul);
        return NULL;
    }
    return consul;
}

/* "http://10.0.0.1:8500/prefix": the part from the port's colon on. */
static const char *port_of(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    const char *end = host + strcspn(host, "/");
    const char *bracket = strchr(host, ']');
    const char *from = bracket && bracket < end ? bracket : host;
    const char *colon = strchr(from, ':');

    return colon && colon < end ? colon : end;
}

struct ds_consul *ds_consul_for_host(const struct ds_consul *consul, const char *host)
{
    struct ds_consul *other = ds_xcalloc(1, sizeof *other);
    const char *colon = strstr(consul->url, "://");
    bool brackets = strchr(host, ':') && host[0] != '[';

    *other = (struct ds_consul){.tls_insecure = consul->tls_insecure};
    other->url = ds_xasprintf("%.*s://%s%s%s%s", (int)(colon - consul->url), consul->url,
                              brackets ? "[" : "", host, brackets ? "]" : "",
                              consul->unix_socket ? ":8500" : port_of(consul->url));
    ds_set_str(&other->username, consul->username);
    ds_set_str(&other->password, consul->password);
    ds_set_str(&other->token, consul->token);
    ds_set_str(&other->token_file, consul->token_file);
    ds_set_str(&other->datacenter, consul->datacenter);
    ds_set_str(&other->ca_file, consul->ca_file);
    ds_set_str(&other->cert_file, consul->cert_file);
    ds_set_str(&other->key_file, consul->key_file);
    ds_set_str(&other->tls_server_name, consul->tls_server_name);
    ds_set_str(&other->service, consul->service);
    return other;
}
