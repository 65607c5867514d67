/* SPDX-License-Identifier: MIT
 *
 * Decides what of a line may be kept (P6). A line is first freed of JSON escapes that hide plain ASCII (the
 * same JSON, spelled out), so that "\u0038" cannot carry a digit through; then every national number in it
 * becomes a pseudonym or "rrn:#". Eleven digits with single . - / or spaces between are one whatever they say;
 * wider spellings, other scripts and longer runs only when birth date and check number agree, so that dates,
 * times and ids stay. Nearly every line holds no stretch of 11 digits: looking at one byte in eleven proves
 * that. Must not know what an event is, nor where lines go. */
#include "workers/pseudonym.h"

#include <string.h>

#include "workers/pseudonym_keys.h"

#define RRN_DIGITS 11
#define DATED      10 /* "@2024-2025" */

static const char mark[] = "rrn:#";
static const char prefix[] = "rrn:";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
    return c == '.' || c == '-' || c == '/' || c == ' ';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c)
{
    return value_hex_digit(c);
}

/* Regulation 1: check = 97 - (first nine digits mod 97), a 2 put before them for births from 2000. Which
 * century is not in the number, so both are tried. Bis numbers only differ in the month: nothing to do for
 * them. */
bool rrn_is_valid(const char digits[11])
{
    uint64_t nine = 0;
    unsigned check;
    for (int i = 0; i < RRN_DIGITS; i++)
        if (!is_digit(digits[i]))
            return false;
    for (int i = 0; i < 9; i++)
        nine = nine * 10 + (uint64_t)(digits[i] - '0');
    check = (unsigned)(digits[9] - '0') * 10 + (unsigned)(digits[10] - '0');
    return check == 97 - nine % 97 || check == 97 - (2000000000u + nine) % 97;
}

/* A month 0-12 (also +20, +40 for bis numbers) and a day 0-31: tells a number glued to letters from a
 * counter. */
static bool is_plausible(const char digits[11])
{
    int month = (digits[2] - '0') * 10 + digits[3] - '0', day = (digits[4] - '0') * 10 + digits[5] - '0';
    return month < 60 && month % 20 <= 12 && day <= 31 && rrn_is_valid(digits);
}

/* The unbroken letters and digits around position i are exactly 32 hex digits: a pupil, which stays. */
static bool in_pseudonym(const char *in, size_t floor, size_t len, size_t i)
{
    size_t start = i, end = i;
    while (start > floor && i - start <= 32 && hex_value(in[start - 1]) >= 0)
        start--;
    while (end < len && end - i <= 32 && hex_value(in[end]) >= 0)
        end++;
    if (end - start != 32 || value_has_long_repeat(in + start, 32))
        return false;
    return !(start > floor && is_letter(in[start - 1])) && !(end < len && is_letter(in[end]));
}

static bool is_uuid_byte(char c)
{
    return c == '-' || hex_value(c) >= 0;
}

static bool in_uuid(const char *in, size_t floor, size_t len, size_t i)
{
    size_t start = i, end = i;
    while (start > floor && i - start <= 36 && is_uuid_byte(in[start - 1]))
        start--;
    while (end < len && end - i <= 36 && is_uuid_byte(in[end]))
        end++;
    if (end - start != 36)
        return false;
    for (size_t k = 0; k < 36; k++)
        if ((in[start + k] == '-') != (k == 8 || k == 13 || k == 18 || k == 23))
            return false;
    return true;
}

/* "hh:mm:ss.nnnnnnnnn": nanoseconds of a time of day have 11 digits with their seconds. */
static bool is_time_fraction(const char *in, size_t floor, size_t start, size_t end)
{
    return end - start == 12 && in[start + 2] == '.' && start >= floor + 6 && in[start - 1] == ':' &&
           is_digit(in[start - 2]) && is_digit(in[start - 3]) && in[start - 4] == ':' &&
           is_digit(in[start - 5]);
}

struct number { /* eleven digits found in a line */
    size_t start, end;
    char digits[RRN_DIGITS];
};

static bool is_glued(const char *in, size_t floor, size_t len, const struct number *n)
{
    return (n->start > floor && is_letter(in[n->start - 1])) || (n->end < len && is_letter(in[n->end]));
}

