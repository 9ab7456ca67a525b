/* Lua's patterns; see pattern.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/pattern.h"

#include <ctype.h>
#include <string.h>

static const char *match_here(struct pattern *m, const char *s, const char *p);

static const char *fail(struct pattern *m, const char *error)
{
    m->error = error;
    return NULL;
}

/* ---- one character ---- */

/* Is c in the class of a letter, as in %d? A capital letter turns it round. */
static bool class_has(int letter, int c)
{
    bool in;
    switch (tolower(letter)) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    case 'z':
        in = c == 0;
        break;
    default:
        return letter == c;
    }
    return isupper(letter) ? !in : in;
}

/* Is c in the set between p, its '[', and last, its ']'? */
static bool set_has(const char *p, const char *last, int c)
{
    bool found = true;
    if (*++p == '^') {
        found = false;
        p++;
    }
    for (; p < last; p++) {
        if (*p == '%' && p + 1 < last) {
            if (class_has((unsigned char)*++p, c))
                return found;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)*p <= c && c <= (unsigned char)p[2])
                return found;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

/* The end of the single-character item at p, or NULL with an error. */
static const char *item_end(struct pattern *m, const char *p)
{
    char first = *p++;
    if (first == '%')
        return p < m->end ? p + 1 : fail(m, "malformed pattern (ends with '%')");
    if (first != '[')
        return p;
    if (p < m->end && *p == '^')
        p++;
    do { /* a ']' that comes first is one of the set */
        if (p >= m->end)
            return fail(m, "malformed pattern (missing ']')");
        if (*p++ == '%' && p < m->end)
            p++;
    } while (p >= m->end || *p != ']');
    return p + 1;
}

static bool item_fits(const struct pattern *m, const char *s, const char *p, const char *end)
{
    if (s >= m->subject_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return class_has((unsigned char)p[1], c);
    case '[':
        return set_has(p, end - 1, c);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- repetition ---- */

static bool spend(struct pattern *m, ptrdiff_t steps)
{
    m->steps -= steps;
    if (m->steps < 0)
        fail(m, "the pattern takes too long");
    return m->steps >= 0;
}

/* As many as possible, then fewer. */
static const char *match_most(struct pattern *m, const char *s, const char *p, const char *end,
                              ptrdiff_t least)
{
    ptrdiff_t count = 0;
    while (item_fits(m, s + count, p, end))
        count++;
    if (!spend(m, count))
        return NULL;
    for (; count >= least; count--) {
        const char *found = match_here(m, s + count, end + 1);
        if (found || m->error)
            return found;
    }
    return NULL;
}

/* As few as possible, then more. */
static const char *match_least(struct pattern *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *found = match_here(m, s, end + 1);
        if (found || m->error)
            return found;
        if (!item_fits(m, s, p, end))
            return NULL;
    }
}

/* ---- captures and what begins with % ---- */

static const char *open_capture(struct pattern *m, const char *s, const char *p, ptrdiff_t size)
{
    if (m->captures >= PATTERN_CAPTURES)
        return fail(m, "too many captures");
    m->capture[m->captures].at = s;
    m->capture[m->captures].size = size;
    m->captures++;
    const char *found = match_here(m, s, p);
    if (!found)
        m->captures--;
    return found;
}

static const char *close_capture(struct pattern *m, const char *s, const char *p)
{
    int i = m->captures - 1;
    while (i >= 0 && m->capture[i].size != CAPTURE_OPEN)
        i--;
    if (i < 0)
        return fail(m, "invalid pattern capture");
    m->capture[i].size = s - m->capture[i].at;
    const char *found = match_here(m, s, p);
    if (!found)
        m->capture[i].size = CAPTURE_OPEN;
    return found;
}

/* %bxy: from an x to the y that closes it. */
static const char *match_balance(struct pattern *m, const char *s, const char *p)
{
    if (m->end - p < 2)
        return fail(m, "unbalanced pattern");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    int open = 1;
    for (const char *at = s + 1; at < m->subject_end; at++) {
        if (*at == p[1]) {
            if (--open == 0)
                return spend(m, at - s) ? at + 1 : NULL;
        } else if (*at == p[0]) {
            open++;
        }
    }
    spend(m, m->subject_end - s);
    return NULL;
}

/* %f[set]: between a character outside of the set and one in it. */
static bool at_frontier(const struct pattern *m, const char *s, const char *p, const char *end)
{
    int before = s == m->subject ? 0 : (unsigned char)s[-1];
    int after = s < m->subject_end ? (unsigned char)*s : 0;
    return !set_has(p, end - 1, before) && set_has(p, end - 1, after);
}

/* %1: what a capture held. */
static const char *match_back(struct pattern *m, const char *s, int digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->captures || m->capture[i].size == CAPTURE_OPEN)
        return fail(m, "invalid capture index");
    ptrdiff_t size = m->capture[i].size;
    if (size < 0 || m->subject_end - s < size || memcmp(m->capture[i].at, s, (size_t)size) != 0)
        return NULL;
    return s + size;
}

/* ---- the whole ---- */

/* One of the items that begin with % and are no single character: where the
 * match goes on in the subject (NULL: it does not) and in the pattern (*next;
 * NULL: it is none of them). */
static const char *match_special(struct pattern *m, const char *s, const char *p, const char **next)
{
    *next = NULL;
    if (*p != '%' || p + 1 >= m->end)
        return NULL;
    if (p[1] == 'b') {
        *next = p + 4;
        return match_balance(m, s, p + 2);
    }
    if (isdigit((unsigned char)p[1])) {
        *next = p + 2;
        return match_back(m, s, p[1]);
    }
    if (p[1] != 'f')
        return NULL;
    p += 2;
    *next = p;
    if (p >= m->end || *p != '[')
        return fail(m, "missing '[' after '%f' in pattern");
    const char *end = item_end(m, p);
    if (!end)
        return NULL;
    *next = end;
    return at_frontier(m, s, p, end) ? s : NULL;
}

/* A single-character item with what may follow it. *next is set when the match simply goes on there. */
static const char *match_item(struct pattern *m, const char *s, const char *p, const char **next)
{
    *next = NULL;
    const char *end = item_end(m, p), *found;
    if (!end)
        return NULL;
    switch (end < m->end ? *end : '\0') {
    case '?':
        if (item_fits(m, s, p, end) && ((found = match_here(m, s + 1, end + 1)) || m->error))
            return found;
        *next = end + 1;
        return s;
    case '*':
        return match_most(m, s, p, end, 0);
    case '+':
        return match_most(m, s, p, end, 1);
    case '-':
        return match_least(m, s, p, end);
    default:
        if (!item_fits(m, s, p, end))
            return NULL;
        *next = end;
        return s + 1;
    }
}

static const char *match_items(struct pattern *m, const char *s, const char *p)
{
    while (p < m->end) {
        const char *next;
        if (!spend(m, 1))
            return NULL;
        if (*p == '(' && p + 1 < m->end && p[1] == ')')
            return open_capture(m, s, p + 2, CAPTURE_POSITION);
        if (*p == '(')
            return open_capture(m, s, p + 1, CAPTURE_OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->end)
            return s == m->subject_end ? s : NULL;
        const char *found = match_special(m, s, p, &next);
        if (!next)
            found = match_item(m, s, p, &next);
        if (!found || !next)
            return found;
        s = found;
        p = next;
    }
    return s;
}

static const char *match_here(struct pattern *m, const char *s, const char *p)
{
    if (m->depth >= PATTERN_DEPTH)
        return fail(m, "pattern too complex");
    m->depth++;
    const char *found = match_items(m, s, p);
    m->depth--;
    return found;
}

const char *pattern_match(struct pattern *pattern, const char *at, const char *p)
{
    pattern->error = NULL;
    pattern->captures = pattern->depth = 0;
    return match_here(pattern, at, p);
}
