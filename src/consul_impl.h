/* SPDX-License-Identifier: Apache-2.0 */
/* consul_impl.h - what consul.c and consul_env.c share; private to them. */
#ifndef DSHARD_CONSUL_IMPL_H
#define DSHARD_CONSUL_IMPL_H

#include "dshard/consul.h"

struct ds_consul {
    char *url;         /* "http://host:port" with a path prefix, no slash at its end */
    char *unix_socket; /* NULL: TCP */
    char *username, *password;
    char *token, *token_file; /* the file is read again after a 403 */
    unsigned token_version;
    char *datacenter;
    char *ca_file, *cert_file, *key_file, *tls_server_name;
    bool tls_insecure;
    char *service;
};

/* Replaces *out by the file's content without white space around it. */
int ds_consul_read_token(const char *path, char **out, struct ds_error *err) DS_NODISCARD;

#endif
