/* SPDX-License-Identifier: MIT
 *
 * libFuzzer target: any bytes as an event line. Decoding never crashes, always yields one event, and a dead
 * letter's raw bytes decode again (as `dead-letter retry` does). Build: clang
 * -fsanitize=fuzzer,address,undefined with the objects that tests/unit/test_event_decode.c names. */
#include <stdlib.h>
#include <string.h>

#include "workers/event.h"
#include "workers/pseudonym.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_only(const void *context, int year, const char digits[11], uint8_t out[16], uint32_t *key_id)
{
    (void)context;
    *key_id = (uint32_t)year;
    memset(out, 0x5a, 16);
    return rrn_is_valid(digits) ? 0 : ERR_INVALID;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_decoder *decoder;
    static struct event_batch *batch;
    if (!decoder) {
        decoder = event_decoder_new(check_only, NULL, pseudonym_scrub);
        batch = event_batch_new();
    }
    batch->count = batch->value_count = 0;
    batch->arena_len = 0;
    if (event_decode(decoder, batch, (const char *)data, size) || batch->count != 1)
        abort();
    const struct event *e = batch->events;
    if (e->type != EVENT_DEAD)
        return 0;
    if (e->reason.len == 0)
        abort();
    char *raw = malloc(e->raw.len + 1u);
    size_t len = e->raw.len;
    if (!raw)
        return 0;
    memcpy(raw, batch_text(batch, e->raw), len);
    if (event_decode(decoder, batch, raw, len) || batch->count != 2)
        abort();
    free(raw);
    return 0;
}
