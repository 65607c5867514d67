/* SPDX-License-Identifier: MIT
 *
 * In the order the protocol tests: another epoch, what is gone, records. Never silently from elsewhere than asked. */
#include "daemon/answer.h"

struct answer answer_hello(const struct answer_kept *kept)
{
    return (struct answer){.kind = ANSWER_HEAD, .shown = kept->next};
}

struct answer answer_fetch(const struct answer_kept *kept, const struct wire_header *q, uint32_t max_events)
{
    struct answer a = answer_hello(kept);

    if (q->epoch != 0 && q->epoch != kept->epoch) {
        a.kind = ANSWER_EPOCH;
    } else if (q->first_seq < kept->first) {
        a.kind = ANSWER_GONE;
        a.shown = kept->first;
    } else if (q->first_seq < kept->next) {
        a.kind = ANSWER_RECORDS;
        a.from = q->first_seq;
        a.until = max_events < kept->next - q->first_seq ? q->first_seq + max_events : kept->next;
    }
    return a;
}
