/* SPDX-License-Identifier: MIT
 *
 * The answering side of TFP/1 (docs/protocol/tfp1.md, section 5), for every publisher there is: what a HELLO or FETCH
 * is answered with, given what is kept. Pure: no sockets, no journal, no database. */
#pragma once

#include "daemon/wire.h"

struct
    answer_kept { /* sequences first to next - 1 of the epoch; the first may be asked for, next is to be written */
    uint64_t epoch, first, next;
};
enum answer_kind { ANSWER_HEAD, ANSWER_RECORDS, ANSWER_GONE, ANSWER_EPOCH };
struct answer {
    enum answer_kind kind;
    uint64_t from, until; /* RECORDS: at most [from, until), then a head */
    uint64_t shown;       /* the header's sequence; of RECORDS that of the head behind them */
};

struct answer answer_hello(const struct answer_kept *kept);
struct answer answer_fetch(const struct answer_kept *kept, const struct wire_header *request,
                           uint32_t max_events);
