/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - dshard.yml, a superset of dynamic-sharding.yml; dshard.yml(5) describes it.
 *
 * One table (config_table.h) says for each key its type, unit, range, default and
 * meaning, and drives reading, checking and `dshard config show`.  A loaded struct holds
 * only values in range; every string is owned, and NULL where nothing was set and there
 * is no default.
 */
#ifndef DSHARD_CONFIG_H
#define DSHARD_CONFIG_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"
#include "dshard/server.h"

enum { DS_CONFIG_BYTES_MAX = 1024 * 1024 };

enum ds_watch_groups { DS_GROUPS_OFF, DS_GROUPS_DEDUPE, DS_GROUPS_MOVE };

struct ds_config {
    char *path; /* the file it came from */

    bool consul; /* the key consul_server is there */
    struct {
        char *addr, *username, *password, *token, *token_file, *datacenter;
        char *ca_file, *cert_file, *key_file, *tls_server_name;
        char *service; /* register_service_name */
        char **tags;
        size_t n_tags;
        int64_t wait_ms;
    } consul_server;

    char *http_listen_addr; /* of the seed; accepted and not used */

    struct {
        char *scheme;       /* "http" or "https" */
        unsigned port;      /* default of servers without one */
        char *route_prefix; /* "" or "/path" without a slash at its end */
        char *username, *password_file;
        struct ds_server *servers; /* in the file's order; 1 to DS_SERVERS_MAX */
        size_t n_servers;
    } pushgateway;

    struct {
        char *path;
        int64_t interval_ms, timeout_ms; /* the defaults depend on `consul` */
        unsigned rise, fall;
        int64_t deregister_after_ms; /* 0: off */
    } health_check;

    struct {
        unsigned replicas;
        unsigned min_healthy; /* a count, or a percentage of the servers */
        bool min_healthy_is_percent;
        int64_t shrink_hold_ms, rejoin_after_ms;
    } ring;

    struct {
        enum ds_watch_groups groups;
        int64_t patience_ms;
    } watch;

    char *state_file;
};

void ds_config_init(struct ds_config *config);
void ds_config_release(struct ds_config *config);
void ds_auto_config(struct ds_config *config);

/*
 * Where the configuration is: `option` (from --config) if not NULL, else $DSHARD_CONFIG,
 * else ./dshard.yml, else /etc/dshard/dshard.yml.  New; NULL with DS_E_CONFIG when there
 * is none (the text names the places looked at).
 */
char *ds_config_find(const char *option, struct ds_error *err) DS_NODISCARD;

/*
 * Reads and checks a file.  Every complaint goes to `complaints`, one a line with its
 * newline, as "FILE:LINE:COLUMN: what, and what was expected" (columns count characters
 * from 1), in the order of the file, at most 100; err then is DS_E_CONFIG with their
 * number ("3 errors in 'FILE'").  A file that cannot be read is DS_E_CONFIG too, with no
 * complaint.  *config must be fresh; on failure it is as ds_config_init() leaves it.
 */
int ds_config_load(struct ds_config *config, const char *path, struct ds_buf *complaints,
                   struct ds_error *err) DS_NODISCARD;

/* The same for a text of at most DS_CONFIG_BYTES_MAX bytes; `name` stands for the file.
 */
int ds_config_parse(struct ds_config *config, const char *name, const char *text,
                    size_t len, struct ds_buf *complaints, struct ds_error *err)
    DS_NODISCARD;

/* Appends what is not wrong and still worth saying, one a line, as "FILE: ...": names
   that would share points, host names for which nginx needs a resolver. */
void ds_config_hints(const struct ds_config *config, struct ds_buf *out);

/* Appends the effective configuration with defaults as YAML with a comment a key, or as
   one JSON object; secrets are "***". */
void ds_config_show(const struct ds_config *config, bool json, struct ds_buf *out);

/* Whether a server of that name is configured. */
bool ds_config_lists(const struct ds_config *config, const char *address);

/* The Pushgateways' password: the first line of pushgateway.password_file, new, for
   ds_wipe(); *out is NULL without one.  DS_E_CONFIG when it cannot be read. */
int ds_config_read_password(const struct ds_config *config, char **out,
                            struct ds_error *err) DS_NODISCARD;

/* How many servers of n must stay: the count itself, or the percentage rounded up. */
size_t ds_config_min_healthy(const struct ds_config *config, size_t n_servers);

#endif
