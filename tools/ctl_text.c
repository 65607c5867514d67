/* SPDX-License-Identifier: MIT
 *
 * What comes from outside, made fit for a terminal: names of schools, texts of databases and registries, whatever the
 * daemon passes on. */
#include "tools/ctl.h"

/* Names and keys come from outside: none may move the cursor or look like a line of ours. */
void ctl_disarm(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < ' ' || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0) /* C1 controls */
            p[0] = p[1] = '?';
        else if (p[0] == 0xE2 && ((p[1] == 0x80 && ((p[2] >= 0xA8 && p[2] <= 0xAE))) ||
                                  (p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9)))
            p[0] = p[1] = p[2] = '?'; /* separators of lines, and what turns the direction of writing */
    }
}

struct json_value *ctl_parse(const char *line, char *error, size_t error_len)
{
    struct json_value *v = json_parse(line, error, error_len);

    json_change_strings(v, ctl_disarm);
    return v;
}
