/* SPDX-License-Identifier: MIT
 *
 * Malformed lines, one kind after the other. Each is wrong in one way, which one event alone proves, so that
 * it must be dead-lettered and change nothing else; its id names the kind where the line can be parsed at
 * all. The words "school" and "registration" in the table say in which feed a kind makes sense. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_model.h"

/* A line is a template: @I id, @S school id, @U source, @T type, @P 32 hex digits, @R a national number with
 * a wrong check number, @D deeply nested arrays. */
#define ENVELOPE(type, source, extra)                                                                        \
    "{\"specversion\":\"1.0\",\"id\":\"@I\",\"source\":\"@U" source "\",\"type\":\"" type "\","              \
    "\"time\":\"2024-01-15T10:00:00Z\"," extra "\"data\":{"
#define REGISTRATION ENVELOPE("registration.upsert.v1", "", "")
#define SCHOOL       ENVELOPE("school.upsert.v1", "", "")
#define WHO          "\"school_id\":\"@S\",\"school_year\":\"2023-2024\",\"pupil\":\"@P\","
#define HOW          "\"group\":\"lager\",\"regular\":true,\"indicators\":[]}}"
#define PLACE        "\"network\":\"vrij\",\"province\":null,\"municipality\":null,\"brussels\":false}}"
#define NAMED        "\"school_id\":\"@S\",\"name\":\"Bad\",\"level\":\"bao\","

static const struct {
    const char *name, *registration, *school; /* NULL: not in that feed */
} kinds[GEN_BAD_FIRST] = {
    {"not-json", "{\"id\":\"@I\" this is no JSON", "{\"id\":\"@I\",,}"},
    {"not-utf8", REGISTRATION WHO "\"note\":\"\xc3\x28\"," HOW,
     SCHOOL "\"school_id\":\"@S\",\"name\":\"Bad \xff\",\"level\":\"bao\"," PLACE},
    {"missing-field", REGISTRATION "\"school_id\":\"@S\",\"school_year\":\"2023-2024\"," HOW,
     SCHOOL "\"school_id\":\"@S\",\"level\":\"bao\"," PLACE},
    {"wrong-type", REGISTRATION WHO "\"group\":\"lager\",\"regular\":\"yes\",\"indicators\":[]}}",
     SCHOOL NAMED "\"network\":\"vrij\",\"brussels\":0}}"},
    {"duplicate-key", REGISTRATION WHO "\"school_id\":\"@S\"," HOW, SCHOOL NAMED "\"level\":\"so\"," PLACE},
    {"nul", ENVELOPE("registration.upsert.v1", "\\u0000", "") WHO HOW,
     SCHOOL "\"school_id\":\"@S\",\"name\":\"Bad\\u0000\",\"level\":\"bao\"," PLACE},
    {"lone-surrogate", ENVELOPE("registration.upsert.v1", "\\ud83d", "") WHO HOW,
     SCHOOL "\"school_id\":\"@S\",\"name\":\"Bad \\udc00\",\"level\":\"bao\"," PLACE},
    {"1e400", REGISTRATION WHO "\"weight\":1e400," HOW, NULL},
    {"unknown-level", NULL, SCHOOL "\"school_id\":\"@S\",\"name\":\"Bad\",\"level\":\"lyceum\"," PLACE},
    {"unknown-group", REGISTRATION WHO "\"group\":\"graad4\",\"regular\":true,\"indicators\":[]}}", NULL},
    {"bad-school-year",
     REGISTRATION "\"school_id\":\"@S\",\"school_year\":\"2023-2025\",\"pupil\":\"@P\"," HOW, NULL},
    {"pupil-33-hex", REGISTRATION "\"school_id\":\"@S\",\"school_year\":\"2023-2024\",\"pupil\":\"@Pa\"," HOW,
     NULL},
    {"rrn-check", REGISTRATION "\"school_id\":\"@S\",\"school_year\":\"2023-2024\",\"pupil\":\"rrn:@R\"," HOW,
     NULL},
    {"weight-0.7", REGISTRATION WHO "\"weight\":0.7," HOW, NULL},
    {"subject-contradicts", ENVELOPE("registration.upsert.v1", "", "\"subject\":\"1\",") WHO HOW,
     ENVELOPE("school.upsert.v1", "", "\"subject\":\"1\",") NAMED PLACE},
    {"deep-nesting", REGISTRATION WHO "\"note\":@D," HOW, SCHOOL NAMED "\"note\":@D," PLACE},
    {"unknown-type", ENVELOPE("registration.renamed.v9", "", "") WHO HOW,
     ENVELOPE("school.renamed.v9", "", "") NAMED PLACE},
    {"unknown-indicator",
     REGISTRATION WHO "\"group\":\"lager\",\"regular\":true,\"indicators\":[\"postcode\"]}}", NULL},
    {"impossible-date", REGISTRATION WHO "\"from\":\"2023-02-30\"," HOW, NULL},
    {"school-id-number", REGISTRATION "\"school_id\":@S,\"school_year\":\"2023-2024\",\"pupil\":\"@P\"," HOW,
     SCHOOL "\"school_id\":@S,\"name\":\"Bad\",\"level\":\"bao\"," PLACE},
};

