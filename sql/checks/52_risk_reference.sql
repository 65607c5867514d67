-- The reference rates are those of the last recorded `fix reference` of their school year, and events per 1,000 pupils (design 9).
SELECT 'reference differs from the recorded act' AS what,
       teldag_data.year_name(school_year) || ' ' || level || ' ' || indicator AS key,
       coalesce(ROW(s.events, s.pupils, trim_scale(s.rate))::text, 'no row') AS stored,
       coalesce(ROW(c.events, c.pupils, trim_scale(c.rate))::text, 'no row') AS computed
FROM (SELECT r.school_year::int AS school_year, r.level, r.indicator, r.events, r.pupils, r.rate FROM teldag_data.risk_reference r) s
FULL JOIN (SELECT f.school_year, v.level, v.indicator, v.events, v.half_pupils AS pupils, v.rate
           FROM teldag_check.fixed f
           CROSS JOIN LATERAL jsonb_to_recordset(f.body -> 'values')
               AS v (level text, indicator text, events bigint, half_pupils bigint, rate numeric)
           WHERE f.act = 'fix reference') c USING (school_year, level, indicator)
WHERE (s.events, s.pupils, s.rate) IS DISTINCT FROM (c.events, c.pupils, c.rate)
UNION ALL
SELECT 'reference is not events per 1,000 pupils', teldag_data.year_name(r.school_year) || ' ' || r.level || ' ' || r.indicator,
       r.rate::text, round(r.events * 2000::numeric / nullif(r.pupils, 0), 9)::text
FROM teldag_data.risk_reference r
WHERE r.pupils <= 0 OR abs(r.rate * r.pupils - r.events * 2000) > r.pupils * 0.0000000005;
