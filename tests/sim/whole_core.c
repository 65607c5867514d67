/* SPDX-License-Identifier: MIT
 *
 * The scheduler, chance, and the wires. Acts of equal time keep their order of planning; an act or message of a life
 * that has ended is void; a frozen actor's acts wait. */
#include "tests/sim/whole.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const fault_names[FAULTS] = {"kill feed",
                                         "kill daemon",
                                         "kill subscriber",
                                         "power failure",
                                         "freeze",
                                         "new journal",
                                         "trim",
                                         "gone",
                                         "lost",
                                         "doubled",
                                         "overtaken",
                                         "damaged",
                                         "cut",
                                         "half open",
                                         "error answer",
                                         "inbox full",
                                         "database crash",
                                         "failover",
                                         "lagging failover",
                                         "connection lost",
                                         "statement failed",
                                         "COMMIT lost",
                                         "COMMIT unanswered",
                                         "COMMIT later",
                                         "lock lost",
                                         "clock step",
                                         "pause"};

bool strikes(struct world *w, enum fault fault)
{
    if (w->rate[fault] == 0 || w->quiet || (rnd(w) >> 48) >= w->rate[fault])
        return false;
    struck(w, fault);
    return true;
}

void struck(struct world *w, enum fault fault)
{
    w->struck[fault]++;
    SAY(w, "  fault: %s", fault_names[fault]);
}

