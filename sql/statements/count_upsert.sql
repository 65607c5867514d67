INSERT INTO teldag_data.count_state
SELECT y, s, g, n, gok, i0, i1, i2, i3, i4, i5, cells::int[]
  FROM unnest($1::smallint[], $2::int[], $3::text[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[],
              $11::int[], $12::text[]) AS u (y, s, g, n, gok, i0, i1, i2, i3, i4, i5, cells)
ON CONFLICT (school_year, school_id, grp) DO UPDATE
   SET pupils = excluded.pupils, gok_pupils = excluded.gok_pupils, thuistaal = excluded.thuistaal,
       schooltoelage = excluded.schooltoelage, opleiding_moeder = excluded.opleiding_moeder, thuisloos = excluded.thuisloos,
       trekkend = excluded.trekkend, buurt = excluded.buurt, cells = excluded.cells
