/* SPDX-License-Identifier: MIT
 *
 * The values and rates that are fixed, a few hundred rows at most: searched from end to end. */
#include "workers/fixed.h"

#include <stdlib.h>

void fixed_free(struct fixed **fixed)
{
    if (!*fixed)
        return;
    free((*fixed)->budget);
    free((*fixed)->references);
    free(*fixed);
    *fixed = NULL;
}

/* Room for `more` rows of each kind beside the old ones. */
static struct fixed *copy_fixed(const struct fixed *old, size_t more)
{
    static const struct fixed none;
    struct fixed *f = calloc(1, sizeof *f);
    if (!old)
        old = &none;
    if (!f)
        return NULL;
    f->budget = calloc(old->budget_count + more + 1, sizeof *f->budget);
    f->references = calloc(old->reference_count + more + 1, sizeof *f->references);
    if (!f->budget || !f->references) {
        fixed_free(&f);
        return NULL;
    }
    for (size_t i = 0; i < old->budget_count; i++)
        f->budget[f->budget_count++] = old->budget[i];
    for (size_t i = 0; i < old->reference_count; i++)
        f->references[f->reference_count++] = old->references[i];
    return f;
}

struct fixed *fixed_with_budget(const struct fixed *old, int year, const struct budget_value *rows,
                                size_t count)
{
    struct fixed *f = copy_fixed(old, count);
    size_t kept = 0;
    if (!f)
        return NULL;
    for (size_t i = 0; i < f->budget_count; i++)
        if (f->budget[i].year != year)
            f->budget[kept++] = f->budget[i];
    for (size_t i = 0; i < count; i++)
        f->budget[kept++] = rows[i];
    f->budget_count = kept;
    return f;
}

struct fixed *fixed_with_references(const struct fixed *old, int year, const struct risk_reference *rows,
                                    size_t count)
{
    struct fixed *f = copy_fixed(old, count);
    size_t kept = 0;
    if (!f)
        return NULL;
    for (size_t i = 0; i < f->reference_count; i++)
        if (f->references[i].year != year)
            f->references[kept++] = f->references[i];
    for (size_t i = 0; i < count; i++)
        f->references[kept++] = rows[i];
    f->reference_count = kept;
    return f;
}

const struct budget_value *fixed_budget(const struct fixed *fixed, int year, enum level level,
                                        enum indicator indicator)
{
    for (size_t i = 0; fixed && i < fixed->budget_count; i++) {
        const struct budget_value *v = fixed->budget + i;
        if (v->year == year && v->level == level && v->indicator == indicator)
            return v;
    }
    return NULL;
}

const struct risk_reference *fixed_reference(const struct fixed *fixed, int year, enum level level,
                                             enum risk_indicator indicator)
{
    for (size_t i = 0; fixed && i < fixed->reference_count; i++) {
        const struct risk_reference *r = fixed->references + i;
        if (r->year == year && r->level == level && r->indicator == indicator)
            return r;
    }
    return NULL;
}
