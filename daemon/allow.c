/* SPDX-License-Identifier: MIT
 *
 * Who may see what, in two steps: a stream as a whole or in part (by its name), and within an alert stream the
 * kinds. Topics of an alert stream are <stream>/<kind>/<subject>, and a subscription is a prefix: it is allowed only
 * when everything it can match is. */
#include "daemon/allow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_tree.h"
#include "daemon/curve_keys.h"
#include "daemon/secret_file.h"
#include "daemon/wire.h"

#define KEYS_MAX     1024
#define PATTERNS_MAX 64
#define KIND_MAX     64

struct entry {
    char *name;
    char key[CURVE_KEY_TEXT];
    char **streams, **kinds; /* NULL at the end; kinds NULL: all */
};
struct allow {
    struct entry *entries;
    size_t count;
};

/* 1. Reading. */

struct reader {
    const char *path;
    char *error;
    size_t error_len;
    allow_known_kind *known;
};
#define fail(r, line, ...) config_tree_fail((r)->error, (r)->error_len, (r)->path, line, __VA_ARGS__)

/* "feed.0", or "feed.*". */
static bool is_stream_pattern(const char *text)
{
    size_t len = strlen(text);
    char name[WIRE_NAME_MAX + 1];
    if (len < 3 || len >= sizeof name || strcmp(text + len - 2, ".*") != 0)
        return wire_name_is_valid(text, len);
    memcpy(name, text, len + 1);
    name[len - 1] = '0';
    return wire_name_is_valid(name, len);
}

/* "count.incomplete", "dead_letter", or "threshold.*". */
static bool is_kind_pattern(const char *text)
{
    size_t len = strlen(text);
    if (len > 2 && strcmp(text + len - 2, ".*") == 0)
        len -= 2;
    return len > 0 && len < KIND_MAX && strspn(text, "abcdefghijklmnopqrstuvwxyz_.") >= len &&
           text[0] != '.' && text[len - 1] != '.';
}

static bool is_name(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-") == len;
}

static int take_patterns(struct reader *r, const config_setting_t *s, const char *path, bool kinds,
                         char ***out)
{
    int count = config_setting_length(s);
    if (!config_setting_is_list(s) && !config_setting_is_array(s))
        return fail(r, s->line, "%s: %s, but a list (\"...\", \"...\") is wanted", path, config_tree_type(s));
    if (count == 0 || count > PATTERNS_MAX)
        return fail(r, s->line, "%s: 1 to %d are wanted; leave the whole key out to allow nothing", path,
                    PATTERNS_MAX);
    *out = calloc((size_t)count + 1, sizeof **out);
    for (int i = 0; *out && i < count; i++) {
        const config_setting_t *element = config_setting_get_elem(s, (unsigned)i);
        const char *text = config_setting_get_string(element);
        if (!text)
            return fail(r, s->line, "%s.[%d]: %s, but a string in double quotes is wanted", path, i,
                        config_tree_type(element));
        if (!kinds && !is_stream_pattern(text))
            return fail(r, s->line,
                        "%s: \"%s\" is no stream; write \"alert.0\", or \"alert.*\" for all partitions", path,
                        text);
        if (kinds && (!is_kind_pattern(text) || (r->known && !r->known(text))))
            return fail(r, s->line,
                        "%s: \"%s\" is no kind of alert; write \"count.incomplete\", or \"threshold.*\"",
                        path, text);
        if (!((*out)[i] = strdup(text)))
            return fail(r, s->line, "out of memory");
    }
    return *out ? 0 : fail(r, s->line, "out of memory");
}

static int take_text(struct reader *r, const config_setting_t *s, const char *path, struct entry *e,
                     bool name)
{
    const char *text = config_setting_get_string(s);
    if (!text)
        return fail(r, s->line, "%s: %s, but a string in double quotes is wanted", path, config_tree_type(s));
    if (name && !is_name(text))
        return fail(r, s->line, "%s: a name has 1 to 64 letters, digits and . _ - @", path);
    if (!name && !curve_key_is_valid(text))
        return fail(r, s->line, "%s: not a public key: 40 characters of Z85, as in the .pub file", path);
    if (!name)
        memcpy(e->key, text, sizeof e->key);
    else if (!(e->name = strdup(text)))
        return fail(r, s->line, "out of memory");
    return 0;
}

static const char *const words[] = {"name", "key", "streams", "kinds"};
#define WORDS (sizeof words / sizeof *words)

static const char *nearest_word(const char *name)
{
    const char *best = words[0];
    for (size_t i = 1; i < WORDS; i++)
        if (config_tree_distance(words[i], name) < config_tree_distance(best, name))
            best = words[i];
    return best;
}

static int take_entry(struct reader *r, const config_setting_t *group, int number, struct entry *e)
{
    char path[128];
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        size_t word = 0;
        snprintf(path, sizeof path, "keys.[%d].%.60s", number, s->name);
        while (word < WORDS && strcmp(words[word], s->name) != 0)
            word++;
        if (word == WORDS)
            return fail(r, s->line, "%s: unknown key; did you mean %s?", path, nearest_word(s->name));
        int err = word < 2 ? take_text(r, s, path, e, word == 0)
                           : take_patterns(r, s, path, word == 3, word == 2 ? &e->streams : &e->kinds);
        if (err)
            return err;
    }
    if (!e->name || !e->key[0] || !e->streams)
        return fail(r, group->line, "keys.[%d].%s: missing", number,
                    !e->name     ? "name"
                    : !e->key[0] ? "key"
                                 : "streams");
    return 0;
}

