/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pushgateway.h - talking to one Pushgateway: what it is, which groups it holds, writing
 * one.  Every call waits for its answer, over one kept connection.
 *
 * Errors name method, URL and the server's words.  DS_E_NET: it cannot be reached or
 * broke off; DS_E_PEER: it answered with an error (a redirect is one); DS_E_FORMAT: with
 * nonsense, or too much of it; DS_E_TEMP: it was not asked, for want of descriptors here.
 * Source of the formats: Pushgateway 1.5.1, api/v1 and handler/push.go.
 */
#ifndef DSHARD_PUSHGATEWAY_H
#define DSHARD_PUSHGATEWAY_H

#include "dshard/base.h"
#include "dshard/config.h"
#include "dshard/error.h"
#include "dshard/inventory.h"
#include "dshard/payload.h"

struct ds_pushgateway;

/* timeout_ms: of each request.  DS_E_CONFIG when the password's file cannot be read. */
struct ds_pushgateway *ds_pushgateway_new(const struct ds_config *config,
                                          const char *address, int64_t timeout_ms,
                                          struct ds_error *err) DS_NODISCARD;
void ds_pushgateway_free(struct ds_pushgateway *server);
void ds_auto_pushgateway(struct ds_pushgateway **server);
const char *ds_pushgateway_address(const struct ds_pushgateway *server); /* borrowed */

struct ds_pushgateway_status {
    char version[32];
    int64_t started_us; /* Unix time, its clock: another one after a restart */
    bool unchecked;     /* --push.disable-consistency-check */
    bool admin_api;     /* --web.enable-admin-api */
    bool utf8_names;    /* --push.enable-utf8-names */
    bool persists;      /* --persistence.file is set */
};
int ds_pushgateway_status(struct ds_pushgateway *server,
                          struct ds_pushgateway_status *out, struct ds_error *err)
    DS_NODISCARD;
/* The same from the text of /api/v1/status, for who asks by other means. */
int ds_pushgateway_parse_status(const char *text, size_t len,
                                struct ds_pushgateway_status *out, struct ds_error *err)
    DS_NODISCARD;
/* Whether what two servers tell is told by one, under two names. */
bool ds_pushgateway_is_one(const struct ds_pushgateway_status *a,
                           const struct ds_pushgateway_status *b);
/* Which of these servers, as they have been read, are one (see twins.h): first[i] is the
   first of them that is the same as inventories[i].  Asks only those that look alike; -1:
   one of them did not tell. */
int ds_pushgateway_find_twins(const struct ds_config *config,
                              const struct ds_inventory *inventories, size_t n,
                              int64_t timeout_ms, size_t *first, struct ds_error *err)
    DS_NODISCARD;
/* To be called before anything is deleted because it is somewhere else, too. DS_E_FAILED:
   two of them are one, and the text says what to do; else as ds_pushgateway_status(). */
int ds_pushgateway_check_twins(const struct ds_config *config,
                               const struct ds_inventory *inventories, size_t n,
                               int64_t timeout_ms, struct ds_error *err) DS_NODISCARD;
/* /-/ready answers 200. */
int ds_pushgateway_ready(struct ds_pushgateway *server, struct ds_error *err)
    DS_NODISCARD;
/*
 * How often /metrics has been asked for, this time included, where the server counts it
 * (promhttp_metric_handler_requests_total).  DS_E_MISSING: it does not; Pushgateway up to
 * 1.11 counts its requests "excluding scrapes".
 */
int ds_pushgateway_count_scrapes(struct ds_pushgateway *server, uint64_t *n,
                                 struct ds_error *err) DS_NODISCARD;
/*
 * How many descriptors its process has open, this connection included: the one trace that
 * a scraper leaves everywhere.  Prometheus keeps its connection between scrapes, health
 * checks close theirs, so one more for several looks in a row means that somebody new
 * keeps coming.  DS_E_MISSING: it does not tell.
 */
int ds_pushgateway_count_open(struct ds_pushgateway *server, uint64_t *n,
                              struct ds_error *err) DS_NODISCARD;

/* Fills *out (fresh or released).  -1: out->err, too. */
int ds_pushgateway_list(struct ds_pushgateway *server, struct ds_inventory *out,
                        struct ds_error *err) DS_NODISCARD;
/* Asks many side by side, at most 8 at once; each out[i] is about servers[i] and says
   whether it was reached. */
void ds_pushgateway_list_all(struct ds_pushgateway *const *servers, size_t n,
                             struct ds_inventory *out);

/* How many groups a server holds.  One that told of some and broke off is not gone: that
   is DS_E_PEER, and *n is how many it told of. */
int ds_pushgateway_count_groups(const struct ds_config *config, const char *address,
                                int64_t timeout_ms, size_t *n, struct ds_error *err)
    DS_NODISCARD;

/*
 * What is needed to copy groups from a server: the JSON text of those that are wanted,
 * and the scrape.  Both are of almost one moment; ds_payload_make() says when not.
 */
struct ds_snapshot {
    struct ds_inventory inventory; /* of the wanted groups only */
    char **json;                   /* their texts: json[i] is about inventory.groups[i] */
    size_t *json_len;
    struct ds_scrape *scrape; /* NULL: it cannot be scraped (scrape_err says why) */
    struct ds_buf scrape_body;
    struct ds_error scrape_err;
};
typedef bool ds_group_wanted_fn(void *arg, const struct ds_group *group);
int ds_pushgateway_snapshot(struct ds_pushgateway *server, ds_group_wanted_fn *wanted,
                            void *arg, struct ds_snapshot *out, struct ds_error *err)
    DS_NODISCARD;
void ds_snapshot_init(struct ds_snapshot *snapshot, const char *address);
void ds_snapshot_release(struct ds_snapshot *snapshot);
void ds_auto_snapshot(struct ds_snapshot *snapshot);

enum ds_push { DS_PUSH_REPLACE /* PUT */, DS_PUSH_MERGE /* POST */ };
/* DS_E_REFUSED: the server answered 400: it will not have these metrics beside what it
   holds.  A group may then be there with nothing but push_failure_time_seconds. */
int ds_pushgateway_push(struct ds_pushgateway *server, enum ds_push how,
                        const char *identity, size_t identity_len,
                        const struct ds_payload *payload, struct ds_error *err)
    DS_NODISCARD;
/* 0 also when there was no such group.  The server does it a moment later (202). */
int ds_pushgateway_delete(struct ds_pushgateway *server, const char *identity,
                          size_t identity_len, struct ds_error *err) DS_NODISCARD;
/* Deletes everything; DS_E_REFUSED when the server's admin API is off. */
int ds_pushgateway_wipe(struct ds_pushgateway *server, struct ds_error *err) DS_NODISCARD;

#endif
