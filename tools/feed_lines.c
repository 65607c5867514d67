/* SPDX-License-Identifier: MIT
 *
 * The way of bytes into lines. A line is gathered whole in a buffer of 1 MiB and a bit (most lie whole in the
 * caller's bytes and are not copied there); once it outgrows that, only its length and digest go on. Decides
 * which bytes are a line; must not know sequences or files. */
#include "tools/feed_lines.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire.h"

#define LINE_BYTES  (WIRE_EVENT_MAX + 1) /* with the CR that may end it */
#define HEAD_BYTES  1024                 /* of an oversize line, in the notice */
#define HEAD_LOOKED 2048  /* scrubbed before the cut, so that a number across it is seen whole */
#define DIGEST_PART 65536 /* bytes of an oversize line that are scrubbed at once for its digest */
#define DIGEST_TAIL 4096  /* in the last of them a place is sought where no number can be cut */
#define ARENA_BYTES (FEED_BATCH_BYTES + PSEUDONYM_LINE_ROOM((size_t)LINE_BYTES))

#define YEAR_FIRST 1990
#define YEAR_COUNT 110
enum { FAULT_NEW = 1, FAULT_TOLD };

struct
    digest { /* of a line without its national numbers: with them, whoever knows the rest could try them all */
    crypto_hash_sha256_state state;
    char *part; /* not digested yet; its second half is room to scrub */
    size_t len;
};

struct feed_lines {
    struct pseudonym_line *pupils;
    struct journal_line batch[FEED_BATCH_LINES];
    size_t count;
    char *arena; /* the lines of the batch */
    size_t used;
    char *line; /* the line begun */
    size_t len;
    bool oversize; /* line holds its beginning; digest and length go on */
    uint64_t length;
    struct digest digest;
    uint8_t faults[PUPIL_FAULT_COUNT],
        year_faults[YEAR_COUNT]; /* 0 never seen, else FAULT_NEW or FAULT_TOLD */
};

struct feed_lines *feed_lines_new(const struct pseudonym_keys *keys)
{
    struct feed_lines *l = calloc(1, sizeof *l);
    if (!l || sodium_init() < 0) {
        free(l);
        return NULL;
    }
    l->pupils = pseudonym_line_new(keys);
    l->arena = malloc(ARENA_BYTES);
    l->line = malloc(LINE_BYTES);
    l->digest.part = malloc(2 * DIGEST_PART);
    if (!l->arena || !l->line || !l->digest.part || !l->pupils)
        feed_lines_free(&l);
    return l;
}

void feed_lines_free(struct feed_lines **lines)
{
    if (!*lines)
        return;
    if ((*lines)->line)
        sodium_memzero((*lines)->line, LINE_BYTES);
    if ((*lines)->digest.part)
        sodium_memzero((*lines)->digest.part, 2 * DIGEST_PART);
    pseudonym_line_free(&(*lines)->pupils);
    free((*lines)->digest.part);
    free((*lines)->arena);
    free((*lines)->line);
    free(*lines);
    *lines = NULL;
}

bool feed_lines_full(const struct feed_lines *l)
{
    return l->count == FEED_BATCH_LINES || l->used >= FEED_BATCH_BYTES;
}

const struct journal_line *feed_lines_batch(const struct feed_lines *l, size_t *count)
{
    *count = l->count;
    return l->batch;
}

void feed_lines_clear(struct feed_lines *l)
{
    l->count = 0;
    l->used = 0;
}

static void push_line(struct feed_lines *l, size_t len)
{
    l->batch[l->count].data = l->arena + l->used;
    l->batch[l->count].len = len;
    l->count++;
    l->used += len;
}

/* Length of the well-formed UTF-8 character at p, 0 if there is none. */
static size_t utf8_length(const uint8_t *p, size_t len)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* The inside of a JSON string; what is not UTF-8 becomes U+FFFD. At most 6 bytes for each one. */
static size_t escape_json(const char *in, size_t len, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length((const uint8_t *)in + i, len - i);
        if (n == 0) {
            memcpy(out + used, "\xef\xbf\xbd", 3);
            used += 3;
            i++;
        } else if (n == 1 && ((uint8_t)in[i] < 0x20 || in[i] == '"' || in[i] == '\\')) {
            used += (size_t)sprintf(out + used, "\\u%04x", (unsigned)in[i++]);
        } else {
            memcpy(out + used, in + i, n);
            used += n;
            i += n;
        }
    }
    return used;
}

