/* SPDX-License-Identifier: MIT
 *
 * Decides what a pupil's controls mean, from the whole list each time. Re-evaluated with every change of one of
 * them; no day of the clock changes anything. */
#include "workers/huisonderwijs.h"

#include <string.h>

int controle_compare(const void *a, const void *b)
{
    const struct controle *x = a, *y = b;

    if (x->date != y->date)
        return x->date < y->date ? -1 : 1;
    return strcmp(x->controle_id, y->controle_id);
}

/* Regulation 7: (1) a sufficient control ends whatever was; (2) a first insufficient or refused one asks for
 * a second; (3) two in a row: the pupil must enrol in a school, and more of them change nothing. The ordinal that the
 * inspection wrote down decides nothing: it starts again every school year, the rule does not. */
enum huisonderwijs_state huisonderwijs_judge(const struct controle *controles, size_t count, size_t *cause)
{
    enum huisonderwijs_state state = HUISONDERWIJS_CALM;

    *cause = 0;
    for (size_t i = 0; i < count; i++) {
        if (controles[i].sufficient) { /* (1) */
            state = HUISONDERWIJS_CALM;
        } else if (state != HUISONDERWIJS_MUST_ENROL) {
            state = state == HUISONDERWIJS_CALM ? HUISONDERWIJS_DUE : HUISONDERWIJS_MUST_ENROL; /* (2), (3) */
            *cause = i;
        }
    }
    return state;
}
