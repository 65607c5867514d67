/* SPDX-License-Identifier: MIT
 * links: workers/event_table.o workers/event_batch.o workers/event_json.o workers/event_value.o
 *
 * The table of event types: it is well formed, agrees with the SQL of the logs and with docs/schemas, and the
 * two rules of the trade that stand beside it hold for every input there is. Runs from the project's top
 * folder. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/event.h"
#include "workers/event_json.h"

/* The rule of regulation 1 written the long way: three people, each absent, not speaking or speaking it. */
enum speaks { ABSENT, NO, YES };
static bool slow_thuistaal(enum speaks mother, enum speaks father, enum speaks siblings)
{
    int in_family = 0, with_dutch = 0;
    if (mother == NO || mother == YES)
        in_family = in_family + 1;
    if (father == NO || father == YES)
        in_family = in_family + 1;
    if (siblings == NO || siblings == YES)
        in_family = in_family + 1;
    if (mother == YES)
        with_dutch = with_dutch + 1;
    if (father == YES)
        with_dutch = with_dutch + 1;
    if (siblings == YES)
        with_dutch = with_dutch + 1;
    if (with_dutch == 0)
        return true;
    return in_family == 3 && with_dutch == 1;
}

static void test_home_language_all_27(void **state)
{
    (void)state;
    int seen = 0;
    for (int m = ABSENT; m <= YES; m++)
        for (int f = ABSENT; f <= YES; f++)
            for (int s = ABSENT; s <= YES; s++, seen++) {
                bool expected = slow_thuistaal((enum speaks)m, (enum speaks)f, (enum speaks)s);
                unsigned got = registration_indicators(false, 0, true, m * 9 + f * 3 + s);
                if (got != (expected ? 1u << IND_THUISTAAL : 0))
                    fail_msg("mother %d father %d siblings %d: bits %#x, expected thuistaal %d", m, f, s, got,
                             expected);
            }
    assert_int_equal(seen, 27);
}

static void test_home_language_known_cases(void **state)
{
    (void)state;
    /* Two parents, one speaks Dutch: no indicator; with siblings who do not: indicator. */
    assert_int_equal(registration_indicators(false, 0, true, YES * 9 + NO * 3 + ABSENT), 0);
    assert_int_equal(registration_indicators(false, 0, true, YES * 9 + NO * 3 + NO), 1u << IND_THUISTAAL);
    assert_int_equal(registration_indicators(false, 0, true, YES * 9 + YES * 3 + NO), 0);
    assert_int_equal(registration_indicators(false, 0, true, NO * 9 + ABSENT * 3 + ABSENT),
                     1u << IND_THUISTAAL);
}

static void test_indicators_imply_buurt(void **state)
{
    (void)state;
    for (unsigned list = 0; list < IND_CELLS; list++) {
        bool moves = list >> IND_THUISLOOS & 1 || list >> IND_TREKKEND & 1;
        unsigned expected = moves ? list | 1u << IND_BUURT : list;
        assert_int_equal(registration_indicators(true, list, false, 0), expected);
        assert_int_equal(registration_indicators(true, list, true, 0), expected | 1u << IND_THUISTAAL);
        assert_int_equal(registration_indicators(true, list, true, YES * 9), expected);
        assert_int_equal(registration_indicators(false, list, true, YES * 9), 0);
    }
}

static void test_groups_fit_levels(void **state)
{
    (void)state;
    static const char *const fits[LEVEL_COUNT] = {
        [LEVEL_BAO] = "kleuter lager ",
        [LEVEL_SO] = "graad1 okan graad23 ",
        [LEVEL_BUBAO] = "basisaanbod type3 ander aanbod ",
        [LEVEL_BUSO] = "basisaanbod type3 ander aanbod ",
        "",
        "",
        "",
        "",
    };
    for (int level = 0; level < LEVEL_COUNT; level++) {
        char got[200] = "";
        for (int group = 0; group <= GROUP_AANBOD; group++)
            if (group_fits_level((enum group)group, (enum level)level)) {
                strcat(got, group_names[group]);
                strcat(got, " ");
            }
        assert_string_equal(got, fits[level]);
    }
}

