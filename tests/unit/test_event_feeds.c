/* SPDX-License-Identifier: MIT
 * links: workers/event_decode.o workers/event_json.o workers/event_value.o workers/event_batch.o
 * links: workers/event_table.o workers/event_render.o workers/pseudonym.o workers/pseudonym_keys.o workers/allocation.o workers/exact.o
 *
 * Events of the feeds inspection, huisonderwijs, aanhuis and melding. A good event of each type is written back as it
 * came; then each of its fields in turn is absent, null, of another JSON type and just wrong, and the reason names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/event.h"
#include "workers/event_render.h"
#include "workers/pseudonym.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define PUPIL     "\"0123456789abcdef0123456789abcdef\""
#define KEY       "text of 1 to 64 bytes"
#define DATE_IS   "a date like \"2025-02-03\", 1900 to 2099"
#define YEAR_IS   "a school year like \"2024-2025\""
#define SCHOOL_IS "text of 1 to 9 digits without leading zero"
#define PROVINCES "one of antwerpen brussel limburg oost-vlaanderen vlaams-brabant west-vlaanderen"
#define DECISIONS "one of goedgekeurd afgewezen uitgesteld"
#define TRUTH     "true or false"
#define CATEGORIES                                                                                           \
    "a list of aanpak_pesten_agressie grensoverschrijdend_gedrag leerrecht orde_tucht studiebekrachtiging "  \
    "vrijheidsbeperkende_maatregelen zorg_welzijn curriculum evaluatie inschrijvingsrecht lerarentekort "    \
    "personeelskwestie veiligheid"

/* A member of data: a good value, a value of the right JSON type that is wrong, and what the reason says it must be. */
struct part {
    const char *name, *value, *wrong, *expected;
    bool or_null;
};
#define PARTS_MAX 16
static const struct example {
    enum event_type type;
    const char *name, *also;
    struct part parts[PARTS_MAX];
} examples[] = {
    {EVENT_INSPECTION_REPORT,
     "inspection.report.v1",
     NULL,
     {{"report_id", "\"D-1\"", "\"\"", KEY},
      {"school_id", "\"1234\"", "\"01234\"", SCHOOL_IS},
      {"school_year", "\"2023-2024\"", "\"2023-2025\"", YEAR_IS},
      {"date", "\"2024-02-29\"", "\"2023-02-29\"", DATE_IS},
      {"kind", "\"doorlichting\"", "\"bezoek\"", "one of doorlichting opvolging tussentijds_bezoek"},
      {"advice", "\"ongunstig_zonder_opschorting\"", "\"ongunstig\"",
       "one of gunstig gunstig_met_tekorten ongunstig_met_opschorting ongunstig_zonder_opschorting", true},
      {"leerlingenbegeleiding", "\"werkpunten\"", "\"none\"", "one of positief werkpunten negatief", true},
      {"gok", "\"negatief\"", "\"werkpunten\"", "one of positief negatief none", true},
      {"followup_due", "\"2025-02-28\"", "\"28-02-2025\"", DATE_IS, true},
      {"scales", "{\"K1\":\"beneden\",\"O7\":\"benadert\",\"BP3\":\"volgens\",\"BVH\":\"overstijgt\"}", NULL,
       "an object of texts"}}},
    {EVENT_INSPECTION_WITHDRAW,
     "inspection.withdraw.v1",
     "inspection.report.withdraw.v1",
     {{"report_id", "\"D-1\"", "\"\"", KEY}}},
    {EVENT_OPSCHORTING,
     "inspection.opschorting.v1",
     NULL,
     {{"report_id", "\"D-1\"", "\"\"", KEY},
      {"school_id", "\"1234\"", "\"x\"", SCHOOL_IS},
      {"asked_on", "\"2024-03-01\"", "\"2024-03-32\"", DATE_IS}}},
    {EVENT_OPSCHORTING_WITHDRAW,
     "opschorting.withdraw.v1",
     "inspection.opschorting.withdraw.v1",
     {{"report_id", "\"D-1\"", "\"\"", KEY}}},
    {EVENT_VERKLARING,
     "huisonderwijs.verklaring.v1",
     NULL,
     {{"verklaring_id", "\"V/\\u00e9\"", "\"\"", KEY},
      {"pupil", PUPIL, "\"0123\"", "32 hex digits, or rrn: and 11 digits"},
      {"school_year", "\"2023-2024\"", "\"2023\"", YEAR_IS},
      {"kind", "\"collectief\"", "\"groep\"", "one of individueel collectief"},
      {"level", "\"secundair\"", "\"so\"", "one of basis secundair"},
      {"province", "\"brussel\"", "\"Brussel\"", PROVINCES, true},
      {"declared_on", "\"2023-09-04\"", "\"1899-12-31\"", DATE_IS},
      {"last_school_id", "\"999999999\"", "\"1000000000\"", SCHOOL_IS, true}}},
    {EVENT_VERKLARING_WITHDRAW,
     "verklaring.withdraw.v1",
     "huisonderwijs.verklaring.withdraw.v1",
     {{"verklaring_id", "\"V-1\"", "\"\"", KEY}}},
    {EVENT_CONTROLE,
     "huisonderwijs.controle.v1",
     NULL,
     {{"controle_id", "\"C-1\"", "\"\"", KEY},
      {"pupil", PUPIL, "\"rrn:1\"", "32 hex digits, or rrn: and 11 digits"},
      {"school_year", "\"2023-2024\"", "\"2024-2023\"", YEAR_IS},
      {"level", "\"basis\"", "\"bao\"", "one of basis secundair"},
      {"province", "\"limburg\"", "\"luik\"", PROVINCES, true},
      {"date", "\"2024-02-13\"", "\"2024-13-02\"", DATE_IS},
      {"ordinal", "2", "3", "an integer of 1 to 2"},
      {"verdict", "\"geweigerd\"", "\"negatief\"", "one of voldoende onvoldoende geweigerd"},
      {"criteria", "{\"leermiddelen\":\"voldoende\",\"evaluatie\":null}", NULL, "an object of texts", true}}},
    {EVENT_CONTROLE_WITHDRAW,
     "controle.withdraw.v1",
     "huisonderwijs.controle.withdraw.v1",
     {{"controle_id", "\"C-1\"", "\"\"", KEY}}},
    {EVENT_POAH_AANVRAAG,
     "poah.aanvraag.v1",
     NULL,
     {{"request_id", "\"P-1\"", "\"\"", KEY},
      {"pupil", PUPIL, "\"\"", "32 hex digits, or rrn: and 11 digits"},
      {"school_year", "\"2023-2024\"", "\"\"", YEAR_IS},
      {"kind", "\"verlenging\"", "\"tweede\"", "one of eerste verlenging"},
      {"received_on", "\"2023-10-02\"", "\"2023-10-02T00:00:00Z\"", DATE_IS},
      {"type", "9", "10", "an integer of 1 to 9"},
      {"opleidingsvorm", "4", "0", "an integer of 1 to 4", true},
      {"age", "30", "31", "an integer of 0 to 30"},
      {"level", "\"buso\"", "\"so\"", "one of bubao buso"},
      {"province", "\"west-vlaanderen\"", "\"west\"", PROVINCES, true},
      {"mfc", "true", NULL, TRUTH},
      {"mfc_province", "\"antwerpen\"", "\"\"", PROVINCES, true},
      {"at_home", "false", NULL, TRUTH},
      {"prior_toah", "true", NULL, TRUTH},
      {"newcomer", "false", NULL, TRUTH},
      {"school_id", "\"1\"", "\"0\"", SCHOOL_IS, true}}},
    {EVENT_POAH_WITHDRAW,
     "poah.withdraw.v1",
     "poah.aanvraag.withdraw.v1",
     {{"request_id", "\"P-1\"", "\"\"", KEY}}},
    {EVENT_BESLISSING,
     "poah.beslissing.v1",
     NULL,
     {{"request_id", "\"P-1\"", "\"\"", KEY},
      {"decision", "\"uitgesteld\"", "\"ja\"", DECISIONS},
      {"decided_on", "\"2023-10-20\"", "\"-\"", DATE_IS, true},
      {"valid_from", "\"2023-11-06\"", "\"2023-11\"", DATE_IS, true},
      {"valid_to", "\"2023-11-06\"", "\"2100-01-01\"", DATE_IS, true},
      {"school_id", "\"125005\"", "\"12500x\"", SCHOOL_IS, true}}},
    {EVENT_BESLISSING_WITHDRAW,
     "beslissing.withdraw.v1",
     "poah.beslissing.withdraw.v1",
     {{"request_id", "\"P-1\"", "\"\"", KEY}}},
    {EVENT_VLP_AANVRAAG,
     "vlp.aanvraag.v1",
     NULL,
     {{"request_id", "\"L-1\"", "\"\"", KEY},
      {"pupil", PUPIL, "\"x\"", "32 hex digits, or rrn: and 11 digits"},
      {"school_year", "\"2023-2024\"", "\"1989-1990\"", YEAR_IS},
      {"kind", "\"definitief\"", "\"eerste\"", "one of tijdelijk definitief"},
      {"decision", "\"goedgekeurd\"", "\"goed\"", DECISIONS, true},
      {"granted_kind", "\"tijdelijk\"", "\"deels\"", "one of tijdelijk definitief", true},
      {"decided_on", "\"2023-11-30\"", "\"2023-11-31\"", DATE_IS, true}}},
    {EVENT_VLP_WITHDRAW,
     "vlp.withdraw.v1",
     "vlp.aanvraag.withdraw.v1",
     {{"request_id", "\"L-1\"", "\"\"", KEY}}},
    {EVENT_TOAH_MELDING,
     "toah.melding.v1",
     NULL,
     {{"request_id", "\"T-1\"", "\"\"", KEY},
      {"pupil", PUPIL, "\"g\"", "32 hex digits, or rrn: and 11 digits"},
      {"school_id", "\"1234\"", "\"\"", SCHOOL_IS},
      {"school_year", "\"2023-2024\"", "\"23-24\"", YEAR_IS},
      {"reason", "\"moederschapsverlof\"", "\"ziek\"",
       "one of langdurig_ziek chronisch_ziek moederschapsverlof"},
      {"start", "\"2024-01-15\"", "\"15/01/2024\"", DATE_IS},
      {"end", "\"2024-01-15\"", "\"2024-01-00\"", DATE_IS, true}}},
    {EVENT_TOAH_WITHDRAW,
     "toah.withdraw.v1",
     "toah.melding.withdraw.v1",
     {{"request_id", "\"T-1\"", "\"\"", KEY}}},
    {EVENT_MELDING_ONTVANGEN,
     "melding.ontvangen.v1",
     NULL,
     {{"melding_id", "\"M-1\"", "\"\"", KEY},
      {"school_id", "\"1234\"", "\"-1\"", SCHOOL_IS},
      {"level", "\"naft\"", "\"basis\"", "one of bao so bubao buso dko vwo clb naft"},
      {"received_on", "\"2024-03-01\"", "\"2024-02-30\"", DATE_IS},
      {"categories", "[\"aanpak_pesten_agressie\",\"curriculum\",\"veiligheid\"]", NULL, CATEGORIES}}},
    {EVENT_MELDING_WITHDRAW,
     "melding.withdraw.v1",
     "melding.ontvangen.withdraw.v1",
     {{"melding_id", "\"M-1\"", "\"\"", KEY}}},
    {EVENT_BEANTWOORD,
     "melding.beantwoord.v1",
     NULL,
     {{"melding_id", "\"M-1\"", "\"\"", KEY}, {"answered_on", "\"2024-03-28\"", "\"ja\"", DATE_IS}}},
    {EVENT_BEANTWOORD_WITHDRAW,
     "beantwoord.withdraw.v1",
     "melding.beantwoord.withdraw.v1",
     {{"melding_id", "\"M-1\"", "\"\"", KEY}}},
};

