/* SPDX-License-Identifier: MIT
 *
 * Entities, one record for each stream that speaks of one; the winner is chosen anew from the records whenever one
 * changes, so order between streams cannot matter and undo is putting the old record back. Subjects and entities are
 * never removed: without a winner they show nothing. A subject remembers the next day on which what is derived from it
 * changes; it is forgotten whenever something moves, and a day that is past is asked again. */
#include "workers/derive.h"
#include "workers/ledger_internal.h"

#define KEY_MAX 64

struct record { /* a stream's last event on one entity */
    int64_t time_us;
    struct record *next; /* of the entity */
    uint32_t stream, subject, nulls;
    bool withdrawn;
    struct value values[]; /* the table's columns */
};
struct entity {
    const struct entity_kind *kind;
    struct record *first;
    const struct record *winner; /* NULL: nothing stands */
    uint32_t next;               /* of the winner's subject */
    char key[KEY_MAX + 1];
};
struct subject_entry {
    struct subject subject;
    uint32_t first;
    uint32_t owner; /* the subject under which this one is derived: itself, but for linked pupils */
    uint32_t first_member, next_member; /* those an owner owns, itself included */
    int32_t changes;                    /* day; INT32_MIN: not known */
    uint64_t touched;
};
struct entity_undo {
    uint32_t entity, stream;
    struct record *old; /* NULL: there was none */
};
struct places { /* open addressing, NONE = empty */
    uint32_t *place;
    uint32_t size;
};
struct entities {
    struct entity *entities;
    uint32_t count, room;
    struct subject_entry *subjects;
    uint32_t subject_count, subject_room;
    struct places by_key, by_subject;
    struct entity_undo *undo;
    uint32_t undo_count, undo_room;
    uint32_t *touched; /* subjects; room for all */
    uint32_t touched_count, touched_room;
    uint32_t spare; /* subjects that room is kept for beyond those there are */
};

/* --- names ---------------------------------------------------------------------------------------------- */

int subject_compare(const void *a, const void *b)
{
    const struct subject *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->school_id != y->school_id)
        return x->school_id < y->school_id ? -1 : 1;
    return strcmp(x->id, y->id);
}

void pupil_format(const uint8_t pupil[16], char out[33])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[2 * i] = hex[pupil[i] >> 4];
        out[2 * i + 1] = hex[pupil[i] & 15];
    }
    out[32] = '\0';
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = ledger_mix(h, (uint8_t)*text);
    return h;
}

static uint64_t hash_subject(const struct subject *s)
{
    return hash_text(ledger_mix(s->kind + 1, s->school_id), s->id);
}

static uint64_t hash_key(enum log_table_no table, const char *key)
{
    return hash_text((uint64_t)table + 1, key);
}

/* --- memory --------------------------------------------------------------------------------------------- */

int entities_new(struct ledger *l)
{
    l->entities = calloc(1, sizeof *l->entities);
    if (!l->entities)
        return ERR_NOMEM;
    l->bytes += sizeof *l->entities;
    return 0;
}

void entities_free(struct ledger *l)
{
    struct entities *e = l->entities;
    if (!e)
        return;
    for (uint32_t i = 0; i < e->count; i++)
        for (struct record *r = e->entities[i].first, *next; r; r = next) {
            next = r->next;
            free(r);
        }
    free(e->entities);
    free(e->subjects);
    free(e->by_key.place);
    free(e->by_subject.place);
    free(e->undo);
    free(e->touched);
    free(e);
    l->entities = NULL;
}

static size_t record_bytes(const struct entity_kind *kind)
{
    return sizeof(struct record) + (size_t)log_tables[kind->table].count * sizeof(struct value);
}

static uint64_t hash_item(const struct ledger *l, const struct places *p, uint32_t i)
{
    const struct entities *e = l->entities;
    return p == &e->by_key ? hash_key(e->entities[i].kind->table, e->entities[i].key)
                           : hash_subject(&e->subjects[i].subject);
}

static void place_item(const struct ledger *l, struct places *p, uint32_t i)
{
    uint32_t at = (uint32_t)hash_item(l, p, i) & (p->size - 1);
    while (p->place[at] != NONE)
        at = (at + 1) & (p->size - 1);
    p->place[at] = i;
}

