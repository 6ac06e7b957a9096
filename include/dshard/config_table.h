/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table.h - the one table of the configuration's keys.  Reading, checking,
 * `dshard config show` and the tests of the manual and of the example go by it.
 *
 * A key's name is its path: "pushgateway.port"; "pushgateway.servers[].weight" is a key
 * of an item of the list.  Its section is what stands before the last dot.
 */
#ifndef DSHARD_CONFIG_TABLE_H
#define DSHARD_CONFIG_TABLE_H

#include "dshard/base.h"
#include "dshard/buf.h"

enum ds_config_type {
    DS_CONFIG_MAP,     /* keys of its own */
    DS_CONFIG_SERVERS, /* the list of servers */
    DS_CONFIG_TEXTS,   /* a list of texts */
    DS_CONFIG_TEXT,    /* char * from here to DS_CONFIG_SCHEME; without the characters of
                          `refused` */
    DS_CONFIG_FILE,    /* char *: a path */
    DS_CONFIG_CONSUL_ADDR,  /* char *: a URL, http:// when no scheme was written */
    DS_CONFIG_ROUTE_PREFIX, /* char *: "" or "/path" */
    DS_CONFIG_URL_PATH,     /* char *: "/path" */
    DS_CONFIG_SCHEME,       /* char *: one of `choices` */
    DS_CONFIG_GROUPS,       /* enum ds_watch_groups, in the order of `choices` */
    DS_CONFIG_NUMBER,       /* unsigned */
    DS_CONFIG_DURATION,     /* int64_t, milliseconds */
    DS_CONFIG_DURATION_OFF, /* the same, 0 for `off` */
    DS_CONFIG_MIN_HEALTHY,  /* ring.min_healthy and min_healthy_is_percent */
    DS_CONFIG_ADDRESS,      /* char[DS_ADDRESS_MAX] of a struct ds_server */
};

enum ds_config_flags {
    DS_CONFIG_SECRET = 1 << 0, /* its value is never shown */
    DS_CONFIG_REQUIRED = 1 << 1,
    DS_CONFIG_NULL_OK =
        1 << 2, /* may stand without a value, as in dynamic-sharding.yml */
};

struct ds_config_key {
    const char *name;
    enum ds_config_type type;
    unsigned flags;
    size_t offset;    /* in struct ds_config; of items of servers: in struct ds_server */
    int64_t min, max; /* of numbers; of durations in ms; of texts in bytes; of lists */
    const char *preset;         /* the default as a file would spell it; NULL: none */
    const char *consul_preset;  /* the default with consul_server; NULL: the same */
    const char *absent;         /* without a preset: what happens when it is left out */
    const char *refused;        /* characters that a text may not hold; NULL: any may */
    const char *const *choices; /* ends in NULL */
    const char *meaning;
};

extern const struct ds_config_key ds_config_keys[];
extern const size_t ds_config_n_keys;

enum { DS_CONFIG_KEYS_MAX = 64 }; /* what arrays with an element a key are sized for */

/* The key's name within its section, borrowed. */
const char *ds_config_key_leaf(const struct ds_config_key *key);

/* True when the key stands directly in the section ("" is the top of the file). */
bool ds_config_key_is_in(const struct ds_config_key *key, const char *section);

/* The key of that name in the section, or NULL. */
const struct ds_config_key *ds_config_key_find(const char *section, const char *leaf);

/* True for a char * in struct ds_config. */
bool ds_config_key_is_string(const struct ds_config_key *key);

/* The default that applies, or NULL. */
const char *ds_config_key_preset(const struct ds_config_key *key, bool consul);

/* Appends what the key wants, unit and range included: "a duration from 50ms to 1h". */
void ds_config_key_expects(const struct ds_config_key *key, struct ds_buf *out);

/* Appends the names of the section's keys: "rise, fall or timeout". */
void ds_config_section_keys(const char *section, struct ds_buf *out);

/* How many slips of the keyboard make one word of the other; case, '-' and '_' do not
   count; 3 where one begins with the other.  DS_CONFIG_FAR: too many to guess. */
enum { DS_CONFIG_FAR = 4 };
unsigned ds_config_slips(const char *a, const char *b);

/* The key of the section that an unknown name was probably meant to be, and the first key
   of any section with this very name; NULL: none. */
const struct ds_config_key *ds_config_key_guess(const char *section, const char *leaf);
const struct ds_config_key *ds_config_key_elsewhere(const char *leaf);

#endif
