/* SPDX-License-Identifier: MIT
 *
 * The configuration file. One table of keys (below) says what exists, of which type and bounds, and what
 * checks a value; the walk, the printing and the comparison all follow it. libconfig only parses: its lookups
 * ignore what they do not know, and its scanner wraps large numbers, so the tree is walked key by key and the
 * text is prepared first. Knows nothing of what the values are for. */
#include "daemon/config.h"

#include <limits.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "daemon/config_check.h"
#include "daemon/config_text.h"
#include "daemon/config_tree.h"
#include "daemon/wire.h"

#define STREAMS_MAX     256
#define METRICS_DEFAULT "127.0.0.1:9464"

/* 1. The table. */

enum key_type { KEY_TEXT, KEY_INT, KEY_SHARD, KEY_RELIABILITY, KEY_STREAMS, KEY_GROUP };
struct key {
    const char *name;
    enum key_type type;
    bool required;
    bool live;                               /* a reload applies it; otherwise it needs a restart */
    size_t offset;                           /* of the field in struct config, or in struct config_stream */
    int min, max;                            /* KEY_INT */
    const char *(*check)(const char *value); /* KEY_TEXT */
    const char *purpose;                     /* said when a required key is missing */
    const struct key *members;               /* KEY_GROUP */
};

#define FIELD(name)  offsetof(struct config, name)
#define MEMBER(name) offsetof(struct config_stream, name)

static const char *check_name(const char *value);

static const struct key stream_keys[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .required = true,
     .offset = MEMBER(name),
     .check = check_name,
     .purpose = "the stream's name, \"<feed>.<partition>\""},
    {.name = "subscribe",
     .type = KEY_TEXT,
     .required = true,
     .offset = MEMBER(subscribe),
     .check = config_check_connect,
     .purpose = "the endpoint that publishes it"},
    {.name = "fetch", .type = KEY_TEXT, .offset = MEMBER(fetch), .check = config_check_connect},
    {.name = "server_key", .type = KEY_TEXT, .offset = MEMBER(server_key), .check = config_check_path},
    {.name = "reliability", .type = KEY_RELIABILITY, .offset = MEMBER(best_effort)},
    {NULL},
};
static const struct key alerts_keys[] = {
    {.name = "publish",
     .type = KEY_TEXT,
     .required = true,
     .offset = FIELD(alerts_publish),
     .check = config_check_bind,
     .purpose = "the endpoint alerts are published on"},
    {.name = "fetch",
     .type = KEY_TEXT,
     .required = true,
     .offset = FIELD(alerts_fetch),
     .check = config_check_bind,
     .purpose = "the endpoint alerts are fetched from"},
    {NULL},
};
static const struct key curve_keys[] = {
    {.name = "secret",
     .type = KEY_TEXT,
     .required = true,
     .offset = FIELD(curve_secret),
     .check = config_check_path,
     .purpose = "the file with this daemon's secret key (teldagctl keys generate)"},
    {.name = "allow", .type = KEY_TEXT, .offset = FIELD(curve_allow), .check = config_check_path},
    {.name = "control", .type = KEY_TEXT, .offset = FIELD(curve_control), .check = config_check_path},
    {.name = "public", .type = KEY_TEXT, .offset = FIELD(curve_public), .check = config_check_path},
    {NULL},
};
static const struct key near_keys[] = {
    {.name = "pupils", .type = KEY_INT, .live = true, .offset = FIELD(near_pupils), .min = 0, .max = 1000},
    {.name = "hours", .type = KEY_INT, .live = true, .offset = FIELD(near_hours), .min = 0, .max = 1000},
    {NULL},
};
static const struct key top_keys[] = {
    {.name = "database",
     .type = KEY_TEXT,
     .required = true,
     .offset = FIELD(database),
     .check = config_check_conninfo,
     .purpose = "the connection string of the database"},
    {.name = "rules",
     .type = KEY_TEXT,
     .required = true,
     .live = true,
     .offset = FIELD(rules),
     .check = config_check_path,
     .purpose = "the directory of the rules files"},
    {.name = "control",
     .type = KEY_TEXT,
     .required = true,
     .offset = FIELD(control),
     .check = config_check_socket_path,
     .purpose = "the path of the control socket"},
    {.name = "metrics", .type = KEY_TEXT, .offset = FIELD(metrics), .check = config_check_listener},
    {.name = "shard", .type = KEY_SHARD, .offset = FIELD(shard)},
    {.name = "streams",
     .type = KEY_STREAMS,
     .required = true,
     .offset = FIELD(streams),
     .purpose = "the list of streams to follow"},
    {.name = "alerts",
     .type = KEY_GROUP,
     .required = true,
     .purpose = "the group of endpoints of the alert stream",
     .members = alerts_keys},
    {.name = "near", .type = KEY_GROUP, .live = true, .members = near_keys},
    {.name = "curve", .type = KEY_GROUP, .members = curve_keys},
    {.name = "pseudonym_key", .type = KEY_TEXT, .offset = FIELD(pseudonym_key), .check = config_check_path},
    {NULL},
};

