/* Patterns as Redis has them: ? * [a-z] [^a] and \ before a byte that means itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Does the whole text fit, in any case? Time grows with text times pattern, never faster. */
bool glob_fits(const char *pattern, size_t pattern_size, const char *text, size_t text_size);
/* The same with upper and lower case apart, as in keys. */
bool glob_fits_key(const char *pattern, size_t pattern_size, const char *key, size_t key_size);
