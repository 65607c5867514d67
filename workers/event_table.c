/* SPDX-License-Identifier: MIT
 *
 * The one table of event types (design 6): which fields an event has, which column of which log each lands
 * in, of what kind it is, and what fields of one event must mean together. A further feed is a further set of
 * rows here, its module and its SQL; the decoder, the COPY encoder and the rebuild reader read these tables
 * and know no event type. Also the two rules of the trade that a registration's fields carry by themselves.
 */
#include "workers/event.h"

#include <string.h>

#define LENGTH(a) ((int)(sizeof(a) / sizeof((a)[0])))

const char *const indicator_names[IND_COUNT] = {
    "thuistaal", "schooltoelage", "opleiding_moeder", "thuisloos", "trekkend", "buurt",
};
const char *const level_names[LEVEL_COUNT + 1] = {"bao", "so",  "bubao", "buso", "dko",
                                                  "vwo", "clb", "naft",  NULL};
const char *const group_names[GROUP_COUNT + 2] = {
    "kleuter", "lager", "graad1", "okan", "graad23", "basisaanbod", "type3", "ander", "aanbod", NULL,
};
const char *const staffing_names[STAFFING_COUNT + 1] = {
    "ses_lestijden", "gok_uren_leraar", "gok_aanvullende_lestijden", "gok_extra_lesuren", NULL,
};
const char *const status_names[STATUS_COUNT + 1] = {"granted", "grace", "below_threshold", "below_minimum",
                                                    NULL};

/* The groups a pupil can be in: without `aanbod`, which only allocations know. Same numbers as group_names.
 */
static const char *const pupil_group_names[GROUP_COUNT + 1] = {
    "kleuter", "lager", "graad1", "okan", "graad23", "basisaanbod", "type3", "ander", NULL,
};
static const char *const network_names[] = {"go", "vrij", "officieel", NULL};
static const char *const province_names[] = {
    "antwerpen", "brussel", "limburg", "oost-vlaanderen", "vlaams-brabant", "west-vlaanderen", NULL,
};

/* Inspections (regulation 6). */
static const char *const inspection_kind_names[] = {"doorlichting", "opvolging", "tussentijds_bezoek", NULL};
const char *const advice_names[5] = {
    "gunstig", "gunstig_met_tekorten", "ongunstig_met_opschorting", "ongunstig_zonder_opschorting", NULL,
};
static const char *const begeleiding_names[] = {"positief", "werkpunten", "negatief", NULL};
static const char *const gok_names[] = {"positief", "negatief", "none", NULL};
static const char *const scale_names[] = {
    "K1", "K2", "K3", "K4", "K5", "K6", "O1", "O2", "O3", "O4", "O5", "O6", "O7", "BP1", "BP3", "BVH", NULL,
};
static const char *const scale_values[] = {"beneden", "benadert", "volgens", "overstijgt", NULL};

/* Huisonderwijs, onderwijs aan huis, meldingen (regulation 7). */
static const char *const verklaring_kind_names[] = {"individueel", "collectief", NULL};
static const char *const huisonderwijs_level_names[] = {"basis", "secundair", NULL};
const char *const controle_verdict_names[4] = {"voldoende", "onvoldoende", "geweigerd", NULL};
static const char *const criteria_names[] = {
    "leermiddelen", "onderwijsdoelen", "aanbod", "organisatie", "evaluatie", NULL,
};
static const char *const poah_kind_names[] = {"eerste", "verlenging", NULL};
static const char *const poah_level_names[] = {"bubao", "buso", NULL};
static const char *const decision_names[] = {"goedgekeurd", "afgewezen", "uitgesteld", NULL};
static const char *const vlp_kind_names[] = {"tijdelijk", "definitief", NULL};
static const char *const toah_reason_names[] = {
    "langdurig_ziek",
    "chronisch_ziek",
    "moederschapsverlof",
    NULL,
};
const char *const melding_category_names[MELDING_CATEGORY_COUNT + 1] = {
    "aanpak_pesten_agressie",
    "grensoverschrijdend_gedrag",
    "leerrecht",
    "orde_tucht",
    "studiebekrachtiging",
    "vrijheidsbeperkende_maatregelen",
    "zorg_welzijn",
    "curriculum",
    "evaluatie",
    "inschrijvingsrecht",
    "lerarentekort",
    "personeelskwestie",
    "veiligheid",
    NULL,
};

