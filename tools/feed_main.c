/* SPDX-License-Identifier: MIT
 *
 * teldag-feed: the gateway by which a registry feeds teldagd. Only finds the command. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/process.h"
#include "tools/feed_append.h"
#include "tools/feed_generate.h"
#include "tools/feed_key.h"
#include "tools/feed_keygen.h"
#include "tools/feed_options.h"
#include "tools/feed_serve.h"
#include "tools/feed_trim.h"

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv); /* argv[0] = the command's name */
} commands[] = {
    {"serve", feed_serve_main},         {"append", feed_append_main},     {"trim", feed_trim_main},
    {"dump", feed_dump_main},           {"generate", feed_generate_main}, {"pseudonym-key", feed_key_main},
    {"new-epoch", feed_new_epoch_main}, {"keygen", feed_keygen_main},
};

/* A closed descriptor 0-2 would be given to the journal or a socket, and written to as if it were standard
 * output. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    process_forbid_dumps(); /* national numbers pass through our memory */
    hold_standard_descriptors();
    log_init("teldag-feed", LOG_LEVEL_INFO);
    if (argc < 2) {
        feed_usage(true);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("teldag-feed " TELDAGD_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        feed_usage(false);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    log_error("%s: no such command", argv[1]);
    feed_usage(true);
    return EX_USAGE;
}