/* The further feeds by letter: kinds that exist above, and four of their own. */
#define OF(type)   ENVELOPE(type, "", "")
#define REPORT     OF("inspection.report.v1")
#define REPORTED   "\"report_id\":\"@I\",\"school_id\":\"@S\",\"school_year\":\"2023-2024\","
#define FOUND      "\"kind\":\"doorlichting\",\"scales\":{}}}"
#define VERKLARING OF("huisonderwijs.verklaring.v1")
#define DECLARED                                                                                             \
    "\"verklaring_id\":\"@I\",\"pupil\":\"@P\",\"school_year\":\"2023-2024\",\"kind\":\"individueel\","
#define CONTROLE OF("huisonderwijs.controle.v1")
#define CONTROLLED                                                                                           \
    "\"controle_id\":\"@I\",\"pupil\":\"@P\",\"school_year\":\"2023-2024\",\"level\":\"basis\","
#define POAH OF("poah.aanvraag.v1")
#define ASKED                                                                                                \
    "\"request_id\":\"@I\",\"school_year\":\"2023-2024\",\"kind\":\"eerste\",\"received_on\":\"2023-10-"     \
    "02\","
#define HOME                                                                                                 \
    "\"age\":9,\"level\":\"bubao\",\"mfc\":false,\"at_home\":true,\"prior_toah\":false,\"newcomer\":false}}"
#define TOAH OF("toah.melding.v1")
#define NOTIFIED                                                                                             \
    "\"request_id\":\"@I\",\"pupil\":\"@P\",\"school_id\":\"@S\",\"school_year\":\"2023-2024\","             \
    "\"reason\":\"chronisch_ziek\","
#define MELDING OF("melding.ontvangen.v1")
#define RECEIVED                                                                                             \
    "\"melding_id\":\"@I\",\"school_id\":\"@S\",\"level\":\"bao\",\"received_on\":\"2024-03-01\","
#define ABOUT "\"categories\":[\"evaluatie\"]}}"
static const char *const further_names[GEN_BAD_KINDS - GEN_BAD_FIRST] = {"unknown-word", "out-of-range",
                                                                         "ends-before-start", "no-category"};
