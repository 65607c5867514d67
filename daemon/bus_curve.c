/* SPDX-License-Identifier: MIT
 *
 * CURVE on sockets. A server never speaks with who has no key, and asks the authenticator for every key; when nobody
 * answers that question, the answer is no. */
#include <errno.h>
#include <string.h>
#include <zmq.h>

#include "daemon/bus_internal.h"

/* Debian's zmq.h hides it among the drafts; the library knows the number. Without it a CURVE server lets any key in
 * while no authenticator is bound. */
#define ZAP_ENFORCE_DOMAIN 93

int bus_curve_pair(char public_key[KEY_TEXT], char secret_key[KEY_TEXT])
{
    return zmq_curve_keypair(public_key, secret_key) ? bus_sort_errno() : 0;
}

int bus_curve_public(const char *secret_key, char public_key[KEY_TEXT])
{
    return zmq_curve_public(public_key, secret_key) ? bus_sort_errno() : 0;
}

bool bus_curve_is_key(const char *text)
{
    uint8_t bytes[32];
    bool valid = strlen(text) == KEY_TEXT - 1 && zmq_z85_decode(bytes, text) != NULL;
    explicit_bzero(bytes, sizeof bytes);
    return valid;
}

int bus_use_server_key(struct bus_socket *socket, const char *server_key, const struct curve_keys *keys)
{
    if (zmq_setsockopt(socket->socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT) ||
        zmq_setsockopt(socket->socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, KEY_TEXT) ||
        zmq_setsockopt(socket->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_TEXT))
        return bus_sort_errno();
    socket->curve = true;
    return 0;
}

static int serve_curve(struct bus_socket *socket, const char *domain, const struct curve_keys *keys)
{
    const int yes = 1;
    if (zmq_setsockopt(socket->socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) ||
        zmq_setsockopt(socket->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, KEY_TEXT) ||
        zmq_setsockopt(socket->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) ||
        zmq_setsockopt(socket->socket, ZAP_ENFORCE_DOMAIN, &yes, sizeof yes))
        return bus_sort_errno();
    return 0;
}

/* A peer's input that waits for us is bounded here: libzmq files every subscription it has read before it shows it to
 * us, so it must not be let to read far ahead. */
static int bound_input(struct bus_socket *socket)
{
    const int yes = 1, waiting = socket->type == BUS_XPUB ? 2 : 16;
    if (zmq_setsockopt(socket->socket, ZMQ_RCVHWM, &waiting, sizeof waiting) ||
        (socket->type == BUS_XPUB && zmq_setsockopt(socket->socket, ZMQ_XPUB_MANUAL, &yes, sizeof yes)))
        return bus_sort_errno();
    return 0;
}

int bus_guard(struct bus_socket *socket, struct bus_gate *gate, const char *stream,
              const struct curve_keys *keys)
{
    const int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    int err = bus_watch_events(socket, events);
    if (!err)
        err = bound_input(socket);
    if (!err && keys)
        err = serve_curve(socket, stream, keys);
    if (err)
        return err;
    socket->listener = bus_gate_admit(gate, socket->monitor, stream, keys != NULL);
    return socket->listener ? 0 : ERR_NOMEM;
}