static bool is_prefixed(const char *in, size_t floor, size_t start)
{
    return start >= floor + 4 && memcmp(in + start - 4, prefix, 4) == 0;
}

/* Whole groups of digits from start on, one separator between, that are 11 digits together. */
static bool match_at(const char *in, size_t len, size_t start, struct number *out)
{
    size_t i = start;
    int n = 0;
    for (;;) {
        while (i < len && is_digit(in[i])) {
            if (n == RRN_DIGITS)
                return false;
            out->digits[n++] = in[i++];
        }
        if (n == RRN_DIGITS)
            break;
        if (i + 1 >= len || !is_separator(in[i]) || !is_digit(in[i + 1]))
            return false;
        i++;
    }
    out->start = start;
    out->end = i;
    return true;
}

/* The first number in the stretch of digits and separators that begins at from; *end is set to where the
 * search ended. Numbers may stand inside a longer run ("85.07.30-033.28 1000"), so each group's start is
 * tried. */
static bool find_in_stretch(const char *in, size_t len, size_t from, size_t limit, bool quoted, size_t floor,
                            struct number *out, size_t *end)
{
    size_t i;
    for (i = from; i < limit && (is_digit(in[i]) || is_separator(in[i])); i++) {
        if (!is_digit(in[i]) || (i > floor && is_digit(in[i - 1])))
            continue;
        if (!match_at(in, len, i, out) || is_time_fraction(in, floor, i, out->end))
            continue;
        /* A letter at its side makes it part of an id, unless it is plainly a number or says so itself. */
        if (!quoted || !is_glued(in, floor, len, out) || is_prefixed(in, floor, i))
            return true;
        if (is_plausible(out->digits) && !in_pseudonym(in, floor, len, i) &&
            !in_pseudonym(in, floor, len, out->end - 1) && !in_uuid(in, floor, len, i))
            return true;
    }
    *end = i;
    return false;
}

/* Which side of the quotes we are on; advanced from where it stood last. */
struct quotes {
    size_t at;
    bool inside;
};

static void advance_quotes(struct quotes *q, const char *in, size_t to)
{
    while (q->at < to) {
        if (in[q->at] == '"')
            q->inside = !q->inside;
        else if (in[q->at] == '\\' && q->inside)
            q->at++;
        q->at++;
    }
}

/* The first number that begins in [from, limit). Any number covers 11 bytes of digits and separators, so one byte in 11
 * is looked at. */
static bool find_number(const char *in, size_t len, size_t from, size_t limit, struct quotes *q,
                        struct number *out)
{
    size_t probe = from + RRN_DIGITS - 1;
    while (probe < len && probe < limit + RRN_DIGITS) {
        size_t start = probe, end = probe;
        int digits = 0;
        if (!is_digit(in[probe]) && !is_separator(in[probe])) {
            probe += RRN_DIGITS;
            continue;
        }
        while (start > from && (is_digit(in[start - 1]) || is_separator(in[start - 1])))
            digits += is_digit(in[--start]);
        while (digits < RRN_DIGITS && end < len && (is_digit(in[end]) || is_separator(in[end])))
            digits += is_digit(in[end++]);
        if (digits >= RRN_DIGITS) {
            if (q)
                advance_quotes(q, in, start);
            if (find_in_stretch(in, len, start, limit, q ? q->inside : true, from, out, &end))
                return true;
        }
        probe = end + RRN_DIGITS;
    }
    return false;
}

/* Wider spellings. */

enum token_kind { TOKEN_OTHER, TOKEN_DIGIT, TOKEN_SEPARATOR };
struct token {
    enum token_kind kind;
    uint8_t len;
    char digit; /* in ASCII, whatever the script */
};

#define GAP_MAX  3  /* separators between two digits */
#define RUN_MAX  22 /* digits of a longer run are no number, unless they only pad one */
#define PAD_MAX  32 /* digits that a pupil has room for */
#define PAD_ZERO 3  /* zeros that make a counter of a run */