static const char *check_name(const char *value)
{
    if (!wire_name_is_valid(value, strlen(value)))
        return "not a stream name; write \"<feed>.<partition>\", such as \"registration.0\"";
    if (strncmp(value, "local.", 6) == 0 || strncmp(value, "alert.", 6) == 0)
        return "this name is taken: the daemon itself writes local.* and alert.*";
    return NULL;
}

/* 2. Walking the tree. The first error stops the walk. */

struct walk {
    struct config *config;
    char *error;
    size_t error_len;
};

#define fail(w, line, ...) config_tree_fail((w)->error, (w)->error_len, (w)->config->path, line, __VA_ARGS__)

static const char *nearest_key(const struct key *keys, const char *name)
{
    const char *best = keys->name;
    for (const struct key *k = keys; k->name; k++)
        if (config_tree_distance(k->name, name) < config_tree_distance(best, name))
            best = k->name;
    return best;
}

static int walk_group(struct walk *w, const config_setting_t *group, const char *prefix,
                      const struct key *keys, void *base) MUST_CHECK;

static int store_text(struct walk *w, const config_setting_t *s, const char *path, const struct key *key,
                      char **field)
{
    const char *value = config_setting_get_string(s);
    const char *wrong = key->check ? key->check(value) : NULL;
    if (wrong)
        return fail(w, s->line, "%s: %s", path, wrong);
    free(*field);
    *field = strdup(value);
    return *field ? 0 : fail(w, s->line, "%s: out of memory", path);
}

static int store_int(struct walk *w, const config_setting_t *s, const char *path, const struct key *key,
                     int *field)
{
    long long value = config_setting_get_int64(s);
    if (value < key->min || value > key->max)
        return fail(w, s->line, "%s: %lld is out of range; %d to %d", path, value, key->min, key->max);
    *field = (int)value;
    return 0;
}

static int store_shard(struct walk *w, const config_setting_t *s, const char *path)
{
    if (!config_split_shard(config_setting_get_string(s), &w->config->shard, &w->config->shards))
        return fail(w, s->line, "%s: write \"i/n\": shard i of n, with 0 <= i < n <= 1024", path);
    return 0;
}

static int store_reliability(struct walk *w, const config_setting_t *s, const char *path, bool *field)
{
    if (strcmp(config_setting_get_string(s), "best-effort") != 0)
        return fail(w, s->line,
                    "%s: the only value is \"best-effort\"; leave the key out for a stream with a journal",
                    path);
    *field = true;
    return 0;
}

/* What the keys of one stream mean together. */
static int check_stream(struct walk *w, unsigned line, const char *path, const struct config_stream *stream)
{
    if (stream->best_effort && stream->fetch)
        return fail(
            w, line,
            "%s.fetch: a best-effort stream has no journal to fetch from; leave fetch or reliability out",
            path);
    if (!stream->best_effort && !stream->fetch)
        return fail(w, line,
                    "%s.fetch: missing; the endpoint that answers FETCH (or reliability = \"best-effort\")",
                    path);
    const struct config *c = w->config;
    for (const struct config_stream *other = c->streams; other < stream; other++)
        if (strcmp(other->name, stream->name) == 0)
            return fail(w, line, "%s.name: %s is listed twice", path, stream->name);
    return 0;
}