int word_find(const char *const *words, const char *text)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return -1;
}

/* Which groups a level has (regulation 2): any other combination is stored, but stands in `unmatched`. */
bool group_fits_level(enum group group, enum level level)
{
    switch (level) {
    case LEVEL_BAO:
        return group == GROUP_KLEUTER || group == GROUP_LAGER;
    case LEVEL_SO:
        return group == GROUP_GRAAD1 || group == GROUP_OKAN || group == GROUP_GRAAD23;
    case LEVEL_BUBAO:
    case LEVEL_BUSO:
        return group == GROUP_BASISAANBOD || group == GROUP_TYPE3 || group == GROUP_ANDER ||
               group == GROUP_AANBOD;
    default:
        return false;
    }
}

/* Which groups a staffing stream has rows for (regulation 2). */
static bool group_fits_staffing(enum group group, enum staffing staffing)
{
    switch (staffing) {
    case STAFFING_SES_LESTIJDEN:
        return group == GROUP_KLEUTER || group == GROUP_LAGER;
    case STAFFING_GOK_UREN_LERAAR:
        return group == GROUP_GRAAD1 || group == GROUP_OKAN || group == GROUP_GRAAD23;
    case STAFFING_GOK_AANVULLENDE_LESTIJDEN:
    case STAFFING_GOK_EXTRA_LESUREN:
        return group == GROUP_AANBOD;
    default:
        return false;
    }
}

/* thuistaal from a raw declaration (regulation 1, [GO 2.1]):
 * (1) F = the declared members among mother, father, siblings as one; absent members are not in F;
 * (2) k = members of F with whom the pupil mostly speaks the language of instruction;
 * (3) thuistaal = k is 0, or F has three members and k is at most 1.
 * A declaration without any member has k = 0. Re-evaluated whenever the registration is replaced. */
static bool home_language_is_thuistaal(int home_language)
{
    int digits[3] = {home_language / 9, home_language / 3 % 3, home_language % 3};
    int members = 0, speaking = 0;
    for (int i = 0; i < 3; i++) {
        members += digits[i] != 0;
        speaking += digits[i] == 2;
    }
    return speaking == 0 || (members == 3 && speaking <= 1);
}

unsigned registration_indicators(bool has_list, unsigned list, bool has_home, int home_language)
{
    unsigned bits = has_list ? list : 0;
    if (has_home && home_language_is_thuistaal(home_language))
        bits |= 1u << IND_THUISTAAL;
    /* thuisloos or trekkend implies buurt (regulation 1, [GO 2.1]). */
    if (bits & (1u << IND_THUISLOOS | 1u << IND_TREKKEND))
        bits |= 1u << IND_BUURT;
    return bits;
}

