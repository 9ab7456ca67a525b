/* A lock for processes of which any may be killed at any time. It lies in
 * shared memory; who holds it does little and returns it at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct lock {
    pthread_mutex_t mutex;
};

/* Once, by who makes the memory. */
void lock_make(struct lock *lock);
/* true: who held it died with it, so that what it guards may be half done. */
bool lock_take(struct lock *lock);
void lock_give(struct lock *lock);
