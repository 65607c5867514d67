-- Risk rows are those of schools with an event in school years with a reference; events, pupils and band exactly, the probability to
-- 1e-12 of itself, below 1e-290 to 1e-302 (design 9).
SELECT 'risk differs from the events' AS what, teldag_data.year_name(school_year) || ' ' || school_id || ' ' || indicator AS key,
       coalesce(ROW(s.observed, s.pupils, s.probability, s.band)::text, 'no row') AS stored,
       coalesce(ROW(c.observed, c.halves, round(c.probability, 30), c.band)::text, 'no row') AS computed
FROM (SELECT r.school_year::int AS school_year, r.school_id, r.indicator, r.observed, r.pupils, r.probability, r.band
      FROM teldag_data.risk_state r) s
FULL JOIN teldag_check.risk c USING (school_year, school_id, indicator)
WHERE (s.observed, s.pupils, s.band) IS DISTINCT FROM (c.observed, c.halves, c.band)
   OR (abs(s.probability::numeric - c.probability) <= 0.000000000001 * greatest(c.probability, 1e-290)) IS NOT TRUE;
