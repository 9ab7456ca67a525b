/* The lock; see lock.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <errno.h>
#include <time.h>

enum { LOCK_NAP = 5 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 }; /* nanoseconds */

void lock_make(struct lock *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&lock->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* The kernel wakes one who waits when the owner dies. If that one is killed
 * before it has the lock, the others sleep for ever: so nobody sleeps for long. */
static int lock_wait(struct lock *lock)
{
    int status;
    do {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOCK_NAP;
        if (until.tv_nsec >= SECOND) {
            until.tv_nsec -= SECOND;
            until.tv_sec++;
        }
        status = pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &until);
    } while (status == ETIMEDOUT);
    return status;
}

bool lock_take(struct lock *lock)
{
    int status = pthread_mutex_trylock(&lock->mutex);
    if (status == EBUSY)
        status = lock_wait(lock);
    if (status != EOWNERDEAD)
        return false;
    pthread_mutex_consistent(&lock->mutex);
    return true;
}

void lock_give(struct lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