/* What a wide spelling may hold: 1 digits, 2 the rest (bytes from 0x80 on begin or end a character). */
static const uint8_t wide_bytes[256] = {
    ['0' ... '9'] = 1, [' '] = 2,           ['.'] = 2,  ['-'] = 2,           ['/'] = 2,  ['_'] = 2,
    [','] = 2,         [':'] = 2,           ['+'] = 2,  ['('] = 2,           [')'] = 2,  ['\t'] = 2,
    ['\n'] = 2,        ['\r'] = 2,          ['\\'] = 2, [0x80 ... 0xd8] = 2, [0xd9] = 1, [0xda] = 2,
    [0xdb] = 1,        [0xdc ... 0xee] = 2, [0xef] = 1, [0xf0 ... 0xff] = 2};

static bool is_wide_separator(uint32_t c)
{
    if (c < 0x80)
        return wide_bytes[c] == 2 && c != '\\';
    return c == 0xa0 || c == 0xad || (c >= 0x2000 && c <= 0x2015) || c == 0x202f || c == 0x205f ||
           c == 0x2060 || c == 0x2212 || c == 0x3000 || c == 0xfeff || (c >= 0xff0d && c <= 0xff0f);
}

static struct token token_of(uint32_t c, size_t len)
{
    static const uint16_t zeros[] = {'0', 0x660, 0x6f0, 0xff10};
    for (size_t z = 0; z < sizeof zeros / sizeof *zeros; z++)
        if (c >= zeros[z] && c < zeros[z] + 10u)
            return (struct token){TOKEN_DIGIT, (uint8_t)len, (char)('0' + (c - zeros[z]))};
    return (struct token){is_wide_separator(c) ? TOKEN_SEPARATOR : TOKEN_OTHER, (uint8_t)len, 0};
}

static struct token read_escape(const char *in, size_t len)
{
    uint32_t c = 0;
    if (len < 2)
        return (struct token){TOKEN_OTHER, 1, 0};
    if (in[1] != 'u' || len < 6)
        return (struct token){in[1] == 't' || in[1] == 'n' || in[1] == 'r' ? TOKEN_SEPARATOR : TOKEN_OTHER, 2,
                              0};
    for (int i = 2; i < 6; i++) {
        if (hex_value(in[i]) < 0)
            return (struct token){TOKEN_OTHER, 2, 0};
        c = c << 4 | (uint32_t)hex_value(in[i]);
    }
    return token_of(c, 6);
}

