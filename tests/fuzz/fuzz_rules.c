/* SPDX-License-Identifier: MIT
 *
 * Any text as a rules file. What is refused says which file and why. What is taken states every parameter once, answers
 * for any year, and is the same set again, hash and all, from its own rows, which is how the daemon reads it back from
 * the database.
 *
 * links: tests/fuzz/fake.o
 */
#include "tests/fuzz/fake.h"

#include <stdlib.h>
#include <string.h>

#include "workers/rules.h"

#define NAME "rules/2024-2025.conf"

static bool same_field(const struct rules_spec *spec, const struct rules *a, const struct rules *b)
{
    const char *x = (const char *)a + spec->offset, *y = (const char *)b + spec->offset;
    struct exact m, n;
    switch (spec->type) {
    case RULES_DECIMAL:
        memcpy(&m, x, sizeof m);
        memcpy(&n, y, sizeof n);
        return exact_cmp(m, n) == 0;
    case RULES_EURO:
        return memcmp(x, y, sizeof(int64_t)) == 0;
    case RULES_INT:
    case RULES_DATE:
        return memcmp(x, y, sizeof(int32_t)) == 0;
    default:
        return *(const bool *)x == *(const bool *)y;
    }
}

static void check_set(const struct rules_set *set)
{
    char error[400] = "";
    MUST_HOLD(rules_count(set) == RULES_SPEC_COUNT && strlen(rules_hash(set)) == 32);
    struct parameter rows[RULES_SPEC_COUNT];
    for (int i = 0; i < RULES_SPEC_COUNT; i++) {
        rows[i] = *rules_parameter(set, (size_t)i);
        MUST_HOLD(strcmp(rows[i].name, rules_specs[i].name) == 0 && rows[i].year == 2024);
        MUST_HOLD(*rows[i].source && rules_find(set, 2024, rows[i].name) == rules_parameter(set, (size_t)i));
        MUST_HOLD(!rules_find(set, 2025, rows[i].name)->verified);
    }
    MUST_HOLD(rules_for_year(set, 2024)->year == 2024 && rules_for_year(set, 2050)->file_year == 2024);
    MUST_HOLD(rules_for_year(set, -1) && rules_for_year(set, 9999));
    struct rules_set *again =
        rules_from_parameters(rows, RULES_SPEC_COUNT, rules_near(set), error, sizeof error);
    MUST_HOLD(again && strcmp(rules_hash(again), rules_hash(set)) == 0);
    for (int i = 0; i < RULES_SPEC_COUNT; i++)
        MUST_HOLD(same_field(rules_specs + i, rules_for_year(again, 2024), rules_for_year(set, 2024)));
    rules_free(&again);
}

/* libconfig 1.5 forgets the text of a string that stands before a syntax error: a few bytes for each refused file. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[400] = "";
    char *text = malloc(size + 1);
    MUST_HOLD(text);
    memcpy(text, data, size);
    text[size] = '\0';
    const struct rules_file file = {NAME, text};
    struct rules_set *set = rules_parse(&file, 1, (struct rules_near){3, 1}, error, sizeof error);
    free(text);
    if (set)
        check_set(set);
    else
        MUST_HOLD(strncmp(error, NAME ":", sizeof NAME) == 0 ||
                  strncmp(error, "rules of 2024-2025: ", 20) == 0);
    rules_free(&set);
    return 0;
}
