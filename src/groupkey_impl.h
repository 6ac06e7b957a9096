/* SPDX-License-Identifier: Apache-2.0 */
/* groupkey_impl.h - what reading a target and writing a group share; private to groupkey.
 */
#ifndef DSHARD_GROUPKEY_IMPL_H
#define DSHARD_GROUPKEY_IMPL_H

#include "dshard/groupkey.h"

/* "@base64" behind a name says how its value is written. */
#define DS_GROUPKEY_BASE64     "@base64"
#define DS_GROUPKEY_BASE64_LEN (sizeof DS_GROUPKEY_BASE64 - 1)

/* Forgets the group and keeps the memory. */
void ds_groupkey_clear(struct ds_groupkey *group);

/* DS_E_BAD_PATH "WHAT "BYTES"WHY", the bytes escaped and cut; clears the group. */
int ds_groupkey_refuse(struct ds_groupkey *group, struct ds_error *err, const char *what,
                       const char *bytes, size_t len, const char *why);

/* By name; of equal names the one that stands first in memory is less. */
bool ds_label_is_less(const struct ds_label *a, const struct ds_label *b);
/* One more label, for the caller to fill in where it lies: copying what was just written
   word by word would wait for the words. */
struct ds_label *ds_groupkey_add_label(struct ds_groupkey *group);

/* Writes the key and the URL of job and labels, the query behind it.  DS_E_BAD_PATH for
   values that are not UTF-8, or have a NUL byte unless that is fine. */
int ds_groupkey_emit(struct ds_groupkey *group, const char *query, size_t query_len,
                     bool nul_is_fine, struct ds_error *err) DS_NODISCARD;

#endif
