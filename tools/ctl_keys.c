/* SPDX-License-Identifier: MIT
 *
 * teldagctl keys: makes a pair of CURVE keys. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/curve_keys.h"
#include "tools/ctl.h"

int ctl_keys(struct ctl *ctl)
{
    const char *out = ctl_option(ctl, "--out");
    char public_key[CURVE_KEY_TEXT], error[512];
    int code;

    if (ctl->argc != 1 || strcmp(ctl->argv[0], "generate") != 0 || !out || !*out)
        return ctl_usage("keys generate --out FILE");
    code = curve_keys_generate(out, public_key, error, sizeof error);
    if (code)
        return ctl_fail(code, "%s", error);
    puts(public_key);
    return EX_OK;
}
