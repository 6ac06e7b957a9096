/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h - one group as a Pushgateway lists it: what plans and listings compare.
 *
 * Two groups are one iff their identities are equal (see groupkey.h); the hash of the key
 * says only where a group belongs, and several groups can share it.  Times are those of
 * the server that told them, in Unix microseconds, which is enough to tell any two pushes
 * of one group apart.
 *
 * What a list holds beside these times is read where it is needed, from its text: a group
 * here takes a few hundred bytes.
 */
#ifndef DSHARD_GROUP_H
#define DSHARD_GROUP_H

#include "dshard/base.h"
#include "dshard/error.h"

enum { DS_GROUP_JSON_MAX = 64 * 1024 * 1024 }; /* bytes of one group in a list */

/* One metric family, but for push_time_seconds and push_failure_time_seconds. */
struct ds_family {
    char *name;        /* UTF-8, but a NUL byte in it is written C0 80 */
    int64_t pushed_us; /* when the push that wrote it came; 0: not told */
};

enum ds_group_flags {
    DS_GROUP_ODD_NAME = 1 << 0, /* no URL can say it: a label's name, or no job */
    DS_GROUP_REPLACED = 1 << 1, /* U+FFFD in a label: its real bytes may be others */
    DS_GROUP_GUESSED = 1 << 2,  /* a family called `labels` hid the labels, and it is not
                                   certain whether instance="" is one of them */
    DS_GROUP_GUARDED = 1 << 3, /* push_failure_time_seconds is there twice, and the server
                                  cannot be scraped: see mover_guard.c */
    /* Any of these: a URL made from its labels may be that of another group, or of none.
       So it is never moved: the DELETE could be of another. */
    DS_GROUP_STUCK = DS_GROUP_ODD_NAME | DS_GROUP_REPLACED | DS_GROUP_GUESSED,
};

struct ds_group {
    char *identity; /* owned; see ds_groupkey_identity() */
    size_t identity_len;
    uint32_t hash;              /* murmur3_x86_32 of the key: where it belongs */
    int64_t pushed_us;          /* push_time_seconds; 0: no push has worked yet */
    int64_t failed_us;          /* push_failure_time_seconds; 0: none has failed */
    int64_t created_us;         /* time stamp of push_failure_time_seconds: when the group
                                   came to be, until a push fails; 0: not told */
    int64_t stamped_us;         /* time stamp of push_time_seconds */
    struct ds_family *families; /* sorted by name, unique; owned */
    size_t n_families;
    size_t n_series; /* of these families */
    unsigned flags;  /* enum ds_group_flags */
};

void ds_group_release(struct ds_group *group);
int ds_group_compare(const void *a, const void *b); /* by identity, bytewise; for qsort */

/* Reads the JSON text of one group, an element of `data` of /api/v1/metrics, into a fresh
 *group.  DS_E_FORMAT when it is none; unknown keys and types are passed over. */
int ds_group_parse(struct ds_group *group, const char *json, size_t len,
                   struct ds_error *err) DS_NODISCARD;

/* NULL: it has none of that name. */
const struct ds_family *ds_group_find_family(const struct ds_group *group,
                                             const char *name);
/* Whether nothing has been pushed to it between the two looks (at one server). */
bool ds_group_is_unchanged(const struct ds_group *before, const struct ds_group *now);

/* {job="a",x="1"} with job first, then the other names sorted, values escaped as in
   Prometheus' text format: for people. */
struct ds_buf;
void ds_group_add_text(const struct ds_group *group, struct ds_buf *out);

/*
 * Cuts the groups out of the answer of /api/v1/metrics as it comes in, so that never more
 * than one of them has to be in memory.
 */
typedef int ds_group_text_fn(void *arg, const char *json, size_t len,
                             struct ds_error *err);

struct ds_group_splitter;
struct ds_group_splitter *ds_group_splitter_new(ds_group_text_fn *each, void *arg);
/* Some more bytes; -1 with what `each` said, or DS_E_FORMAT: this is no such answer. */
int ds_group_splitter_feed(struct ds_group_splitter *splitter, const char *data,
                           size_t len, struct ds_error *err) DS_NODISCARD;
/* There are no more; DS_E_FORMAT when the answer is not whole, or not a success. */
int ds_group_splitter_end(struct ds_group_splitter *splitter, struct ds_error *err)
    DS_NODISCARD;
void ds_group_splitter_free(struct ds_group_splitter *splitter);

#endif
