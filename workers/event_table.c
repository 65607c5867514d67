/* SPDX-License-Identifier: MIT
 *
 * The one table of event types (design 6): which fields an event has, which column of which log each lands
 * in, of what kind it is, and what fields of one event must mean together. A further feed is a further set of
 * rows here, its module and its SQL; the decoder, the COPY encoder and the rebuild reader read these tables
 * and know no event type. Also the two rules of the trade that a registration's fields carry by themselves.
 */
#include "workers/event.h"

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
    [REG_GROUP] = {"grp", COLUMN_WORD, pupil_group_names},
    [REG_REGULAR] = {"regular", COLUMN_BOOL},
    [REG_WEIGHT] = {"half_weight", COLUMN_HALVES},
    [REG_FROM] = {"valid_from", COLUMN_DATE},
    [REG_UNTIL] = {"valid_until", COLUMN_DATE},
    [REG_INDICATORS] = {"indicators", COLUMN_INDICATORS},
    [REG_HOME_LANGUAGE] = {"home_language", COLUMN_HOME_LANGUAGE},
    [REG_PUPILS] = {"pupils", COLUMN_INT, .min = 0, .max = 1000000},
};
_Static_assert(SCHOOL_COLUMNS <= EVENT_COLUMNS_MAX && ENT_COLUMNS <= EVENT_COLUMNS_MAX &&
                   REG_COLUMNS <= EVENT_COLUMNS_MAX,
               "a log has more columns than an event can hold");

const struct log_table log_tables[LOG_TABLE_COUNT] = {
    [LOG_SCHOOL] = {"school_log", school_columns, SCHOOL_COLUMNS, -1},
    [LOG_ENTITLEMENT] = {"entitlement_log", entitlement_columns, ENT_COLUMNS, ENT_YEAR},
    [LOG_REGISTRATION] = {"registration_log", registration_columns, REG_COLUMNS, REG_YEAR},
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

#define KIND(type, feed, op, table, fields, check)                                                           \
    {                                                                                                        \
        type, feed, op, table, fields, LENGTH(fields), check                                                 \
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
};