/* Stream partitions against the shard: after the walk, because shard may stand below streams. */
static int check_partitions(struct walk *w, const config_setting_t *root)
{
    const struct config *c = w->config;
    const config_setting_t *list = config_setting_get_member(root, "streams");
    for (size_t i = 0; i < c->stream_count; i++) {
        unsigned long partition = strtoul(strchr(c->streams[i].name, '.') + 1, NULL, 10);
        if (partition % (unsigned long)c->shards != (unsigned long)c->shard)
            return fail(
                w, config_setting_get_elem(list, (unsigned)i)->line,
                "streams.[%zu].name: %s does not belong to shard %d/%d: its partition modulo %d is %lu", i,
                c->streams[i].name, c->shard, c->shards, c->shards, partition % (unsigned long)c->shards);
    }
    return 0;
}

#define BEYOND "reaches beyond loopback, which needs CURVE: "

/* Nothing is opened or connected beyond this machine without keys: after the walk, because curve may stand below. */
static int check_curve(struct walk *w, const config_setting_t *root)
{
    const struct config *c = w->config;
    const config_setting_t *list = config_setting_get_member(root, "streams"),
                           *alerts = config_setting_get_member(root, "alerts");
    for (size_t i = 0; i < c->stream_count; i++) {
        const struct config_stream *s = &c->streams[i];
        const config_setting_t *stream = config_setting_get_elem(list, (unsigned)i);
        bool far_fetch = s->fetch && !config_endpoint_is_local(s->fetch);
        const char *name = far_fetch && config_endpoint_is_local(s->subscribe) ? "fetch" : "subscribe";
        if (!s->server_key && (far_fetch || !config_endpoint_is_local(s->subscribe)))
            return fail(w, config_setting_get_member(stream, name)->line,
                        "streams.[%zu].%s: " BEYOND
                        "give the stream the server_key of its feeder, or use 127.0.0.1 or ipc://",
                        i, name);
        if (s->server_key && !c->curve_secret)
            return fail(
                w, config_setting_get_member(stream, "server_key")->line,
                "streams.[%zu].server_key: this daemon has no key of its own; add curve = { secret = ...; };",
                i);
    }
    const char *names[] = {"publish", "fetch"}, *values[] = {c->alerts_publish, c->alerts_fetch};
    for (int i = 0; i < 2; i++)
        if (!c->curve_allow && !config_endpoint_is_local(values[i]))
            return fail(w, config_setting_get_member(alerts, names[i])->line,
                        "alerts.%s: " BEYOND
                        "add curve = { secret = ...; allow = ...; };, or use 127.0.0.1 or ipc://",
                        names[i]);
    return 0;
}

static int walk_streams(struct walk *w, const config_setting_t *list, const char *path)
{
    struct config *c = w->config;
    int count = config_setting_length(list);
    if (count > STREAMS_MAX)
        return fail(w, list->line, "%s: more than %d streams", path, STREAMS_MAX);
    c->streams = calloc((size_t)count + 1, sizeof *c->streams);
    if (!c->streams)
        return fail(w, list->line, "%s: out of memory", path);
    for (int i = 0; i < count; i++) {
        const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
        char element[64];
        snprintf(element, sizeof element, "streams.[%d]", i);
        if (!config_setting_is_group(s))
            return fail(w, list->line, "%s: %s, but a group { name = ...; subscribe = ...; } is wanted",
                        element, config_tree_type(s));
        struct config_stream *stream = &c->streams[c->stream_count++];
        int err = walk_group(w, s, element, stream_keys, stream);
        if (!err)
            err = check_stream(w, s->line, element, stream);
        if (err)
            return err;
    }
    return 0;
}

static bool type_fits(const config_setting_t *s, enum key_type type)
{
    switch (type) {
    case KEY_INT:
        return s->type == CONFIG_TYPE_INT || s->type == CONFIG_TYPE_INT64;
    case KEY_STREAMS:
        return s->type == CONFIG_TYPE_LIST;
    case KEY_GROUP:
        return s->type == CONFIG_TYPE_GROUP;
    default:
        return s->type == CONFIG_TYPE_STRING;
    }
}

static const char *type_wanted(enum key_type type)
{
    switch (type) {
    case KEY_INT:
        return "an integer";
    case KEY_STREAMS:
        return "a list ( { ... }, { ... } )";
    case KEY_GROUP:
        return "a group { ... }";
    default:
        return "a string in double quotes";
    }
}

