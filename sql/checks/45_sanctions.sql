-- What readers see of evaluations and sanctions is what the reports say, recomputed (regulation 3).
SELECT 'sanction differs from the reports' AS what, coalesce(s.school_id, c.school_id) || ' ' || coalesce(s.first_year, c.first_year) AS key,
       coalesce(ROW(s.first_year, s.last_year)::text, 'no row') AS stored, coalesce(ROW(c.first_year, c.last_year)::text, 'no row') AS computed
FROM teldag.sanction s
FULL JOIN (SELECT k.school_id::text AS school_id, teldag_data.year_name(k.first_year) AS first_year,
                  teldag_data.year_name(k.last_year) AS last_year
           FROM teldag_check.sanction k WHERE k.last_year IS NULL OR k.last_year >= k.first_year) c
     ON c.school_id = s.school_id AND c.first_year = s.first_year AND c.last_year IS NOT DISTINCT FROM s.last_year
WHERE s.school_id IS NULL OR c.school_id IS NULL
UNION ALL
SELECT 'evaluation differs from the reports', coalesce(e.school_id, v.school_id), coalesce(e.negatives::text, 'no row'),
       coalesce(v.negatives::text, 'no row')
FROM teldag.evaluation e
FULL JOIN (SELECT x.school_id::text AS school_id, CASE x.gok WHEN 'negatief' THEN x.negatives ELSE 0 END AS negatives
           FROM teldag_check.verdict x WHERE x.is_last) v USING (school_id)
WHERE e.negatives IS DISTINCT FROM v.negatives
UNION ALL
SELECT 'granted is not half under a sanction',
       teldag_data.year_name(a.school_year) || ' ' || a.school_id || ' ' || a.staffing || ' ' || a.grp, a.granted::text,
       'half of ' || a.hours || ', rounded'
FROM teldag_data.allocation_state a
WHERE a.sanction_factor = 0.5 AND a.status NOT LIKE 'below%' AND abs(2 * a.granted - a.hours) > 1;
