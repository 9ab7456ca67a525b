/* Allocation that never fails: out of memory ends the worker, and the master
 * replaces it. What a peer can cause is bounded before it gets here. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/* AddressSanitizer watches: pools keep nothing and every object is an allocation of its own, so that a use
 * after its end is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_CHECKED 1
#endif
#endif

/* Each returns memory for the caller to free(), or aborts the process. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
/* At a multiple of `alignment`, a power of two. */
void *xmalloc_aligned(size_t alignment, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_align(1), alloc_size(2)));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t size) __attribute__((malloc, returns_nonnull));
/* printf into fresh memory. */
char *xformat(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
/* Says that there is no memory, without needing any, and aborts. */
void memory_exhausted(void) __attribute__((noreturn, cold));
