/* SPDX-License-Identifier: MIT
 *
 * What a configuration value may be. Nothing here opens, resolves or connects anything: a name that is not
 * loopback by its spelling counts as beyond this machine, because what a resolver says can change after the
 * check. */
#include "daemon/config_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define CONNINFO_MAX 1000
#define NO_PASSWORD                                                                                          \
    "a password does not belong in this file; use a passfile (passfile=/path) or peer authentication"
#define NO_CONNINFO                                                                                          \
    "not a connection string; write \"host=/run/postgresql dbname=teldag\" or \"postgresql://host/dbname\""
#define NO_IPV6     "endpoints over IPv6 are not supported; use 127.0.0.1"
#define NO_ENDPOINT "not an endpoint; write tcp://127.0.0.1:5601 or ipc:///path"

static bool is_secret_keyword(const char *word, size_t len)
{
    static const char *const secret[] = {"password", "sslpassword"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (len == strlen(secret[i]) && strncasecmp(word, secret[i], len) == 0)
            return true;
    return false;
}

/* postgresql://user:password@host/db?password=...: percent-encoding cannot hide a keyword, so it is undone.
 */
static const char *check_uri(const char *rest)
{
    size_t authority = strcspn(rest, "/?");
    /* libpq looks for the '@' before the first '/', as we do */
    const char *at = memchr(rest, '@', authority);
    if (at && memchr(rest, ':', (size_t)(at - rest)))
        return NO_PASSWORD;

    const char *query = strchr(rest + (at ? at - rest : 0), '?');
    while (query) {
        query++;
        char keyword[64];
        size_t n = 0;
        const char *p = query;
        while (*p && *p != '=' && *p != '&' && n < sizeof keyword - 1) {
            unsigned byte;
            if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) &&
                sscanf(p + 1, "%2x", &byte) == 1) {
                keyword[n++] = (char)byte;
                p += 3;
            } else {
                keyword[n++] = *p++;
            }
        }
        if (is_secret_keyword(keyword, n))
            return NO_PASSWORD;
        query = strchr(query, '&');
    }
    return NULL;
}

/* One value of keyword = value: quoted or up to the next blank, backslash escapes in both. NULL: not closed.
 */
static const char *skip_value(const char *p)
{
    bool quoted = *p == '\'';
    if (quoted)
        p++;
    for (; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (quoted ? *p == '\'' : isspace((unsigned char)*p))
            return quoted ? p + 1 : p;
    }
    return quoted ? NULL : p;
}

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

const char *config_check_conninfo(const char *value)
{
    const char *p = skip_blanks(value);
    if (*p == '\0')
        return "is empty";
    if (strlen(value) > CONNINFO_MAX)
        return "is longer than 1000 bytes";
    if (strncmp(p, "postgresql://", 13) == 0)
        return check_uri(p + 13);
    if (strncmp(p, "postgres://", 11) == 0)
        return check_uri(p + 11);
    while (*p) {
        const char *keyword = p;
        while (*p && *p != '=' && !isspace((unsigned char)*p))
            p++;
        size_t len = (size_t)(p - keyword);
        p = skip_blanks(p);
        if (*p != '=' || len == 0)
            return NO_CONNINFO;
        if (is_secret_keyword(keyword, len))
            return NO_PASSWORD;
        p = skip_value(skip_blanks(p + 1));
        if (!p)
            return NO_CONNINFO;
        p = skip_blanks(p);
    }
    return NULL;
}

const char *config_check_path(const char *value)
{
    return value[0] ? NULL : "is empty; write a path";
}

const char *config_check_socket_path(const char *value)
{
    if (!value[0])
        return "is empty; write a path";
    if (strlen(value) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return "is longer than the 107 bytes a unix socket can have";
    return NULL;
}

static bool parse_port(const char *text, int *port)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    *port = atoi(text);
    return *port >= 1 && *port <= 65535;
}

/* "host:port" or "[v6]:port". */
static bool split_host_port(const char *text, char *host, size_t host_len, int *port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !parse_port(colon + 1, port))
        return false;
    size_t len = (size_t)(colon - text);
    if (text[0] == '[') {
        if (len < 3 || text[len - 1] != ']')
            return false;
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return false;
    }
    if (len >= host_len)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    struct in6_addr v6;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static const char *check_endpoint(const char *value, bool bind)
{
    if (strncmp(value, "ipc://", 6) == 0) {
        if (!value[6] || value[6] == '*' || value[6] == '@')
            return NO_ENDPOINT;
        return strlen(value + 6) > 100 ? "is longer than a unix socket's path can be" : NULL;
    }
    char host[256];
    int port;
    if (strncmp(value, "tcp://", 6) != 0 || !split_host_port(value + 6, host, sizeof host, &port))
        return NO_ENDPOINT;
    /* A bind takes an address or an interface's name, never a host name. */
    if (strcmp(host, "localhost") == 0)
        return bind ? "a socket is bound to an address, not to a name; write 127.0.0.1" : NULL;
    return strchr(host, ':') ? NO_IPV6 : NULL;
}

bool config_endpoint_is_local(const char *value)
{
    char host[256];
    int port;
    if (strncmp(value, "ipc://", 6) == 0)
        return true;
    return strncmp(value, "tcp://", 6) == 0 && split_host_port(value + 6, host, sizeof host, &port) &&
           (strcmp(host, "localhost") == 0 || is_loopback(host));
}

const char *config_check_connect(const char *value)
{
    return check_endpoint(value, false);
}

const char *config_check_bind(const char *value)
{
    return check_endpoint(value, true);
}

bool config_split_listener(const char *value, char *host, size_t host_len, int *port)
{
    return split_host_port(value, host, host_len, port) && is_numeric(host);
}

const char *config_check_listener(const char *value)
{
    char host[64];
    int port;
    if (!value[0])
        return NULL; /* off */
    if (!config_split_listener(value, host, sizeof host, &port))
        return "not an address and port; write \"127.0.0.1:9464\", or \"\" for off";
    if (!is_loopback(host))
        return "reaches beyond loopback; metrics are served on this machine only, write \"127.0.0.1:9464\"";
    return NULL;
}

bool config_split_shard(const char *value, int *shard, int *shards)
{
    int used = 0;
    if (sscanf(value, "%4d/%4d%n", shard, shards, &used) != 2 || value[used] ||
        !isdigit((unsigned char)value[0]))
        return false;
    const char *slash = strchr(value, '/');
    return isdigit((unsigned char)slash[1]) && *shards >= 1 && *shards <= 1024 && *shard < *shards;
}