static struct token read_token(const char *in, size_t len)
{
    const uint8_t *p = (const uint8_t *)in;
    if (wide_bytes[p[0]] == 1 && p[0] < 0x80)
        return (struct token){TOKEN_DIGIT, 1, (char)p[0]};
    if (p[0] == '\\')
        return read_escape(in, len);
    if (p[0] < 0x80)
        return (struct token){wide_bytes[p[0]] ? TOKEN_SEPARATOR : TOKEN_OTHER, 1, 0};
    if ((p[0] & 0xe0) == 0xc0 && len >= 2 && (p[1] & 0xc0) == 0x80)
        return token_of((p[0] & 0x1fu) << 6 | (p[1] & 0x3fu), 2);
    if ((p[0] & 0xf0) == 0xe0 && len >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
        return token_of((p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu), 3);
    return (struct token){TOKEN_OTHER, 1, 0};
}

struct wide { /* eleven digits in a wide spelling */
    struct number n;
    unsigned cuts;    /* bit i: separators before digit i */
    bool ends_inside; /* another digit follows at once */
    bool narrow;      /* as match_at() would take it */
    bool ascii;
    bool structural; /* has separators that JSON has between its values */
};

#define CUT(i)   (1u << (i))
#define CUTS_OWN (CUT(2) | CUT(4) | CUT(6) | CUT(9)) /* as such numbers are grouped: 85.07.30-033.28 */

/* No birth date begins with these digits: a look before the rest is read. */
static bool is_hopeless(const char *digits, int n)
{
    int value = (digits[n - 2] - '0') * 10 + digits[n - 1] - '0';
    return n == 4 ? value >= 60 || value % 20 > 12 : n == 6 && value > 31;
}

/* mid: a digit stands directly before start. */
static bool match_wide(const char *in, size_t len, size_t start, bool mid, struct wide *w)
{
    int n = 0, gap = 0;
    *w = (struct wide){.n.start = start, .narrow = true, .ascii = true};
    for (size_t i = start; i < len;) {
        struct token t = read_token(in + i, len - i);
        if (t.kind == TOKEN_DIGIT) {
            if (n == RRN_DIGITS) {
                w->ends_inside = true;
                return true;
            }
            w->cuts |= gap ? 1u << n : 0;
            w->ascii &= t.len == 1;
            w->n.digits[n++] = t.digit;
            w->n.end = i + t.len;
            gap = 0;
            if ((mid && (w->cuts & ~CUTS_OWN)) || (n >= 4 && is_hopeless(w->n.digits, n)))
                return false;
        } else if (n < RRN_DIGITS && t.kind == TOKEN_SEPARATOR && gap++ < GAP_MAX) {
            w->narrow &= gap == 1 && is_separator(in[i]);
            w->structural |= in[i] == ',' || in[i] == ':';
        } else {
            break;
        }
        i += t.len;
    }
    return n == RRN_DIGITS;
}

/* n digits at p, not beyond end, as a value; -1: there are none. */
static int read_digits(const char *p, const char *end, int n)
{
    int value = 0;
    if (end - p < n)
        return -1;
    for (int i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return -1;
        value = value * 10 + p[i] - '0';
    }
    return value;
}

static bool is_within(int value, int first, int last)
{
    return value >= first && value <= last;
}

/* Length of "2024-09-01" or "1/9/2024" at p; 0: there is none. */
static size_t match_date(const char *p, const char *end)
{
    const char *s = p;
    if (end - p >= 10 && p[4] == '-' && p[7] == '-' && is_within(read_digits(p, end, 4), 1900, 2099) &&
        is_within(read_digits(p + 5, end, 2), 1, 12) && is_within(read_digits(p + 8, end, 2), 1, 31))
        return end - p == 10 || !is_digit(p[10]) ? 10 : 0;
    for (int part = 0; part < 2; part++) {
        int size = read_digits(s, end, 2) >= 0 ? 2 : 1;
        if (!is_within(read_digits(s, end, size), 1, part ? 12 : 31))
            return 0;
        s += size;
        if (s >= end || !strchr("./-", *s++))
            return 0;
    }
    if (!is_within(read_digits(s, end, 4), 1900, 2099) || (end - s > 4 && is_digit(s[4])))
        return 0;
    return (size_t)(s + 4 - p);
}

/* Length of "12:30:45.123" at p; 0: there is none. */
static size_t match_clock(const char *p, const char *end)
{
    const char *s = p + 9;
    if (end - p < 10 || p[2] != ':' || p[5] != ':' || !(p[8] == '.' || p[8] == ',') || !is_digit(*s) ||
        !is_within(read_digits(p, end, 2), 0, 23) || !is_within(read_digits(p + 3, end, 2), 0, 59) ||
        !is_within(read_digits(p + 6, end, 2), 0, 60))
        return 0;
    while (s < end && is_digit(*s))
        s++;
    return end - s >= 2 && s[0] == p[8] && is_digit(s[1]) ? 0 : (size_t)(s - p);
}

/* A date or a time of day reaches into [start, end). */
static bool has_moment(const char *in, size_t floor, size_t len, size_t start, size_t end)
{
    for (size_t p = start > floor + 32 ? start - 32 : floor; p < end; p++) {
        size_t n;
        if (!is_digit(in[p]) || (p > floor && is_digit(in[p - 1])))
            continue;
        n = match_date(in + p, in + len);
        if (n == 0)
            n = match_clock(in + p, in + len);
        if (n && p + n > start)
            return true;
    }
    return false;
}

/* A real day of birth and a real serial: within a longer run, where every window is tried, more is asked. */
static bool is_dated(const char digits[11])
{
    int month = (digits[2] - '0') * 10 + digits[3] - '0', day = (digits[4] - '0') * 10 + digits[5] - '0';
    return month % 20 > 0 && day > 0 && memcmp(digits + 6, "000", 3) != 0 &&
           memcmp(digits + 6, "999", 3) != 0;
}

/* A Unix time of these years in milli-, micro- or nanoseconds, or 20240901123045 with or without parts. */
static bool is_stamp(const char *run, size_t count)
{
    const char *end = run + count;
    if ((count == 13 || count == 16 || count == 19) && run[0] == '1')
        return true;
    return (count == 12 || count == 14 || count == 17) && is_within(read_digits(run, end, 4), 1900, 2099) &&
           is_within(read_digits(run + 4, end, 2), 1, 12) && is_within(read_digits(run + 6, end, 2), 1, 31) &&
           is_within(read_digits(run + 8, end, 2), 0, 23) && is_within(read_digits(run + 10, end, 2), 0, 59);
}

static bool is_all(const char *p, size_t len, char c)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != c)
            return false;
    return true;
}

