/* Shares in words: "12.4 % ± 0.2" when keys were sampled, "25 %" when all were counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARE_TEXT = 48 };

/* Of `part` in `whole`, which is not 0; the error of a sample is that of 95 % confidence. Returns text. */
const char *share_text(uint64_t part, uint64_t whole, bool exact, char text[SHARE_TEXT]);
