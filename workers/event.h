/* SPDX-License-Identifier: MIT
 *
 * Events as the daemon works with them: one table of event types (event_table.c), a decoder that turns one
 * CloudEvents JSON line into typed values (event_decode.c), and the batch that carries them from a receiver
 * to the writer. Pure: no I/O, no clock. Adding an event type = a row in the table, columns of its log and
 * an apply function in its module.
 *
 * A log table has columns; an event's values stand at the column's index, so that the COPY encoder and the
 * rebuild reader need no knowledge of the event type. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

/* The kinds of value and how each stands in struct value / in PostgreSQL. */
enum column_kind {
    COLUMN_SCHOOL_ID, /* num; int4; JSON: decimal string, 1-9 digits, no leading zero */
    COLUMN_YEAR,      /* num = start year (2024 for "2024-2025"), 1990..2099; int2 */
    COLUMN_PUPIL,     /* pupil[16]; uuid */
    COLUMN_PUPIL_KEY, /* num = 32-bit id of the key behind the pupil in the column before it; int4. Not a field: it comes
                         from the event's attribute, or from our own key */
    COLUMN_WORD,   /* num = index in words; text (the word) */
    COLUMN_BOOL,   /* num 0/1; bool */
    COLUMN_DATE,   /* num = days since 1970-01-01; date. 1900-01-01..2099-12-31 */
    COLUMN_TEXT,   /* text; text, at most 512 bytes of UTF-8, no NUL */
    COLUMN_KEY,    /* text; text, 1..64 bytes of UTF-8; the key of an entity, so never scrubbed but refused */
    COLUMN_INT,    /* num within min..max; int4 */
    COLUMN_HALVES, /* num 1 or 2 (JSON 0.5 or 1); int2 */
    COLUMN_INDICATORS,    /* num = bits of enum indicator; int2 */
    COLUMN_HOME_LANGUAGE, /* num = mother*9 + father*3 + siblings, each 0 absent 1 no 2 yes; int2 */
    COLUMN_WORDS,         /* num = bit mask over words (at least one); text[] */
    COLUMN_JSON           /* text = the JSON of an object of strings (or nulls); jsonb */
};

enum indicator { /* bit numbers; the order is the contract's in view "count" */
                 IND_THUISTAAL,
                 IND_SCHOOLTOELAGE,
                 IND_OPLEIDING_MOEDER,
                 IND_THUISLOOS,
                 IND_TREKKEND,
                 IND_BUURT,
                 IND_COUNT
};
#define IND_CELLS (1 << IND_COUNT)
extern const char *const indicator_names[IND_COUNT];

enum level {
    LEVEL_BAO,
    LEVEL_SO,
    LEVEL_BUBAO,
    LEVEL_BUSO,
    LEVEL_DKO,
    LEVEL_VWO,
    LEVEL_CLB,
    LEVEL_NAFT,
    LEVEL_COUNT
};
extern const char *const level_names[LEVEL_COUNT + 1]; /* NULL at the end, as all word lists */
enum group {
    GROUP_KLEUTER,
    GROUP_LAGER,
    GROUP_GRAAD1,
    GROUP_OKAN,
    GROUP_GRAAD23,
    GROUP_BASISAANBOD,
    GROUP_TYPE3,
    GROUP_ANDER,
    GROUP_COUNT,
    GROUP_AANBOD = GROUP_COUNT /* basisaanbod + type3 together: only in allocations, never in events */
};
extern const char *const group_names[GROUP_COUNT + 2];
/* Where a text stands in a list of words that ends with NULL; -1: nowhere. */
int word_find(const char *const *words, const char *text);
bool group_fits_level(enum group group, enum level level);
enum staffing {
    STAFFING_SES_LESTIJDEN,
    STAFFING_GOK_UREN_LERAAR,
    STAFFING_GOK_AANVULLENDE_LESTIJDEN,
    STAFFING_GOK_EXTRA_LESUREN,
    STAFFING_COUNT
};
extern const char *const staffing_names[STAFFING_COUNT + 1]; /* "ses_lestijden" ... */
enum status { STATUS_GRANTED, STATUS_GRACE, STATUS_BELOW_THRESHOLD, STATUS_BELOW_MINIMUM, STATUS_COUNT };
extern const char *const status_names[STATUS_COUNT + 1];

