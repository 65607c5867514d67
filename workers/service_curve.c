/* SPDX-License-Identifier: MIT
 *
 * Reading the daemon's keys and its allow-list. Everything a wrong file could spoil is found here, at the start or at
 * --check-config, and not at the first connection. */
#include "workers/service_curve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "workers/alert.h"

static bool is_known_kind(const char *pattern)
{
    size_t len = strlen(pattern);
    bool open = len > 2 && pattern[len - 1] == '*';
    for (int i = 0; i < ALERT_KIND_COUNT; i++)
        if (open ? strncmp(alert_kind_names[i], pattern, len - 1) == 0
                 : strcmp(alert_kind_names[i], pattern) == 0)
            return true;
    return false;
}

static int load_server_keys(const struct config *config, struct service_curve *out, char *error,
                            size_t error_len)
{
    char reason[400];
    out->server_keys = calloc(config->stream_count + 1, sizeof *out->server_keys);
    for (size_t i = 0; out->server_keys && i < config->stream_count; i++) {
        const struct config_stream *s = &config->streams[i];
        if (s->server_key && curve_public_load(s->server_key, out->server_keys[i], reason, sizeof reason)) {
            snprintf(error, error_len, "streams.[%zu].server_key: %s", i, reason);
            return ERR_INVALID;
        }
    }
    if (!out->server_keys)
        snprintf(error, error_len, "out of memory");
    return out->server_keys ? 0 : ERR_NOMEM;
}

static int load(const struct config *config, struct service_curve *out, char *error, size_t error_len)
{
    char reason[400], public_key[CURVE_KEY_TEXT];
    if (load_server_keys(config, out, error, error_len))
        return ERR_INVALID;
    if (!config->curve_secret)
        return 0;
    out->keys = curve_keys_load(config->curve_secret, reason, sizeof reason);
    if (!out->keys) {
        snprintf(error, error_len, "curve.secret: %s", reason);
        return ERR_INVALID;
    }
    if (config->curve_public && curve_public_load(config->curve_public, public_key, reason, sizeof reason)) {
        snprintf(error, error_len, "curve.public: %s", reason);
        return ERR_INVALID;
    }
    if (config->curve_public && strcmp(public_key, out->keys->public_key) != 0) {
        snprintf(error, error_len, "curve.public: is not the public key of curve.secret");
        return ERR_INVALID;
    }
    if (!config->curve_allow)
        return 0;
    out->allow = allow_load(config->curve_allow, is_known_kind, error, error_len);
    return out->allow ? 0 : ERR_INVALID;
}

int service_curve_load(const struct config *config, struct service_curve *out, char *error, size_t error_len)
{
    *out = (struct service_curve){0};
    if (load(config, out, error, error_len) == 0)
        return 0;
    service_curve_free(out);
    return EX_CONFIG;
}

void service_curve_free(struct service_curve *curve)
{
    curve_keys_free(&curve->keys);
    free(curve->server_keys);
    allow_free(&curve->allow);
    curve->server_keys = NULL;
}