static const struct {
    char feed;
    const char *name, *text;
} further[] = {
    {'i', "not-json", "{\"id\":\"@I\",\"type\":"},
    {'i', "not-utf8", REPORT REPORTED "\"note\":\"\xff\",\"date\":\"2024-03-08\"," FOUND},
    {'i', "missing-field", REPORT REPORTED FOUND},
    {'i', "wrong-type", REPORT REPORTED "\"date\":20240308," FOUND},
    {'i', "duplicate-key", REPORT REPORTED "\"date\":\"2024-03-08\",\"date\":\"2024-03-09\"," FOUND},
    {'i', "impossible-date", REPORT REPORTED "\"date\":\"2024-02-30\"," FOUND},
    {'i', "unknown-word", REPORT REPORTED "\"date\":\"2024-03-08\",\"gok\":\"matig\"," FOUND},
    {'i', "subject-contradicts",
     ENVELOPE("inspection.report.v1", "", "\"subject\":\"1\",") REPORTED "\"date\":\"2024-03-08\"," FOUND},
    {'i', "deep-nesting", REPORT REPORTED "\"note\":@D,\"date\":\"2024-03-08\"," FOUND},
    {'i', "unknown-type", OF("inspection.verdict.v1") REPORTED "\"date\":\"2024-03-08\"," FOUND},
    {'i', "school-id-number",
     OF("inspection.opschorting.v1") "\"report_id\":\"@I\",\"school_id\":@S,\"asked_on\":\"2024-03-20\"}}"},
    {'h', "bad-school-year",
     VERKLARING
     "\"verklaring_id\":\"@I\",\"pupil\":\"@P\",\"school_year\":\"2023-2025\",\"kind\":\"individueel\","
     "\"level\":\"basis\",\"declared_on\":\"2023-09-04\"}}"},
    {'h', "unknown-level", VERKLARING DECLARED "\"level\":\"bao\",\"declared_on\":\"2023-09-04\"}}"},
    {'h', "missing-field", VERKLARING DECLARED "\"level\":\"basis\"}}"},
    {'h', "unknown-word",
     CONTROLE CONTROLLED "\"date\":\"2024-02-13\",\"ordinal\":1,\"verdict\":\"matig\"}}"},
    {'h', "out-of-range",
     CONTROLE CONTROLLED "\"date\":\"2024-02-13\",\"ordinal\":3,\"verdict\":\"voldoende\"}}"},
    {'h', "impossible-date",
     CONTROLE CONTROLLED "\"date\":\"2023-02-29\",\"ordinal\":1,\"verdict\":\"voldoende\"}}"},
    {'h', "rrn-check",
     CONTROLE "\"controle_id\":\"@I\",\"pupil\":\"rrn:@R\",\"school_year\":\"2023-2024\",\"level\":\"basis\","
              "\"date\":\"2024-02-13\",\"ordinal\":1,\"verdict\":\"voldoende\"}}"},
    {'a', "pupil-33-hex", POAH ASKED "\"pupil\":\"@Pa\",\"type\":4," HOME},
    {'a', "out-of-range", POAH ASKED "\"pupil\":\"@P\",\"type\":10," HOME},
    {'a', "wrong-type", POAH ASKED "\"pupil\":\"@P\",\"type\":\"4\"," HOME},
    {'a', "unknown-word", OF("poah.beslissing.v1") "\"request_id\":\"@I\",\"decision\":\"misschien\"}}"},
    {'a', "ends-before-start",
     OF("poah.beslissing.v1") "\"request_id\":\"@I\",\"decision\":\"goedgekeurd\",\"valid_from\":\"2024-03-"
                              "01\","
                              "\"valid_to\":\"2024-02-29\"}}"},
    {'a', "missing-field",
     OF("vlp.aanvraag.v1") "\"request_id\":\"@I\",\"school_year\":\"2023-2024\",\"kind\":\"definitief\"}}"},
    {'a', "ends-before-start", TOAH NOTIFIED "\"start\":\"2024-03-01\",\"end\":\"2024-02-29\"}}"},
    {'a', "impossible-date", TOAH NOTIFIED "\"start\":\"2024-04-31\"}}"},
    {'m', "no-category", MELDING RECEIVED "\"categories\":[]}}"},
    {'m', "unknown-word", MELDING RECEIVED "\"categories\":[\"parkeren\"]}}"},
    {'m', "unknown-level",
     MELDING
     "\"melding_id\":\"@I\",\"school_id\":\"@S\",\"level\":\"lyceum\",\"received_on\":\"2024-03-01\"," ABOUT},
    {'m', "lone-surrogate", MELDING RECEIVED "\"note\":\"\\ud83d\"," ABOUT},
    {'m', "nul", MELDING RECEIVED "\"note\":\"\\u0000\"," ABOUT},
    {'m', "1e400", MELDING RECEIVED "\"note\":1e400," ABOUT},
    {'m', "school-id-number",
     MELDING
     "\"melding_id\":\"@I\",\"school_id\":@S,\"level\":\"bao\",\"received_on\":\"2024-03-01\"," ABOUT},
    {'m', "missing-field", OF("melding.beantwoord.v1") "\"melding_id\":\"@I\"}}"},
};

const char *gen_bad_name(int kind)
{
    return kind < GEN_BAD_FIRST ? kinds[kind].name : further_names[kind - GEN_BAD_FIRST];
}

