/* SPDX-License-Identifier: MIT
 *
 * What the controls of one pupil in huisonderwijs mean (regulation 7), by (date, controle_id), across school
 * years. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct controle {
    const char *controle_id;
    int32_t date;
    int year;        /* school year */
    bool sufficient; /* voldoende; onvoldoende and geweigerd are not */
};
enum huisonderwijs_state {
    HUISONDERWIJS_CALM,      /* no control, or the last was sufficient */
    HUISONDERWIJS_DUE,       /* the last was a first insufficient one: a second must follow */
    HUISONDERWIJS_MUST_ENROL /* two or more insufficient in a row */
};

int controle_compare(const void *a, const void *b); /* for qsort(): (date, controle_id bytewise) */
/* controles in order. *cause: the control that brought the state about. */
enum huisonderwijs_state huisonderwijs_judge(const struct controle *controles, size_t count, size_t *cause);