struct column {
    const char
        *name; /* the SQL column; the event's field has the same name unless the field row says otherwise */
    enum column_kind kind;
    const char *const
        *words; /* COLUMN_WORD, COLUMN_WORDS: NULL-terminated; COLUMN_JSON: its values, NULL = any text */
    int64_t min, max;        /* COLUMN_INT */
    const char *const *keys; /* COLUMN_JSON: its members, NULL = any */
    bool null_members;       /* COLUMN_JSON: a member may be null */
    bool
        dated; /* COLUMN_PUPIL: a national number names its key's school year itself: rrn:<11 digits>@2024-2025 */
    bool old; /* COLUMN_PUPIL_KEY: of data.old, not of data.pupil or data.new */
};

#define EVENT_COLUMNS_MAX 24
enum log_table_no {
    LOG_SCHOOL,
    LOG_ENTITLEMENT,
    LOG_REGISTRATION,
    LOG_PUPIL_LINK,
    /* The small feeds. A withdrawal carries the key only and a correction may name another school year, so these
     * logs are not partitioned (year_column -1), and the key is always column 0. */
    LOG_INSPECTION,
    LOG_OPSCHORTING,
    LOG_VERKLARING,
    LOG_CONTROLE,
    LOG_POAH,
    LOG_BESLISSING,
    LOG_VLP,
    LOG_TOAH,
    LOG_MELDING,
    LOG_BEANTWOORD,
    LOG_TABLE_COUNT
};
#define LOG_ENTITY_FIRST LOG_INSPECTION /* from here on: one entity a log, key (COLUMN_KEY) in column 0 */
struct log_table {
    const char *name; /* "registration_log" in schema teldag_data */
    const struct column *columns;
    int count;
    int year_column; /* index of the COLUMN_YEAR it is partitioned by, or -1 */
    /* besides: stream_id int4, epoch int8, seq int8, op "char", id text, source text, happened_at timestamptz,
     * recorded_at timestamptz */
};
extern const struct log_table log_tables[LOG_TABLE_COUNT];

enum school_column {
    SCHOOL_ID,
    SCHOOL_NAME,
    SCHOOL_LEVEL,
    SCHOOL_NETWORK,
    SCHOOL_PROVINCE,
    SCHOOL_MUNICIPALITY,
    SCHOOL_BRUSSELS,
    SCHOOL_BOARD_ID,
    SCHOOL_CLOSED_ON,
    SCHOOL_SUCCESSOR_ID,
    SCHOOL_COLUMNS
};
/* SQL names: school_id name level network province municipality brussels board_id closed_on successor_id */
enum entitlement_column {
    ENT_SCHOOL_ID,
    ENT_STREAM,
    ENT_GROUP,
    ENT_YEAR,
    ENT_STATUS,
    ENT_HOURS,
    ENT_COLUMNS
};
/* SQL names: school_id staffing grp school_year status hours (JSON: stream, group). group may also be "aanbod" here. */
enum registration_column {
    REG_SCHOOL_ID,
    REG_YEAR,
    REG_PUPIL,
    REG_PUPIL_KEY,
    REG_GROUP,
    REG_REGULAR,
    REG_WEIGHT,
    REG_FROM,
    REG_UNTIL,
    REG_INDICATORS,
    REG_HOME_LANGUAGE,
    REG_PUPILS,
    REG_COLUMNS
};
/* SQL names: school_id school_year pupil grp regular half_weight valid_from valid_until indicators home_language pupils
 * pupil_key (of every log with a pupil) is the id of the key behind the pseudonym.
 * REG_INDICATORS holds the bits as declared in the list (null when there is no list);
 * registration_indicators() adds what follows from them. */

enum link_column { LINK_OLD, LINK_OLD_KEY, LINK_NEW, LINK_NEW_KEY, LINK_COLUMNS };
/* SQL names: old_pupil old_key new_pupil new_key (JSON: old, new). Of any stream. */

