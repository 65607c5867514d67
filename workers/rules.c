/* SPDX-License-Identifier: MIT
 *
 * Rules sets: reading rules files strictly (whatever the table of parameters does not know is an error),
 * turning the texts into struct rules for every year of use, and the hash that names a set. Decides what
 * holds for a year without a file. Knows nothing of what the parameters do. */
#include "workers/rules.h"

#include <assert.h>
#include <dirent.h>
#include <libconfig.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/config_text.h"
#include "workers/allocation.h"

#define YEAR_FIRST   1990 /* years of use a set answers for; outside, the nearest of these */
#define YEAR_LAST    2110
#define YEAR_COUNT   (YEAR_LAST - YEAR_FIRST + 1)
#define SOURCE_MAX   300
#define HASH_BYTES   16
#define PATH_MAX_LEN 128 /* a dotted path with one wrong name in it */

struct rules_set {
    struct parameter *rows; /* files x RULES_SPEC_COUNT, by year and name */
    struct parameter
        *carried; /* the same rows as other years see them: unverified, and the source says why */
    size_t files;
    struct rules by_year[YEAR_COUNT];
    int file_of[YEAR_COUNT];             /* index of the file a year's parameters come from */
    struct parameter teldag[YEAR_COUNT]; /* of the years without a file; name NULL for the others */
    struct rules_near near;
    char hash[2 * HASH_BYTES + 1];
};

/* ---- errors ---- */

struct failure { /* where the first error is written */
    char *text;
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) fail(struct failure *f, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text, f->len, format, arguments);
    va_end(arguments);
}

/* ---- names ---- */