static const struct column school_columns[SCHOOL_COLUMNS] = {
    [SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [SCHOOL_NAME] = {"name", COLUMN_TEXT},
    [SCHOOL_LEVEL] = {"level", COLUMN_WORD, level_names},
    [SCHOOL_NETWORK] = {"network", COLUMN_WORD, network_names},
    [SCHOOL_PROVINCE] = {"province", COLUMN_WORD, province_names},
    [SCHOOL_MUNICIPALITY] = {"municipality", COLUMN_TEXT},
    [SCHOOL_BRUSSELS] = {"brussels", COLUMN_BOOL},
    [SCHOOL_BOARD_ID] = {"board_id", COLUMN_TEXT},
    [SCHOOL_CLOSED_ON] = {"closed_on", COLUMN_DATE},
    [SCHOOL_SUCCESSOR_ID] = {"successor_id", COLUMN_SCHOOL_ID},
};
static const struct column entitlement_columns[ENT_COLUMNS] = {
    [ENT_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [ENT_STREAM] = {"staffing", COLUMN_WORD, staffing_names},
    [ENT_GROUP] = {"grp", COLUMN_WORD, group_names},
    [ENT_YEAR] = {"school_year", COLUMN_YEAR},
    [ENT_STATUS] = {"status", COLUMN_WORD, status_names},
    [ENT_HOURS] = {"hours", COLUMN_INT, .min = 0, .max = 100000},
};
static const struct column registration_columns[REG_COLUMNS] = {
    [REG_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [REG_YEAR] = {"school_year", COLUMN_YEAR},
    [REG_PUPIL] = {"pupil", COLUMN_PUPIL},
    [REG_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [REG_GROUP] = {"grp", COLUMN_WORD, pupil_group_names},
    [REG_REGULAR] = {"regular", COLUMN_BOOL},
    [REG_WEIGHT] = {"half_weight", COLUMN_HALVES},
    [REG_FROM] = {"valid_from", COLUMN_DATE},
    [REG_UNTIL] = {"valid_until", COLUMN_DATE},
    [REG_INDICATORS] = {"indicators", COLUMN_INDICATORS},
    [REG_HOME_LANGUAGE] = {"home_language", COLUMN_HOME_LANGUAGE},
    [REG_PUPILS] = {"pupils", COLUMN_INT, .min = 0, .max = 1000000},
};
static const struct column link_columns[LINK_COLUMNS] = {
    [LINK_OLD] = {"old_pupil", COLUMN_PUPIL, .dated = true},
    [LINK_OLD_KEY] = {"old_key", COLUMN_PUPIL_KEY, .old = true},
    [LINK_NEW] = {"new_pupil", COLUMN_PUPIL, .dated = true},
    [LINK_NEW_KEY] = {"new_key", COLUMN_PUPIL_KEY},
};
static const struct column inspection_columns[INS_COLUMNS] = {
    [INS_REPORT_ID] = {"report_id", COLUMN_KEY},
    [INS_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [INS_YEAR] = {"school_year", COLUMN_YEAR},
    [INS_DATE] = {"date", COLUMN_DATE},
    [INS_KIND] = {"kind", COLUMN_WORD, inspection_kind_names},
    [INS_ADVICE] = {"advice", COLUMN_WORD, advice_names},
    [INS_LEERLINGENBEGELEIDING] = {"leerlingenbegeleiding", COLUMN_WORD, begeleiding_names},
    [INS_GOK] = {"gok", COLUMN_WORD, gok_names},
    [INS_FOLLOWUP_DUE] = {"followup_due", COLUMN_DATE},
    [INS_SCALES] = {"scales", COLUMN_JSON, scale_values, .keys = scale_names},
};
static const struct column opschorting_columns[OPS_COLUMNS] = {
    [OPS_REPORT_ID] = {"report_id", COLUMN_KEY},
    [OPS_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [OPS_ASKED_ON] = {"asked_on", COLUMN_DATE},
};
static const struct column verklaring_columns[VER_COLUMNS] = {
    [VER_ID] = {"verklaring_id", COLUMN_KEY},
    [VER_PUPIL] = {"pupil", COLUMN_PUPIL},
    [VER_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [VER_YEAR] = {"school_year", COLUMN_YEAR},
    [VER_KIND] = {"kind", COLUMN_WORD, verklaring_kind_names},
    [VER_LEVEL] = {"level", COLUMN_WORD, huisonderwijs_level_names},
    [VER_PROVINCE] = {"province", COLUMN_WORD, province_names},
    [VER_DECLARED_ON] = {"declared_on", COLUMN_DATE},
    [VER_LAST_SCHOOL_ID] = {"last_school_id", COLUMN_SCHOOL_ID},
};
static const struct column controle_columns[CON_COLUMNS] = {
    [CON_ID] = {"controle_id", COLUMN_KEY},
    [CON_PUPIL] = {"pupil", COLUMN_PUPIL},
    [CON_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [CON_YEAR] = {"school_year", COLUMN_YEAR},
    [CON_LEVEL] = {"level", COLUMN_WORD, huisonderwijs_level_names},
    [CON_PROVINCE] = {"province", COLUMN_WORD, province_names},
    [CON_DATE] = {"date", COLUMN_DATE},
    [CON_ORDINAL] = {"ordinal", COLUMN_INT, .min = 1, .max = 2},
    [CON_VERDICT] = {"verdict", COLUMN_WORD, controle_verdict_names},
    [CON_CRITERIA] = {"criteria", COLUMN_JSON, .keys = criteria_names, .null_members = true},
};
static const struct column poah_columns[POAH_COLUMNS] = {
    [POAH_REQUEST_ID] = {"request_id", COLUMN_KEY},
    [POAH_PUPIL] = {"pupil", COLUMN_PUPIL},
    [POAH_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [POAH_YEAR] = {"school_year", COLUMN_YEAR},
    [POAH_KIND] = {"kind", COLUMN_WORD, poah_kind_names},
    [POAH_RECEIVED_ON] = {"received_on", COLUMN_DATE},
    [POAH_TYPE] = {"type", COLUMN_INT, .min = 1, .max = 9},
    [POAH_OPLEIDINGSVORM] = {"opleidingsvorm", COLUMN_INT, .min = 1, .max = 4},
    [POAH_AGE] = {"age", COLUMN_INT, .min = 0, .max = 30},
    [POAH_LEVEL] = {"level", COLUMN_WORD, poah_level_names},
    [POAH_PROVINCE] = {"province", COLUMN_WORD, province_names},
    [POAH_MFC] = {"mfc", COLUMN_BOOL},
    [POAH_MFC_PROVINCE] = {"mfc_province", COLUMN_WORD, province_names},
    [POAH_AT_HOME] = {"at_home", COLUMN_BOOL},
    [POAH_PRIOR_TOAH] = {"prior_toah", COLUMN_BOOL},
    [POAH_NEWCOMER] = {"newcomer", COLUMN_BOOL},
    [POAH_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
};
static const struct column beslissing_columns[BES_COLUMNS] = {
    [BES_REQUEST_ID] = {"request_id", COLUMN_KEY},
    [BES_DECISION] = {"decision", COLUMN_WORD, decision_names},
    [BES_DECIDED_ON] = {"decided_on", COLUMN_DATE},
    [BES_VALID_FROM] = {"valid_from", COLUMN_DATE},
    [BES_VALID_TO] = {"valid_to", COLUMN_DATE},
    [BES_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
};
static const struct column vlp_columns[VLP_COLUMNS] = {
    [VLP_REQUEST_ID] = {"request_id", COLUMN_KEY},
    [VLP_PUPIL] = {"pupil", COLUMN_PUPIL},
    [VLP_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [VLP_YEAR] = {"school_year", COLUMN_YEAR},
    [VLP_KIND] = {"kind", COLUMN_WORD, vlp_kind_names},
    [VLP_DECISION] = {"decision", COLUMN_WORD, decision_names},
    [VLP_GRANTED_KIND] = {"granted_kind", COLUMN_WORD, vlp_kind_names},
    [VLP_DECIDED_ON] = {"decided_on", COLUMN_DATE},
};
static const struct column toah_columns[TOAH_COLUMNS] = {
    [TOAH_REQUEST_ID] = {"request_id", COLUMN_KEY},
    [TOAH_PUPIL] = {"pupil", COLUMN_PUPIL},
    [TOAH_PUPIL_KEY] = {"pupil_key", COLUMN_PUPIL_KEY},
    [TOAH_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [TOAH_YEAR] = {"school_year", COLUMN_YEAR},
    [TOAH_REASON] = {"reason", COLUMN_WORD, toah_reason_names},
    [TOAH_START] = {"starts_on", COLUMN_DATE},
    [TOAH_END] = {"ends_on", COLUMN_DATE},
};
static const struct column melding_columns[MEL_COLUMNS] = {
    [MEL_ID] = {"melding_id", COLUMN_KEY},
    [MEL_SCHOOL_ID] = {"school_id", COLUMN_SCHOOL_ID},
    [MEL_LEVEL] = {"level", COLUMN_WORD, level_names},
    [MEL_RECEIVED_ON] = {"received_on", COLUMN_DATE},
    [MEL_CATEGORIES] = {"categories", COLUMN_WORDS, melding_category_names},
};
static const struct column beantwoord_columns[BEA_COLUMNS] = {
    [BEA_MELDING_ID] = {"melding_id", COLUMN_KEY},
    [BEA_ANSWERED_ON] = {"answered_on", COLUMN_DATE},
};
_Static_assert(SCHOOL_COLUMNS <= EVENT_COLUMNS_MAX && ENT_COLUMNS <= EVENT_COLUMNS_MAX &&
                   REG_COLUMNS <= EVENT_COLUMNS_MAX && POAH_COLUMNS <= EVENT_COLUMNS_MAX &&
                   INS_COLUMNS <= EVENT_COLUMNS_MAX,
               "a log has more columns than an event can hold");

const struct log_table log_tables[LOG_TABLE_COUNT] = {
    [LOG_SCHOOL] = {"school_log", school_columns, SCHOOL_COLUMNS, -1},
    [LOG_ENTITLEMENT] = {"entitlement_log", entitlement_columns, ENT_COLUMNS, ENT_YEAR},
    [LOG_REGISTRATION] = {"registration_log", registration_columns, REG_COLUMNS, REG_YEAR},
    [LOG_PUPIL_LINK] = {"pupil_link_log", link_columns, LINK_COLUMNS, -1},
    [LOG_INSPECTION] = {"inspection_log", inspection_columns, INS_COLUMNS, -1},
    [LOG_OPSCHORTING] = {"opschorting_log", opschorting_columns, OPS_COLUMNS, -1},
    [LOG_VERKLARING] = {"verklaring_log", verklaring_columns, VER_COLUMNS, -1},
    [LOG_CONTROLE] = {"controle_log", controle_columns, CON_COLUMNS, -1},
    [LOG_POAH] = {"poah_log", poah_columns, POAH_COLUMNS, -1},
    [LOG_BESLISSING] = {"beslissing_log", beslissing_columns, BES_COLUMNS, -1},
    [LOG_VLP] = {"vlp_log", vlp_columns, VLP_COLUMNS, -1},
    [LOG_TOAH] = {"toah_log", toah_columns, TOAH_COLUMNS, -1},
    [LOG_MELDING] = {"melding_log", melding_columns, MEL_COLUMNS, -1},
    [LOG_BEANTWOORD] = {"beantwoord_log", beantwoord_columns, BEA_COLUMNS, -1},
};

static const char *check_school(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    if (!event_is_null(event, SCHOOL_SUCCESSOR_ID) && v[SCHOOL_SUCCESSOR_ID].num == v[SCHOOL_ID].num)
        return "data.successor_id: is the school itself";
    return NULL;
}

static const char *check_entitlement(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    if (!group_fits_staffing((enum group)v[ENT_GROUP].num, (enum staffing)v[ENT_STREAM].num))
        return "data.group: not a group of data.stream";
    return NULL;
}

static const char *check_registration(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    if (event_is_null(event, REG_INDICATORS) && event_is_null(event, REG_HOME_LANGUAGE))
        return "data.indicators: missing, and data.home_language too";
    if (!event_is_null(event, REG_FROM) && !event_is_null(event, REG_UNTIL) &&
        v[REG_UNTIL].num < v[REG_FROM].num)
        return "data.until: before from";
    return NULL;
}

static const char *check_link(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    return memcmp(v[LINK_OLD].pupil, v[LINK_NEW].pupil, 16) == 0 ? "data.new: is old itself" : NULL;
}

static const char *check_beslissing(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    if (!event_is_null(event, BES_VALID_FROM) && !event_is_null(event, BES_VALID_TO) &&
        v[BES_VALID_TO].num < v[BES_VALID_FROM].num)
        return "data.valid_to: before valid_from";
    return NULL;
}

static const char *check_toah(const struct event_batch *batch, const struct event *event)
{
    const struct value *v = event_values(batch, event);
    if (!event_is_null(event, TOAH_END) && v[TOAH_END].num < v[TOAH_START].num)
        return "data.end: before start";
    return NULL;
}

static const struct field school_upsert[] = {
    {SCHOOL_ID},
    {SCHOOL_NAME},
    {SCHOOL_LEVEL},
    {SCHOOL_NETWORK},
    {SCHOOL_PROVINCE, NULL, NEED_OR_NULL},
    {SCHOOL_MUNICIPALITY, NULL, NEED_OR_NULL},
    {SCHOOL_BRUSSELS},
    {SCHOOL_BOARD_ID, NULL, NEED_OR_NULL},
    {SCHOOL_CLOSED_ON, NULL, NEED_OR_NULL},
    {SCHOOL_SUCCESSOR_ID, NULL, NEED_OR_NULL},
};
static const struct field school_withdraw[] = {{SCHOOL_ID}};
static const struct field entitlement_known[] = {
    {ENT_SCHOOL_ID}, {ENT_STREAM, "stream"}, {ENT_GROUP, "group"}, {ENT_YEAR}, {ENT_STATUS}, {ENT_HOURS},
};
static const struct field entitlement_withdraw[] = {
    {ENT_SCHOOL_ID},
    {ENT_STREAM, "stream"},
    {ENT_GROUP, "group"},
    {ENT_YEAR},
};
static const struct field registration_upsert[] = {
    {REG_SCHOOL_ID},
    {REG_YEAR},
    {REG_PUPIL},
    {REG_GROUP, "group"},
    {REG_REGULAR},
    {REG_WEIGHT, "weight", NEED_OPTIONAL, 2},
    {REG_FROM, "from", NEED_OR_NULL},
    {REG_UNTIL, "until", NEED_OR_NULL},
    {REG_INDICATORS, NULL, NEED_OR_NULL},
    {REG_HOME_LANGUAGE, NULL, NEED_OR_NULL},
};
static const struct field registration_withdraw[] = {{REG_SCHOOL_ID}, {REG_YEAR}, {REG_PUPIL}};
static const struct field registration_closed[] = {{REG_SCHOOL_ID}, {REG_YEAR}, {REG_PUPILS}};
static const struct field inspection_report[] = {
    {INS_REPORT_ID},
    {INS_SCHOOL_ID},
    {INS_YEAR},
    {INS_DATE},
    {INS_KIND},
    {INS_ADVICE, NULL, NEED_OR_NULL},
    {INS_LEERLINGENBEGELEIDING, NULL, NEED_OR_NULL},
    {INS_GOK, NULL, NEED_OR_NULL},
    {INS_FOLLOWUP_DUE, NULL, NEED_OR_NULL},
    {INS_SCALES},
};
static const struct field opschorting[] = {{OPS_REPORT_ID}, {OPS_SCHOOL_ID}, {OPS_ASKED_ON}};
static const struct field verklaring[] = {
    {VER_ID},          {VER_PUPIL},
    {VER_YEAR},        {VER_KIND},
    {VER_LEVEL},       {VER_PROVINCE, NULL, NEED_OR_NULL},
    {VER_DECLARED_ON}, {VER_LAST_SCHOOL_ID, NULL, NEED_OR_NULL},
};
static const struct field controle[] = {
    {CON_ID},
    {CON_PUPIL},
    {CON_YEAR},
    {CON_LEVEL},
    {CON_PROVINCE, NULL, NEED_OR_NULL},
    {CON_DATE},
    {CON_ORDINAL},
    {CON_VERDICT},
    {CON_CRITERIA, NULL, NEED_OR_NULL},
};
static const struct field poah_aanvraag[] = {
    {POAH_REQUEST_ID},
    {POAH_PUPIL},
    {POAH_YEAR},
    {POAH_KIND},
    {POAH_RECEIVED_ON},
    {POAH_TYPE},
    {POAH_OPLEIDINGSVORM, NULL, NEED_OR_NULL},
    {POAH_AGE},
    {POAH_LEVEL},
    {POAH_PROVINCE, NULL, NEED_OR_NULL},
    {POAH_MFC},
    {POAH_MFC_PROVINCE, NULL, NEED_OR_NULL},
    {POAH_AT_HOME},
    {POAH_PRIOR_TOAH},
    {POAH_NEWCOMER},
    {POAH_SCHOOL_ID, NULL, NEED_OR_NULL},
};
static const struct field poah_beslissing[] = {
    {BES_REQUEST_ID},
    {BES_DECISION},
    {BES_DECIDED_ON, NULL, NEED_OR_NULL},
    {BES_VALID_FROM, NULL, NEED_OR_NULL},
    {BES_VALID_TO, NULL, NEED_OR_NULL},
    {BES_SCHOOL_ID, NULL, NEED_OR_NULL},
};
static const struct field vlp_aanvraag[] = {
    {VLP_REQUEST_ID},
    {VLP_PUPIL},
    {VLP_YEAR},
    {VLP_KIND},
    {VLP_DECISION, NULL, NEED_OR_NULL},
    {VLP_GRANTED_KIND, NULL, NEED_OR_NULL},
    {VLP_DECIDED_ON, NULL, NEED_OR_NULL},
};
static const struct field toah_melding[] = {
    {TOAH_REQUEST_ID},
    {TOAH_PUPIL},
    {TOAH_SCHOOL_ID},
    {TOAH_YEAR},
    {TOAH_REASON},
    {TOAH_START, "start"},
    {TOAH_END, "end", NEED_OR_NULL},
};
static const struct field melding_ontvangen[] = {
    {MEL_ID}, {MEL_SCHOOL_ID}, {MEL_LEVEL}, {MEL_RECEIVED_ON}, {MEL_CATEGORIES},
};
static const struct field melding_beantwoord[] = {{BEA_MELDING_ID}, {BEA_ANSWERED_ON}};
static const struct field pupil_link[] = {{LINK_OLD, "old"}, {LINK_NEW, "new"}};
static const struct field pupil_link_withdraw[] = {{LINK_OLD, "old"}};
static const struct field key_only[] = {{0}};
_Static_assert(INS_REPORT_ID == 0 && OPS_REPORT_ID == 0 && VER_ID == 0 && CON_ID == 0 &&
                   POAH_REQUEST_ID == 0 && BES_REQUEST_ID == 0 && VLP_REQUEST_ID == 0 &&
                   TOAH_REQUEST_ID == 0 && MEL_ID == 0 && BEA_MELDING_ID == 0,
               "a withdrawal's only field is column 0");

#define KIND(type, feed, op, table, fields, check)                                                           \
    {                                                                                                        \
        type, feed, op, table, fields, LENGTH(fields), check                                                 \
    }
/* A withdrawal by the entity's short name, or by the whole name of the type it takes back. */
#define WITHDRAWAL(entity, feed, type, table)                                                                \
    {                                                                                                        \
        entity ".withdraw.v1", feed, 'w', table, key_only, LENGTH(key_only), NULL, type ".withdraw.v1"       \
    }
const struct event_kind event_kinds[EVENT_TYPE_COUNT] = {
    [EVENT_SCHOOL_UPSERT] = KIND("school.upsert.v1", "school", 'u', LOG_SCHOOL, school_upsert, check_school),
    [EVENT_SCHOOL_WITHDRAW] = KIND("school.withdraw.v1", "school", 'w', LOG_SCHOOL, school_withdraw, NULL),
    [EVENT_ENTITLEMENT_KNOWN] =
        KIND("entitlement.known.v1", "school", 'u', LOG_ENTITLEMENT, entitlement_known, check_entitlement),
    [EVENT_ENTITLEMENT_WITHDRAW] = KIND("entitlement.withdraw.v1", "school", 'w', LOG_ENTITLEMENT,
                                        entitlement_withdraw, check_entitlement),
    [EVENT_REGISTRATION_UPSERT] = KIND("registration.upsert.v1", "registration", 'u', LOG_REGISTRATION,
                                       registration_upsert, check_registration),
    [EVENT_REGISTRATION_WITHDRAW] =
        KIND("registration.withdraw.v1", "registration", 'w', LOG_REGISTRATION, registration_withdraw, NULL),
    [EVENT_REGISTRATION_CLOSED] =
        KIND("registration.closed.v1", "registration", 'c', LOG_REGISTRATION, registration_closed, NULL),
    [EVENT_INSPECTION_REPORT] =
        KIND("inspection.report.v1", "inspection", 'u', LOG_INSPECTION, inspection_report, NULL),
    [EVENT_INSPECTION_WITHDRAW] = WITHDRAWAL("inspection", "inspection", "inspection.report", LOG_INSPECTION),
    [EVENT_OPSCHORTING] =
        KIND("inspection.opschorting.v1", "inspection", 'u', LOG_OPSCHORTING, opschorting, NULL),
    [EVENT_OPSCHORTING_WITHDRAW] =
        WITHDRAWAL("opschorting", "inspection", "inspection.opschorting", LOG_OPSCHORTING),
    [EVENT_VERKLARING] =
        KIND("huisonderwijs.verklaring.v1", "huisonderwijs", 'u', LOG_VERKLARING, verklaring, NULL),
    [EVENT_VERKLARING_WITHDRAW] =
        WITHDRAWAL("verklaring", "huisonderwijs", "huisonderwijs.verklaring", LOG_VERKLARING),
    [EVENT_CONTROLE] = KIND("huisonderwijs.controle.v1", "huisonderwijs", 'u', LOG_CONTROLE, controle, NULL),
    [EVENT_CONTROLE_WITHDRAW] =
        WITHDRAWAL("controle", "huisonderwijs", "huisonderwijs.controle", LOG_CONTROLE),
    [EVENT_POAH_AANVRAAG] = KIND("poah.aanvraag.v1", "aanhuis", 'u', LOG_POAH, poah_aanvraag, NULL),
    [EVENT_POAH_WITHDRAW] = WITHDRAWAL("poah", "aanhuis", "poah.aanvraag", LOG_POAH),
    [EVENT_BESLISSING] =
        KIND("poah.beslissing.v1", "aanhuis", 'u', LOG_BESLISSING, poah_beslissing, check_beslissing),
    [EVENT_BESLISSING_WITHDRAW] = WITHDRAWAL("beslissing", "aanhuis", "poah.beslissing", LOG_BESLISSING),
    [EVENT_VLP_AANVRAAG] = KIND("vlp.aanvraag.v1", "aanhuis", 'u', LOG_VLP, vlp_aanvraag, NULL),
    [EVENT_VLP_WITHDRAW] = WITHDRAWAL("vlp", "aanhuis", "vlp.aanvraag", LOG_VLP),
    [EVENT_TOAH_MELDING] = KIND("toah.melding.v1", "aanhuis", 'u', LOG_TOAH, toah_melding, check_toah),
    [EVENT_TOAH_WITHDRAW] = WITHDRAWAL("toah", "aanhuis", "toah.melding", LOG_TOAH),
    [EVENT_MELDING_ONTVANGEN] =
        KIND("melding.ontvangen.v1", "melding", 'u', LOG_MELDING, melding_ontvangen, NULL),
    [EVENT_MELDING_WITHDRAW] = WITHDRAWAL("melding", "melding", "melding.ontvangen", LOG_MELDING),
    [EVENT_BEANTWOORD] =
        KIND("melding.beantwoord.v1", "melding", 'u', LOG_BEANTWOORD, melding_beantwoord, NULL),
    [EVENT_BEANTWOORD_WITHDRAW] = WITHDRAWAL("beantwoord", "melding", "melding.beantwoord", LOG_BEANTWOORD),
    [EVENT_PUPIL_LINK] = KIND("pupil.link.v1", "", 'u', LOG_PUPIL_LINK, pupil_link, check_link),
    [EVENT_PUPIL_LINK_WITHDRAW] =
        KIND("pupil.link.withdraw.v1", "", 'w', LOG_PUPIL_LINK, pupil_link_withdraw, NULL),
};
