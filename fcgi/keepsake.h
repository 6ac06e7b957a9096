/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepsake.h - the text of the last good state file, in memory that all workers share.
 *
 * A worker that is started while the file is bad or missing goes on with it, as those do
 * that have read the file before.  The parent makes the mapping before it forks, and
 * never looks into it.
 *
 * There are two places, one in use and one to write to; who is killed while writing
 * leaves the other as it was.  One writes at a time.  Only pages that a text has needed
 * take memory.
 *
 * While a worker is frozen that is writing or reading, nothing is put and nothing found.
 * Each of the two then takes DS_SHARED_LOCK_WAIT_MS.
 */
#ifndef DSHARD_FCGI_KEEPSAKE_H
#define DSHARD_FCGI_KEEPSAKE_H

#include "dshard/base.h"
#include "dshard/buf.h"
#include "dshard/error.h"

struct ds_keepsake;

struct ds_keepsake *ds_keepsake_new(struct ds_error *err) DS_NODISCARD;
void ds_keepsake_free(struct ds_keepsake *keepsake); /* NULL is fine */
void ds_auto_keepsake(struct ds_keepsake **keepsake);

/* Keeps a text of at most DS_STATE_BYTES_MAX instead of the one before; nothing is
   written when it is the same.  What could not be put is not remembered: every text that
   is loaded is put, also by the other workers.  keepsake NULL: does nothing. */
void ds_keepsake_put(struct ds_keepsake *keepsake, const char *text, size_t len);

/* Appends what is kept; false: nothing is or can be had now, or keepsake is NULL. */
bool ds_keepsake_get(struct ds_keepsake *keepsake, struct ds_buf *out);

#endif