/* Feeds inspection, huisonderwijs, aanhuis, melding. SQL names are the event's, but for toah: starts_on, ends_on. */
enum inspection_column {
    INS_REPORT_ID,
    INS_SCHOOL_ID,
    INS_YEAR,
    INS_DATE,
    INS_KIND,
    INS_ADVICE,
    INS_LEERLINGENBEGELEIDING,
    INS_GOK,
    INS_FOLLOWUP_DUE,
    INS_SCALES,
    INS_COLUMNS
};
enum opschorting_column { OPS_REPORT_ID, OPS_SCHOOL_ID, OPS_ASKED_ON, OPS_COLUMNS };
enum verklaring_column {
    VER_ID,
    VER_PUPIL,
    VER_PUPIL_KEY,
    VER_YEAR,
    VER_KIND,
    VER_LEVEL,
    VER_PROVINCE,
    VER_DECLARED_ON,
    VER_LAST_SCHOOL_ID,
    VER_COLUMNS
};
enum controle_column {
    CON_ID,
    CON_PUPIL,
    CON_PUPIL_KEY,
    CON_YEAR,
    CON_LEVEL,
    CON_PROVINCE,
    CON_DATE,
    CON_ORDINAL,
    CON_VERDICT,
    CON_CRITERIA,
    CON_COLUMNS
};
enum poah_column {
    POAH_REQUEST_ID,
    POAH_PUPIL,
    POAH_PUPIL_KEY,
    POAH_YEAR,
    POAH_KIND,
    POAH_RECEIVED_ON,
    POAH_TYPE,
    POAH_OPLEIDINGSVORM,
    POAH_AGE,
    POAH_LEVEL,
    POAH_PROVINCE,
    POAH_MFC,
    POAH_MFC_PROVINCE,
    POAH_AT_HOME,
    POAH_PRIOR_TOAH,
    POAH_NEWCOMER,
    POAH_SCHOOL_ID,
    POAH_COLUMNS
};
enum beslissing_column {
    BES_REQUEST_ID,
    BES_DECISION,
    BES_DECIDED_ON,
    BES_VALID_FROM,
    BES_VALID_TO,
    BES_SCHOOL_ID,
    BES_COLUMNS
};
enum vlp_column {
    VLP_REQUEST_ID,
    VLP_PUPIL,
    VLP_PUPIL_KEY,
    VLP_YEAR,
    VLP_KIND,
    VLP_DECISION,
    VLP_GRANTED_KIND,
    VLP_DECIDED_ON,
    VLP_COLUMNS
};
enum toah_column {
    TOAH_REQUEST_ID,
    TOAH_PUPIL,
    TOAH_PUPIL_KEY,
    TOAH_SCHOOL_ID,
    TOAH_YEAR,
    TOAH_REASON,
    TOAH_START,
    TOAH_END,
    TOAH_COLUMNS
};
enum melding_column { MEL_ID, MEL_SCHOOL_ID, MEL_LEVEL, MEL_RECEIVED_ON, MEL_CATEGORIES, MEL_COLUMNS };
enum beantwoord_column { BEA_MELDING_ID, BEA_ANSWERED_ON, BEA_COLUMNS };