static int check_twins(struct reader *r, unsigned line, const struct allow *list, const struct entry *e)
{
    for (const struct entry *other = list->entries; other < e; other++) {
        if (strcmp(other->name, e->name) == 0)
            return fail(r, line, "the name %s is listed twice", e->name);
        if (strcmp(other->key, e->key) == 0)
            return fail(r, line, "%s has the key of %s: each key has one name", e->name, other->name);
    }
    return 0;
}

static int take_list(struct reader *r, const config_setting_t *root, struct allow *list)
{
    const config_setting_t *keys = config_setting_get_member(root, "keys");
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
        if (s != keys)
            return fail(r, s->line, "%s: unknown key; did you mean keys?", s->name);
    }
    if (!keys || !config_setting_is_list(keys))
        return fail(r, keys ? keys->line : 0,
                    "keys: a list is wanted: keys = ( { name = ...; key = ...; streams = (...); } );");
    int count = config_setting_length(keys);
    if (count > KEYS_MAX)
        return fail(r, keys->line, "keys: more than %d", KEYS_MAX);
    list->entries = calloc((size_t)count + 1, sizeof *list->entries);
    if (!list->entries)
        return fail(r, keys->line, "out of memory");
    for (int i = 0; i < count; i++) {
        const config_setting_t *s = config_setting_get_elem(keys, (unsigned)i);
        struct entry *e = &list->entries[list->count++];
        if (!config_setting_is_group(s))
            return fail(r, keys->line, "keys.[%d]: %s, but a group { name = ...; } is wanted", i,
                        config_tree_type(s));
        int err = take_entry(r, s, i, e);
        if (!err)
            err = check_twins(r, s->line, list, e);
        if (err)
            return err;
    }
    return 0;
}

struct allow *allow_load(const char *path, allow_known_kind *known, char *error, size_t error_len)
{
    struct reader r = {path, error, error_len, known};
    struct allow *list = calloc(1, sizeof *list);
    config_t tree;
    char reason[512];
    config_init(&tree);
    /* Who can change the list lets himself in. */
    int fd = list ? secret_file_open(path, SECRET_FILE_CHANGE, reason, sizeof reason) : -1;
    int err = fd >= 0 ? config_tree_read(&tree, fd, path, error, error_len)
                      : fail(&r, 0, "%s", list ? reason : "out of memory");
    if (!err)
        err = take_list(&r, config_root_setting(&tree), list);
    config_destroy(&tree);
    if (err)
        allow_free(&list);
    return list;
}

static void free_texts(char **texts)
{
    for (char **t = texts; t && *t; t++)
        free(*t);
    free(texts);
}

void allow_free(struct allow **list)
{
    struct allow *l = *list;
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++) {
        free(l->entries[i].name);
        free_texts(l->entries[i].streams);
        free_texts(l->entries[i].kinds);
    }
    free(l->entries);
    free(l);
    *list = NULL;
}

size_t allow_count(const struct allow *list)
{
    return list ? list->count : 0;
}

/* 2. Asking. */

static const struct entry *find_entry(const struct allow *list, const char *key)
{
    for (size_t i = 0; list && key && i < list->count; i++)
        if (strcmp(list->entries[i].key, key) == 0)
            return &list->entries[i];
    return NULL;
}

/* The part of a pattern before its '*', or all of it. */
static size_t literal_length(const char *pattern, bool *open)
{
    size_t len = strlen(pattern);
    *open = pattern[len - 1] == '*';
    return *open ? len - 1 : len;
}

static bool names_stream(const struct entry *e, const char *stream)
{
    for (char **p = e->streams; *p; p++) {
        bool open;
        size_t len = literal_length(*p, &open);
        if (open ? strncmp(*p, stream, len) == 0 : strcmp(*p, stream) == 0)
            return true;
    }
    return false;
}

static enum allow_extent extent_of(const struct entry *e, const char *stream)
{
    if (!e || !names_stream(e, stream))
        return ALLOW_NOTHING;
    return e->kinds && strncmp(stream, "alert.", 6) == 0 ? ALLOW_PART : ALLOW_WHOLE;
}

enum allow_extent allow_stream(const struct allow *list, const char *key, const char *stream)
{
    return extent_of(find_entry(list, key), stream);
}

bool allow_prefix_matches(const char *stream, const char *prefix, size_t len)
{
    size_t n = strlen(stream);
    return len <= n ? memcmp(stream, prefix, len) == 0 : memcmp(stream, prefix, n) == 0 && prefix[n] == '/';
}

bool allow_topic(const struct allow *list, const char *key, const char *stream, const char *prefix,
                 size_t len)
{
    const struct entry *e = find_entry(list, key);
    enum allow_extent extent = extent_of(e, stream);
    size_t skip = strlen(stream) + 1;
    if (extent == ALLOW_NOTHING || !allow_prefix_matches(stream, prefix, len))
        return false;
    if (extent == ALLOW_WHOLE)
        return true;
    for (char **p = e->kinds; *p && len > skip; p++) {
        bool open;
        size_t n = literal_length(*p, &open);
        /* "count.incomplete" wants its '/', or count.incomplete_too would be matched as well. */
        if (len - skip < n + !open || memcmp(prefix + skip, *p, n) != 0)
            continue;
        if (open || prefix[skip + n] == '/')
            return true;
    }
    return false;
}

static bool same_texts(char *const *a, char *const *b)
{
    while (*a && *b && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return !*a && !*b;
}

bool allow_same_rights(const struct allow *a, const struct allow *b, const char *key, const char *stream)
{
    const struct entry *x = find_entry(a, key), *y = find_entry(b, key);
    enum allow_extent extent = extent_of(x, stream);
    return extent == extent_of(y, stream) && (extent != ALLOW_PART || same_texts(x->kinds, y->kinds));
}

const char *allow_name(const struct allow *list, const char *key)
{
    const struct entry *e = find_entry(list, key);
    return e ? e->name : NULL;
}