static int walk_key(struct walk *w, const config_setting_t *s, const char *path, const struct key *key,
                    void *base)
{
    if (!type_fits(s, key->type))
        return fail(w, s->line, "%s: %s, but %s is wanted", path, config_tree_type(s),
                    type_wanted(key->type));
    char *field = (char *)base + key->offset;
    switch (key->type) {
    case KEY_TEXT:
        return store_text(w, s, path, key, (char **)field);
    case KEY_INT:
        return store_int(w, s, path, key, (int *)field);
    case KEY_SHARD:
        return store_shard(w, s, path);
    case KEY_RELIABILITY:
        return store_reliability(w, s, path, (bool *)field);
    case KEY_STREAMS:
        return walk_streams(w, s, path);
    case KEY_GROUP:
        return walk_group(w, s, path, key->members, base);
    }
    return ERR_INVALID;
}

static int walk_group(struct walk *w, const config_setting_t *group, const char *prefix,
                      const struct key *keys, void *base)
{
    char path[256];
    const char *dot = prefix[0] ? "." : "";
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        snprintf(path, sizeof path, "%s%s%s", prefix, dot, s->name);
        const struct key *key = keys;
        while (key->name && strcmp(key->name, s->name) != 0)
            key++;
        if (!key->name)
            return fail(w, s->line, "%s: unknown key; did you mean %s?", path, nearest_key(keys, s->name));
        int err = walk_key(w, s, path, key, base);
        if (err)
            return err;
    }
    for (const struct key *key = keys; key->name; key++)
        if (key->required && !config_setting_get_member(group, key->name))
            return fail(w, prefix[0] ? group->line : 0, "%s%s%s: missing; %s", prefix, dot, key->name,
                        key->purpose);
    return 0;
}

/* 3. The text, then the tree. */

static int parse_and_walk(struct walk *w, const char *text)
{
    int err = ERR_INVALID;
    char *wide = NULL;
    config_t tree;
    unsigned directive = config_text_find_directive(text);
    config_init(&tree);
    if (directive) {
        err = fail(w, directive, "@include is not supported; write all keys in this file");
        goto out;
    }
    wide = config_text_widen(text);
    if (!wide) {
        err = fail(w, 0, "out of memory");
        goto out;
    }
    if (!config_read_string(&tree, wide)) {
        err = fail(w, (unsigned)config_error_line(&tree), "%s", config_error_text(&tree));
        goto out;
    }
    const config_setting_t *root = config_root_setting(&tree);
    err = walk_group(w, root, "", top_keys, w->config);
    if (!err)
        err = check_partitions(w, root);
    if (!err)
        err = check_curve(w, root);
out:
    config_destroy(&tree);
    free(wide);
    return err;
}

/* 4. The public face. */

struct config *config_parse(const char *path, const char *text, char *error, size_t error_len)
{
    struct config *c = calloc(1, sizeof *c);
    struct walk w = {.config = c, .error = error, .error_len = error_len};
    if (error_len)
        error[0] = '\0';
    if (!c || !(c->path = strdup(path))) {
        snprintf(error, error_len, "%s: out of memory", path);
        free(c);
        return NULL;
    }
    c->shards = 1;
    c->near_pupils = 3;
    c->near_hours = 1;
    if (parse_and_walk(&w, text) != 0) {
        config_free(&c);
        return NULL;
    }
    if (!c->metrics) {
        c->metrics = strdup(METRICS_DEFAULT);
        c->metrics_is_default = true;
        if (!c->metrics) {
            fail(&w, 0, "out of memory");
            config_free(&c);
        }
    }
    return c;
}

struct config *config_load(const char *path, char *error, size_t error_len)
{
    char reason[256];
    char *text = config_text_read(path, reason, sizeof reason);
    struct config *c = NULL;
    if (text)
        c = config_parse(path, text, error, error_len);
    else
        snprintf(error, error_len, "%s: %s", path, reason);
    free(text);
    return c;
}

void config_free(struct config **config)
{
    struct config *c = *config;
    if (!c)
        return;
    for (size_t i = 0; i < c->stream_count; i++) {
        free(c->streams[i].name);
        free(c->streams[i].subscribe);
        free(c->streams[i].fetch);
        free(c->streams[i].server_key);
    }
    free(c->streams);
    free(c->path);
    free(c->database);
    free(c->rules);
    free(c->control);
    free(c->metrics);
    free(c->alerts_publish);
    free(c->alerts_fetch);
    free(c->pseudonym_key);
    free(c->curve_secret);
    free(c->curve_allow);
    free(c->curve_control);
    free(c->curve_public);
    free(c);
    *config = NULL;
}