static void begin_digest(struct digest *d)
{
    crypto_hash_sha256_init(&d->state);
    d->len = 0;
}

/* Digests the first len bytes of the part: as they are, or scrubbed when they hold a number. */
static void digest_part(struct digest *d, size_t len)
{
    char *copy = d->part + DIGEST_PART;
    memcpy(copy, d->part, len);
    size_t spelled = pseudonym_spell_out(copy, len), left = pseudonym_scrub(copy, spelled);
    if (left == spelled) /* what stands for a number is always shorter */
        crypto_hash_sha256_update(&d->state, (const unsigned char *)d->part, len);
    else
        crypto_hash_sha256_update(&d->state, (const unsigned char *)copy, left);
    sodium_memzero(copy, len);
    memmove(d->part, d->part + len, d->len - len);
    sodium_memzero(d->part + d->len - len, len);
    d->len -= len;
}

/* A place in the full part that no number spans: behind a letter that is part of no escape. There is none in 4 KiB of digits
 * and punctuation: then all digits around the cut go, so that no half of a number is digested. */
static size_t cut_part(struct digest *d)
{
    for (size_t i = DIGEST_PART; i > DIGEST_PART - DIGEST_TAIL; i--)
        if (memchr("\"ghijklmopqswxyzGHIJKLMNOPQRSTUVWXYZ", d->part[i - 1], 36) && d->part[i - 2] != '\\')
            return i;
    for (size_t i = DIGEST_PART - 2 * PSEUDONYM_WIDEST; i < DIGEST_PART; i++)
        d->part[i] = '#';
    return DIGEST_PART - PSEUDONYM_WIDEST;
}

static void add_digest(struct digest *d, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t piece = len < DIGEST_PART - d->len ? len : DIGEST_PART - d->len;
        memcpy(d->part + d->len, bytes, piece);
        d->len += piece;
        bytes += piece;
        len -= piece;
        if (d->len == DIGEST_PART)
            digest_part(d, cut_part(d));
    }
}

static void end_digest(struct digest *d, uint8_t sha256[32])
{
    digest_part(d, d->len);
    crypto_hash_sha256_final(&d->state, sha256);
}

/* Stands in the journal for a line over 1 MiB; the daemon dead-letters it as too large. */
static void push_notice(struct feed_lines *l, uint64_t length, const uint8_t sha256[32], char *head,
                        size_t head_len)
{
    char hex[65], *out = l->arena + l->used;
    size_t used;
    /* The last bytes may be the beginning of a number that was cut. */
    head_len = pseudonym_scrub(head, head_len);
    head_len -= head_len < PSEUDONYM_WIDEST ? head_len : PSEUDONYM_WIDEST;
    if (head_len > HEAD_BYTES)
        head_len = HEAD_BYTES;
    sodium_bin2hex(hex, sizeof hex, sha256, 32);
    used = (size_t)sprintf(out, "{\"teldagd_oversize\":{\"length\":%llu,\"sha256\":\"%s\",\"head\":\"",
                           (unsigned long long)length, hex);
    used += escape_json(head, head_len, out + used);
    memcpy(out + used, "\"}}", 3);
    push_line(l, used + 3);
}

static void note_fault(struct feed_lines *l, enum pupil_fault fault, int year)
{
    uint8_t *known = fault == PUPIL_NO_YEAR_KEY && year >= YEAR_FIRST && year < YEAR_FIRST + YEAR_COUNT
                         ? l->year_faults + (year - YEAR_FIRST)
                         : l->faults + fault;
    if (fault && !*known)
        *known = FAULT_NEW;
}

static bool take_new(uint8_t *known)
{
    bool is_new = *known == FAULT_NEW;
    if (is_new)
        *known = FAULT_TOLD;
    return is_new;
}

