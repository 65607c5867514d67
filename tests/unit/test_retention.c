/* SPDX-License-Identifier: MIT
 * links: workers/retention.o workers/event_decode.o workers/event_json.o workers/event_value.o workers/event_batch.o
 * links: workers/event_table.o workers/allocation.o workers/exact.o workers/ledger_retained.o
 * links: workers/ledger.o workers/ledger_pupils.o workers/ledger_schools.o workers/ledger_history.o
 * links: workers/fixed.o workers/risk.o workers/budget.o workers/pseudonym.o workers/pseudonym_keys.o
 * links: workers/ledger_links.o workers/entities.o workers/ledger_incidents.o workers/derive.o workers/evaluation.o workers/huisonderwijs.o workers/melding.o
 * links: workers/alert.o workers/alert_subject.o workers/alert_risk.o workers/rules.o workers/rules_table.o daemon/config_text.o daemon/err.o
 *
 * Which events are about a pupil of a school year, what is left of one that comes too late, and fixed counts in the ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/ledger.h"
#include "workers/pseudonym.h"
#include "workers/retention.h"

#define PUPIL "0123456789abcdef0123456789abcdef"

static struct event_batch *batch_of(const char *const *lines, int count)
{
    struct event_decoder *decoder = event_decoder_new(NULL, NULL, pseudonym_scrub);
    struct event_batch *b = event_batch_new();

    b->first_seq = 1;
    for (int i = 0; i < count; i++) {
        char line[900];

        snprintf(
            line, sizeof line,
            "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"time\":\"2019-01-10T08:00:00Z\",%s}",
            lines[i]);
        assert_int_equal(event_decode(decoder, b, line, strlen(line)), 0);
        if (b->events[i].type == EVENT_DEAD)
            fail_msg("%s: %.*s", lines[i], (int)b->events[i].reason.len, batch_text(b, b->events[i].reason));
    }
    event_decoder_free(&decoder);
    return b;
}

#define LINE(type, data) "\"type\":\"" type "\",\"data\":{" data "}"
#define YEAR             "\"school_year\":\"2018-2019\""
#define WHO              "\"pupil\":\"" PUPIL "\""

static const char *const about_pupils[] = {
    LINE("registration.upsert.v1",
         "\"school_id\":\"1\"," YEAR "," WHO ",\"group\":\"lager\",\"regular\":true,\"indicators\":[]"),
    LINE("registration.withdraw.v1", "\"school_id\":\"1\"," YEAR "," WHO),
    LINE("registration.closed.v1", "\"school_id\":\"1\"," YEAR ",\"pupils\":3"),
    LINE("huisonderwijs.verklaring.v1", "\"verklaring_id\":\"v\"," YEAR "," WHO
                                        ",\"kind\":\"individueel\",\"level\":\"basis\",\"province\":null,"
                                        "\"declared_on\":\"2018-09-03\",\"last_school_id\":\"1\""),
    LINE("huisonderwijs.controle.v1",
         "\"controle_id\":\"c\"," YEAR "," WHO ",\"level\":\"basis\",\"province\":null,"
         "\"date\":\"2019-02-01\",\"ordinal\":1,\"verdict\":\"voldoende\",\"criteria\":null"),
    LINE("poah.aanvraag.v1",
         "\"request_id\":\"p\"," YEAR "," WHO
         ",\"kind\":\"eerste\",\"received_on\":\"2018-10-01\",\"type\":4,\"opleidingsvorm\":null,"
         "\"age\":9,\"level\":\"bubao\",\"province\":null,\"mfc\":false,\"mfc_province\":null,\"at_home\":"
         "true,\"prior_toah\":false,"
         "\"newcomer\":false,\"school_id\":null"),
    LINE("vlp.aanvraag.v1", "\"request_id\":\"x\"," YEAR "," WHO ",\"kind\":\"tijdelijk\",\"decision\":null,"
                            "\"granted_kind\":null,\"decided_on\":null"),
    LINE("toah.melding.v1",
         "\"request_id\":\"t\"," YEAR "," WHO ",\"school_id\":\"1\",\"reason\":\"langdurig_ziek\","
         "\"start\":\"2018-11-05\",\"end\":null"),
};
static const char *const about_others[] = {
    LINE("entitlement.known.v1",
         "\"school_id\":\"1\",\"stream\":\"gok_uren_leraar\",\"group\":\"graad1\"," YEAR
         ",\"status\":\"granted\",\"hours\":7"),
    LINE("inspection.report.v1",
         "\"report_id\":\"r\",\"school_id\":\"1\"," YEAR
         ",\"date\":\"2018-10-02\",\"kind\":\"doorlichting\",\"advice\":null,"
         "\"leerlingenbegeleiding\":null,\"gok\":null,\"followup_due\":null,\"scales\":{}"),
    LINE("toah.melding.withdraw.v1", "\"request_id\":\"t\""),
    LINE("melding.ontvangen.v1",
         "\"melding_id\":\"m\",\"school_id\":\"1\",\"level\":\"so\",\"received_on\":\"2018-11-05\","
         "\"categories\":[\"leerrecht\"]"),
};
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static void test_only_pupils_of_old_years(void **state)
{
    (void)state;
    struct event_batch *b = batch_of(about_pupils, COUNT(about_pupils));
    assert_int_equal(retention_refuse(b, 2018), 0); /* the year itself is kept */
    assert_int_equal(retention_refuse(b, 2019), COUNT(about_pupils));
    for (int i = 0; i < COUNT(about_pupils); i++) {
        const struct event *e = b->events + i;
        char reason[200];
        assert_int_equal(e->type, EVENT_DEAD);
        assert_int_equal(e->seq, i + 1);
        assert_int_equal(e->raw.len, 0);
        snprintf(reason, sizeof reason, "%.*s", (int)e->reason.len, batch_text(b, e->reason));
        assert_non_null(strstr(reason, "school year 2018-2019 is closed by retention ("));
        assert_null(strstr(reason, PUPIL));
    }
    assert_int_equal(retention_refuse(b, 2019), 0); /* once */
    event_batch_free(&b);
    b = batch_of(about_others, COUNT(about_others));
    assert_int_equal(retention_refuse(b, 2098), 0);
    event_batch_free(&b);
}

