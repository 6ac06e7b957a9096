/* SPDX-License-Identifier: Apache-2.0 */
/* config_impl.h - what the parts of the configuration's reader share; private to it. */
#ifndef DSHARD_CONFIG_IMPL_H
#define DSHARD_CONFIG_IMPL_H

#include "dshard/config.h"
#include "dshard/config_table.h"
#include "dshard/yaml.h"

#define DS_CONFIG_MASK "***" /* what is shown of a secret */

struct ds_config_complaint {
    struct ds_yaml_mark mark;
    size_t order; /* of two at one place the earlier one comes first */
    char *text;
};

struct ds_config_reader {
    struct ds_config *config;
    /* What the file says for each key of the table, borrowed; NULL: nothing. */
    const struct ds_yaml_node *nodes[DS_CONFIG_KEYS_MAX];
    struct ds_config_complaint *complaints;
    size_t n_complaints;
};

/* Why a text is no value of a key, without the place and what is expected instead. */
struct ds_config_trouble {
    struct ds_error problem;
    char hint[160]; /* "": none */
};
#define DS_CONFIG_TROUBLE_INIT                                                           \
    {                                                                                    \
        DS_ERROR_INIT, ""                                                                \
    }

/* Where a node's value is; for an empty one, where its key is. */
struct ds_yaml_mark ds_config_mark(const struct ds_yaml_node *node);

void ds_config_complain(struct ds_config_reader *r, struct ds_yaml_mark mark,
                        const char *fmt, ...) DS_PRINTF(3, 4);
/* "KEY: PROBLEM: WHAT THE TABLE SAYS is expected (HINT)"; hint may be NULL or "". */
void ds_config_complain_key(struct ds_config_reader *r, const struct ds_config_key *key,
                            struct ds_yaml_mark mark, const char *problem,
                            const char *hint);

/* ---- config_value.c: one text ---- */

/* Writes the value that text spells to its field in *base. */
int ds_config_convert(const struct ds_config_key *key, void *base, const char *text,
                      struct ds_config_trouble *trouble) DS_NODISCARD;

/* Sets the defaults of the keys of struct ds_config, or of struct ds_server. */
enum ds_config_base { DS_CONFIG_OF_FILE, DS_CONFIG_OF_SERVER };
void ds_config_preset(void *base, enum ds_config_base kind, bool consul);

/* The field of a key. */
static inline void *ds_config_field(const struct ds_config_key *key, void *base)
{
    return (char *)base + key->offset;
}

static inline const void *ds_config_cfield(const struct ds_config_key *key,
                                           const void *base)
{
    return (const char *)base + key->offset;
}

/* ---- config_read.c ---- */

/* The text of a scalar, borrowed; NULL after a complaint and for a null that is fine. */
const char *ds_config_read_text(struct ds_config_reader *r,
                                const struct ds_config_key *key,
                                const struct ds_yaml_node *node) DS_NODISCARD;

/* Reads a scalar into its field in *base, or complains. */
void ds_config_read_scalar(struct ds_config_reader *r, const struct ds_config_key *key,
                           void *base, const struct ds_yaml_node *node);

/* Complains about a list or map where a scalar is wanted, or the other way round. */
void ds_config_complain_kind(struct ds_config_reader *r, const struct ds_config_key *key,
                             const struct ds_yaml_node *node);
void ds_config_complain_unknown(struct ds_config_reader *r, const char *section,
                                const struct ds_yaml_node *item);

/* Reads the keys of a section; unknown ones are complained about. */
void ds_config_read_map(struct ds_config_reader *r, const char *section,
                        const struct ds_yaml_node *map);

/* ---- config_servers.c, config_check.c ---- */

/* Reads pushgateway.servers, when everything else has been read. */
void ds_config_read_servers(struct ds_config_reader *r);

/* What no key can be blamed for alone. */
void ds_config_check(struct ds_config_reader *r);

/* What the file says for a key of the table; NULL: nothing. */
static inline const struct ds_yaml_node *ds_config_node(const struct ds_config_reader *r,
                                                        const char *section,
                                                        const char *leaf)
{
    return r->nodes[ds_config_key_find(section, leaf) - ds_config_keys];
}

#endif