static int find_spec(const char *name)
{
    int low = 0, high = RULES_SPEC_COUNT - 1;
    while (low <= high) {
        int middle = (low + high) / 2, order = strcmp(name, rules_specs[middle].name);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

static bool is_prefix_of_a_name(const char *path)
{
    size_t len = strlen(path);
    for (int i = 0; i < RULES_SPEC_COUNT; i++)
        if (strncmp(rules_specs[i].name, path, len) == 0 && rules_specs[i].name[len] == '.')
            return true;
    return false;
}

/* Levenshtein distance, both at most PATH_MAX_LEN. */
static int edit_distance(const char *a, const char *b)
{
    int row[PATH_MAX_LEN + 1], na = (int)strlen(a), nb = (int)strlen(b);
    assert(na <= PATH_MAX_LEN && nb <= PATH_MAX_LEN);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[nb];
}

static const char *nearest_name(const char *path)
{
    int best = 0, best_distance = INT32_MAX;
    for (int i = 0; i < RULES_SPEC_COUNT; i++) {
        int distance = edit_distance(path, rules_specs[i].name);
        if (distance < best_distance) {
            best = i;
            best_distance = distance;
        }
    }
    return rules_specs[best].name;
}

/* ---- values ---- */

static bool parse_date(const char *text, int32_t *out)
{
    static const char shape[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof shape; i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    int y = atoi(text), m = atoi(text + 5), d = atoi(text + 8);
    int32_t days = date_from_ymd(y, m, d);
    int back_y, back_m, back_d;
    date_to_ymd(days, &back_y, &back_m, &back_d);
    *out = days;
    return back_y == y && back_m == m && back_d == d;
}

static bool parse_number(const struct rules_spec *spec, const char *text, struct exact *out)
{
    struct exact least, most;
    if (exact_parse(text, out) != 0 || exact_parse(spec->min, &least) != 0 ||
        exact_parse(spec->max, &most) != 0)
        return false;
    return exact_cmp(*out, least) >= 0 && exact_cmp(*out, most) <= 0 &&
           (spec->type != RULES_INT || out->scale == 0);
}

/* "" is an amount that nobody has told us yet: what rests on it stays unknown too. */
static bool parse_euro(const struct rules_spec *spec, const char *text, int64_t *cents)
{
    struct exact euro;
    *cents = RULES_NO_EURO;
    if (!*text)
        return true;
    if (!parse_number(spec, text, &euro) || euro.scale > 2)
        return false;
    *cents = (int64_t)exact_round(exact_mul(euro, exact_from_int(100)), ROUND_GT4);
    return true;
}

static void expect_words(const struct rules_spec *spec, char *out, size_t len)
{
    size_t used = 0;
    for (int i = 0; spec->words[i] && used < len; i++)
        used += (size_t)snprintf(out + used, len - used, "%s\"%s\"", i ? " or " : "", spec->words[i]);
}

/* What a value must look like, for an error. */
static void describe_spec(const struct rules_spec *spec, char *out, size_t len)
{
    switch (spec->type) {
    case RULES_DECIMAL:
        snprintf(out, len, "a quoted decimal from %s to %s with at most 9 digits after the point", spec->min,
                 spec->max);
        break;
    case RULES_INT:
        snprintf(out, len, "a quoted whole number from %s to %s", spec->min, spec->max);
        break;
    case RULES_BOOL:
        snprintf(out, len, "true or false");
        break;
    case RULES_WORD:
        expect_words(spec, out, len);
        break;
    case RULES_EURO:
        snprintf(out, len,
                 "\"\" or a quoted amount in euro from %s to %s with at most 2 digits after the point",
                 spec->min, spec->max);
        break;
    case RULES_DATE:
        snprintf(out, len, "a quoted date \"YYYY-MM-DD\" within the school year that is counted");
        break;
    }
}

/* Puts the text into its field; year = of use. */
static bool store_value(const struct rules_spec *spec, const char *text, int year, struct rules *rules)
{
    char *field = (char *)rules + spec->offset;
    struct exact number;
    int64_t cents;
    int32_t day;
    int word;
    switch (spec->type) {
    case RULES_DECIMAL:
        if (!parse_number(spec, text, &number))
            return false;
        memcpy(field, &number, sizeof number);
        return true;
    case RULES_INT:
        if (!parse_number(spec, text, &number))
            return false;
        word = (int)number.units;
        memcpy(field, &word, sizeof word);
        return true;
    case RULES_BOOL:
        *(bool *)field = strcmp(text, "true") == 0;
        return *(bool *)field || strcmp(text, "false") == 0;
    case RULES_WORD:
        word = word_find(spec->words, text);
        if (word < 0)
            return false;
        if (spec->word_is_int)
            memcpy(field, &word, sizeof word);
        else
            *(bool *)field = word == 1;
        return true;
    case RULES_EURO:
        if (!parse_euro(spec, text, &cents))
            return false;
        memcpy(field, &cents, sizeof cents);
        return true;
    case RULES_DATE:
        if (!parse_date(text, &day) || day < school_year_start(year - 1) || day >= school_year_start(year))
            return false;
        memcpy(field, &day, sizeof day);
        return true;
    }
    return false;
}

/* Printable UTF-8, so that a source can stand in SQL, JSON and on a terminal. */
static bool is_printable(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p < 0x80                 ? 0
                   : *p >= 0xc2 && *p < 0xe0 ? 1
                   : (*p & 0xf0) == 0xe0     ? 2
                   : *p >= 0xf0 && *p < 0xf5 ? 3
                                             : -1;
        if (more < 0 || *p < 0x20 || *p == 0x7f || (*p == 0xe0 && p[1] < 0xa0) ||
            (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static bool check_source(const char *source)
{
    return *source && strlen(source) <= SOURCE_MAX && is_printable(source);
}

/* ---- rows ---- */

struct row_list {
    struct parameter *rows;
    size_t count, room;
};

static void free_rows(struct parameter *rows, size_t count)
{
    for (size_t i = 0; rows && i < count; i++) {
        free(rows[i].name);
        free(rows[i].value);
        free(rows[i].source);
    }
    free(rows);
}

static bool copy_row(struct parameter *to, int year, const char *name, const char *value, const char *source,
                     bool verified)
{
    *to = (struct parameter){year, strdup(name), strdup(value), strdup(source), verified};
    return to->name && to->value && to->source;
}

static int append_row(struct row_list *list, int year, const char *name, const char *value,
                      const char *source, bool verified)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        struct parameter *rows = realloc(list->rows, room * sizeof *rows);
        if (!rows)
            return ERR_NOMEM;
        list->rows = rows;
        list->room = room;
    }
    return copy_row(&list->rows[list->count++], year, name, value, source, verified) ? 0 : ERR_NOMEM;
}

static int compare_rows(const void *a, const void *b)
{
    const struct parameter *x = a, *y = b;
    if (x->year != y->year)
        return x->year < y->year ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* ---- building a set ---- */

int32_t rules_derived_teldag(int count_year)
{
    int32_t day = date_from_ymd(count_year + 1, 2, 1);
    int weekday = (day % 7 + 7 + 3) % 7; /* 1970-01-01 was a Thursday; 0 = Monday */
    return weekday < 5 ? day : day + 7 - weekday;
}

/* Sorted rows must be, year by year, exactly the table: anything else is a double, unknown or missing name.
 */
static int check_names(const struct parameter *rows, size_t count, struct failure *f)
{
    char year[YEAR_TEXT_MAX];
    for (size_t i = 0, spec = 0; i < count || spec > 0; spec = (spec + 1) % RULES_SPEC_COUNT, i++) {
        const struct parameter *first = &rows[i - spec]; /* of this year */
        year_format(first->year, year);
        const char *expected = rules_specs[spec].name;
        if (i < count && rows[i].year == first->year && strcmp(rows[i].name, expected) == 0)
            continue;
        if (i < count && find_spec(rows[i].name) < 0)
            fail(f, "rules of %s: %s: unknown parameter; did you mean %s", year, rows[i].name,
                 nearest_name(rows[i].name));
        else if (i > 0 && i < count && compare_rows(&rows[i - 1], &rows[i]) == 0)
            fail(f, "rules of %s: %s stands there twice", year, rows[i].name);
        else
            fail(f, "rules of %s: %s is missing; a year states every parameter", year, expected);
        return ERR_INVALID;
    }
    return 0;
}

/* What must hold of several parameters together: an envelope is split whole (regulation 4). */
static int check_together(const struct rules *rules, struct failure *f)
{
    struct exact sum = exact_from_int(0);
    char year[YEAR_TEXT_MAX], text[EXACT_TEXT_MAX];
    for (int i = 0; i < IND_COUNT; i++)
        sum = exact_add(sum, rules->budget_split[i]);
    if (exact_cmp(sum, exact_from_int(1)) == 0)
        return 0;
    year_format(rules->year, year);
    exact_format(sum, text);
    fail(f, "rules of %s: budget.split: the parts add up to %s instead of 1", year, text);
    return ERR_INVALID;
}

static int parse_file_rows(const struct parameter *rows, struct rules *rules, struct failure *f)
{
    *rules = (struct rules){.year = rows[0].year, .file_year = rows[0].year};
    for (int i = 0; i < RULES_SPEC_COUNT; i++) {
        const struct rules_spec *spec = &rules_specs[i];
        char year[YEAR_TEXT_MAX], expected[160];
        year_format(rows[i].year, year);
        if (!store_value(spec, rows[i].value, rows[i].year, rules)) {
            describe_spec(spec, expected, sizeof expected);
            fail(f, "rules of %s: %s: \"%.40s\" is not %s", year, spec->name, rows[i].value, expected);
            return ERR_INVALID;
        }
        if (!check_source(rows[i].source)) {
            fail(f, "rules of %s: %s: a source is 1 to %d bytes of printable UTF-8", year, spec->name,
                 SOURCE_MAX);
            return ERR_INVALID;
        }
    }
    return check_together(rules, f);
}

static const struct parameter *file_rows(const struct rules_set *set, int file)
{
    return &set->rows[(size_t)file * RULES_SPEC_COUNT];
}

/* A year takes its own file, else the nearest earlier one, else the first. */
static int choose_file(const struct rules_set *set, int year)
{
    int chosen = 0;
    for (int file = 1; file < (int)set->files && file_rows(set, file)->year <= year; file++)
        chosen = file;
    return chosen;
}

static int carry_rows(struct rules_set *set)
{
    size_t count = set->files * RULES_SPEC_COUNT;
    set->carried = calloc(count, sizeof *set->carried);
    if (!set->carried)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct parameter *row = &set->rows[i];
        char source[SOURCE_MAX + 64], year[YEAR_TEXT_MAX];
        year_format(row->year, year);
        snprintf(source, sizeof source, "%s (carried over from %s)", row->source, year);
        if (!copy_row(&set->carried[i], row->year, row->name, row->value, source, false))
            return ERR_NOMEM;
    }
    return 0;
}

/* The teldag of a carried-over year as a row of its own. */
static int derive_teldag_row(struct parameter *row, int file_year, int32_t teldag)
{
    char value[48];
    int y, m, d;
    date_to_ymd(teldag, &y, &m, &d);
    snprintf(value, sizeof value, "%04d-%02d-%02d", y, m, d);
    return copy_row(row, file_year, "teldag", value,
                    "no rules file for this year; derived: first school day of February [C7]", false)
               ? 0
               : ERR_NOMEM;
}

static int fill_years(struct rules_set *set, const struct rules *parsed)
{
    for (int i = 0; i < YEAR_COUNT; i++) {
        int year = YEAR_FIRST + i, file = choose_file(set, year);
        set->file_of[i] = file;
        set->by_year[i] = parsed[file];
        set->by_year[i].year = year;
        if (parsed[file].file_year == year)
            continue;
        set->by_year[i].teldag = rules_derived_teldag(year - 1);
        int rc = derive_teldag_row(&set->teldag[i], parsed[file].file_year, set->by_year[i].teldag);
        if (rc)
            return rc;
    }
    return 0;
}

/* Every text with its length before it, so that no two sets have one listing. */
static void hash_text(crypto_generichash_state *state, const char *text)
{
    char head[32];
    int n = snprintf(head, sizeof head, "%zu:", strlen(text));
    crypto_generichash_update(state, (const unsigned char *)head, (size_t)n);
    crypto_generichash_update(state, (const unsigned char *)text, strlen(text));
}

static void hash_set(struct rules_set *set)
{
    crypto_generichash_state state;
    unsigned char digest[HASH_BYTES];
    char number[64];
    crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
    snprintf(number, sizeof number, "near %d %d", set->near.pupils, set->near.hours);
    hash_text(&state, number);
    for (size_t i = 0; i < rules_count(set); i++) {
        const struct parameter *row = &set->rows[i];
        snprintf(number, sizeof number, "%d", row->year);
        hash_text(&state, number);
        hash_text(&state, row->name);
        hash_text(&state, row->value);
        hash_text(&state, row->source);
        hash_text(&state, row->verified ? "true" : "false");
    }
    crypto_generichash_final(&state, digest, sizeof digest);
    for (int i = 0; i < HASH_BYTES; i++)
        snprintf(set->hash + 2 * i, 3, "%02x", digest[i]);
}

/* Takes the list's rows. */
static struct rules_set *build_set(struct row_list *list, struct rules_near near, struct failure *f)
{
    int rc = ERR_INVALID;
    struct rules *parsed = NULL;
    struct rules_set *set = calloc(1, sizeof *set);
    if (!set)
        goto out;
    if (near.pupils < 0 || near.hours < 0) {
        fail(f, "near.pupils and near.hours are not negative");
        goto out;
    }
    if (list->count == 0) {
        fail(f, "no rules at all");
        goto out;
    }
    qsort(list->rows, list->count, sizeof *list->rows, compare_rows);
    if (check_names(list->rows, list->count, f) != 0)
        goto out;
    set->near = near;
    set->rows = list->rows;
    set->files = list->count / RULES_SPEC_COUNT;
    *list = (struct row_list){0};
    parsed = calloc(set->files, sizeof *parsed);
    for (size_t file = 0; parsed && file < set->files; file++)
        if (parse_file_rows(file_rows(set, (int)file), &parsed[file], f) != 0)
            goto out;
    if (!parsed || carry_rows(set) != 0 || fill_years(set, parsed) != 0) {
        fail(f, "out of memory");
        goto out;
    }
    hash_set(set);
    rc = 0;
out:
    if (!set)
        fail(f, "out of memory");
    free(parsed);
    if (rc)
        rules_free(&set);
    return set;
}

static bool year_is_known(int year)
{
    return year >= YEAR_FIRST && year < 2100;
}

struct rules_set *rules_from_parameters(const struct parameter *rows, size_t count, struct rules_near near,
                                        char *error, size_t error_len)
{
    struct failure f = {error, error_len};
    struct row_list list = {0};
    struct rules_set *set = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!year_is_known(rows[i].year) || strlen(rows[i].name) > PATH_MAX_LEN) {
            fail(&f, "rules row %zu: school year %d or its name is out of range", i, rows[i].year);
            goto out;
        }
        if (append_row(&list, rows[i].year, rows[i].name, rows[i].value, rows[i].source, rows[i].verified) !=
            0) {
            fail(&f, "out of memory");
            goto out;
        }
    }
    set = build_set(&list, near, &f);
out:
    free_rows(list.rows, list.count);
    return set;
}

void rules_free(struct rules_set **set)
{
    struct rules_set *s = *set;
    if (!s)
        return;
    free_rows(s->rows, s->files * RULES_SPEC_COUNT);
    free_rows(s->carried, s->files * RULES_SPEC_COUNT);
    for (int i = 0; i < YEAR_COUNT; i++) {
        free(s->teldag[i].name);
        free(s->teldag[i].value);
        free(s->teldag[i].source);
    }
    free(s);
    *set = NULL;
}

/* ---- reading files ---- */

struct reading { /* one rules file */
    const char *path;
    int year;
    struct row_list *list;
    struct failure *f;
    bool seen[RULES_SPEC_COUNT];
};

static int refuse(const struct reading *r, const config_setting_t *at, const char *key, const char *why,
                  const char *what)
{
    fail(r->f, "%s:%u: %s: %s%s", r->path, config_setting_source_line(at), key, why, what);
    return ERR_INVALID;
}

/* value as text: a quoted string, or a bare true/false where that is the type. libconfig wraps big numbers
 * and reads decimals as double, so numbers must be quoted. */
static const char *value_text(const struct rules_spec *spec, const config_setting_t *value)
{
    if (spec->type == RULES_BOOL && config_setting_type(value) == CONFIG_TYPE_BOOL)
        return config_setting_get_bool(value) ? "true" : "false";
    return config_setting_get_string(value); /* NULL when it is no string */
}

static int read_parameter(struct reading *r, const config_setting_t *setting, int index)
{
    static const char *const members[] = {"value", "source", "verified"};
    const struct rules_spec *spec = &rules_specs[index];
    if (!config_setting_is_group(setting))
        return refuse(r, setting, spec->name,
                      "must be a group: { value = ...; source = \"...\"; verified = false; }", "");
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
        const char *name = config_setting_name(member);
        if (strcmp(name, "value") != 0 && strcmp(name, "source") != 0 && strcmp(name, "verified") != 0) {
            int best = 0;
            for (int m = 1; m < 3 && strlen(name) <= PATH_MAX_LEN; m++)
                if (edit_distance(name, members[m]) < edit_distance(name, members[best]))
                    best = m;
            char key[2 * PATH_MAX_LEN];
            snprintf(key, sizeof key, "%s.%.60s", spec->name, name);
            return refuse(r, member, key, "unknown key; did you mean ", members[best]);
        }
    }
    const config_setting_t *value = config_setting_get_member(setting, "value"),
                           *source = config_setting_get_member(setting, "source"),
                           *verified = config_setting_get_member(setting, "verified");
    if (!value || !source || !verified)
        return refuse(r, setting, spec->name, "lacks ", !value ? "value" : !source ? "source" : "verified");
    const char *text = value_text(spec, value), *source_text = config_setting_get_string(source);
    struct rules scratch;
    char expected[160];
    describe_spec(spec, expected, sizeof expected);
    if (!text || !store_value(spec, text, r->year, &scratch))
        return refuse(r, value, spec->name, "value must be ", expected);
    if (!source_text || !check_source(source_text))
        return refuse(r, source, spec->name, "source must be ",
                      "a quoted text of 1 to 300 bytes of printable UTF-8");
    if (config_setting_type(verified) != CONFIG_TYPE_BOOL)
        return refuse(r, verified, spec->name, "verified must be ", "true or false");
    r->seen[index] = true;
    if (append_row(r->list, r->year, spec->name, text, source_text, config_setting_get_bool(verified)) != 0) {
        fail(r->f, "out of memory");
        return ERR_NOMEM;
    }
    return 0;
}

/* Depth is bounded: a path that is neither a name nor the beginning of one ends the walk. */
static int walk_group(struct reading *r, const config_setting_t *group, const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        char path[PATH_MAX_LEN + 1];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", config_setting_name(setting));
        int spec = find_spec(path), rc;
        if (spec >= 0)
            rc = read_parameter(r, setting, spec);
        else if (!is_prefix_of_a_name(path))
            rc = refuse(r, setting, path, "unknown parameter; did you mean ", nearest_name(path));
        else if (!config_setting_is_group(setting))
            rc = refuse(r, setting, path, "must be a group of parameters, such as ", nearest_name(path));
        else
            rc = walk_group(r, setting, path);
        if (rc)
            return rc;
    }
    return 0;
}

