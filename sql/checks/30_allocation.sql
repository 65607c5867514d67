-- Every column of every allocation is what the counts and the rules in force give, recomputed in numeric (regulation 2).
SELECT 'allocation differs from the rules' AS what,
       teldag_data.year_name(school_year) || ' ' || school_id || ' ' || staffing || ' ' || grp AS key,
       CASE WHEN s.pupils IS NULL THEN 'no row'
            ELSE ROW(s.pupils, s.gok_pupils, trim_scale(s.threshold), trim_scale(s.points), trim_scale(s.hours_exact), s.hours,
                     s.minimum, s.status, trim_scale(s.sanction_factor), s.granted, s.margin_pupils, s.margin_hours)::text END
           AS stored,
       CASE WHEN c.pupils IS NULL THEN 'no row'
            ELSE ROW(c.pupils, c.gok_pupils, trim_scale(c.threshold), trim_scale(c.points), trim_scale(c.hours_exact), c.hours,
                     c.minimum, c.status, trim_scale(c.sanction_factor), c.granted, c.margin_pupils, c.margin_hours)::text END
           AS computed
FROM teldag_data.allocation_state s
FULL JOIN teldag_check.allocation c USING (school_year, school_id, staffing, grp)
WHERE (s.pupils, s.gok_pupils, s.threshold, s.points, s.hours_exact, s.hours, s.minimum, s.status, s.sanction_factor, s.granted,
       s.margin_pupils, s.margin_hours)
      IS DISTINCT FROM
      (c.pupils, c.gok_pupils, c.threshold, c.points, c.hours_exact, c.hours, c.minimum, c.status, c.sanction_factor, c.granted,
       c.margin_pupils, c.margin_hours);
