/* SPDX-License-Identifier: Apache-2.0 */
/* see shared_lock.h */
#include "shared_lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

static int init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int rc = pthread_mutexattr_init(&attributes);

    if (rc)
        return rc;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    rc = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return rc;
}

int ds_shared_lock_init(struct ds_shared_lock *lock, struct ds_error *err)
{
    errno = init(&lock->mutex);
    if (errno)
        return ds_fail_errno(err, "cannot make a lock that workers share");
    return 0;
}

bool ds_shared_lock_take(struct ds_shared_lock *lock)
{
    struct timespec until;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DS_SHARED_LOCK_WAIT_MS / 1000;
    rc = pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &until);
    if (rc == ETIMEDOUT)
        return false;
    if (rc == EOWNERDEAD)
        rc = pthread_mutex_consistent(&lock->mutex);
    assert(rc == 0);
    return true;
}

void ds_shared_lock_give(struct ds_shared_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