/* Words of these columns, in the order of the lists in event_table.c. */
enum inspection_kind { INSPECTION_DOORLICHTING, INSPECTION_OPVOLGING, INSPECTION_TUSSENTIJDS_BEZOEK };
enum advice {
    ADVICE_GUNSTIG,
    ADVICE_GUNSTIG_MET_TEKORTEN,
    ADVICE_ONGUNSTIG_MET_OPSCHORTING,
    ADVICE_ONGUNSTIG_ZONDER_OPSCHORTING
};
enum gok_verdict { GOK_POSITIEF, GOK_NEGATIEF, GOK_NONE /* "none", as null: the school has no GOK means */ };
enum controle_verdict { CONTROLE_VOLDOENDE, CONTROLE_ONVOLDOENDE, CONTROLE_GEWEIGERD };
enum poah_decision { POAH_GOEDGEKEURD, POAH_AFGEWEZEN, POAH_UITGESTELD };
enum melding_category { /* the first seven are the family leerlingenbegeleiding (regulation 7) */
                        MELDING_AANPAK_PESTEN_AGRESSIE,
                        MELDING_GRENSOVERSCHRIJDEND_GEDRAG,
                        MELDING_LEERRECHT,
                        MELDING_ORDE_TUCHT,
                        MELDING_STUDIEBEKRACHTIGING,
                        MELDING_VRIJHEIDSBEPERKENDE_MAATREGELEN,
                        MELDING_ZORG_WELZIJN,
                        MELDING_LEERLINGENBEGELEIDING_COUNT,
                        MELDING_CURRICULUM = MELDING_LEERLINGENBEGELEIDING_COUNT,
                        MELDING_EVALUATIE,
                        MELDING_INSCHRIJVINGSRECHT,
                        MELDING_LERARENTEKORT,
                        MELDING_PERSONEELSKWESTIE,
                        MELDING_VEILIGHEID,
                        MELDING_CATEGORY_COUNT
};
extern const char *const melding_category_names[MELDING_CATEGORY_COUNT + 1];
extern const char *const advice_names[5];
extern const char *const controle_verdict_names[4];

enum event_type {
    EVENT_SCHOOL_UPSERT,
    EVENT_SCHOOL_WITHDRAW,
    EVENT_ENTITLEMENT_KNOWN,
    EVENT_ENTITLEMENT_WITHDRAW,
    EVENT_REGISTRATION_UPSERT,
    EVENT_REGISTRATION_WITHDRAW,
    EVENT_REGISTRATION_CLOSED,
    EVENT_INSPECTION_REPORT,
    EVENT_INSPECTION_WITHDRAW,
    EVENT_OPSCHORTING,
    EVENT_OPSCHORTING_WITHDRAW,
    EVENT_VERKLARING,
    EVENT_VERKLARING_WITHDRAW,
    EVENT_CONTROLE,
    EVENT_CONTROLE_WITHDRAW,
    EVENT_POAH_AANVRAAG,
    EVENT_POAH_WITHDRAW,
    EVENT_BESLISSING,
    EVENT_BESLISSING_WITHDRAW,
    EVENT_VLP_AANVRAAG,
    EVENT_VLP_WITHDRAW,
    EVENT_TOAH_MELDING,
    EVENT_TOAH_WITHDRAW,
    EVENT_MELDING_ONTVANGEN,
    EVENT_MELDING_WITHDRAW,
    EVENT_BEANTWOORD,
    EVENT_BEANTWOORD_WITHDRAW,
    EVENT_PUPIL_LINK,
    EVENT_PUPIL_LINK_WITHDRAW,
    EVENT_TYPE_COUNT,
    EVENT_DEAD = EVENT_TYPE_COUNT /* proven wrong: reason and raw say why */
};

enum field_need {
    NEED_REQUIRED,
    NEED_OR_NULL,
    NEED_OPTIONAL /* absent = the field's default; null is ill-typed */
};
struct field {
    int column;
    const char *json_name; /* NULL: the column's name */
    enum field_need need;
    int64_t fallback; /* NEED_OPTIONAL */
};
struct event;
struct event_batch;
struct event_kind {
    const char *type; /* "registration.upsert.v1" */
    const char *feed; /* "registration"; "" = any */
    char op;          /* 'u' upsert, 'w' withdraw, 'c' closed */
    enum log_table_no table;
    const struct field *fields;
    int field_count;
    /* Rules across fields (until after from, indicators or home_language present...): NULL, or the reason in English. */
    const char *(*check)(const struct event_batch *batch, const struct event *event);
    const char *also; /* a second name of the type that is accepted, or NULL */
};
extern const struct event_kind event_kinds[EVENT_TYPE_COUNT];

struct text { /* a piece of the batch's arena */
    uint32_t offset, len;
};
struct value {
    union {
        int64_t num;
        struct text text;
        uint8_t pupil[16];
    };
};
struct event {
    uint64_t seq;
    int64_t time_us; /* CloudEvents time, microseconds since 1970 UTC */
    struct text id, source;
    uint32_t first_value;    /* index into batch->values; kind's table gives the number */
    uint32_t nulls;          /* bit per column: 1 = SQL NULL */
    uint16_t type;           /* enum event_type */
    struct text reason, raw; /* EVENT_DEAD: why, and the scrubbed bytes (at most WIRE_EVENT_MAX) */
};

