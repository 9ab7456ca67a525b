/* Peaks; see peak.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/peak.h"

/* So much, and an eighth of what is needed, may stay. */
enum { PEAK_SLACK = 256 * 1024 };

struct peak peak;

bool peak_is_over(void)
{
    static size_t before, held; /* most in the second before; what the heap has grown to */
    size_t needed = peak.most > before ? peak.most : before;
    before = peak.most;
    peak.most = peak.now;
    if (held < needed)
        held = needed;
    if (held <= needed + needed / 8 + PEAK_SLACK)
        return false;
    held = needed;
    return true;
}