/* A birth of 1990 and a check number one too high. */
static char *put_wrong_rrn(char *p, uint64_t n)
{
    uint64_t nine = 900000000u + (n % 12 + 1) * 100000 + (n % 28 + 1) * 1000 + n % 900 + 1;
    uint64_t check = 97 - nine % 97;
    check = check % 97 + 1;
    p = gen_put_number(p, nine);
    *p++ = (char)('0' + check / 10);
    *p++ = (char)('0' + check % 10);
    return p;
}

static char *put_nested(char *p)
{
    enum { DEPTH = 1000 };
    memset(p, '[', DEPTH);
    memset(p + DEPTH, ']', DEPTH);
    return p + 2 * DEPTH;
}

static char *put_template(char *p, const char *text, const struct gen_output *out, const char *kind,
                          uint64_t n, uint32_t school_id)
{
    for (; *text; text++) {
        if (*text != '@') {
            *p++ = *text;
            continue;
        }
        switch (*++text) {
        case 'I':
            p = gen_put(gen_put(p, "bad-"), kind);
            *p++ = '-';
            p = gen_put_number(p, n);
            break;
        case 'S':
            p = gen_put_number(p, school_id);
            break;
        case 'U':
            p = gen_put(p, out->source);
            break;
        case 'P': { /* the digits without the quotes */
            char quoted[40];
            gen_put_pupil(quoted, out->options->seed, UINT32_MAX, (uint32_t)n);
            memcpy(p, quoted + 1, 32);
            p += 32;
            break;
        }
        case 'R':
            p = put_wrong_rrn(p, n);
            break;
        default:
            p = put_nested(p);
        }
    }
    return p;
}

static uint64_t written(const struct gen_output *out)
{
    uint64_t sum = 0;
    for (int i = 0; i < GEN_BAD_KINDS; i++)
        sum += out->bad[i];
    return sum;
}

/* Round the rows of the feed; false when it has none. */
static bool write_further(struct gen_output *out, uint32_t school_id)
{
    enum { ROWS = sizeof further / sizeof further[0] };
    char line[GEN_EVENT_MAX];
    for (unsigned tries = 0; tries < ROWS; tries++) {
        unsigned row = out->bad_turn++ % ROWS;
        if (further[row].feed != out->feed)
            continue;
        char *p = put_template(line, further[row].text, out, further[row].name, written(out) + 1, school_id);
        *p++ = '\n';
        gen_output_write(out, line, (size_t)(p - line));
        int kind = 0;
        while (strcmp(gen_bad_name(kind), further[row].name))
            kind++;
        out->bad[kind]++;
        out->lines++;
        return true;
    }
    return false;
}

void gen_bad_write(struct gen_output *out, uint32_t school_id)
{
    if (write_further(out, school_id))
        return;
    char line[GEN_EVENT_MAX];
    int turn = (int)(out->number % GEN_BAD_FIRST), least = -1;
    for (int k = 0; k < GEN_BAD_FIRST;
         k++) { /* the kind written least often so far, so that all come round */
        int i = (turn + k) % GEN_BAD_FIRST;
        const char *text = out->feed == 's'   ? kinds[i].school
                           : out->feed == 'r' ? kinds[i].registration
                                              : NULL;
        if (text && (least < 0 || out->bad[i] < out->bad[least]))
            least = i;
    }
    if (least < 0)
        return; /* this feed has none */
    const char *text = out->feed == 's' ? kinds[least].school : kinds[least].registration;
    char *p = put_template(line, text, out, kinds[least].name, written(out) + 1, school_id);
    *p++ = '\n';
    gen_output_write(out, line, (size_t)(p - line));
    out->bad[least]++;
    out->lines++;
}

void gen_bad_too_large(struct gen_output *out, uint32_t school_id, int n)
{
    enum { SIZE = 2 << 20 };
    char *line = malloc(SIZE + GEN_EVENT_MAX);
    if (!line) {
        out->failed = true;
        return;
    }
    char *p = put_template(line, REGISTRATION WHO "\"note\":\"", out, "too-large", (uint64_t)n, school_id);
    memset(p, 'x', SIZE);
    p = put_template(p + SIZE, "\"," HOW "\n", out, "too-large", (uint64_t)n, school_id);
    gen_output_write(out, line, (size_t)(p - line));
    out->too_large++;
    out->lines++;
    free(line);
}