static void print_string(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void print_value(const struct config *c, const struct key *key, const void *base, FILE *out)
{
    const char *field = (const char *)base + key->offset;
    switch (key->type) {
    case KEY_TEXT:
        print_string(*(char *const *)field, out);
        return;
    case KEY_INT:
        fprintf(out, "%d", *(const int *)field);
        return;
    case KEY_SHARD:
        fprintf(out, "\"%d/%d\"", c->shard, c->shards);
        return;
    default:
        fputs("\"best-effort\"", out);
        return;
    }
}

static bool is_set(const struct key *key, const void *base)
{
    const char *field = (const char *)base + key->offset;
    if (key->type == KEY_TEXT)
        return *(char *const *)field != NULL;
    if (key->type == KEY_RELIABILITY)
        return *(const bool *)field;
    return true;
}

static void print_keys(const struct config *c, const struct key *keys, const void *base, const char *indent,
                       FILE *out)
{
    for (const struct key *key = keys; key->name; key++) {
        if (key->type == KEY_GROUP && !is_set(key->members, base))
            continue;
        if (key->type == KEY_GROUP) {
            fprintf(out, "%s = {\n", key->name);
            print_keys(c, key->members, base, "  ", out);
            fputs("};\n", out);
        } else if (key->type == KEY_STREAMS) {
            fprintf(out, "%s = (", key->name);
            for (size_t i = 0; i < c->stream_count; i++) {
                fputs(i ? ", {\n" : " {\n", out);
                print_keys(c, stream_keys, &c->streams[i], "  ", out);
                fputc('}', out);
            }
            fputs(" );\n", out);
        } else if (is_set(key, base)) {
            /* A default that was not written stays a comment: what is printed parses back to the same thing.
             */
            bool silent = c->metrics_is_default && key->offset == FIELD(metrics) && keys == top_keys;
            fprintf(out, "%s%s%s = ", indent, silent ? "// default: " : "", key->name);
            print_value(c, key, base, out);
            fputs(";\n", out);
        }
    }
}

void config_print(const struct config *config, FILE *out)
{
    print_keys(config, top_keys, config, "", out);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_streams(const struct config *a, const struct config *b)
{
    if (a->stream_count != b->stream_count)
        return false;
    for (size_t i = 0; i < a->stream_count; i++) {
        const struct config_stream *x = &a->streams[i], *y = &b->streams[i];
        if (!same_text(x->name, y->name) || !same_text(x->subscribe, y->subscribe) ||
            !same_text(x->fetch, y->fetch) || !same_text(x->server_key, y->server_key) ||
            x->best_effort != y->best_effort)
            return false;
    }
    return true;
}

static bool same_value(const struct key *key, const struct config *a, const struct config *b)
{
    const char *x = (const char *)a + key->offset, *y = (const char *)b + key->offset;
    switch (key->type) {
    case KEY_TEXT:
        return same_text(*(char *const *)x, *(char *const *)y);
    case KEY_INT:
        return *(const int *)x == *(const int *)y;
    case KEY_SHARD:
        return a->shard == b->shard && a->shards == b->shards;
    case KEY_STREAMS:
        return same_streams(a, b);
    default:
        return true;
    }
}

static void append_name(char *list, size_t len, const char *prefix, const char *name)
{
    size_t used = strlen(list);
    if (used < len)
        snprintf(list + used, len - used, "%s%s%s%s", used ? ", " : "", prefix, prefix[0] ? "." : "", name);
}

static void compare_keys(const struct key *keys, const char *prefix, const struct config *a,
                         const struct config *b, char *live, size_t live_len, char *restart,
                         size_t restart_len)
{
    for (const struct key *key = keys; key->name; key++) {
        if (key->type == KEY_GROUP)
            compare_keys(key->members, key->name, a, b, live, live_len, restart, restart_len);
        else if (!same_value(key, a, b))
            append_name(key->live ? live : restart, key->live ? live_len : restart_len, prefix, key->name);
    }
}

void config_compare(const struct config *running, const struct config *wanted, char *live, size_t live_len,
                    char *restart, size_t restart_len)
{
    if (live_len)
        live[0] = '\0';
    if (restart_len)
        restart[0] = '\0';
    compare_keys(top_keys, "", running, wanted, live, live_len, restart, restart_len);
}