static struct event_decoder *decoder;
static struct event_batch *batch;

static int setup(void **state)
{
    (void)state;
    decoder = event_decoder_new(NULL, NULL, pseudonym_scrub);
    batch = event_batch_new();
    return decoder && batch ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    event_decoder_free(&decoder);
    event_batch_free(&batch);
    return 0;
}

/* The example's line with member `at` as `value`: NULL leaves it out. at -1: as it is. */
static char *line_of(const struct example *x, const char *name, int at, const char *value)
{
    static char line[4096];
    int n = snprintf(line, sizeof line,
                     "{\"specversion\":\"1.0\",\"type\":\"%s\",\"id\":\"e1\",\"source\":\"s\","
                     "\"time\":\"2024-03-01T10:00:00.000000Z\",\"data\":{",
                     name);
    bool first = true;
    for (int i = 0; i < PARTS_MAX && x->parts[i].name; i++) {
        const char *v = i == at ? value : x->parts[i].value;
        if (!v)
            continue;
        n +=
            snprintf(line + n, sizeof line - (size_t)n, "%s\"%s\":%s", first ? "" : ",", x->parts[i].name, v);
        first = false;
    }
    snprintf(line + n, sizeof line - (size_t)n, "}}");
    return line;
}

static const struct event *decode(const char *line)
{
    uint32_t at = batch->count;
    assert_int_equal(event_decode(decoder, batch, line, strlen(line)), 0);
    assert_int_equal(batch->count, at + 1);
    return batch->events + at;
}