/* Eleven digits within the longer run of digits that begins at run. */
static bool judge_run(const char *in, size_t floor, size_t len, size_t run, const struct number *n,
                      char digits[PAD_MAX + 1])
{
    size_t count = 0, before = 0, zeros = 0, i = run;
    while (i < len && count <= PAD_MAX) {
        struct token t = read_token(in + i, len - i);
        if (t.kind != TOKEN_DIGIT)
            break;
        before += i < n->start;
        digits[count++] = t.digit;
        i += t.len;
    }
    if (count > PAD_MAX || !is_dated(n->digits) || in_pseudonym(in, floor, len, n->start) ||
        in_uuid(in, floor, len, n->start))
        return false;
    if (run > floor + 1 && in[run - 1] == '.' && is_digit(in[run - 2])) /* decimals */
        return false;
    while (zeros < count && digits[zeros] == '0')
        zeros++;
    if (zeros >= PAD_ZERO) /* a counter with zeros before it; or a number with zeros before it */
        return n->end == i && count - zeros >= RRN_DIGITS - 1;
    if (before == 0 && is_all(digits + RRN_DIGITS, count - RRN_DIGITS, digits[RRN_DIGITS]))
        return true;
    return count <= RUN_MAX && !is_stamp(digits, count);
}

static bool is_in_run(const char *in, size_t floor, size_t len, size_t run, const struct number *n)
{
    char digits[PAD_MAX + 1];
    bool is = judge_run(in, floor, len, run, n, digits);
    explicit_bzero(digits, sizeof digits);
    return is;
}

/* mid: a digit stands directly before it; run: where that run of digits began. */
static bool is_wide_number(const char *in, size_t floor, size_t len, size_t run, bool mid,
                           const struct wide *w)
{
    const struct number *n = &w->n;
    bool inside = mid || w->ends_inside;
    if (!is_plausible(n->digits))
        return false;
    if (w->cuts == 0)
        return inside ? is_in_run(in, floor, len, run, n) : !w->ascii;
    if (w->narrow && w->ascii && !inside)
        return false; /* find_in_stretch() decides */
    /* Glued to other digits only when it is grouped as such numbers are. */
    if (inside && (!(w->cuts & CUT(6)) || (w->cuts & ~CUTS_OWN) || !is_dated(n->digits)))
        return false;
    return !has_moment(in, floor, len, n->start, n->end) && !in_pseudonym(in, floor, len, n->start) &&
           !in_pseudonym(in, floor, len, n->end - 1) && !in_uuid(in, floor, len, n->start);
}

/* The first wide number that begins in [*from, len), or in the wide_bytes there; *from is set to where the search
 * ended. */
static bool match_in(const char *in, size_t floor, size_t len, bool all, size_t *from, struct wide *out)
{
    size_t run = *from, i;
    bool mid = false;
    for (i = *from; i < len && (all || wide_bytes[(uint8_t)in[i]]);) {
        struct token t = {TOKEN_OTHER, 1, 0};
        if (wide_bytes[(uint8_t)in[i]])
            t = read_token(in + i, len - i);
        if (t.kind == TOKEN_DIGIT) {
            if (!mid)
                run = i;
            if (match_wide(in, len, i, mid, out) && is_wide_number(in, floor, len, run, mid, out)) {
                *from = out->n.end;
                return true;
            }
        }
        mid = t.kind == TOKEN_DIGIT;
        i += t.len;
    }
    *from = i;
    return false;
}

struct view { /* of a line */
    const char *in;
    size_t len;
    bool escapes; /* holds a backslash: letters may belong to a separator */
    bool json, braced;
};