/* "2024-2025.conf" -> 2024; -1 otherwise. */
static int year_of_file(const char *name)
{
    static const char shape[] = "DDDD-DDDD.conf"; /* D: a digit */
    for (size_t i = 0; i < sizeof shape; i++)
        if (shape[i] == 'D' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
            return -1;
    int year = atoi(name);
    return atoi(name + 5) == year + 1 && year_is_known(year) ? year : -1;
}

static int year_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    return year_of_file(slash ? slash + 1 : path);
}

static int read_file(const struct rules_file *file, int year, struct row_list *list, struct failure *f)
{
    const char *path = file->path;
    struct reading r = {.path = path, .year = year, .list = list, .f = f};
    unsigned directive = config_text_find_directive(file->text);
    config_t config;
    config_init(&config);
    int rc = ERR_INVALID;
    if (year < 0) {
        fail(f, "%s: a rules file is named after its school year of use, such as 2024-2025.conf", path);
        goto out;
    }
    if (directive) {
        fail(f, "%s:%u: @include is not supported; a rules file states every parameter itself", path,
             directive);
        goto out;
    }
    if (!config_read_string(&config, file->text)) {
        fail(f, "%s:%d: %s", path, config_error_line(&config), config_error_text(&config));
        goto out;
    }
    rc = walk_group(&r, config_root_setting(&config), "");
    for (int i = 0; rc == 0 && i < RULES_SPEC_COUNT; i++)
        if (!r.seen[i]) {
            fail(f, "%s: %s is missing; a rules file states every parameter", path, rules_specs[i].name);
            rc = ERR_INVALID;
        }
out:
    config_destroy(&config);
    return rc;
}

