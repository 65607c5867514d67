/* SPDX-License-Identifier: MIT
 *
 * Events of school years whose pupils have gone. What such an event said is not kept: its place in the stream and its type are. */
#include "workers/retention.h"

#include <stdio.h>
#include <string.h>

#include "workers/allocation.h"

/* The school year's column of each log that names pupils. */
static int year_column(enum log_table_no table)
{
    switch ((int)table) {
    case LOG_REGISTRATION:
        return REG_YEAR;
    case LOG_VERKLARING:
        return VER_YEAR;
    case LOG_CONTROLE:
        return CON_YEAR;
    case LOG_POAH:
        return POAH_YEAR;
    case LOG_VLP:
        return VLP_YEAR;
    case LOG_TOAH:
        return TOAH_YEAR;
    default:
        return -1;
    }
}

int retention_year(const struct event_batch *batch, const struct event *event)
{
    int column = event->type < EVENT_TYPE_COUNT ? year_column(event_kinds[event->type].table) : -1;

    if (column < 0 || event_is_null(event, column))
        return -1;
    return (int)event_values(batch, event)[column].num;
}

void retention_reason(int year, const struct event *event, char out[RETENTION_REASON_MAX])
{
    char text[YEAR_TEXT_MAX];

    year_format(year, text);
    snprintf(out, RETENTION_REASON_MAX, "school year %s is closed by retention (%s)", text,
             event_kinds[event->type].type);
}

int retention_refuse(struct event_batch *batch, int before)
{
    char reason[RETENTION_REASON_MAX];
    int refused = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        struct event *e = &batch->events[i];
        int year = retention_year(batch, e);

        if (year < 0 || year >= before)
            continue;
        retention_reason(year, e, reason);
        if (batch_add_text(batch, reason, strlen(reason), &e->reason))
            return ERR_NOMEM;
        e->raw = (struct text){0, 0};
        e->id = e->source = (struct text){0, 0};
        e->type = EVENT_DEAD;
        refused++;
    }
    return refused;
}