/* Outside the strings of a JSON text, where a comma parts two values. */
static bool is_structure(const struct view *v, struct quotes *q, size_t i)
{
    advance_quotes(q, v->in, i);
    return v->braced && !q->inside;
}

/* The first number in a wide spelling at or after from. Without escapes it covers 11 bytes of wide_bytes. */
static bool find_wide(const struct view *v, size_t from, struct quotes *q, struct wide *out)
{
    const char *in = v->in;
    size_t probe = v->escapes ? from : from + RRN_DIGITS - 1, searched = from, len = v->len;
    while (probe < len) {
        size_t start = probe, end = probe;
        int digits = v->escapes ? RRN_DIGITS : 0;
        if (!v->escapes && !wide_bytes[(uint8_t)in[probe]]) {
            probe += RRN_DIGITS;
            continue;
        }
        while (start > searched && wide_bytes[(uint8_t)in[start - 1]])
            digits += wide_bytes[(uint8_t)in[--start]] == 1;
        for (; digits < RRN_DIGITS && end < len && wide_bytes[(uint8_t)in[end]]; end++)
            digits += wide_bytes[(uint8_t)in[end]] == 1;
        if (digits >= RRN_DIGITS) {
            size_t clock =
                match_clock(in + start, in + len); /* most lines have one: no number begins in it */
            start += clock < 9 + RRN_DIGITS ? clock : 0;
        }
        if (digits >= RRN_DIGITS)
            for (end = start; match_in(in, from, len, v->escapes, &end, out);)
                if (!v->json || !out->structural || !is_structure(v, q, out->n.start))
                    return true; /* the values of a list are numbers of their own */
        searched = end;
        probe = end + RRN_DIGITS;
    }
    return false;
}

/* Narrow and wide numbers from left to right. */
struct search {
    struct view view;
    struct quotes narrow, wide;
    struct wide next; /* the next wide one; its start is len when there is none */
};

static void begin_search(struct search *s, const char *in, size_t len, bool json)
{
    *s = (struct search){
        .view = {in, len, len && memchr(in, '\\', len), json, len && (in[0] == '{' || in[0] == '[')}};
    if (!find_wide(&s->view, 0, &s->wide, &s->next))
        s->next.n.start = len;
}

static bool find_next(struct search *s, size_t from, struct number *out)
{
    const struct view *v = &s->view;
    struct number *wide = &s->next.n;
    if (wide->start < from && !find_wide(v, from, &s->wide, &s->next))
        wide->start = v->len;
    bool found = find_number(v->in, v->len, from, wide->start, v->json ? &s->narrow : NULL, out);
    /* eleven digits that are no number must not eat half of one that is */
    if (found && !(wide->start < out->end && !is_plausible(out->digits)))
        return true;
    if (wide->start == v->len)
        return found;
    *out = *wide;
    if (v->json)
        advance_quotes(&s->narrow, v->in, out->start);
    return true;
}

/* The printable ASCII character that the escape at in[i] spells, or -1. Quote and backslash must stay
 * escaped. */
static int hidden_character(const char *in, size_t len, size_t i)
{
    int c;
    if (i + 1 < len && in[i + 1] == '/')
        return '/';
    if (i + 5 >= len || in[i + 1] != 'u' || in[i + 2] != '0' || in[i + 3] != '0' ||
        hex_value(in[i + 4]) < 0 || hex_value(in[i + 5]) < 0)
        return -1;
    c = hex_value(in[i + 4]) << 4 | hex_value(in[i + 5]);
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? c : -1;
}

/* Spells escaped plain characters out; the JSON stays the same JSON. In place; returns the new length. */
size_t pseudonym_spell_out(char *bytes, size_t len)
{
    char *first = memchr(bytes, '\\', len);
    size_t out;
    if (first == NULL)
        return len;
    out = (size_t)(first - bytes);
    for (size_t i = out; i < len;) {
        int c = bytes[i] == '\\' ? hidden_character(bytes, len, i) : -1;
        if (c >= 0) {
            i += bytes[i + 1] == '/' ? 2 : 6;
            bytes[out++] = (char)c;
        } else {
            if (bytes[i] == '\\' && i + 1 < len)
                bytes[out++] = bytes[i++];
            bytes[out++] = bytes[i++];
        }
    }
    return out;
}