/* Room for `more` items beside `count`, of which one is new since the last call. */
static int reserve_place(struct ledger *l, struct places *p, uint32_t count, uint32_t more)
{
    if (count + more <= p->size / 2)
        return 0;
    uint32_t wanted = p->size ? p->size * 2 : 64;
    uint32_t *place = malloc(wanted * sizeof *place);
    if (!place)
        return ERR_NOMEM;
    memset(place, 0xff, wanted * sizeof *place);
    free(p->place);
    l->bytes += (wanted - p->size) * sizeof *place;
    p->place = place;
    p->size = wanted;
    for (uint32_t i = 0; i < count; i++)
        place_item(l, p, i);
    return 0;
}

static uint32_t find_subject(const struct entities *e, const struct subject *subject)
{
    const struct places *p = &e->by_subject;
    if (!p->size)
        return NONE;
    for (uint32_t at = (uint32_t)hash_subject(subject) & (p->size - 1); p->place[at] != NONE;
         at = (at + 1) & (p->size - 1))
        if (subject_compare(&e->subjects[p->place[at]].subject, subject) == 0)
            return p->place[at];
    return NONE;
}

static int reserve_subject_room(struct ledger *l)
{
    struct entities *e = l->entities;
    struct subject_entry *grown =
        ledger_grow(l, e->subjects, e->subject_count + e->spare, &e->subject_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    e->subjects = grown;
    uint32_t *touched =
        ledger_grow(l, e->touched, e->subject_count + e->spare, &e->touched_room, sizeof *touched);
    if (!touched)
        return ERR_NOMEM;
    e->touched = touched;
    return reserve_place(l, &e->by_subject, e->subject_count, e->spare + 1);
}

int entities_reserve_spare(struct ledger *l, uint32_t spare)
{
    uint32_t was = l->entities->spare;
    l->entities->spare = spare;
    int err = reserve_subject_room(l);
    if (err)
        l->entities->spare = was;
    return err;
}

/* owner NONE: itself. */
static uint32_t add_subject(struct ledger *l, const struct subject *subject, uint32_t owner)
{
    struct entities *e = l->entities;
    uint32_t i = e->subject_count++;
    owner = owner == NONE ? i : owner;
    e->subjects[i] = (struct subject_entry){
        .subject = *subject, .first = NONE, .owner = owner, .first_member = NONE, .changes = INT32_MIN};
    e->subjects[i].next_member = e->subjects[owner].first_member;
    e->subjects[owner].first_member = i;
    place_item(l, &e->by_subject, i);
    return i;
}

static struct subject subject_of_pupil(const uint8_t pupil[16])
{
    struct subject s = {.kind = SUBJECT_PUPIL};
    pupil_format(pupil, s.id);
    return s;
}

static void parse_pupil(const char *hex, uint8_t out[16])
{
    for (int i = 0; i < 32; i++) {
        int digit = hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
}

/* What a subject is known by: itself, but for linked pupils. */
static struct subject known_as(const struct ledger *l, const struct subject *subject)
{
    uint8_t pupil[16];
    if (subject->kind != SUBJECT_PUPIL)
        return *subject;
    parse_pupil(subject->id, pupil);
    links_canonical(l, pupil, pupil);
    return subject_of_pupil(pupil);
}

static int reserve_subject(struct ledger *l, const struct subject *subject, uint32_t *i)
{
    uint32_t owner = NONE;
    *i = find_subject(l->entities, subject);
    if (*i != NONE)
        return 0;
    struct subject known = known_as(l, subject);
    if (subject_compare(&known, subject) != 0 &&
        reserve_subject(l, &known, &owner)) /* it is known as itself */
        return ERR_NOMEM;
    if (reserve_subject_room(l))
        return ERR_NOMEM;
    *i = add_subject(l, subject, owner);
    return 0;
}

static int reserve_entity(struct ledger *l, const struct entity_kind *kind, const char *key, uint32_t *i)
{
    struct entities *e = l->entities;
    const struct places *p = &e->by_key;
    for (uint32_t at = (uint32_t)hash_key(kind->table, key) & (p->size - 1); p->size && p->place[at] != NONE;
         at = (at + 1) & (p->size - 1)) {
        *i = p->place[at];
        if (e->entities[*i].kind == kind && strcmp(e->entities[*i].key, key) == 0)
            return 0;
    }
    struct entity *grown = ledger_grow(l, e->entities, e->count, &e->room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    e->entities = grown;
    if (reserve_place(l, &e->by_key, e->count, 1))
        return ERR_NOMEM;
    *i = e->count++;
    e->entities[*i] = (struct entity){.kind = kind, .next = NONE};
    strcpy(e->entities[*i].key, key);
    place_item(l, &e->by_key, *i);
    return 0;
}

static int reserve_undo(struct ledger *l)
{
    struct entities *e = l->entities;
    if (!l->in_batch)
        return 0;
    struct entity_undo *grown = ledger_grow(l, e->undo, e->undo_count, &e->undo_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    e->undo = grown;
    return 0;
}

/* --- winners -------------------------------------------------------------------------------------------- */

static void touch(struct ledger *l, uint32_t subject)
{
    struct entities *e = l->entities;
    uint32_t owner = e->subjects[subject].owner;
    struct subject_entry *s = e->subjects + owner;
    if (s->touched != l->batch)
        e->touched[e->touched_count++] = owner;
    s->touched = l->batch;
    s->changes = INT32_MIN;
}

static bool is_known_as(const struct ledger *l, uint32_t subject, const struct subject *known)
{
    struct subject s = known_as(l, &l->entities->subjects[subject].subject);
    return subject_compare(&s, known) == 0;
}

/* All whose way to `before` led through `old` are known now as `old` is: nothing else can have changed. */
int entities_relink(struct ledger *l, const uint8_t before[16], const uint8_t old[16])
{
    struct entities *e = l->entities;
    struct subject was = subject_of_pupil(before), of_old = subject_of_pupil(old),
                   known = known_as(l, &of_old);
    uint32_t from = find_subject(e, &was), to;
    if (from == NONE || subject_compare(&was, &known) == 0)
        return 0;
    if (reserve_subject(l, &known, &to)) /* owns itself */
        return ERR_NOMEM;
    e->subjects[to].changes = INT32_MIN;
    touch(l, from);
    for (uint32_t *link = &e->subjects[from].first_member; *link != NONE;) {
        uint32_t i = *link;
        if (!is_known_as(l, i, &known)) {
            link = &e->subjects[i].next_member;
            continue;
        }
        *link = e->subjects[i].next_member;
        e->subjects[i].owner = to;
        e->subjects[i].next_member = e->subjects[to].first_member;
        e->subjects[to].first_member = i;
    }
    touch(l, to);
    return 0;
}

/* Takes the entity out of its subject's list; settle_entity() puts it back in where it then belongs. */
static void lift_entity(struct ledger *l, uint32_t entity)
{
    struct entities *e = l->entities;
    struct entity *x = e->entities + entity;
    if (!x->winner)
        return;
    uint32_t *link = &e->subjects[x->winner->subject].first;
    while (*link != entity)
        link = &e->entities[*link].next;
    *link = x->next;
    touch(l, x->winner->subject);
    x->winner = NULL;
}

static void settle_entity(struct ledger *l, uint32_t entity)
{
    struct entities *e = l->entities;
    struct entity *x = e->entities + entity;
    const struct record *best = NULL;
    for (const struct record *r = x->first; r; r = r->next)
        if (!best || ledger_later(l, r->time_us, r->stream, best->time_us, best->stream))
            best = r;
    if (!best || best->withdrawn)
        return;
    x->winner = best;
    x->next = e->subjects[best->subject].first;
    e->subjects[best->subject].first = entity;
    touch(l, best->subject);
}

/* Puts `record` (NULL: nothing) in place of the stream's old one, which is given back. */
static struct record *exchange(struct ledger *l, uint32_t entity, uint32_t stream, struct record *record)
{
    struct entity *x = l->entities->entities + entity;
    struct record **link = &x->first, *old;
    lift_entity(l, entity);
    while (*link && (*link)->stream != stream)
        link = &(*link)->next;
    old = *link;
    if (old)
        *link = old->next;
    if (record) {
        record->next = x->first;
        x->first = record;
    }
    settle_entity(l, entity);
    return old;
}

/* --- events --------------------------------------------------------------------------------------------- */

static bool read_key(const struct event_batch *batch, const struct event *event, char out[KEY_MAX + 1])
{
    struct text key = event_values(batch, event)[0].text;
    if (event_is_null(event, 0) || key.len == 0 || key.len > KEY_MAX)
        return false;
    memcpy(out, batch_text(batch, key), key.len);
    out[key.len] = '\0';
    return strlen(out) == key.len;
}

static struct subject subject_of(const struct entity_kind *kind, const char *key, const struct value *values)
{
    struct subject s = {.kind = kind->subject};
    switch (kind->subject) {
    case SUBJECT_SCHOOL:
        s.school_id = (uint32_t)values[kind->subject_column].num;
        break;
    case SUBJECT_PUPIL:
        pupil_format(values[kind->subject_column].pupil, s.id);
        break;
    default:
        strcpy(s.id, key);
    }
    return s;
}

static struct record *record_of(struct ledger *l, const struct entity_kind *kind, const char *key,
                                uint32_t stream, const struct event_batch *batch, const struct event *event)
{
    const struct log_table *t = &log_tables[kind->table];
    const struct value *values = event_values(batch, event);
    struct record *r = calloc(1, record_bytes(kind));
    if (!r)
        return NULL;
    r->time_us = event->time_us;
    r->stream = stream;
    r->nulls = event->nulls;
    r->subject = NONE;
    r->withdrawn = event_kinds[event->type].op == 'w';
    for (int i = 0; i < t->count && !r->withdrawn; i++) {
        enum column_kind k = t->columns[i].kind;
        if (!event_is_null(event, i) && k != COLUMN_TEXT && k != COLUMN_KEY && k != COLUMN_JSON)
            r->values[i] = values[i];
    }
    struct subject subject;
    if (!r->withdrawn &&
        (subject = subject_of(kind, key, r->values), reserve_subject(l, &subject, &r->subject))) {
        free(r);
        return NULL;
    }
    return r;
}

static uint32_t school_of(const struct entities *e, const struct entity *x)
{
    return x->winner && x->kind->moves_allocations ? e->subjects[x->winner->subject].subject.school_id : 0;
}

/* The subject of an entity that speaks for itself. */
static struct subject own_subject(const struct entity *x)
{
    struct subject s = {.kind = x->kind->subject};
    strcpy(s.id, x->key);
    return s;
}

int entities_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                   const struct event *event, uint32_t schools[2])
{
    struct entities *e = l->entities;
    const struct entity_kind *kind = derive_entity_kind(event_kinds[event->type].table);
    char key[KEY_MAX + 1];
    uint32_t entity;
    schools[0] = schools[1] = 0;
    if (!kind)
        return 0; /* nothing is derived from it but views */
    if (!read_key(batch, event, key))
        return ERR_INVALID;
    int err = reserve_entity(l, kind, key, &entity);
    if (!err)
        err = reserve_undo(l);
    if (err)
        return err;
    struct record *record = record_of(l, kind, key, stream, batch, event);
    if (!record)
        return ERR_NOMEM;
    schools[0] = school_of(e, e->entities + entity);
    struct subject own = own_subject(e->entities + entity);
    if (kind->makes_incidents)
        incidents_drop(l, &own);
    struct record *old = exchange(l, entity, stream, record);
    if (kind->makes_incidents) {
        err = incidents_reserve(l, &own);
        if (err) {
            free(exchange(l, entity, stream, old));
            incidents_add(l, &own);
            return err;
        }
        incidents_add(l, &own);
    }
    schools[1] = school_of(e, e->entities + entity);
    l->bytes += record_bytes(kind);
    if (l->in_batch) {
        e->undo[e->undo_count++] = (struct entity_undo){entity, stream, old};
    } else if (old) {
        l->bytes -= record_bytes(kind);
        free(old);
    }
    return 0;
}

void entities_commit(struct ledger *l)
{
    struct entities *e = l->entities;
    for (uint32_t i = 0; i < e->undo_count; i++) {
        if (e->undo[i].old)
            l->bytes -= record_bytes(e->entities[e->undo[i].entity].kind);
        free(e->undo[i].old);
    }
    e->undo_count = 0;
    e->spare = 0;
}

void entities_rollback(struct ledger *l)
{
    struct entities *e = l->entities;
    e->spare = 0; /* what it was kept for comes now */
    while (e->undo_count > 0) {
        const struct entity_undo *u = e->undo + --e->undo_count;
        const struct entity *x = e->entities + u->entity;
        struct subject own = own_subject(x);
        l->bytes -= record_bytes(x->kind);
        if (x->kind->makes_incidents)
            incidents_drop(l, &own);
        free(exchange(l, u->entity, u->stream, u->old));
        if (x->kind->makes_incidents)
            incidents_add(l, &own);
    }
}

void entities_forget_touched(struct ledger *l)
{
    l->entities->touched_count = 0;
}

void entities_forget_deadlines(struct ledger *l)
{
    for (uint32_t i = 0; i < l->entities->subject_count; i++)
        l->entities->subjects[i].changes = INT32_MIN;
}

/* --- questions ------------------------------------------------------------------------------------------ */

struct entity_walk entities_of(const struct ledger *l, const struct subject *subject)
{
    uint32_t i = find_subject(l->entities, subject);
    return (struct entity_walk){l, NONE, i == NONE ? NONE : l->entities->subjects[i].first_member};
}

bool entity_next(struct entity_walk *walk, struct entity_view *out)
{
    while (walk->next == NONE) {
        if (walk->member == NONE)
            return false;
        const struct subject_entry *s = walk->ledger->entities->subjects + walk->member;
        walk->next = s->first;
        walk->member = s->next_member;
    }
    const struct entity *x = walk->ledger->entities->entities + walk->next;
    *out = (struct entity_view){x->kind->table, x->key, x->winner->values, x->winner->nulls};
    walk->next = x->next;
    return true;
}

enum listed { LIST_ALL, LIST_DUE };

static int list_subjects(const struct ledger *l, enum listed what, int32_t to, struct subject **out,
                         size_t *count)
{
    const struct entities *e = l->entities;
    *count = 0;
    *out = malloc((e->subject_count + 1) * sizeof **out);
    if (!*out)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < e->subject_count; i++) {
        const struct subject_entry *s = e->subjects + i;
        if (what == LIST_ALL || s->changes <= to)
            (*out)[(*count)++] = s->subject;
    }
    qsort(*out, *count, sizeof **out, subject_compare);
    return 0;
}

int entities_touched(const struct ledger *l, struct subject **out, size_t *count)
{
    const struct entities *e = l->entities;
    *count = e->touched_count;
    *out = malloc((*count + 1) * sizeof **out);
    if (!*out)
        return ERR_NOMEM;
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = e->subjects[e->touched[i]].subject;
    qsort(*out, *count, sizeof **out, subject_compare);
    return 0;
}

int entities_all(const struct ledger *l, struct subject **out, size_t *count)
{
    return list_subjects(l, LIST_ALL, 0, out, count);
}

int entities_due(struct ledger *l, int32_t from, int32_t to, struct subject **out, size_t *count)
{
    struct entities *e = l->entities;
    for (uint32_t i = 0; i < e->subject_count; i++) {
        struct subject_entry *s = e->subjects + i;
        if (s->changes > from && s->changes != INT32_MIN)
            continue;
        int err = derive_subject(l, &s->subject, from, NULL, NULL, &s->changes);
        if (err)
            return err;
    }
    return list_subjects(l, LIST_DUE, to, out, count);
}

uint64_t entities_digest(const struct ledger *l)
{
    const struct entities *e = l->entities;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < e->count; i++) {
        const struct entity *x = e->entities + i;
        uint64_t key = hash_key(x->kind->table, x->key);
        for (const struct record *r = x->first; r; r = r->next) {
            uint64_t h = ledger_mix(hash_text(key, l->streams[r->stream].name), (uint64_t)r->time_us);
            h = ledger_mix(h, r->withdrawn ? UINT64_MAX : r->nulls);
            for (int c = 0; c < log_tables[x->kind->table].count; c++)
                for (size_t b = 0; b < sizeof(struct value); b += 8) {
                    uint64_t word;
                    memcpy(&word, (const char *)(r->values + c) + b, 8);
                    h = ledger_mix(h, word);
                }
            sum += ledger_mix(h, r == x->winner);
        }
    }
    return sum;
}
