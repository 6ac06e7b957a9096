/* SPDX-License-Identifier: Apache-2.0 */
/* see server.h */
#include "dshard/server.h"
#include "dshard/buf.h"
#include "dshard/num.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

enum {
    NAME_MAX_LEN = 253, /* of a DNS name: RFC 1035, 2.3.4 */
    LABEL_MAX_LEN = 63,
    HOST_MAX = NAME_MAX_LEN + 1,
    ERROR_BYTES_MAX = 512,
};

/* "'TEXT' COMPLAINT"; the text may come from anywhere and is escaped and cut. */
static int complain(struct ds_error *err, const char *text, const char *complaint)
{
    DS_AUTO(buf) struct ds_buf quoted = DS_BUF_INIT(8 * (size_t)ERROR_BYTES_MAX);
    size_t len = strnlen(text, ERROR_BYTES_MAX);

    ds_buf_add_quoted(&quoted, text, len);
    return ds_fail(err, DS_E_FORMAT, "'%.*s%s' %s", (int)(quoted.len - 2),
                   quoted.data + 1, text[len] ? "..." : "", complaint);
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

/* Letters, digits, '-' and '_' (which container networks use) between dots. */
static bool is_name(const char *host)
{
    size_t label = 0;

    for (const char *c = host;; c++) {
        if (*c == '.' || !*c) {
            if (!label || label > LABEL_MAX_LEN || c[-1] == '-')
                return false;
            if (!*c)
                return true;
            label = 0;
        } else if (!is_name_char(*c) || (!label && *c == '-')) {
            return false;
        } else {
            label++;
        }
    }
}

/* Resolvers read a name whose last part is a number, like 10.1 or 0x7f, as an IPv4
   address of an old spelling. */
static bool looks_like_ipv4(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;

    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        return !last[2 + strspn(last + 2, "0123456789abcdefABCDEF")];
    return *last && !last[strspn(last, "0123456789")];
}

static int write_ipv6(char out[DS_ADDRESS_MAX], const char *host, unsigned port,
                      const char *text, struct ds_error *err)
{
    char canonical[INET6_ADDRSTRLEN];
    struct in6_addr binary;

    if (inet_pton(AF_INET6, host, &binary) != 1 ||
        !inet_ntop(AF_INET6, &binary, canonical, sizeof canonical))
        return complain(err, text, "is not a valid IPv6 address");
    snprintf(out, DS_ADDRESS_MAX, "[%s]:%u", canonical, port);
    return 0;
}

static int write_name_or_ipv4(char out[DS_ADDRESS_MAX], const char *host, unsigned port,
                              const char *text, struct ds_error *err)
{
    struct in_addr binary;

    if (looks_like_ipv4(host) && inet_pton(AF_INET, host, &binary) != 1)
        return complain(err, text, "is not a valid IPv4 address");
    if (!is_name(host))
        return complain(err, text, "is not a host: a name or an IP address is expected");
    snprintf(out, DS_ADDRESS_MAX, "%s:%u", host, port);
    return 0;
}

/* Finds the host in text (without brackets), and the port's text behind it or NULL. */
static int split(const char *text, const char **host, size_t *host_len, const char **port,
                 bool *ipv6, struct ds_error *err)
{
    const char *colon = strchr(text, ':'), *end;

    *host = text;
    *port = NULL;
    *ipv6 = true;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return complain(err, text, "is not like [ipv6]:port");
        *host = text + 1;
        *port = end[1] ? end + 2 : NULL;
    } else if (colon && strchr(colon + 1, ':')) {
        end = text + strlen(text); /* a bare IPv6 address has no room for a port */
    } else {
        *ipv6 = false;
        end = colon ? colon : text + strlen(text);
        *port = colon ? colon + 1 : NULL;
    }
    *host_len = (size_t)(end - *host);
    return 0;
}

int ds_address_parse(char out[DS_ADDRESS_MAX], const char *text, unsigned default_port,
                     struct ds_error *err)
{
    struct ds_error ignored = DS_ERROR_INIT; /* our own words name the whole text */
    const char *host_at, *port_at;
    uint64_t port = default_port;
    char host[HOST_MAX];
    size_t host_len = 0;
    bool ipv6;

    if (strstr(text, "://"))
        return complain(err, text, "has a scheme: just host:port is expected");
    if (split(text, &host_at, &host_len, &port_at, &ipv6, err) < 0)
        return -1;
    if (!host_len)
        return complain(err, text, "has no host: host:port is expected");
    if (host_len >= sizeof host)
        return complain(err, text, "has too long a host: at most 253 bytes are expected");
    if (!port_at && !default_port)
        return complain(err, text, "has no port: host:port is expected");
    if (port_at && ds_num_parse(port_at, 1, 65535, &port, &ignored) < 0)
        return complain(err, text, "has a bad port: 1 to 65535 is expected");
    memcpy(host, host_at, host_len);
    host[host_len] = '\0';
    if (ipv6)
        return write_ipv6(out, host, (unsigned)port, text, err);
    return write_name_or_ipv4(out, host, (unsigned)port, text, err);
}

bool ds_address_equal(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool ds_address_is_name(const char *address)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    char host[HOST_MAX];

    if (address[0] == '[' || len >= sizeof host)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    return !looks_like_ipv4(host);
}

int ds_server_compare(const void *a, const void *b)
{
    const struct ds_server *left = a, *right = b;

    return strcmp(left->address, right->address);
}