static const char *reason_of(const struct event *e)
{
    static char text[600];
    snprintf(text, sizeof text, "%.*s", (int)e->reason.len, batch_text(batch, e->reason));
    return text;
}

static void assert_alive(const char *line)
{
    const struct event *e = decode(line);
    if (e->type == EVENT_DEAD)
        fail_msg("%s\n  is dead: %s", line, reason_of(e));
}

/* reason: exactly this, or its beginning when it ends in "...". */
static void assert_dead(const char *line, const char *reason)
{
    const struct event *e = decode(line);
    size_t len = strlen(reason);
    bool begins = len > 3 && strcmp(reason + len - 3, "...") == 0;
    if (e->type != EVENT_DEAD)
        fail_msg("%s\n  is not dead", line);
    if (strncmp(reason_of(e), reason, begins ? len - 3 : len + 1) != 0)
        fail_msg("%s\n  says %s\n  not  %s", line, reason_of(e), reason);
}

static void test_every_type_has_an_example(void **state)
{
    (void)state;
    bool seen[EVENT_TYPE_COUNT] = {false};
    for (size_t i = 0; i < LENGTH(examples); i++) {
        seen[examples[i].type] = true;
        assert_string_equal(examples[i].name, event_kinds[examples[i].type].type);
        int parts = 0;
        while (parts < PARTS_MAX && examples[i].parts[parts].name)
            parts++;
        assert_int_equal(parts, event_kinds[examples[i].type].field_count);
    }
    for (int k = 0; k < EVENT_TYPE_COUNT; k++)
        assert_true(seen[k] || event_kinds[k].table < LOG_ENTITY_FIRST);
}

