/* SPDX-License-Identifier: MIT
 *
 * Decides what of a line may be kept (P6). A line is first freed of JSON escapes that hide plain ASCII (the
 * same JSON, spelled out), so that "\u0038" cannot carry a digit through; then every national number in it
 * becomes a pseudonym or "rrn:#". Nearly every line holds no stretch of 11 digits: looking at one byte in
 * eleven proves that. Must not know what an event is, nor where lines go. */
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
    if (end - start != 32)
        return false;
    return !(start > floor && is_letter(in[start - 1])) && !(end < len && is_letter(in[end]));
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
static bool find_in_stretch(const char *in, size_t len, size_t from, bool quoted, size_t floor,
                            struct number *out, size_t *end)
{
    size_t i;
    for (i = from; i < len && (is_digit(in[i]) || is_separator(in[i])); i++) {
        if (!is_digit(in[i]) || (i > floor && is_digit(in[i - 1])))
            continue;
        if (!match_at(in, len, i, out) || is_time_fraction(in, floor, i, out->end))
            continue;
        /* A letter at its side makes it part of an id, unless it is plainly a number or says so itself. */
        if (!quoted || !is_glued(in, floor, len, out) || is_prefixed(in, floor, i))
            return true;
        if (is_plausible(out->digits) && !in_pseudonym(in, floor, len, i) &&
            !in_pseudonym(in, floor, len, out->end - 1))
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

/* The first number at or after from. Any number covers 11 bytes of digits and separators, so one byte in 11
 * is looked at. */
static bool find_number(const char *in, size_t len, size_t from, struct quotes *q, struct number *out)
{
    size_t probe = from + RRN_DIGITS - 1;
    while (probe < len) {
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
            if (find_in_stretch(in, len, start, q ? q->inside : true, from, out, &end))
                return true;
        }
        probe = end + RRN_DIGITS;
    }
    return false;
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
    struct quotes q = {0, false};
    struct number n;
    size_t from = 0, written = 0;
    while (find_number(in, len, from, json ? &q : NULL, &n)) {
        char replacement[32];
        size_t size = replace_number(choice, in, from, len, json && !q.inside, &n, replacement);
        memmove(out + written, in + from, n.start - from);
        written += n.start - from;
        memcpy(out + written, replacement, size);
        written += size;
        from = n.end;
        q.at = from > q.at ? from : q.at; /* digits hold no quotes */
    }
    memmove(out + written, in + from, len - from);
    explicit_bzero(&n, sizeof n);
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
