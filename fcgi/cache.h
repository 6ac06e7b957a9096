/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h - the state file in memory, followed as it changes.
 *
 * A view is immutable.  It is replaced as a whole when the file has changed and is good;
 * a bad file, or none, never displaces what is there, and is logged once per change.  As
 * long as nothing is there, the state that another worker has kept takes its place.
 *
 * Two threads: the loader looks at the file every 100 ms, parses it and builds the ring
 * (not when the digest is the same: then the old ring is shared); the thread that answers
 * requests takes what is ready and never waits.  The loader keeps the file open that it
 * has read, so that a reused inode cannot hide a change.
 */
#ifndef DSHARD_FCGI_CACHE_H
#define DSHARD_FCGI_CACHE_H

#include "dshard/base.h"
#include "dshard/error.h"
#include "keepsake.h"
#include "stats.h"
#include "view.h"

enum { DS_CACHE_LOOK_MS = 100 };

struct ds_cache;

/* Copies path; reads nothing yet.  stats and keepsake are borrowed; NULL: nothing is
   counted, no other worker is asked. */
struct ds_cache *ds_cache_new(const char *path, struct ds_stats *stats,
                              struct ds_keepsake *keepsake) DS_NODISCARD;
void ds_cache_free(struct ds_cache *cache); /* ends the loader; NULL is fine */
void ds_auto_cache(struct ds_cache **cache);

/* Looks at the file once; true when a new view is ready.  Before ds_cache_start() it is
   the caller's to call, after that the loader's alone. */
bool ds_cache_look(struct ds_cache *cache);

/* Starts the loader and waits until it has looked once.  It should be the first to look:
   each thread has a heap of its own, and holes that the reading of a state has left in
   the heap of the thread that answers cost each request 400 instructions in malloc(). */
int ds_cache_start(struct ds_cache *cache, struct ds_error *err) DS_NODISCARD;

/* The newest view; never NULL, and without a state as long as there was no good one.
   Borrowed until the next call.  For one thread only, and that thread never waits. */
const struct ds_view *ds_cache_view(struct ds_cache *cache);

#endif
