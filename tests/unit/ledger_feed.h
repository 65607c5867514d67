/* SPDX-License-Identifier: MIT
 *
 * Building events by hand for the tests of ledger and results: one event is one batch of one. */
#pragma once

#include "workers/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct one { /* an event with the batch that carries it */
    struct event_batch batch;
    struct event event;
    struct value values[EVENT_COLUMNS_MAX];
    char text[64];
};

static inline void one_init(struct one *o, uint32_t stream, uint64_t epoch, int64_t time_us,
                            enum event_type type)
{
    memset(o, 0, sizeof *o);
    o->batch.stream_id = stream;
    o->batch.epoch = epoch;
    o->batch.count = 1;
    o->event.time_us = time_us;
    o->event.type = type;
    o->event.nulls = UINT32_MAX;
}
static inline void one_num(struct one *o, int column, int64_t num)
{
    o->values[column].num = num;
    o->event.nulls &= ~(1u << column);
}
/* Pointers are set here, so that a struct one may be copied and sorted before. */
static inline int one_apply(struct ledger *l, struct one *o)
{
    o->batch.events = &o->event;
    o->batch.values = o->values;
    o->batch.arena = o->text;
    return ledger_apply(l, &o->batch, &o->event);
}
static inline void pupil_bytes(unsigned pupil, uint8_t out[16])
{
    memset(out, 0, 16);
    for (int i = 0; i < 4; i++)
        out[12 + i] = (uint8_t)(pupil >> (24 - 8 * i));
    out[0] = (uint8_t)(pupil * 37);
}
static inline void one_link(struct one *o, uint32_t stream, int64_t time_us, unsigned old, unsigned new,
                            bool withdraw)
{
    one_init(o, stream, 1, time_us, withdraw ? EVENT_PUPIL_LINK_WITHDRAW : EVENT_PUPIL_LINK);
    one_num(o, LINK_OLD, 0);
    pupil_bytes(old, o->values[LINK_OLD].pupil);
    if (withdraw)
        return;
    one_num(o, LINK_NEW, 0);
    pupil_bytes(new, o->values[LINK_NEW].pupil);
}
struct registration {
    uint32_t school;
    int year;
    unsigned pupil;
    enum group group;
    bool irregular, half;
    int32_t from, until; /* days since 1970; 0 = null */
    unsigned indicators;
};
static inline void one_upsert(struct one *o, uint32_t stream, uint64_t epoch, int64_t time_us,
                              const struct registration *r)
{
    one_init(o, stream, epoch, time_us, EVENT_REGISTRATION_UPSERT);
    one_num(o, REG_SCHOOL_ID, r->school);
    one_num(o, REG_YEAR, r->year);
    one_num(o, REG_PUPIL, 0);
    pupil_bytes(r->pupil, o->values[REG_PUPIL].pupil);
    one_num(o, REG_GROUP, r->group);
    one_num(o, REG_REGULAR, !r->irregular);
    one_num(o, REG_WEIGHT, r->half ? 1 : 2);
    if (r->from)
        one_num(o, REG_FROM, r->from);
    if (r->until)
        one_num(o, REG_UNTIL, r->until);
    one_num(o, REG_INDICATORS, r->indicators);
}
static inline void one_withdraw(struct one *o, uint32_t stream, uint64_t epoch, int64_t time_us,
                                uint32_t school, int year, unsigned pupil)
{
    one_init(o, stream, epoch, time_us, EVENT_REGISTRATION_WITHDRAW);
    one_num(o, REG_SCHOOL_ID, school);
    one_num(o, REG_YEAR, year);
    one_num(o, REG_PUPIL, 0);
    pupil_bytes(pupil, o->values[REG_PUPIL].pupil);
}
static inline void one_closed(struct one *o, uint32_t stream, uint64_t epoch, uint32_t school, int year,
                              int32_t pupils)
{
    one_init(o, stream, epoch, 0, EVENT_REGISTRATION_CLOSED);
    one_num(o, REG_SCHOOL_ID, school);
    one_num(o, REG_YEAR, year);
    one_num(o, REG_PUPILS, pupils);
}
/* closed_on, successor: 0 = null */
static inline void one_school(struct one *o, uint32_t stream, int64_t time_us, uint32_t school,
                              enum level level, int32_t closed_on, uint32_t successor)
{
    one_init(o, stream, 1, time_us, EVENT_SCHOOL_UPSERT);
    one_num(o, SCHOOL_ID, school);
    one_num(o, SCHOOL_LEVEL, level);
    one_num(o, SCHOOL_BRUSSELS, 0);
    if (closed_on)
        one_num(o, SCHOOL_CLOSED_ON, closed_on);
    if (successor)
        one_num(o, SCHOOL_SUCCESSOR_ID, successor);
    int n = snprintf(o->text, sizeof o->text, "School %u/%lld", school, (long long)time_us);
    o->values[SCHOOL_NAME].text = (struct text){.offset = 0, .len = (uint32_t)n};
    o->event.nulls &= ~(1u << SCHOOL_NAME);
}
static inline void one_entitlement(struct one *o, uint32_t stream, int64_t time_us, uint32_t school,
                                   enum staffing staffing, enum group group, int year, enum status status)
{
    one_init(o, stream, 1, time_us, EVENT_ENTITLEMENT_KNOWN);
    one_num(o, ENT_SCHOOL_ID, school);
    one_num(o, ENT_STREAM, staffing);
    one_num(o, ENT_GROUP, group);
    one_num(o, ENT_YEAR, year);
    one_num(o, ENT_STATUS, status);
    one_num(o, ENT_HOURS, 10);
}

/* Random numbers from a printed seed; TEST_SEED takes one back. */
static uint64_t random_state;
static inline uint64_t random_seed(const char *test)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u ^ (uint64_t)clock();
    printf("%s: TEST_SEED=%llu\n", test, (unsigned long long)seed);
    random_state = seed;
    return seed;
}
static inline uint32_t random_below(uint32_t n)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 33) % n;
}
