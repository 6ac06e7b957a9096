/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_lock.h - a lock in memory that several processes share.
 *
 * It outlives who holds it: when that process is killed, the next one gets the lock, and
 * may find what it guards half written.  A process that is frozen with it (SIGSTOP, a
 * cgroup's freezer, a debugger) stops nobody else: they go on without.
 */
#ifndef DSHARD_FCGI_SHARED_LOCK_H
#define DSHARD_FCGI_SHARED_LOCK_H

#include "dshard/base.h"
#include "dshard/error.h"

#include <pthread.h>

/* Who is not frozen has it for some milliseconds at most. */
enum { DS_SHARED_LOCK_WAIT_MS = 1000 };

struct ds_shared_lock {
    pthread_mutex_t mutex;
};

int ds_shared_lock_init(struct ds_shared_lock *lock, struct ds_error *err) DS_NODISCARD;
/* false: another process has had it for DS_SHARED_LOCK_WAIT_MS.  What it guards is not to
   be written then. */
bool ds_shared_lock_take(struct ds_shared_lock *lock) DS_NODISCARD;
void ds_shared_lock_give(struct ds_shared_lock *lock);

#endif
