/* SPDX-License-Identifier: MIT
 *
 * The feed school: one school.upsert.v1 a school. What is unpublished stays null; nothing is guessed from a
 * name or a postcode. */
#include "tools/feed_generate_model.h"

int gen_feed_school(struct gen_world *world, struct gen_output *out)
{
    out->may_repeat_late = true;
    out->now_s = (int64_t)gen_date(world->options->years[0], 8, 20) * 86400 + 7 * 3600;
    for (int i = 0; i < world->school_count; i++) {
        const struct gen_school *school = &world->schools[i];
        out->now_s += 2;
        char *p = gen_event_begin(out, "school.upsert.v1", school->id);
        if (!p)
            continue;
        p = gen_put_number(gen_put(p, "\"school_id\":\""), school->id);
        p = gen_put_json(gen_put(p, "\",\"name\":"), school->name);
        p = gen_put_json(gen_put(p, ",\"level\":"), gen_level_names[school->level]);
        p = gen_put_json(gen_put(p, ",\"network\":"), school->network);
        p = gen_put_json(gen_put(p, ",\"province\":"), school->province);
        p = gen_put_json(gen_put(p, ",\"municipality\":"), school->municipality);
        p = gen_put(p, school->brussels ? ",\"brussels\":true" : ",\"brussels\":false");
        if (school->published)
            p = gen_put(p, ",\"board_id\":null");
        else /* boards of about three schools */
            p = gen_put(gen_put_number(gen_put(p, ",\"board_id\":\"board-"), school->id / 3), "\"");
        p = gen_put(p, ",\"closed_on\":null,\"successor_id\":null");
        gen_event_end(out, p, school->id);
    }
    gen_output_late(out);
    return ERR_OK;
}