bool feed_lines_take_fault(struct feed_lines *l, enum pupil_fault *fault, int *year)
{
    for (int i = 1; i < PUPIL_FAULT_COUNT; i++)
        if (take_new(l->faults + i)) {
            *fault = (enum pupil_fault)i;
            *year = 0;
            return true;
        }
    for (int i = 0; i < YEAR_COUNT; i++)
        if (take_new(l->year_faults + i)) {
            *fault = PUPIL_NO_YEAR_KEY;
            *year = YEAR_FIRST + i;
            return true;
        }
    return false;
}

/* A whole line of at most 1 MiB (CR dropped). Pseudonyms may make it longer than that. */
static void push_whole(struct feed_lines *l, const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len == 0)
        return;
    if (len <= WIRE_EVENT_MAX) {
        enum pupil_fault fault;
        int year = 0;
        size_t safe = pseudonym_line(l->pupils, line, len, l->arena + l->used, &fault, &year);
        note_fault(l, fault, year);
        if (safe <= WIRE_EVENT_MAX) {
            push_line(l, safe);
            return;
        }
    }
    uint8_t sha256[32];
    char head[HEAD_LOOKED];
    begin_digest(&l->digest);
    add_digest(&l->digest, line, len);
    end_digest(&l->digest, sha256);
    memcpy(head, line, sizeof head);
    push_notice(l, len, sha256, head, sizeof head);
    sodium_memzero(head, sizeof head);
}

/* Adds to the line begun; past its room only length and digest grow. */
static void extend_line(struct feed_lines *l, const char *bytes, size_t len)
{
    if (!l->oversize && l->len + len <= LINE_BYTES) {
        memcpy(l->line + l->len, bytes, len);
        l->len += len;
        return;
    }
    if (!l->oversize) {
        l->oversize = true;
        l->length = l->len;
        begin_digest(&l->digest);
        add_digest(&l->digest, l->line, l->len);
        while (l->len < HEAD_LOOKED && len > 0) { /* can only be when one piece is longer than all room */
            l->line[l->len++] = *bytes;
            add_digest(&l->digest, bytes++, 1);
            l->length++;
            len--;
        }
    }
    add_digest(&l->digest, bytes, len);
    l->length += len;
}

static void forget_line(struct feed_lines *l)
{
    sodium_memzero(l->line, l->oversize ? LINE_BYTES : l->len);
    if (l->oversize)
        sodium_memzero(l->digest.part, l->digest.len);
    l->oversize = false;
    l->len = 0;
}

static void end_line(struct feed_lines *l)
{
    if (l->oversize) {
        uint8_t sha256[32];
        end_digest(&l->digest, sha256);
        push_notice(l, l->length, sha256, l->line, HEAD_LOOKED);
    } else {
        push_whole(l, l->line, l->len);
    }
    forget_line(l);
}

size_t feed_lines_add(struct feed_lines *l, const char *bytes, size_t len)
{
    size_t taken = 0;
    while (taken < len && !feed_lines_full(l)) {
        const char *newline = memchr(bytes + taken, '\n', len - taken);
        size_t piece = newline ? (size_t)(newline - bytes) - taken : len - taken;
        if (newline && l->len == 0 && !l->oversize && piece <= LINE_BYTES) {
            push_whole(l, bytes + taken, piece);
        } else {
            extend_line(l, bytes + taken, piece);
            if (newline)
                end_line(l);
        }
        taken += piece + (newline != NULL);
    }
    return taken;
}

/* Braces and brackets outside strings open and close to nothing exactly at the last byte, and it begins with
 * a brace. */
static bool is_whole_object(const char *s, size_t len)
{
    int64_t depth = 0;
    bool quoted = false;
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
        len--;
    if (len == 0 || s[0] != '{')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (quoted && s[i] == '\\') {
            i++;
        } else if (s[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && (s[i] == '{' || s[i] == '[')) {
            depth++;
        } else if (!quoted && (s[i] == '}' || s[i] == ']') && --depth == 0) {
            return i + 1 == len;
        }
    }
    return false;
}

uint64_t feed_lines_end(struct feed_lines *l)
{
    uint64_t left = l->oversize ? l->length : l->len;
    if (!l->oversize && is_whole_object(l->line, l->len)) {
        end_line(l);
        return 0;
    }
    forget_line(l);
    return left;
}
