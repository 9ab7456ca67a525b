/* Shares in words; see share.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "server/share.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Decimals of an exact share, and the most of a sampled one. */
enum { SHARE_EXACT = 3, SHARE_SAMPLED = 4 };

/* So many standard deviations have 95 of 100 samples between them. */
static const double confidence = 1.96;

/* "12.500" becomes "12.5". */
static void trim(char *text)
{
    char *end = text + strlen(text);
    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        end[-1] = '\0';
}

static void write_exact(double percent, char text[SHARE_TEXT])
{
    char number[SHARE_TEXT / 2];
    snprintf(number, sizeof number, "%.*f", SHARE_EXACT, percent);
    trim(number);
    if (!strcmp(number, "0"))
        snprintf(text, SHARE_TEXT, "less than 0.001 %%");
    else if (!strcmp(number, "100"))
        snprintf(text, SHARE_TEXT, "more than 99.999 %%");
    else
        snprintf(text, SHARE_TEXT, "%s %%", number);
}

const char *share_text(uint64_t part, uint64_t whole, bool exact, char text[SHARE_TEXT])
{
    double share = (double)part / (double)whole;
    if (part == 0 || part == whole) {
        snprintf(text, SHARE_TEXT, part ? "100 %%" : "0 %%");
    } else if (exact) {
        write_exact(100 * share, text);
    } else {
        double error = 100 * confidence * sqrt(share * (1 - share) / (double)whole);
        int decimals = (int)ceil(-log10(error));
        if (decimals < 0)
            decimals = 0;
        if (decimals > SHARE_SAMPLED)
            decimals = SHARE_SAMPLED;
        snprintf(text, SHARE_TEXT, "%.*f %% ± %.*f", decimals, 100 * share, decimals, error);
    }
    return text;
}
