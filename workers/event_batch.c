/* SPDX-License-Identifier: MIT
 *
 * The memory of a batch: three arrays that grow geometrically (events, values, text) and never shrink while
 * the batch lives. An event becomes part of the batch only when event_close() counts it, so running out of
 * memory half-way leaves the batch as it was. Dead letters enter here, since everything kept raw must be
 * scrubbed (P6). */
#include "workers/event.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire.h"

/* Small: a queue may be full of batches of one event, from a publisher of small messages. */
#define ITEMS_FIRST 4
#define ARENA_FIRST 256

struct event_batch *event_batch_new(void)
{
    return calloc(1, sizeof(struct event_batch));
}

void event_batch_free(struct event_batch **batch)
{
    if (!*batch)
        return;
    free((*batch)->events);
    free((*batch)->values);
    free((*batch)->arena);
    free(*batch);
    *batch = NULL;
}

const char *batch_text(const struct event_batch *batch, struct text text)
{
    return text.len ? batch->arena + text.offset : "";
}

/* Room for `wanted` items of `size` bytes in *items; ERR_NOMEM leaves everything as it is. */
static int grow_array(void **items, uint32_t *capacity, uint64_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return 0;
    uint64_t room = *capacity ? *capacity : ITEMS_FIRST;
    while (room < wanted)
        room *= 2;
    if (room > UINT32_MAX)
        return ERR_NOMEM;
    void *p = realloc(*items, room * size);
    if (!p)
        return ERR_NOMEM;
    *items = p;
    *capacity = (uint32_t)room;
    return 0;
}

static int grow_arena(struct event_batch *b, size_t more)
{
    size_t wanted = b->arena_len + more;
    if (wanted <= b->arena_capacity)
        return 0;
    if (wanted > UINT32_MAX) /* struct text could not point there */
        return ERR_NOMEM;
    size_t room = b->arena_capacity ? b->arena_capacity : ARENA_FIRST;
    while (room < wanted)
        room *= 2;
    char *p = malloc(room); /* not realloc: a text that is not scrubbed yet must not stay behind */
    if (!p)
        return ERR_NOMEM;
    if (b->arena_len)
        memcpy(p, b->arena, b->arena_len);
    if (b->arena)
        explicit_bzero(b->arena, b->arena_len);
    free(b->arena);
    b->arena = p;
    b->arena_capacity = room;
    return 0;
}

struct event *event_open(struct event_batch *batch, int columns)
{
    assert(columns >= 0 && columns <= EVENT_COLUMNS_MAX);
    if (grow_array((void **)&batch->events, &batch->capacity, (uint64_t)batch->count + 1,
                   sizeof *batch->events) ||
        grow_array((void **)&batch->values, &batch->value_capacity,
                   (uint64_t)batch->value_count + (unsigned)columns, sizeof *batch->values))
        return NULL;
    struct event *e = batch->events + batch->count;
    *e = (struct event){
        .seq = batch->first_seq + batch->count,
        .first_value = batch->value_count,
        .nulls = (1u << columns) - 1,
    };
    if (columns)
        memset(batch->values + batch->value_count, 0, (size_t)columns * sizeof *batch->values);
    return e;
}

void event_close(struct event_batch *batch, int columns)
{
    batch->count++;
    batch->value_count += (uint32_t)columns;
}

void event_drop(struct event_batch *batch, size_t arena_len)
{
    assert(arena_len <= batch->arena_len);
    batch->arena_len = arena_len;
}

int batch_add_text(struct event_batch *batch, const char *bytes, size_t len, struct text *out)
{
    int err = grow_arena(batch, len);
    if (err)
        return err;
    if (len)
        memcpy(batch->arena + batch->arena_len, bytes, len);
    *out = (struct text){(uint32_t)batch->arena_len, (uint32_t)len};
    batch->arena_len += len;
    return 0;
}

/* Copies bytes to the arena's end and scrubs them there. */
static int add_scrubbed(struct event_batch *batch, const char *bytes, size_t len, scrub_fn scrub,
                        struct text *out)
{
    int err = batch_add_text(batch, bytes, len, out);
    if (err || !len)
        return err;
    size_t left = scrub ? scrub(batch->arena + out->offset, len) : len;
    assert(left <= len);
    if (left > WIRE_EVENT_MAX) /* only now: a cut through a number would hide it from the scrubbing */
        left = WIRE_EVENT_MAX;
    explicit_bzero(batch->arena + out->offset + left, len - left);
    out->len = (uint32_t)left;
    batch->arena_len = out->offset + left;
    return 0;
}

int event_append_dead(struct event_batch *batch, const char *reason, const char *raw, size_t len,
                      scrub_fn scrub)
{
    size_t arena_len = batch->arena_len;
    struct event *e = event_open(batch, 0);
    if (!e)
        return ERR_NOMEM;
    e->type = EVENT_DEAD;
    int err = add_scrubbed(batch, reason, strlen(reason), scrub, &e->reason);
    if (!err)
        err = add_scrubbed(batch, raw, len, scrub, &e->raw);
    if (err) {
        event_drop(batch, arena_len);
        return err;
    }
    event_close(batch, 0);
    return 0;
}
