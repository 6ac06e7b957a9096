/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - a Pushgateway's name and weight.
 *
 * The name is `host:port` and is hashed to place the server on the ring, so its spelling
 * matters: host names keep their case, IPv4 addresses have no leading zeros, IPv6
 * addresses stand in brackets in their canonical form (RFC 5952).
 */
#ifndef DSHARD_SERVER_H
#define DSHARD_SERVER_H

#include "dshard/base.h"
#include "dshard/error.h"

enum {
    DS_ADDRESS_MAX = 264, /* 253 of a DNS name, brackets, ":65535" and the NUL */
    DS_WEIGHT_MAX = 100,
    DS_SERVERS_MAX = 1000,
};

struct ds_server {
    char address[DS_ADDRESS_MAX];
    unsigned weight; /* 1 to DS_WEIGHT_MAX */
};

/*
 * Reads `host`, `host:port`, `[ipv6]`, `[ipv6]:port` or a bare IPv6 address and writes
 * the canonical name.  default_port 0 means that the port must be there.  Errors are
 * DS_E_FORMAT and quote the text: "'10.0.0.1:0' has a bad port: 1 to 65535 is expected".
 */
int ds_address_parse(char out[DS_ADDRESS_MAX], const char *text, unsigned default_port,
                     struct ds_error *err) DS_NODISCARD;

/* True for two spellings of one server: host names differ by case only. */
bool ds_address_equal(const char *a, const char *b);

/* True when the host part is a name and not an IP address. */
bool ds_address_is_name(const char *address);

/* Orders by name, bytewise; for qsort and bsearch. */
int ds_server_compare(const void *a, const void *b);

#endif