/* Decoded and written again it is the same text, so no field got lost or moved. */
static void test_good_events_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(examples); i++) {
        char *line = line_of(&examples[i], examples[i].name, -1, NULL);
        const struct event *e = decode(line);
        if (e->type != examples[i].type)
            fail_msg("%s\n  is type %d: %s", line, e->type, reason_of(e));
        char *again = event_render(batch, e), *escape = strstr(line, "\\u00e9");
        if (escape) { /* written in UTF-8 */
            memcpy(escape, "\xc3\xa9", 2);
            memmove(escape + 2, escape + 6, strlen(escape + 6) + 1);
        }
        assert_string_equal(again, line);
        free(again);
        if (examples[i].also)
            assert_int_equal(decode(line_of(&examples[i], examples[i].also, -1, NULL))->type,
                             examples[i].type);
    }
}

static void test_each_field_wrong(void **state)
{
    (void)state;
    char reason[500];
    for (size_t i = 0; i < LENGTH(examples); i++)
        for (int p = 0; p < PARTS_MAX && examples[i].parts[p].name; p++) {
            const struct example *x = &examples[i];
            const struct part *part = &x->parts[p];
            snprintf(reason, sizeof reason, "data.%s: missing", part->name);
            if (part->or_null) {
                assert_alive(line_of(x, x->name, p, NULL));
                assert_alive(line_of(x, x->name, p, "null"));
            } else {
                assert_dead(line_of(x, x->name, p, NULL), reason);
                snprintf(reason, sizeof reason, "data.%s: must be %s, is null", part->name, part->expected);
                assert_dead(line_of(x, x->name, p, "null"), reason);
            }
            snprintf(reason, sizeof reason, "data.%s: must be %s, is 1.5", part->name, part->expected);
            assert_dead(line_of(x, x->name, p, "1.5"), reason);
            if (!part->wrong)
                continue;
            snprintf(reason, sizeof reason, "data.%s: must be %s%s", part->name, part->expected,
                     strcmp(part->name, "pupil") == 0 ? "..." : ", is ...");
            assert_dead(line_of(x, x->name, p, part->wrong), reason);
        }
}

