/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_lock.h - a lock in memory that several processes share.
 *
 * It outlives who holds it: when that process is killed, the next one gets the lock, and
 * may find what it guards half written.
 */
#ifndef DSHARD_FCGI_SHARED_LOCK_H
#define DSHARD_FCGI_SHARED_LOCK_H

#include "dshard/base.h"
#include "dshard/error.h"

#include <pthread.h>

struct ds_shared_lock {
    pthread_mutex_t mutex;
};

int ds_shared_lock_init(struct ds_shared_lock *lock, struct ds_error *err) DS_NODISCARD;
void ds_shared_lock_take(struct ds_shared_lock *lock);
void ds_shared_lock_give(struct ds_shared_lock *lock);

#endif
