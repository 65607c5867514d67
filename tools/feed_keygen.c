/* SPDX-License-Identifier: MIT
 *
 * The same keys as `teldagctl keys generate` makes, for a machine that has only the feeder. */
#include "tools/feed_keygen.h"

#include <stdio.h>
#include <sysexits.h>

#include "daemon/curve_keys.h"
#include "daemon/log.h"
#include "tools/feed_options.h"

int feed_keygen_main(int argc, char **argv)
{
    struct feed_options options;
    char public_key[CURVE_KEY_TEXT], error[512];
    int code = feed_options_parse(argc, argv, "o", &options);
    if (code)
        return code < 0 ? 0 : code;
    code = curve_keys_generate(options.out, public_key, error, sizeof error);
    if (code)
        log_error("%s", error);
    else
        puts(public_key);
    return code;
}
