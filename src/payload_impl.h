/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload_impl.h - what the files of payload share: fields of messages, label sets as
 * keys, the index of a scrape, the families of a group's JSON.
 */
#ifndef DSHARD_PAYLOAD_IMPL_H
#define DSHARD_PAYLOAD_IMPL_H

#include "dshard/payload.h"

#include <jansson.h>

/* Bytes of a message, borrowed. */
struct ds_piece {
    const char *data;
    size_t len;
};
int ds_piece_compare(const struct ds_piece *a, const struct ds_piece *b);

enum ds_wire {
    DS_WIRE_VARINT,
    DS_WIRE_I64,
    DS_WIRE_LEN,
    DS_WIRE_GROUP,
    DS_WIRE_GROUP_END,
    DS_WIRE_I32,
};
struct ds_field {
    uint64_t number;
    enum ds_wire wire;
    struct ds_piece whole; /* with its tag */
    struct ds_piece value; /* of I64, I32 and LEN, without the length */
};
/* These take from the front of *rest; false: there is no such thing.  A group is one
   field, with all that is in it. */
bool ds_varint_take(struct ds_piece *rest, uint64_t *n);
bool ds_piece_take(struct ds_piece *rest, uint64_t len, struct ds_piece *out);
bool ds_field_take(struct ds_piece *rest, struct ds_field *field);
bool ds_field_is_bytes(const struct ds_field *field, uint64_t number);
double ds_field_double(const struct ds_field *field); /* of I64 */
void ds_varint_add(struct ds_buf *out, uint64_t n);

/* A set of labels in any order, whose key is one for all orders: `name 0xFF value 0xFF`
   for each, sorted.  Names and values are borrowed. */
struct ds_pair {
    const char *name, *value;
    size_t name_len, value_len;
};
struct ds_pairs {
    struct ds_pair *items; /* owned */
    size_t n, cap;
};
void ds_pairs_add(struct ds_pairs *pairs, const struct ds_pair *pair);
void ds_pairs_add_key(struct ds_pairs *pairs, struct ds_buf *out); /* sorts them */
void ds_auto_pairs(struct ds_pairs *pairs);

struct ds_scrape_series {
    struct ds_piece key;    /* see ds_pairs_add_key() */
    struct ds_piece metric; /* the Metric message */
};
struct ds_scrape_family {
    struct ds_piece name, help;
    struct ds_piece rest;                  /* fields but name, help and metrics, raw */
    const struct ds_scrape_series *series; /* sorted by key */
    size_t n;
};
/* NULL: there is none. */
const struct ds_scrape_family *ds_scrape_family(const struct ds_scrape *scrape,
                                                struct ds_piece name);
/* NULL: there is none.  *twice: there are two. */
const struct ds_scrape_series *ds_scrape_find(const struct ds_scrape_family *family,
                                              struct ds_piece key, bool *twice);
/* The value of a gauge, counter or untyped metric; false: it is none of these. */
bool ds_scrape_value(const struct ds_scrape_series *series, double *value);

/* The JSON of a group, new; NULL: it is none. */
json_t *ds_payload_load(const char *json, size_t len, struct ds_error *err) DS_NODISCARD;

struct ds_payload_family {
    const char *name; /* borrowed from the JSON, as all here */
    json_t *json;
    json_t *metrics; /* an array, or JSON null */
};
/* 1: *out is the family; 0: what stands under that name is none. */
int ds_payload_read_family(struct ds_payload_family *out, const char *name, json_t *json,
                           struct ds_error *err) DS_NODISCARD;

/* The label sets of a family's series, as ds_pairs_add_key() writes them. */
struct ds_payload_keys {
    struct ds_piece *items; /* in the order of the JSON; owned */
    size_t n;
    struct ds_buf text; /* DS_BUF_INIT(DS_PAYLOAD_MAX) */
};
void ds_auto_keys(struct ds_payload_keys *keys);
/* Fills fresh keys; all metrics of the family have labels that are strings then. */
int ds_payload_read_keys(struct ds_payload_keys *keys,
                         const struct ds_payload_family *family, struct ds_error *err)
    DS_NODISCARD;
int ds_payload_fail_twice(struct ds_error *err, const char *family);

/* NULL: it is no string, or one with a NUL byte. */
const char *ds_payload_str(const json_t *value);
/* A number as Go prints it, e.g. "1.5e+09", "NaN", "+Inf". */
bool ds_payload_number(const char *text, double *value);

/* Appends a family as text.  group: all of them, for names that text cannot tell apart.
 */
int ds_payload_add_text(struct ds_buf *out, const json_t *group,
                        const struct ds_payload_family *family, struct ds_error *err)
    DS_NODISCARD;

#endif
