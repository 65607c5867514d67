/* SPDX-License-Identifier: MIT
 *
 * teldagd: the table of contents. Options, configuration, the parts from top to bottom, the main loop, the
 * parts from bottom to top. */
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/lifecycle.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/options.h"
#include "daemon/process.h"
#include "daemon/signals.h"
#include "workers/operator.h"
#include "workers/service.h"

static const struct lifecycle_step steps[] = {
    {"message bus", service_start_bus, service_stop_bus},
    {"streams", service_start_streams, service_stop_streams},
    {"publisher", service_start_publisher, service_stop_publisher},
    {"writer", service_start_writer, service_stop_writer},
    {"control socket", service_start_control, service_stop_control},
    {"metrics", service_start_metrics, service_stop_metrics},
    {"intake", NULL, service_stop_intake},
    {"receivers", service_start_receivers, service_stop_receivers},
};
#define STEPS (sizeof steps / sizeof *steps)

/* Configuration, rules and keys. -1: go on; otherwise the exit code. */
static int load(const struct options *options, struct service *service)
{
    char error[1024];
    service->config = config_load(options->config_path, error, sizeof error);
    if (!service->config) {
        fprintf(stderr, "teldagd: %s\n", error);
        return EX_CONFIG;
    }
    if (options->print_config)
        config_print(service->config, stdout);
    if (options->print_config && !options->check_config)
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    int code = service_load_files(service->config, &service->rules, &service->keys, error, sizeof error);
    if (code) {
        fprintf(stderr, "teldagd: %s\n", error);
        return code;
    }
    code = service_curve_load(service->config, &service->curve, error, sizeof error);
    if (code) {
        fprintf(stderr, "teldagd: %s\n", error);
        return code;
    }
    if (options->check_config)
        fprintf(options->print_config ? stderr : stdout, "configuration OK\n");
    return options->check_config ? EX_OK : -1;
}

static int run(struct service *service, struct notify *notify)
{
    /* Signals are blocked before the first thread: no later one may take them. No fork after the bus exists.
     */
    int signal_fd = signals_open();
    if (signal_fd < 0 || notify_init(notify) != 0) {
        log_error(signal_fd < 0 ? "no signal descriptor"
                                : "NOTIFY_SOCKET is not a socket that can be written to");
        return EX_OSERR;
    }
    char error[256];
    if (!process_has_descriptors(service_descriptors(service), error, sizeof error)) {
        log_error("%s", error);
        return EX_OSERR;
    }
    int code = lifecycle_start(steps, STEPS, service);
    if (code == 0) {
        log_notice("teldagd %s is ready; control socket %s", TELDAGD_VERSION, service->config->control);
        notify_ready(notify);
        struct loop loop = {signal_fd,
                            notify,
                            service,
                            operator_reload_later,
                            service_progress,
                            service_waits,
                            service_status_line,
                            service_failed};
        code = loop_run(&loop);
        notify_stopping(notify);
        signals_let_kill();
        lifecycle_stop(steps, STEPS, service);
        log_notice("stopped");
    }
    notify_fini(notify);
    close(signal_fd);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct notify notify = {.fd = -1};
    struct service service = {.notify = &notify, .reload_mutex = PTHREAD_MUTEX_INITIALIZER};

    process_forbid_dumps();
    process_prepare();
    int code = options_parse(&options, argc, argv);
    if (code < 0) {
        log_init("teldagd", LOG_LEVEL_INFO);
        process_take_credentials();
        service.fixed_today = options.today;
        service.started_us = clock_monotonic_us();
        code = load(&options, &service);
    }
    if (code < 0)
        code = run(&service, &notify);
    rules_free(&service.rules);
    pseudonym_keys_free(&service.keys);
    service_curve_free(&service.curve);
    config_free(&service.config);
    return code;
}
