/* What moves the clock beside time itself; see clock.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

uint64_t clock_skipped;
