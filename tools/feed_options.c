/* SPDX-License-Identifier: MIT
 *
 * Options of teldag-feed, one table. What is wrong is said in one line with what to write instead. */
#include "tools/feed_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/log.h"
#include "daemon/wire.h"

static const struct option table[] = {
    {"stream", required_argument, NULL, 's'},
    {"journal", required_argument, NULL, 'j'},
    {"publish", required_argument, NULL, 'p'},
    {"fetch", required_argument, NULL, 'f'},
    {"pseudonym-key", required_argument, NULL, 'k'},
    {"keep-from", required_argument, NULL, 'K'},
    {"from", required_argument, NULL, 'F'},
    {"count", required_argument, NULL, 'n'},
    {"drop", no_argument, NULL, 'D'},
    {"curve", required_argument, NULL, 'C'},
    {"allow", required_argument, NULL, 'A'},
    {"out", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void feed_usage(bool error)
{
    fputs("usage: teldag-feed serve --stream NAME --journal DIR --publish ENDPOINT --fetch ENDPOINT "
          "[--pseudonym-key FILE]\n"
          "                         [--curve SECRETFILE --allow FILE]\n"
          "       teldag-feed append --stream NAME --journal DIR [--pseudonym-key FILE]\n"
          "       teldag-feed trim --journal DIR [--stream NAME] --keep-from SEQ\n"
          "       teldag-feed new-epoch --journal DIR [--stream NAME] [--drop]\n"
          "       teldag-feed dump --journal DIR [--stream NAME] [--from SEQ] [--count N]\n"
          "       teldag-feed keygen --out FILE\n"
          "       teldag-feed generate --pupils N --schools N --seed S [--counts CSV] ...\n"
          "       teldag-feed pseudonym-key --year YEAR --out FILE\n"
          "       teldag-feed --version | --help\n",
          error ? stderr : stdout);
}

/* Decimal digits only, below 2^63. */
static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out < (uint64_t)1 << 63;
}

static bool is_loopback(const char *host, size_t len)
{
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (strcmp(text, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool feed_endpoint_is_local(const char *endpoint)
{
    const char *host = endpoint + 6, *port;
    if (strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "inproc://", 9) == 0)
        return true;
    if (strncmp(endpoint, "tcp://", 6) != 0)
        return false;
    port = strrchr(host, ':');
    return port && is_loopback(host, (size_t)(port - host));
}

/* Puts one option's value in its place; an exit code when the value makes no sense. */
static int take_option(int option, const char *value, struct feed_options *out)
{
    uint64_t *number = NULL;
    switch (option) {
    case 's':
        out->stream = value;
        if (strncmp(value, "local.", 6) == 0 || strncmp(value, "alert.", 6) == 0) {
            log_error("--stream %s: local and alert are the daemon's own streams", value);
            return EX_USAGE;
        }
        if (wire_name_is_valid(value, strlen(value)))
            return 0;
        log_error("--stream %s: a stream is <feed>.<partition>, such as registration.0", value);
        return EX_USAGE;
    case 'j':
        out->journal = value;
        return 0;
    case 'p':
    case 'f':
        *(option == 'p' ? &out->publish : &out->fetch) = value;
        return 0;
    case 'C':
        out->curve = value;
        return 0;
    case 'A':
        out->allow = value;
        return 0;
    case 'o':
        out->out = value;
        return 0;
    case 'k':
        out->pseudonym_key = value;
        return 0;
    case 'K':
        out->has_keep_from = true;
        number = &out->keep_from;
        break;
    case 'F':
        number = &out->from;
        break;
    case 'n':
        number = &out->count;
        break;
    case 'D':
        out->drop = true;
        return 0;
    default:
        return EX_USAGE;
    }
    if (parse_number(value, number))
        return 0;
    log_error("%s: not a number from 0 to 9223372036854775807", value);
    return EX_USAGE;
}

/* Nothing is reachable from beyond this machine without keys and a list of who may come. */
static int check_curve(const struct feed_options *o)
{
    const char *values[] = {o->publish, o->fetch}, *names[] = {"publish", "fetch"};
    if (!o->curve != !o->allow) {
        log_error("--curve and --allow belong together: a key, and the list of the keys that are let in");
        return EX_USAGE;
    }
    for (int i = 0; i < 2 && !o->curve; i++) {
        if (!values[i] || feed_endpoint_is_local(values[i]))
            continue;
        log_error(
            "--%s %s: without CURVE nothing is reachable from beyond this machine; add --curve FILE --allow "
            "FILE (teldag-feed keygen makes the key), or use tcp://127.0.0.1:PORT, tcp://[::1]:PORT or "
            "ipc://PATH",
            names[i], values[i]);
        return EX_CONFIG;
    }
    return 0;
}

static int require(bool given, const char *command, const char *name)
{
    if (given)
        return 0;
    log_error("%s needs --%s", command, name);
    return EX_USAGE;
}

int feed_options_parse(int argc, char **argv, const char *letters, struct feed_options *out)
{
    int option, err = 0, index = 0;
    memset(out, 0, sizeof *out);
    out->count = UINT64_MAX;
    optind = 1;
    while ((option = getopt_long(argc, argv, "+h", table, &index)) != -1) {
        if (option == 'h') {
            feed_usage(false);
            return -1;
        }
        if (option == '?') {
            feed_usage(true);
            return EX_USAGE;
        }
        if (!strchr(letters, option)) {
            log_error("%s has no option --%s", argv[0], table[index].name);
            return EX_USAGE;
        }
        err = take_option(option, optarg, out);
        if (err)
            return err;
    }
    if (optind < argc) {
        log_error("%s takes no %s", argv[0], argv[optind]);
        return EX_USAGE;
    }
    err = require(!strchr(letters, 'j') || out->journal != NULL, argv[0], "journal");
    if (!err && strchr(letters, 'k'))
        err = require(out->stream != NULL, argv[0], "stream");
    if (!err && strchr(letters, 'p'))
        err = require(out->publish != NULL, argv[0], "publish");
    if (!err && strchr(letters, 'f'))
        err = require(out->fetch != NULL, argv[0], "fetch");
    if (!err && strchr(letters, 'K'))
        err = require(out->has_keep_from, argv[0], "keep-from");
    if (!err && strchr(letters, 'o'))
        err = require(out->out != NULL, argv[0], "out");
    if (!err)
        err = check_curve(out);
    return err;
}

int feed_options_load_keys(const struct feed_options *options, struct pseudonym_keys **out)
{
    char error[512];
    *out = NULL;
    if (!options->pseudonym_key)
        return 0;
    *out = pseudonym_keys_load(options->pseudonym_key, error, sizeof error);
    if (*out)
        return 0;
    log_error("--pseudonym-key %s", error);
    return EX_CONFIG;
}
