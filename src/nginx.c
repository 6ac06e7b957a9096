/* SPDX-License-Identifier: Apache-2.0 */
/* see nginx.h */
#include "dshard/nginx.h"

#include <string.h>

enum {
    KEEPALIVE = 8,  /* idle connections to one server, of each process of nginx */
    KEY_PLAIN = 40, /* what surely fits into a bucket of nginx' own size, 64 bytes */
    BUCKET = 512,
};

/* "dshard_10.0.0.1_9091", "dshard6_2001_db8__1_9091".  No two servers have one name: the
   last '_' stands before the port, IPv6 has a beginning of its own, and what is left are
   bytes that mean nothing to nginx. */
static void add_name(struct ds_buf *out, const char *address)
{
    ds_buf_adds(out, address[0] == '[' ? "dshard6_" : "dshard_");
    for (const char *at = address; *at; at++) {
        if (*at != '[' && *at != ']')
            ds_buf_addc(out, *at == ':' ? '_' : *at);
    }
}

static bool is_listed(const struct ds_standing *standing)
{
    return standing->intent != DS_INTENT_OUT;
}

static size_t longest(const struct ds_state *state)
{
    size_t max = 0;

    for (size_t i = 0; i < state->n_servers; i++) {
        size_t len = strlen(state->servers[i].server.address);

        if (is_listed(&state->servers[i]) && len > max)
            max = len;
    }
    return max;
}

static void add_map(const struct ds_state *state, struct ds_buf *out)
{
    ds_buf_adds(out, "map $dshard_server $dshard_upstream {\n"
                     "    default $dshard_server;\n");
    for (size_t i = 0; i < state->n_servers; i++) {
        const char *address = state->servers[i].server.address;

        if (!is_listed(&state->servers[i]))
            continue;
        ds_buf_addf(out, "    \"%s\" ", address);
        add_name(out, address);
        ds_buf_adds(out, ";\n");
    }
    ds_buf_adds(out, "}\n");
}

void ds_nginx_format(const struct ds_state *state, struct ds_buf *out)
{
    ds_buf_adds(out, "# Written by `dshard ring show -o nginx`: not to be edited.\n");
    if (longest(state) > KEY_PLAIN)
        ds_buf_addf(out, "map_hash_bucket_size %d;\n", BUCKET);
    add_map(state, out);
    for (size_t i = 0; i < state->n_servers; i++) {
        const char *address = state->servers[i].server.address;

        if (!is_listed(&state->servers[i]))
            continue;
        ds_buf_adds(out, "upstream ");
        add_name(out, address);
        ds_buf_addf(out, " { server %s; keepalive %d; }\n", address, KEEPALIVE);
    }
}
