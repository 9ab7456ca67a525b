/* The lock; see lock.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <errno.h>

void lock_make(struct lock *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&lock->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

bool lock_take(struct lock *lock)
{
    if (pthread_mutex_lock(&lock->mutex) != EOWNERDEAD)
        return false;
    pthread_mutex_consistent(&lock->mutex);
    return true;
}

void lock_give(struct lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
