/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_json.h - reading a JSON text in place, from front to back; private to group.
 *
 * The list of a server with 10,000 groups has 12 MB, most of which are series that nobody
 * here looks at, so no tree is built: values are passed over where they stand.  What is
 * passed over is checked all the same, but for UTF-8 in its strings.
 */
#ifndef DSHARD_GROUP_JSON_H
#define DSHARD_GROUP_JSON_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

enum { DS_JSON_DEPTH_MAX = 64 };

struct ds_json {
    const char *at, *end; /* borrowed; what is not read yet */
    const char *begin;
    struct ds_error *err; /* every failure is DS_E_FORMAT and names the byte */
};

/* A piece of the text; of a string what stands between its quotes, escapes and all. */
struct ds_json_text {
    const char *at; /* NULL: none */
    size_t len;
};

struct ds_json ds_json_start(const char *text, size_t len, struct ds_error *err);
int ds_json_fail(const struct ds_json *json, const char *what);

/* The first byte of the next value or bracket; '\0' at the end. */
char ds_json_peek(struct ds_json *json);
/* Passes over a '{' or '[', with which the next value must begin. */
int ds_json_open(struct ds_json *json, char bracket) DS_NODISCARD;
/* Goes on to the next item, or behind the end of the array: 1 or 0, or -1.  *n counts the
   items and begins with 0. */
int ds_json_item(struct ds_json *json, size_t *n) DS_NODISCARD;
/* The same of an object, with the key of the member. */
int ds_json_member(struct ds_json *json, size_t *n, struct ds_json_text *key)
    DS_NODISCARD;
/* Passes over any value. */
int ds_json_skip(struct ds_json *json) DS_NODISCARD;
int ds_json_string(struct ds_json *json, struct ds_json_text *string) DS_NODISCARD;
/* Nothing but space may follow. */
int ds_json_finish(struct ds_json *json) DS_NODISCARD;

bool ds_json_is(struct ds_json_text text, const char *plain);

/* Appends what the string means.  -1: it is not UTF-8, or has half a surrogate pair. */
int ds_json_decode(struct ds_json_text string, struct ds_buf *out) DS_NODISCARD;

#endif