struct rules_set *rules_parse(const struct rules_file *files, size_t count, struct rules_near near,
                              char *error, size_t error_len)
{
    struct failure f = {error, error_len};
    struct row_list list = {0};
    struct rules_set *set = NULL;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = read_file(&files[i], year_of_path(files[i].path), &list, &f);
    if (rc == 0)
        set = build_set(&list, near, &f);
    free_rows(list.rows, list.count);
    return set;
}

static int is_rules_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* The text of one file of the folder; text NULL after a message. */
static struct rules_file open_file(const char *directory, const char *name, struct failure *f)
{
    struct rules_file file = {0};
    char *path = NULL, reason[256];
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        path = NULL;
    file.path = path;
    if (path)
        file.text = config_text_read(path, reason, sizeof reason);
    if (!path)
        fail(f, "out of memory");
    else if (!file.text)
        fail(f, "%s: %s", path, reason);
    return file;
}

struct rules_set *rules_load(const char *directory, struct rules_near near, char *error, size_t error_len)
{
    struct failure f = {error, error_len};
    struct rules_set *set = NULL;
    struct dirent **names = NULL;
    int opened = 0, count = scandir(directory, &names, is_rules_file, alphasort);
    struct rules_file *files = count > 0 ? calloc((size_t)count, sizeof *files) : NULL;
    if (count < 0)
        fail(&f, "%s: cannot be read as a folder: %m", directory);
    else if (count == 0)
        fail(&f, "%s: holds no rules file such as 2024-2025.conf", directory);
    else if (!files)
        fail(&f, "out of memory");
    for (bool good = files != NULL; opened < count && good; opened++) {
        files[opened] = open_file(directory, names[opened]->d_name, &f);
        good = files[opened].text != NULL;
    }
    if (opened > 0 && files[opened - 1].text)
        set = rules_parse(files, (size_t)opened, near, error, error_len);
    for (int i = 0; i < opened; i++) {
        free((char *)(uintptr_t)files[i].path);
        free((char *)(uintptr_t)files[i].text);
    }
    free(files);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return set;
}