void say(const struct world *w, const char *format, ...)
{
    va_list args;

    printf("%9.4f ", (double)w->now_us / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void fail(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->failed)
        return;
    w->failed = true;
    printf("FAILED seed %" PRIu64 " step %" PRIu64 " at %.4f s: ", w->seed, w->steps,
           (double)w->now_us / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* ---- acts: a binary heap ---- */

static bool is_before(const struct act *a, const struct act *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : (int32_t)(a->order - b->order) < 0;
}

static void push_act(struct world *w, const struct act *act)
{
    int i = w->act_count++;

    assert(i < ACTS);
    while (i > 0 && is_before(act, &w->acts[(i - 1) / 2])) {
        w->acts[i] = w->acts[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->acts[i] = *act;
}

static void pop_act(struct world *w, struct act *out)
{
    struct act last = w->acts[--w->act_count];
    int i = 0;

    *out = w->acts[0];
    for (;;) {
        int child = 2 * i + 1;

        if (child >= w->act_count)
            break;
        if (child + 1 < w->act_count && is_before(&w->acts[child + 1], &w->acts[child]))
            child++;
        if (!is_before(&w->acts[child], &last))
            break;
        w->acts[i] = w->acts[child];
        i = child;
    }
    w->acts[i] = last;
}

void plan(struct world *w, enum act_kind kind, uint8_t actor, uint32_t arg, uint64_t delay_us)
{
    push_act(w, &(struct act){.due_us = w->now_us + delay_us,
                              .order = w->order++,
                              .life = actor == NOBODY ? 0 : w->actors[actor].life,
                              .arg = arg,
                              .kind = (uint8_t)kind,
                              .actor = actor});
}

bool take_act(struct world *w, struct act *out)
{
    while (w->act_count > 0) {
        const struct actor *a;

        pop_act(w, out);
        w->now_us = out->due_us;
        if (out->actor == NOBODY)
            return true;
        a = &w->actors[out->actor];
        if (out->life != a->life)
            continue;
        if (a->frozen_until_us > w->now_us) {
            out->due_us = a->frozen_until_us;
            push_act(w, out);
            continue;
        }
        return true;
    }
    return false;
}

/* ---- wires ---- */

struct message *message_new(struct world *w, int link, enum what what, uint32_t tag, uint64_t epoch,
                            uint64_t seq)
{
    struct message *m;

    assert(w->free_message >= 0);
    m = &w->messages[w->free_message];
    w->free_message = m->next_free;
    w->links[link].under_way++;
    m->what = what;
    m->live = m->fetch = false;
    m->damage = 0;
    m->link = (uint8_t)link;
    m->link_life = w->links[link].life;
    m->h = (struct wire_header){.kind = what == MESSAGE_RECORDS   ? WIRE_RECORDS
                                        : what == MESSAGE_REQUEST ? WIRE_REQUEST
                                                                  : WIRE_HEAD,
                                .tag = tag,
                                .epoch = epoch,
                                .first_seq = seq};
    return m;
}

void message_free(struct world *w, struct message *m)
{
    w->links[m->link].under_way--;
    m->next_free = w->free_message;
    w->free_message = (int)(m - w->messages);
}

bool link_is_up(const struct world *w, int link)
{
    return w->links[link].cut_until_us <= w->now_us;
}

/* What is under way is lost with the connection. */
void cut_link(struct world *w, int link, uint64_t until_us)
{
    w->links[link].life++;
    if (until_us > w->links[link].cut_until_us)
        w->links[link].cut_until_us = until_us;
    memset(w->links[link].last_due_us, 0, sizeof w->links[link].last_due_us);
}

static void send_in_order(struct world *w, struct message *m, uint64_t delay_us)
{
    uint64_t *last = &w->links[m->link].last_due_us[m->live ? 0 : m->what == MESSAGE_REQUEST ? 2 : 1];
    uint64_t due_us = w->now_us + delay_us;

    if (due_us <= *last)
        due_us = *last + 1;
    *last = due_us;
    plan(w, ACT_ARRIVE, NOBODY, (uint32_t)(m - w->messages), due_us - w->now_us);
}

static void send_again(struct world *w, const struct message *m)
{
    int slot = w->free_message;
    struct message *copy;

    if (slot < 0)
        return;
    copy = &w->messages[slot];
    w->free_message = copy->next_free;
    w->links[m->link].under_way++;
    *copy = *m;
    plan(w, ACT_ARRIVE, NOBODY, (uint32_t)slot, 1 + below(w, 2000000));
}

void transmit(struct world *w, struct message *m, uint64_t delay_us)
{
    const struct link *l = &w->links[m->link];

    m->link_life = l->life;
    if (l->cut_until_us > w->now_us || (l->deaf_until_us > w->now_us && m->what != MESSAGE_REQUEST) ||
        l->under_way > PIPE_MAX || strikes(w, FAULT_LOST)) {
        message_free(w, m);
        return;
    }
    if (strikes(w, FAULT_DAMAGED))
        m->damage = (int8_t)(1 + below(w, 2));
    if (strikes(w, FAULT_DOUBLED))
        send_again(w, m);
    if (strikes(w, FAULT_OVERTAKEN))
        plan(w, ACT_ARRIVE, NOBODY, (uint32_t)(m - w->messages), delay_us + below(w, 2000000));
    else
        send_in_order(w, m, delay_us);
}

/* ---- what an event says ---- */

static uint64_t line_hash(int stream, uint64_t epoch, uint32_t line)
{
    uint64_t z = (epoch * STREAMS + (uint64_t)stream) * 0x9e3779b97f4a7c15u + line;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 29);
}

int line_key(int stream, uint64_t epoch, uint32_t line)
{
    return stream * STREAM_KEYS + (int)(line_hash(stream, epoch, line) % STREAM_KEYS);
}

uint32_t line_value(int stream, uint64_t epoch, uint32_t line)
{
    return (uint32_t)(line_hash(stream, epoch, line) >> 20);
}

bool line_is_poison(int stream, uint64_t epoch, uint32_t line)
{
    return (line_hash(stream, epoch, line) >> 8) % 64 == 0;
}

bool line_is_malformed(int stream, uint64_t epoch, uint32_t line)
{
    return (line_hash(stream, epoch, line) >> 8) % 64 == 1;
}

/* An alert is a function of the key's last event and of the day. */
bool key_fires(const struct key_row *row, int32_t day)
{
    return row->times > 0 && (row->last + (uint32_t)day) % 5 == 0;
}

int32_t wall_day(const struct world *w)
{
    return (int32_t)(((int64_t)w->now_us + w->clock_us) / 8000000);
}
