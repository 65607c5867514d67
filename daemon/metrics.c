/* SPDX-License-Identifier: MIT
 *
 * The loopback listener. GET and HEAD on known paths, nothing else; few connections, short time-outs: a
 * scraper that hangs must not hold anything. */
#include "daemon/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "daemon/config_check.h"

struct metrics {
    struct MHD_Daemon *http;
    const struct metrics_page *pages;
    void *context;
};

static enum MHD_Result answer(struct MHD_Connection *connection, int status, const char *content_type,
                              char *body, bool owned)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(body), body, owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        if (owned)
            free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *closure, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    static char not_found[] = "not found: /metrics, /healthz, /readyz\n", only_get[] = "only GET and HEAD\n";
    static int seen;
    struct metrics *m = closure;
    if (!*request) { /* headers only so far: libmicrohttpd calls again */
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_size) { /* a body nobody asked for is read and dropped */
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", only_get, false);
    const struct metrics_page *page = m->pages;
    while (page->path && strcmp(page->path, url) != 0)
        page++;
    if (!page->path)
        return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain", not_found, false);

    struct json_writer body;
    json_writer_init(&body);
    int status = page->render(m->context, &body);
    char *text = json_writer_take(&body);
    return text ? answer(connection, status, page->content_type, text, true) : MHD_NO;
}

/* Host and port into a socket address; 0 when it is not loopback. */
static socklen_t make_address(const char *address, struct sockaddr_storage *out)
{
    char host[64];
    int port;
    if (config_check_listener(address) || !config_split_listener(address, host, sizeof host, &port))
        return 0;
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

struct metrics *metrics_start(const char *address, const struct metrics_page *pages, void *context,
                              char *error, size_t error_len)
{
    struct sockaddr_storage bound;
    if (make_address(address, &bound) == 0) {
        const char *wrong = config_check_listener(address);
        snprintf(error, error_len, "metrics on \"%s\": %s", address, wrong ? wrong : "is empty");
        return NULL;
    }
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) {
        snprintf(error, error_len, "metrics: out of memory");
        return NULL;
    }
    m->pages = pages;
    m->context = context;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    if (bound.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    m->http =
        MHD_start_daemon(flags, 0, NULL, NULL, handle, m, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&bound,
                         MHD_OPTION_CONNECTION_LIMIT, 32u, MHD_OPTION_CONNECTION_TIMEOUT, 5u,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
    if (!m->http) {
        snprintf(error, error_len, "metrics on %s: %s", address, errno ? strerror(errno) : "cannot listen");
        free(m);
        return NULL;
    }
    return m;
}

void metrics_stop(struct metrics **metrics)
{
    if (!*metrics)
        return;
    MHD_stop_daemon((*metrics)->http);
    free(*metrics);
    *metrics = NULL;
}
