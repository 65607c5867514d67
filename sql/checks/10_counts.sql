-- Stored counts are those of the registrations that stand, recounted from the log (regulation 1).
SELECT 'count differs from the log' AS what,
       teldag_data.year_name(school_year) || ' ' || school_id || ' ' || grp AS key,
       CASE WHEN s.pupils IS NULL THEN 'no row'
            ELSE ROW(s.pupils, s.gok_pupils, s.thuistaal, s.schooltoelage, s.opleiding_moeder, s.thuisloos, s.trekkend, s.buurt,
                     s.cells)::text END AS stored,
       CASE WHEN c.pupils IS NULL THEN 'no row'
            ELSE ROW(c.pupils, c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend, c.buurt,
                     c.cells)::text END AS computed
FROM teldag_data.count_state s
FULL JOIN teldag_check.count c USING (school_year, school_id, grp)
WHERE (s.pupils, s.gok_pupils, s.thuistaal, s.schooltoelage, s.opleiding_moeder, s.thuisloos, s.trekkend, s.buurt, s.cells)
      IS DISTINCT FROM
      (c.pupils, c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend, c.buurt, c.cells);
