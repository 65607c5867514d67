/* SPDX-License-Identifier: MIT
 *
 * Institutions of the levels that are inspected but not counted: dko, vwo, clb, naft. school.upsert.v1 as for the
 * schools, in a feed of their own (also of the stream school), so that who wants schools with pupils has only these. */
#include "tools/feed_generate_small.h"

int gen_feed_institution(struct gen_world *world, struct gen_output *out)
{
    static const char *const networks[] = {"vrij", "officieel", "go"};
    out->may_repeat_late = true;
    out->now_s = (int64_t)gen_date(world->options->years[0], 8, 21) * 86400 + 7 * 3600;
    for (int i = world->school_count; i < gen_place_count(world); i++) {
        uint32_t id = gen_place_id(world, i);
        const char *level = gen_place_level_names[gen_place_level(world, i)];
        out->now_s += 2;
        char *p = gen_event_begin(out, "school.upsert.v1", id);
        if (!p)
            continue;
        p = gen_put_number(gen_put(p, "\"school_id\":\""), id);
        p = gen_put(gen_put(p, "\",\"name\":\"Generated "), level);
        p = gen_put_number(gen_put(p, " "), id);
        p = gen_put_json(gen_put(p, "\",\"level\":"), level);
        p = gen_put_json(gen_put(p, ",\"network\":"),
                         networks[gen_draw(world->options->seed, GEN_P_SCHOOL, id, 1) % 3]);
        p = gen_put_json(gen_put(p, ",\"province\":"), gen_place_province(world, i));
        p = gen_put(p, ",\"municipality\":null,\"brussels\":false,\"board_id\":null,\"closed_on\":null,"
                       "\"successor_id\":null");
        gen_event_end(out, p, id);
    }
    gen_output_late(out);
    return ERR_OK;
}