static const struct example *example_of(enum event_type type)
{
    for (size_t i = 0; i < LENGTH(examples); i++)
        if (examples[i].type == type)
            return &examples[i];
    fail();
    return NULL;
}

static int part_of(const struct example *x, const char *name)
{
    for (int p = 0; p < PARTS_MAX && x->parts[p].name; p++)
        if (strcmp(x->parts[p].name, name) == 0)
            return p;
    fail();
    return -1;
}

/* One field of a type with another value: alive, or dead with this reason. */
static const struct case_of_field {
    enum event_type type;
    const char *field, *value, *reason;
} cases[] = {
    {EVENT_INSPECTION_REPORT, "report_id",
     "\"0123456789012345678901234567890123456789012345678901234567abcdef\"", NULL},
    {EVENT_INSPECTION_REPORT, "report_id",
     "\"0123456789012345678901234567890123456789012345678901234567abcdefg\"",
     "data.report_id: must be text of 1 to 64 bytes..."},
    {EVENT_INSPECTION_REPORT, "report_id", "\"85.07.30-033.28\"",
     "data.report_id: has 11 digits like a national register number, which no key may have"},
    {EVENT_INSPECTION_WITHDRAW, "report_id", "\"85073003328\"",
     "data.report_id: has 11 digits like a national register number, which no key may have"},
    {EVENT_MELDING_ONTVANGEN, "melding_id", "\"rrn:#\"",
     "data.melding_id: has 11 digits like a national register number, which no key may have"},
    {EVENT_MELDING_ONTVANGEN, "melding_id", "\"2024-0001\"", NULL},
    {EVENT_MELDING_ONTVANGEN, "melding_id", "17", "data.melding_id: must be text of 1 to 64 bytes, is 17"},
    {EVENT_INSPECTION_REPORT, "gok", "\"none\"", NULL},
    {EVENT_INSPECTION_REPORT, "scales", "{}", NULL},
    {EVENT_INSPECTION_REPORT, "scales", "{\"K7\":\"volgens\"}",
     "data.scales: must be an object of K1 K2 K3 K4 K5 K6 O1 O2 O3 O4 O5 O6 O7 BP1 BP3 BVH, has \"K7\""},
    {EVENT_INSPECTION_REPORT, "scales", "{\"K1\":\"goed\"}",
     "data.scales.K1: must be one of beneden benadert volgens overstijgt, is \"goed\""},
    {EVENT_INSPECTION_REPORT, "scales", "{\"K1\":null}", "data.scales.K1: must be text, is null"},
    {EVENT_INSPECTION_REPORT, "scales", "[]", "data.scales: must be an object of texts, is a list"},
    {EVENT_CONTROLE, "criteria", "{\"aanbod\":2}", "data.criteria.aanbod: must be text or null, is 2"},
    {EVENT_CONTROLE, "criteria", "{\"sfeer\":\"goed\"}",
     "data.criteria: must be an object of leermiddelen onderwijsdoelen aanbod organisatie evaluatie, has "
     "\"sfeer\""},
    {EVENT_CONTROLE, "ordinal", "0", "data.ordinal: must be an integer of 1 to 2, is 0"},
    {EVENT_CONTROLE, "ordinal", "\"1\"", "data.ordinal: must be an integer of 1 to 2, is \"1\""},
    {EVENT_POAH_AANVRAAG, "type", "0", "data.type: must be an integer of 1 to 9, is 0"},
    {EVENT_POAH_AANVRAAG, "opleidingsvorm", "5", "data.opleidingsvorm: must be an integer of 1 to 4, is 5"},
    {EVENT_POAH_AANVRAAG, "age", "-1", "data.age: must be an integer of 0 to 30, is -1"},
    {EVENT_POAH_AANVRAAG, "age", "0", NULL},
    {EVENT_POAH_AANVRAAG, "mfc", "\"ja\"", "data.mfc: must be true or false, is \"ja\""},
    {EVENT_POAH_AANVRAAG, "pupil", "\"rrn:85073003328\"",
     "data.pupil: national register number, and no pseudonym key is configured"},
    {EVENT_BESLISSING, "valid_to", "\"2023-11-05\"", "data.valid_to: before valid_from"},
    {EVENT_TOAH_MELDING, "end", "\"2024-01-14\"", "data.end: before start"},
    {EVENT_TOAH_MELDING, "end", "\"2024-01-16\"", NULL},
    {EVENT_MELDING_ONTVANGEN, "categories", "[]",
     "data.categories: must be a list of at least one, is empty"},
    {EVENT_MELDING_ONTVANGEN, "categories", "[\"pesten\"]",
     "data.categories: must be " CATEGORIES ", has \"pesten\""},
    {EVENT_MELDING_ONTVANGEN, "categories", "\"veiligheid\"",
     "data.categories: must be " CATEGORIES ", is \"veiligheid\""},
    {EVENT_MELDING_ONTVANGEN, "categories", "[\"evaluatie\",\"evaluatie\"]",
     "data.categories: must be distinct, has evaluatie twice"},
};