/* Events of one stream and epoch, in order, without a hole. Owned by one thread at a time. */
struct event_batch {
    uint32_t stream_id;
    uint64_t epoch, first_seq;
    uint64_t
        order_generation; /* the writer's order (stream_status.h) it was received under; an older one is stale */
    int64_t received_us;
    struct event *events;
    uint32_t count, capacity;
    struct value *values;
    uint32_t value_count, value_capacity;
    char *arena; /* text */
    size_t arena_len, arena_capacity;
    struct event_batch *next; /* for queues */
};

struct event_batch *event_batch_new(void);
void event_batch_free(struct event_batch **batch);
const char *batch_text(const struct event_batch *batch, struct text text);
static inline const struct value *event_values(const struct event_batch *b, const struct event *e)
{
    return b->values + e->first_value;
}
static inline bool event_is_null(const struct event *e, int column)
{
    return (e->nulls >> column) & 1;
}

/* Building an event: event_open() gives the slot after the last one with all columns null and room for `columns` values,
 * event_close() makes it part of the batch. Whatever happens between them, the batch stays as it was (but for arena
 * bytes, which event_drop() gives back). NULL: out of memory. The slot is valid until the next event_open(). */
struct event *event_open(struct event_batch *batch, int columns);
void event_close(struct event_batch *batch, int columns);
void event_drop(struct event_batch *batch, size_t arena_len);
/* Copies bytes into the arena. */
int batch_add_text(struct event_batch *batch, const char *bytes, size_t len, struct text *out) MUST_CHECK;
static inline void event_set_num(struct event_batch *b, struct event *e, int column, int64_t num)
{
    b->values[e->first_value + (uint32_t)column].num = num;
    e->nulls &= ~(1u << column);
}
static inline void event_set_text(struct event_batch *b, struct event *e, int column, struct text text)
{
    b->values[e->first_value + (uint32_t)column].text = text;
    e->nulls &= ~(1u << column);
}

/* How pupil "rrn:<11 digits>" of a school year becomes 16 bytes under a key with that id (pseudonym_keys.h); NULL = no
 * key: such an event is dead-lettered. ERR_INVALID: wrong check number; ERR_MISSING: no key of that school year. */
typedef int (*pupil_pseudonym_fn)(const void *context, int year, const char digits[11], uint8_t out[16],
                                  uint32_t *key_id);
/* Scrubs national numbers out of bytes that are kept raw (pseudonym.h). Returns the new length (never longer than
 * 1.0x len because "rrn:#" is shorter than 11 digits). */
typedef size_t (*scrub_fn)(char *bytes, size_t len);

struct event_decoder; /* parser state, reused from line to line; one per thread */
struct event_decoder *event_decoder_new(pupil_pseudonym_fn pseudonym, const void *context, scrub_fn scrub);
void event_decoder_free(struct event_decoder **decoder);
/* Decodes by other tables than event_kinds and log_tables (at most EVENT_TYPE_COUNT kinds): for tests of column kinds. */
void event_decoder_use_tables(struct event_decoder *decoder, const struct event_kind *kinds, int kind_count,
                              const struct log_table *tables);
/* Appends one line as an event (sequence = first_seq + count). What is wrong with the line is an EVENT_DEAD with a
 * reason that names the field; only ERR_NOMEM is an error. */
int event_decode(struct event_decoder *decoder, struct event_batch *batch, const char *line,
                 size_t len) MUST_CHECK;
/* Appends an EVENT_DEAD for raw bytes (scrubbed here). */
int event_append_dead(struct event_batch *batch, const char *reason, const char *raw, size_t len,
                      scrub_fn scrub) MUST_CHECK;

/* The indicators that follow: list bits, thuistaal from home_language (regulation 1), buurt from thuisloos/trekkend.
 * Union when both are given. */
unsigned registration_indicators(bool has_list, unsigned list, bool has_home, int home_language);