/* The pseudonym that stands for the string "rrn:<11 digits>" (a dated one: "rrn:<11 digits>@2024-2025") around n.
 * False: there is none, and *choice says why. */
static bool choose_pseudonym(struct pseudonym_choice *choice, int year, const struct number *n, char out[32])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t pseudonym[16];
    uint32_t id;
    enum pupil_fault fault = PUPIL_NO_KEY;
    if (choice->keys) {
        int err = year ? pseudonym_of_rrn(choice->keys, year, n->digits, pseudonym, &id) : ERR_MISSING;
        fault = !err                 ? PUPIL_NO_FAULT
                : err == ERR_INVALID ? PUPIL_CHECK_NUMBER
                : year               ? PUPIL_NO_YEAR_KEY
                                     : PUPIL_NO_YEAR;
    }
    if (fault) {
        if (!choice->fault) {
            choice->fault = fault;
            choice->fault_year = year;
        }
        return false;
    }
    for (int i = 0; i < 16; i++) {
        out[2 * i] = hex[pseudonym[i] >> 4];
        out[2 * i + 1] = hex[pseudonym[i] & 15];
    }
    choice->replaced++;
    return true;
}

/* Writes what stands for the number; returns its length, and widens [start, end) to all it replaces. */
static size_t replace_number(struct pseudonym_choice *choice, const char *in, size_t floor, size_t len,
                             bool bare, struct number *n, char *out)
{
    bool prefixed = is_prefixed(in, floor, n->start);
    int64_t dated;
    if (prefixed)
        n->start -= 4;
    if (bare) { /* outside quotes only a JSON number can stand: the whole of it becomes a string */
        while (n->start > floor && memchr("+-.eE0123456789", in[n->start - 1], 15))
            n->start--;
        while (n->end < len && memchr("+-.eE0123456789", in[n->end], 15))
            n->end++;
        memcpy(out, "\"rrn:#\"", 7);
        return 7;
    }
    if (choice && prefixed && n->end - n->start == 4 + RRN_DIGITS && n->start > floor &&
        in[n->start - 1] == '"') {
        if (n->end < len && in[n->end] == '"' && choose_pseudonym(choice, choice->year, n, out))
            return 32;
        if (choice->dated && n->end + DATED < len && in[n->end] == '@' && in[n->end + DATED] == '"' &&
            value_parse_year(in + n->end + 1, DATED - 1, &dated) &&
            choose_pseudonym(choice, (int)dated, n, out)) {
            n->end += DATED;
            return 32;
        }
    }
    memcpy(out, mark, 5);
    return 5;
}

/* Copies in to out with every number replaced. Without choice out may be in: what stands for a number is never
 * longer than the number, and nothing before `from` is looked at again. */
static size_t scrub(struct pseudonym_choice *choice, const char *in, size_t len, bool json, char *out)
{
    struct search s;
    struct number n;
    struct quotes *q = &s.narrow;
    size_t from = 0, written = 0;
    begin_search(&s, in, len, json);
    while (find_next(&s, from, &n)) {
        char replacement[32];
        size_t size = replace_number(choice, in, from, len, json && !q->inside, &n, replacement);
        memmove(out + written, in + from, n.start - from);
        written += n.start - from;
        memcpy(out + written, replacement, size);
        written += size;
        from = n.end;
        q->at = from > q->at ? from : q->at; /* digits hold no quotes */
        s.wide = *q;
    }
    memmove(out + written, in + from, len - from);
    explicit_bzero(&n, sizeof n);
    explicit_bzero(&s, sizeof s);
    return written + len - from;
}

size_t pseudonym_scrub(char *bytes, size_t len)
{
    size_t left = scrub(NULL, bytes, pseudonym_spell_out(bytes, len), false, bytes);
    explicit_bzero(bytes + left, len - left); /* what was behind moved forward, and may hold a number still */
    return left;
}

size_t pseudonym_scrub_json(struct pseudonym_choice *choice, const char *in, size_t len, char *out)
{
    return scrub(choice, in, len, true, out);
}