static void test_cases_of_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct example *x = example_of(cases[i].type);
        const char *line = line_of(x, x->name, part_of(x, cases[i].field), cases[i].value);
        if (cases[i].reason)
            assert_dead(line, cases[i].reason);
        else
            assert_alive(line);
    }
}

static void test_subject_is_the_school(void **state)
{
    (void)state;
    static const char line[] =
        "{\"specversion\":\"1.0\",\"type\":\"%s\",\"id\":\"e\",\"source\":\"s\",\"subject\":\"7\","
        "\"time\":\"2024-03-01T10:00:00Z\",\"data\":{%s}}";
    char text[600];
    snprintf(text, sizeof text, line, "inspection.opschorting.v1",
             "\"report_id\":\"D\",\"school_id\":\"8\",\"asked_on\":\"2024-03-01\"");
    assert_dead(text, "subject contradicts school_id");
    snprintf(text, sizeof text, line, "inspection.opschorting.v1",
             "\"report_id\":\"D\",\"school_id\":\"7\",\"asked_on\":\"2024-03-01\"");
    assert_alive(text);
    /* last_school_id is not the subject */
    snprintf(text, sizeof text, line, "huisonderwijs.verklaring.v1",
             "\"verklaring_id\":\"V\",\"pupil\":" PUPIL
             ",\"school_year\":\"2023-2024\",\"kind\":\"individueel\","
             "\"level\":\"basis\",\"declared_on\":\"2023-09-01\",\"last_school_id\":\"8\"");
    assert_alive(text);
}

/* Texts within criteria are scrubbed as all that is kept; a criterion may be long. */
static void test_criteria_are_kept_scrubbed(void **state)
{
    (void)state;
    const struct example *x = example_of(EVENT_CONTROLE);
    const struct event *e = decode(line_of(x, x->name, part_of(x, "criteria"),
                                           "{\"aanbod\":\"van 85.07.30-033.28\",\"organisatie\":null}"));
    struct text t = event_values(batch, e)[CON_CRITERIA].text;
    static const char want[] = "{\"aanbod\":\"van rrn:#\",\"organisatie\":null}";
    assert_int_equal(t.len, strlen(want));
    assert_memory_equal(batch_text(batch, t), want, t.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_has_an_example), cmocka_unit_test(test_good_events_come_back),
        cmocka_unit_test(test_each_field_wrong),          cmocka_unit_test(test_cases_of_fields),
        cmocka_unit_test(test_subject_is_the_school),     cmocka_unit_test(test_criteria_are_kept_scrubbed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