static void test_table_is_well_formed(void **state)
{
    (void)state;
    for (int k = 0; k < EVENT_TYPE_COUNT; k++) {
        const struct event_kind *kind = event_kinds + k;
        const struct log_table *table = log_tables + kind->table;
        uint32_t seen = 0;
        assert_non_null(kind->type);
        assert_true(kind->op == 'u' || kind->op == 'w' || kind->op == 'c');
        assert_in_range(kind->field_count, 1, table->count);
        for (int i = 0; i < kind->field_count; i++) {
            assert_in_range(kind->fields[i].column, 0, table->count - 1);
            assert_false(seen >> kind->fields[i].column & 1);
            seen |= 1u << kind->fields[i].column;
        }
        if (table->year_column >= 0)
            assert_true(seen >> table->year_column & 1); /* else no partition could be chosen */
        if (kind->table >= LOG_ENTITY_FIRST) {
            assert_int_equal(table->columns[0].kind, COLUMN_KEY);
            assert_true(seen & 1);
            assert_true(kind->op == 'u' || seen == 1); /* a withdrawal is its key */
        }
        for (int other = 0; other < EVENT_TYPE_COUNT; other++) {
            if (other == k)
                continue;
            assert_string_not_equal(kind->type, event_kinds[other].type);
            if (kind->also) {
                assert_string_not_equal(kind->also, event_kinds[other].type);
                assert_true(!event_kinds[other].also || strcmp(kind->also, event_kinds[other].also) != 0);
            }
            /* the rebuild knows an event by its log and op */
            assert_true(kind->table != event_kinds[other].table || kind->op != event_kinds[other].op);
        }
    }
}

