/* SPDX-License-Identifier: MIT
 *
 * Any text as a configuration file. What is refused says where (the file's name) and why; what is taken is within its
 * bounds, and prints to a text that parses to the same: nothing differs, and it prints to the same text again.
 *
 * links: tests/fuzz/fake.o
 */
#include "tests/fuzz/fake.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/wire.h"

#define NAME "fuzz.conf"

/* As the library that will use it reads it. */
static void check_no_password(const char *conninfo)
{
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &reason);
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        MUST_HOLD(!o->val || !strstr(o->keyword, "password"));
    PQconninfoFree(options);
    PQfreemem(reason);
}

static void check_bounds(const struct config *c)
{
    MUST_HOLD(c->database && c->rules && c->control && c->metrics && c->alerts_publish && c->alerts_fetch);
    MUST_HOLD(c->shards >= 1 && c->shards <= 1024 && c->shard >= 0 && c->shard < c->shards);
    MUST_HOLD(c->near_pupils >= 0 && c->near_pupils <= 1000 && c->near_hours >= 0 && c->near_hours <= 1000);
    check_no_password(c->database);
    for (size_t i = 0; i < c->stream_count; i++) {
        const struct config_stream *s = c->streams + i;
        MUST_HOLD(wire_name_is_valid(s->name, strlen(s->name)));
        MUST_HOLD(s->subscribe && s->best_effort == !s->fetch);
    }
}

static char *print(const struct config *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    MUST_HOLD(out);
    config_print(c, out);
    MUST_HOLD(fclose(out) == 0);
    return text;
}

/* libconfig 1.5 forgets the text of a string that stands before a syntax error: a few bytes for each refused file. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[400] = "", live[400] = "", restart[400] = "";
    char *text = malloc(size + 1);
    MUST_HOLD(text);
    memcpy(text, data, size);
    text[size] = '\0';
    struct config *c = config_parse(NAME, text, error, sizeof error);
    free(text);
    if (!c) {
        MUST_HOLD(strncmp(error, NAME ":", sizeof NAME) == 0 && strlen(error) > sizeof NAME + 1);
        return 0;
    }
    check_bounds(c);
    char *first = print(c);
    struct config *again = config_parse(NAME, first, error, sizeof error);
    MUST_HOLD(again);
    config_compare(c, again, live, sizeof live, restart, sizeof restart);
    MUST_HOLD(*live == '\0' && *restart == '\0');
    char *second = print(again);
    MUST_HOLD(strcmp(first, second) == 0);
    free(first);
    free(second);
    config_free(&c);
    config_free(&again);
    return 0;
}