struct rules_set *rules_load_variant(const struct rules_set *base, const char *path, int year, char *error,
                                     size_t error_len)
{
    struct failure f = {error, error_len};
    struct row_list list = {0};
    struct rules_set *set = NULL;
    struct stat file;
    struct rules_file text = {.path = path};
    char reason[256];
    if (stat(path, &file) == 0 && S_ISDIR(file.st_mode))
        return rules_load(path, base->near, error, error_len);
    if (year == 0)
        year = year_of_path(path);
    if (!year_is_known(year)) {
        fail(&f, "%s: name it after its school year of use, such as 2026-2027.conf, or say which year", path);
        return NULL;
    }
    for (size_t i = 0; i < rules_count(base); i++) {
        const struct parameter *p = &base->rows[i];
        if (p->year != year && append_row(&list, p->year, p->name, p->value, p->source, p->verified) != 0) {
            fail(&f, "out of memory");
            goto out;
        }
    }
    text.text = config_text_read(path, reason, sizeof reason);
    if (!text.text)
        fail(&f, "%s: %s", path, reason);
    else if (read_file(&text, year, &list, &f) == 0)
        set = build_set(&list, base->near, &f);
out:
    free((char *)(uintptr_t)text.text);
    free_rows(list.rows, list.count);
    return set;
}

