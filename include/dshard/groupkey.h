/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groupkey.h - which group a push is about, from the request target as it was received.
 *
 * Pushgateway knows a group by its set of labels, and a URL can spell one set in many
 * ways (order, @base64, percent-escapes, trailing slash).  So the target is decoded to
 * the set, and from that come the key that is hashed and the one URL that is sent on.
 * What a Pushgateway would understand as another group, or would break on, is refused.
 *
 * One struct is meant to be used for many requests: its buffers keep their memory.
 * Source: Pushgateway 1.5.1 handler/push.go and Go's net/http; tests/data/grouping.tsv.
 */
#ifndef DSHARD_GROUPKEY_H
#define DSHARD_GROUPKEY_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

enum {
    DS_TARGET_MAX = 8192,          /* bytes of a request target; more is DS_E_TOO_LONG */
    DS_IDENTITY_MAX = 1024 * 1024, /* of an identity: Go's servers read no longer URL */
};

struct ds_label {
    const char *name;  /* both borrowed from the struct ds_groupkey, not NUL-terminated */
    const char *value; /* UTF-8; NUL bytes only when it is from an identity */
    size_t name_len, value_len;
    const char
        *base64;       /* private: the value as the target said it, if it is what we would
                          say, too; encoding it again would take longer than a lookup */
    size_t base64_len; /* 0: there is none */
};

struct ds_groupkey {
    struct ds_label job;     /* its name is "job" */
    struct ds_label *labels; /* the others, sorted bytewise by name, names unique */
    size_t n_labels, cap_labels;
    struct ds_buf key;     /* "/metrics/job/JOB/NAME/VALUE...", all decoded: is hashed */
    struct ds_buf url;     /* the canonical path, with "?QUERY" when there was one */
    struct ds_buf decoded; /* private: what the labels point into */
};

void ds_groupkey_init(struct ds_groupkey *group);
void ds_groupkey_release(struct ds_groupkey *group); /* may be called twice */
void ds_auto_groupkey(struct ds_groupkey *group);

/*
 * Reads a request target: a path from '/', or an absolute http URL; what follows the
 * first
 * '?' is the query and is kept in `url`.  Errors: DS_E_BAD_PATH with one line of reason,
 * DS_E_NOT_FOUND when it is no push path, DS_E_TOO_LONG.  Bytes of the target in a reason
 * are escaped.
 */
int ds_groupkey_parse(struct ds_groupkey *group, const char *target, size_t len,
                      struct ds_error *err) DS_NODISCARD;

/* The identity of a group: `name 0xFF value` joined by 0xFF, job among the names; as
   Pushgateway's own groupingKeyFor.  Two groups are one iff these bytes are equal. */
void ds_groupkey_identity(const struct ds_groupkey *group, struct ds_buf *out);

/* The group that has this identity; its URL is how to tell a server about it.  Values may
   have NUL bytes, which no target of ours may have: a server can hold such a group.
   DS_E_BAD_PATH when it is no identity or no URL can say it (names, job, length). */
int ds_groupkey_from_identity(struct ds_groupkey *group, const char *identity, size_t len,
                              struct ds_error *err) DS_NODISCARD;

/* Walks the labels of an identity, in its order: *at begins at the first byte and is NULL
   after the last label.  The label is borrowed.  False: it is no identity. */
bool ds_identity_next(const char **at, const char *end, struct ds_label *label)
    DS_NODISCARD;

/* True for a label name that a URL can say. */
bool ds_label_name_is_good(const char *name, size_t len);

#endif
