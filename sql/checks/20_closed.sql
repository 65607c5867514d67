-- A count is closed exactly when a closed event matched, and the numbers held and announced are those of the log (design 6).
SELECT 'closing differs from the log' AS what,
       teldag_data.year_name(school_year) || ' ' || school_id AS key,
       ROW(coalesce(s.closed, false), coalesce(s.held, 0), coalesce(s.announced, -1))::text AS stored,
       ROW(coalesce(c.closed, false), coalesce(c.held, 0), coalesce(c.announced, -1))::text AS computed
FROM teldag_data.count_closed s
FULL JOIN teldag_check.closed c USING (school_year, school_id)
WHERE (coalesce(s.closed, false), coalesce(s.held, 0), coalesce(s.announced, -1))
      IS DISTINCT FROM (coalesce(c.closed, false), coalesce(c.held, 0), coalesce(c.announced, -1));