/* ---- asking ---- */

static int year_index(int year)
{
    return (year < YEAR_FIRST ? YEAR_FIRST : year > YEAR_LAST ? YEAR_LAST : year) - YEAR_FIRST;
}

const struct rules *rules_for_year(const struct rules_set *set, int year_of_use)
{
    return &set->by_year[year_index(year_of_use)];
}

struct rules_near rules_near(const struct rules_set *set)
{
    return set->near;
}

const char *rules_hash(const struct rules_set *set)
{
    return set->hash;
}

size_t rules_count(const struct rules_set *set)
{
    return set->files * RULES_SPEC_COUNT;
}

const struct parameter *rules_parameter(const struct rules_set *set, size_t i)
{
    return i < rules_count(set) ? &set->rows[i] : NULL;
}

const struct parameter *rules_find(const struct rules_set *set, int year_of_use, const char *name)
{
    int spec = find_spec(name), i = year_index(year_of_use);
    if (spec < 0)
        return NULL;
    if (!set->teldag[i].name)
        return file_rows(set, set->file_of[i]) + spec;
    if (rules_specs[spec].type == RULES_DATE)
        return &set->teldag[i];
    return &set->carried[(size_t)set->file_of[i] * RULES_SPEC_COUNT + (size_t)spec];
}