static char *read_whole(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s (tests run from the project's top folder)", path);
    char *text = malloc(1 << 20);
    *len = fread(text, 1, (1 << 20) - 1, f);
    text[*len] = '\0';
    fclose(f);
    return text;
}

/* Columns stand in the SQL of the logs in the same order, between the position and the envelope. */
static void test_columns_agree_with_sql(void **state)
{
    (void)state;
    size_t len;
    char *first = read_whole("sql/migrations/0001_tables.sql", &len);
    char *further = read_whole("sql/migrations/0010_feeds_logs.sql", &len);
    char *keys = read_whole("sql/migrations/0016_pupil_keys.sql", &len);
    for (int t = 0; t < LOG_TABLE_COUNT; t++) {
        char start[100], name[100];
        snprintf(start, sizeof start, "CREATE TABLE teldag_data.%s (", log_tables[t].name);
        char *at = strstr(t == LOG_PUPIL_LINK ? keys : t < LOG_ENTITY_FIRST ? first : further, start);
        assert_non_null(at);
        at = strstr(at, "\n    op ");
        for (int c = 0; c < log_tables[t].count; c++) {
            if (log_tables[t].columns[c].kind == COLUMN_PUPIL_KEY && t != LOG_PUPIL_LINK) { /* came later */
                snprintf(name, sizeof name, "ALTER TABLE teldag_data.%s ADD COLUMN %s int;",
                         log_tables[t].name, log_tables[t].columns[c].name);
                assert_non_null(strstr(keys, name));
                continue;
            }
            at = strchr(at + 1, '\n');
            assert_int_equal(sscanf(at, " %99s", name), 1);
            assert_string_equal(name, log_tables[t].columns[c].name);
        }
        at = strchr(at + 1, '\n');
        assert_int_equal(sscanf(at, " %99s", name), 1);
        assert_string_equal(name, "id");
    }
    free(first);
    free(further);
    free(keys);
}

/* JSON Schema files against the table. */

struct schema {
    const struct json_token *tokens;
    const char *path;
};
static const struct json_token *member(const struct schema *s, const struct json_token *object,
                                       const char *name)
{
    if (!object || object->type != JSON_OBJECT)
        fail_msg("%s: no object to look for %s in", s->path, name);
    for (uint32_t t = (uint32_t)(object - s->tokens) + 1; t < object->next; t = s->tokens[t].next)
        if (json_span_is(s->tokens[t].key, name, strlen(name)))
            return s->tokens + t;
    return NULL;
}

static bool list_has(const struct schema *s, const struct json_token *list, const char *word)
{
    for (uint32_t t = (uint32_t)(list - s->tokens) + 1; t < list->next; t = s->tokens[t].next)
        if (s->tokens[t].type == JSON_STRING && json_span_is(s->tokens[t].text, word, strlen(word)))
            return true;
    return false;
}

static int list_length(const struct schema *s, const struct json_token *list)
{
    int n = 0;
    for (uint32_t t = (uint32_t)(list - s->tokens) + 1; t < list->next; t = s->tokens[t].next)
        n++;
    return n;
}

static bool allows_null(const struct schema *s, const struct json_token *property)
{
    const struct json_token *type = member(s, property, "type");
    assert_non_null(type);
    return type->type == JSON_LIST && list_has(s, type, "null");
}

static void check_words(const struct schema *s, const struct json_token *property, const char *const *words,
                        int count)
{
    const struct json_token *list = member(s, property, "enum");
    if (!list)
        fail_msg("%s: no enum", s->path);
    assert_int_equal(list_length(s, list), count + (allows_null(s, property) ? 1 : 0));
    for (int i = 0; i < count; i++)
        if (!list_has(s, list, words[i]))
            fail_msg("%s: %s is not in its enum", s->path, words[i]);
}

static void check_members(const struct schema *s, const struct json_token *property,
                          const struct column *column, int words)
{
    const struct json_token *members = member(s, property, "properties");
    int keys = 0;
    for (; column->keys[keys]; keys++) {
        const struct json_token *one = member(s, members, column->keys[keys]);
        if (!one)
            fail_msg("%s: no member %s", s->path, column->keys[keys]);
        assert_int_equal(allows_null(s, one), column->null_members);
        if (column->words)
            check_words(s, one, column->words, words);
    }
    assert_int_equal(list_length(s, members), keys);
}

static void check_field(const struct schema *s, const struct json_token *data, const struct log_table *table,
                        const struct field *f)
{
    const struct column *column = table->columns + f->column;
    const char *name = f->json_name ? f->json_name : column->name;
    const struct json_token *property = member(s, member(s, data, "properties"), name);
    if (!property)
        fail_msg("%s: no property %s", s->path, name);
    if (list_has(s, member(s, data, "required"), name) != (f->need == NEED_REQUIRED))
        fail_msg("%s: %s is required in one of schema and table only", s->path, name);
    if (allows_null(s, property) != (f->need == NEED_OR_NULL))
        fail_msg("%s: %s may be null in one of schema and table only", s->path, name);
    int words = 0;
    while (column->words && column->words[words])
        words++;
    if (column->kind == COLUMN_WORD)
        check_words(s, property, column->words, words);
    if (column->kind == COLUMN_INDICATORS)
        check_words(s, member(s, property, "items"), indicator_names, IND_COUNT);
    if (column->kind == COLUMN_WORDS) {
        check_words(s, member(s, property, "items"), column->words, words);
        assert_int_equal(atoll(member(s, property, "minItems")->text.at), 1);
    }
    if (column->kind == COLUMN_INT) {
        assert_int_equal(atoll(member(s, property, "minimum")->text.at), column->min);
        assert_int_equal(atoll(member(s, property, "maximum")->text.at), column->max);
    }
    if (column->kind == COLUMN_KEY)
        assert_int_equal(atoll(member(s, property, "maxLength")->text.at), 64);
    if (column->kind == COLUMN_JSON)
        check_members(s, property, column, words);
}

static void check_schema(const struct event_kind *kind)
{
    char path[200];
    struct json_fault fault;
    size_t len;
    uint32_t count;
    snprintf(path, sizeof path, "docs/schemas/%s.json", kind->type);
    char *text = read_whole(path, &len);
    struct json_parser *parser = event_json_new();
    if (event_json_parse(parser, text, len, &fault))
        fail_msg("%s: %s", path, fault.text);
    struct schema s = {event_json_tokens(parser, &count), path};
    const struct json_token *properties = member(&s, s.tokens, "properties");
    const struct json_token *data = member(&s, properties, "data");
    const struct json_token *type = member(&s, properties, "type");
    const struct json_token *one = member(&s, type, "const"), *either = member(&s, type, "enum");
    if (kind->also)
        assert_true(either && list_length(&s, either) == 2 && list_has(&s, either, kind->type) &&
                    list_has(&s, either, kind->also));
    else
        assert_true(one && json_span_is(one->text, kind->type, strlen(kind->type)));
    assert_int_equal(list_length(&s, member(&s, data, "properties")), kind->field_count);
    int required = 0;
    for (int i = 0; i < kind->field_count; i++) {
        check_field(&s, data, log_tables + kind->table, kind->fields + i);
        required += kind->fields[i].need == NEED_REQUIRED;
    }
    assert_int_equal(list_length(&s, member(&s, data, "required")), required);
    event_json_free(&parser);
    free(text);
}

static void test_schemas_agree(void **state)
{
    (void)state;
    for (int k = 0; k < EVENT_TYPE_COUNT; k++)
        check_schema(event_kinds + k);
    DIR *dir = opendir("docs/schemas");
    int files = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        files += strstr(e->d_name, ".v1.json") && strncmp(e->d_name, "alert.", 6) != 0;
    closedir(dir);
    assert_int_equal(files, EVENT_TYPE_COUNT); /* no schema without a row */
}

/* Batch memory. */

static void test_batch_grows(void **state)
{
    (void)state;
    struct event_batch *b = event_batch_new();
    b->first_seq = 100;
    for (int i = 0; i < 5000; i++) {
        char text[32];
        struct event *e = event_open(b, 3);
        assert_non_null(e);
        assert_int_equal(e->seq, 100 + i);
        assert_int_equal(e->nulls, 7);
        snprintf(text, sizeof text, "text %d", i);
        struct text t;
        assert_int_equal(batch_add_text(b, text, strlen(text), &t), 0);
        event_set_text(b, e, 1, t);
        event_set_num(b, e, 2, -i);
        event_close(b, 3);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        char text[32];
        const struct event *e = b->events + i;
        const struct value *v = event_values(b, e);
        snprintf(text, sizeof text, "text %u", i);
        assert_int_equal(v[1].text.len, strlen(text));
        assert_memory_equal(batch_text(b, v[1].text), text, strlen(text));
        assert_int_equal(v[2].num, -(int64_t)i);
        assert_true(event_is_null(e, 0) && !event_is_null(e, 1) && !event_is_null(e, 2));
    }
    event_batch_free(&b);
    assert_null(b);
}

/* An event that is opened and dropped leaves nothing behind. */
static void test_batch_drop(void **state)
{
    (void)state;
    struct event_batch *b = event_batch_new();
    struct text t;
    assert_non_null(event_open(b, 5));
    assert_int_equal(batch_add_text(b, "abc", 3, &t), 0);
    event_drop(b, 0);
    assert_int_equal(b->count + b->value_count + b->arena_len, 0);
    assert_int_equal(event_append_dead(b, "why", "raw", 3, NULL), 0);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->events[0].type, EVENT_DEAD);
    assert_memory_equal(batch_text(b, b->events[0].reason), "why", 3);
    assert_memory_equal(batch_text(b, b->events[0].raw), "raw", 3);
    event_batch_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_home_language_all_27),
        cmocka_unit_test(test_home_language_known_cases),
        cmocka_unit_test(test_indicators_imply_buurt),
        cmocka_unit_test(test_groups_fit_levels),
        cmocka_unit_test(test_table_is_well_formed),
        cmocka_unit_test(test_columns_agree_with_sql),
        cmocka_unit_test(test_schemas_agree),
        cmocka_unit_test(test_batch_grows),
        cmocka_unit_test(test_batch_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
