/* SPDX-License-Identifier: MIT
 *
 * The fakes behind fake.h: the names of daemon/bus.h, clock.h and log.h without sockets, time and output. */
#include "tests/fuzz/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus_gate.h"
#include "daemon/clock.h"
#include "daemon/log.h"

uint64_t fake_now_us = 1;

void fake_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

uint64_t clock_monotonic_us(void)
{
    return fake_now_us;
}

int64_t clock_realtime_us(void)
{
    return 1750000000000000 + (int64_t)fake_now_us;
}

void log_write(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

void fake_bus_push(struct bus_socket *socket, const struct bus_frame *frames, int count)
{
    if (socket->count == FAKE_QUEUE)
        return;
    struct fake_message *m = socket->queue + (socket->first + socket->count++) % FAKE_QUEUE;
    m->count = count;
    for (int i = 0; i < count; i++)
        m->frame[i] = frames[i];
}

void fake_bus_push_raw(struct bus_socket *socket, struct bytes *b)
{
    struct bus_frame frames[BUS_FRAMES_MAX];
    int count = take_byte(b) % (BUS_FRAMES_MAX + 1);
    for (int i = 0; i < count; i++)
        frames[i].data = take_bytes(b, take_byte(b), &frames[i].len);
    fake_bus_push(socket, frames, count == 0 ? -1 : count);
}

int bus_receive(struct bus_socket *socket, struct bus_message *m)
{
    if (socket->count == 0)
        return ERR_AGAIN;
    const struct fake_message *from = socket->queue + socket->first;
    m->count = from->count;
    for (int i = 0; i < from->count; i++)
        m->frame[i] = from->frame[i];
    socket->first = (socket->first + 1) % FAKE_QUEUE;
    socket->count--;
    return 0;
}

int bus_send(struct bus_socket *socket, const struct bus_frame *frames, int count)
{
    if (socket->refuse)
        return socket->refuse;
    if (socket->sent)
        socket->sent(socket, frames, count);
    return 0;
}

int bus_poll(struct bus_poll *items, int count, int timeout_ms)
{
    (void)timeout_ms;
    for (int i = 0; i < count; i++)
        items[i].readable = false;
    return 0;
}

void bus_message_init(struct bus_message *m)
{
    memset(m, 0, sizeof *m);
}

void bus_message_clear(struct bus_message *m)
{
    m->count = 0;
}

void bus_read_counts(struct bus_socket *socket, struct bus_counts *out)
{
    (void)socket;
    *out = (struct bus_counts){0};
}

/* Never called by a target: opening and closing. */
struct bus *bus_new(void)
{
    return NULL;
}
void bus_free(struct bus **bus)
{
    *bus = NULL;
}
struct bus_socket *bus_socket_new(struct bus *bus, enum bus_type type)
{
    (void)bus;
    (void)type;
    return NULL;
}
void bus_socket_free(struct bus_socket **socket)
{
    *socket = NULL;
}
int bus_set_limits(struct bus_socket *socket, int send_messages, int64_t receive_bytes)
{
    (void)socket;
    (void)send_messages;
    (void)receive_bytes;
    return ERR_IO;
}
int bus_bind(struct bus_socket *socket, const char *endpoint)
{
    (void)socket;
    (void)endpoint;
    return ERR_IO;
}
int bus_connect(struct bus_socket *socket, const char *endpoint)
{
    (void)socket;
    (void)endpoint;
    return ERR_IO;
}
int bus_subscribe(struct bus_socket *socket, const char *prefix)
{
    (void)socket;
    (void)prefix;
    return ERR_IO;
}
int bus_last_endpoint(struct bus_socket *socket, char *out, size_t len)
{
    (void)socket;
    (void)out;
    (void)len;
    return ERR_IO;
}
int bus_watch(struct bus_socket *socket)
{
    (void)socket;
    return ERR_IO;
}
int bus_set_patient(struct bus_socket *socket)
{
    (void)socket;
    return ERR_IO;
}
int bus_use_server_key(struct bus_socket *socket, const char *server_key, const struct curve_keys *keys)
{
    (void)socket;
    (void)server_key;
    (void)keys;
    return ERR_IO;
}
int bus_guard(struct bus_socket *socket, struct bus_gate *gate, const char *stream,
              const struct curve_keys *keys)
{
    (void)socket;
    (void)gate;
    (void)stream;
    (void)keys;
    return ERR_IO;
}
struct bus_gate *bus_gate_start(struct bus *bus, const struct bus_gate_limits *limits)
{
    (void)bus;
    (void)limits;
    return NULL;
}
void bus_gate_stop(struct bus_gate **gate)
{
    *gate = NULL;
}
unsigned bus_gate_allow(struct bus_gate *gate, struct allow **list)
{
    (void)gate;
    allow_free(list);
    return 0;
}
void bus_gate_read_counts(struct bus_gate *gate, struct bus_gate_counts *out)
{
    (void)gate;
    *out = (struct bus_gate_counts){0};
}
bool bus_has_subscribers(struct bus_socket *socket)
{
    (void)socket;
    return true;
}
int bus_curve_pair(char public_key[41], char secret_key[41])
{
    (void)public_key;
    (void)secret_key;
    return ERR_IO;
}
int bus_curve_public(const char *secret_key, char public_key[41])
{
    memcpy(public_key, secret_key, 41);
    return 0;
}
bool bus_curve_is_key(const char *text)
{
    return strlen(text) == 40;
}
const char *bus_error(void)
{
    return "";
}
