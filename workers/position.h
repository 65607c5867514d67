/* SPDX-License-Identifier: MIT
 *
 * The position machine of one stream (design 5): decides from headers, answers and time what to accept, what to
 * fetch and what to report. Pure: no sockets, no clock (time is a parameter, microseconds of a monotonic clock), no
 * memory beyond itself. The simulator in tests/sim drives it with virtual time and a lossy bus.
 *
 * The writer is the authority on what is committed: it gives `expected` (epoch, next sequence) and may rewind. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire.h"

enum position_mode {
    POSITION_WAITING,  /* the writer has not yet said where we stand: accept nothing */
    POSITION_FETCHING, /* behind: ranges are fetched; of live records only what fits at next is taken */
    POSITION_LIVE,     /* live records are accepted as they come */
    POSITION_STOPPED /* GONE, another epoch, a journal set back, or three damaged answers: an operator decides */
};
enum position_reason {
    POSITION_OK,
    POSITION_GONE,      /* what we need is no longer kept; first_kept says from where it is */
    POSITION_NEW_EPOCH, /* other_epoch, higher or lower than ours */
    POSITION_DAMAGED,
    POSITION_PAUSED,
    POSITION_REWOUND /* same epoch, but the journal ends before what we have: its numbers would be used twice; see head */
};
extern const char
    *const position_mode_names[POSITION_STOPPED + 1]; /* "waiting" "fetching" "live" "stopped" */
extern const char *const position_reason_names[POSITION_REWOUND + 1]; /* "ok" "gone" "new_epoch" ... */

struct position_settings {
    uint64_t silence_us;      /* 3 s: fetch after so much silence */
    uint64_t stale_us;        /* 60 s: stream.stale */
    uint64_t fetch_period_us; /* 1 s: at most one request per range and second */
    uint32_t fetch_events;    /* asked for at most per FETCH */
    bool best_effort;         /* no journal: numbered by position_number(), nothing is ever asked */
};
extern const struct position_settings position_defaults;

struct position { /* caller's memory; fields are read by status, written only here */
    struct position_settings settings;
    enum position_mode mode;
    enum position_reason reason;
    uint64_t epoch, next; /* next sequence to accept (delivered to the queue, not yet committed) */
    uint64_t head;        /* next to be written at the publisher, as far as known; 0 unknown */
    uint64_t other_epoch, first_kept;           /* of EPOCH / GONE */
    uint64_t heard_us;                          /* last sign of life */
    uint64_t asked_us, asked_epoch, asked_from; /* of the last FETCH */
    uint64_t answered_us;          /* when the outstanding FETCH was sent, or last brought something */
    uint32_t tag;                  /* of the outstanding FETCH; 0 none */
    uint32_t last_tag;             /* given out; never used twice, also after a reset */
    bool asked_fetch;              /* ever */
    uint64_t hello_us, hello_from; /* of the last HELLO: when, and next at that moment */
    uint32_t hello_tag;            /* of the outstanding HELLO; 0 none */
    bool asked_hello;              /* ever */
    bool hello_due;                /* after a reset: ask at once */
    bool hello_doubt;  /* a live head contradicts us: only an answer to our own question decides */
    bool starved;      /* the last tick wanted to fetch but the queue had no room */
    uint32_t failures; /* requests without a useful answer, in a row: back-off */
    bool paused, stale;
    uint32_t damages; /* in a row, same range */
    uint64_t damage_from;
    uint64_t hello_wanted, hello_sent, hello_answered; /* generations: `wait --caught-up` */
    uint64_t hello_head; /* head of the last answered hello; 0 when it showed another epoch */
    /* Counters: gaps found, FETCHes sent, events seen before, messages damaged, live events dropped for want of room. */
    uint64_t gaps, fetches, duplicates, damaged, dropped_live;
};

enum position_request { POSITION_ASK_NOTHING, POSITION_ASK_HELLO, POSITION_ASK_FETCH };
enum position_action { POSITION_DROP, POSITION_DELIVER };
struct position_delivery {
    enum position_action action;
    uint32_t skip; /* deliver: leading events of the message already seen */
};

void position_init(struct position *p, const struct position_settings *settings, uint64_t now_us);
/* From the writer: where we stand. Clears STOPPED, drops what was outstanding. epoch 0: nothing yet, take the current. */
void position_reset(struct position *p, uint64_t epoch, uint64_t next, uint64_t now_us);
void position_pause(struct position *p, bool paused, uint64_t now_us);
void position_want_hello(struct position *p, uint64_t generation);

/* A records message (live: from SUB, else an answer to our tag). room = events the queue can take now: a message that
 * does not fit is dropped and fetched later. lines = wire_count_lines(), negative = damage. On DELIVER p->next moves. */
struct position_delivery position_records(struct position *p, const struct wire_header *h, int lines,
                                          bool live, uint32_t room, uint64_t now_us);
void position_head(struct position *p, const struct wire_header *h, bool live, uint64_t now_us);
void position_gone(struct position *p, const struct wire_header *h, uint64_t now_us);
void position_other_epoch(struct position *p, const struct wire_header *h, uint64_t now_us);
void position_error(struct position *p, uint64_t now_us);
void position_damage(struct position *p, bool live, uint64_t now_us); /* a frame that is not TFP/1 */
/* The bus did not take the request position_tick() gave (no peer): nothing is outstanding, ask again after a period. */
void position_unsent(struct position *p, enum position_request request, uint64_t now_us);
/* What was delivered from this sequence on did not reach the queue after all: fetch it again. */
void position_undeliver(struct position *p, uint64_t from);
/* best-effort: numbers a message of so many lines on receipt (its first is next before the call). What finds no room
 * is lost, and counted as a gap. */
struct position_delivery position_number(struct position *p, uint32_t lines, uint32_t room, uint64_t now_us);

/* What to send now, if anything; to be called until it says nothing. */
struct position_ask {
    enum position_request request;
    struct wire_header header; /* kind Q */
    uint32_t max_events;
};
struct position_ask position_tick(struct position *p, uint32_t room, uint64_t now_us);
/* Microseconds until position_tick() may have something to do. */
uint64_t position_sleep(const struct position *p, uint64_t now_us);