static void test_fixed_counts(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct group_cells cells = {.halves = {[0] = 20, [4] = 7}};
    int32_t seen[RISK_INDICATOR_COUNT];
    assert_int_equal(ledger_retain_cells(l, 5, 2018, GROUP_LAGER, &cells), 0);
    assert_int_equal(ledger_retain_closed(l, 5, 2018, false, 14, 15), 0);
    assert_int_equal(ledger_retain_incidents(l, 5, 2018, RISK_TOAH, 3), 0);
    assert_int_equal(ledger_retain_cells(l, 6, 2018, GROUP_LAGER, &cells), 0); /* a closing may be absent */
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(ledger_cells(l, 5, 2018) + GROUP_LAGER, &cells, sizeof cells);
        struct ledger_closed closed = ledger_closed(l, 5, 2018);
        assert_true(closed.any && !closed.closed && !closed.differs && closed.held == 14 &&
                    closed.announced == 15);
        assert_int_equal(ledger_closed(l, 6, 2018).announced, -1);
        assert_int_equal(ledger_halves(l, 5, 2018), 27);
        ledger_incidents(l, 5, 2018, seen);
        assert_int_equal(seen[RISK_TOAH], 3);
        assert_int_equal(ledger_numbers(l).counts, 2);
        assert_int_equal(ledger_numbers(l).live, 0);
        assert_int_equal(ledger_set_rules(l, NULL), 0); /* counted again: what is fixed stays */
    }
    assert_int_equal(ledger_retain_cells(l, 5, 1900, GROUP_LAGER, &cells), ERR_RANGE);
    ledger_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_pupils_of_old_years),
        cmocka_unit_test(test_fixed_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
