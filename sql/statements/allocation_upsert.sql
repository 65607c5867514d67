INSERT INTO teldag_data.allocation_state
SELECT y, s, st, g, n, gok, t, p, he, h, m, status, f, granted, mp, mh, r
  FROM unnest($1::smallint[], $2::int[], $3::text[], $4::text[], $5::int[], $6::int[], $7::numeric[], $8::numeric[], $9::numeric[],
              $10::int[], $11::int[], $12::text[], $13::numeric[], $14::int[], $15::int[], $16::int[], $17::text[])
       AS u (y, s, st, g, n, gok, t, p, he, h, m, status, f, granted, mp, mh, r)
ON CONFLICT (school_year, school_id, staffing, grp) DO UPDATE
   SET pupils = excluded.pupils, gok_pupils = excluded.gok_pupils, threshold = excluded.threshold, points = excluded.points,
       hours_exact = excluded.hours_exact, hours = excluded.hours, minimum = excluded.minimum, status = excluded.status,
       sanction_factor = excluded.sanction_factor, granted = excluded.granted, margin_pupils = excluded.margin_pupils,
       margin_hours = excluded.margin_hours, rules = excluded.rules
