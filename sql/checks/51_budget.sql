-- The values of the working budget are those of the last recorded `fix budget` of their school year, and what envelope, split and
-- pupils give (regulation 4).
SELECT 'budget value differs from the recorded act' AS what,
       teldag_data.year_name(school_year) || ' ' || level || ' ' || indicator AS key,
       coalesce(ROW(s.pupils, s.envelope_cents, trim_scale(s.split), trim_scale(s.value_cents), s.rules)::text, 'no row') AS stored,
       coalesce(ROW(c.pupils, c.envelope_cents, trim_scale(c.split), trim_scale(c.value_cents), c.rules)::text, 'no row') AS computed
FROM (SELECT b.school_year::int AS school_year, b.level, b.indicator, b.pupils, b.envelope_cents, b.split, b.value_cents, b.rules
      FROM teldag_data.budget_value b) s
FULL JOIN (SELECT f.school_year, v.level, v.indicator, v.half_pupils AS pupils, v.envelope_cents, v.split, v.value_cents,
                  f.body ->> 'rules' AS rules
           FROM teldag_check.fixed f
           CROSS JOIN LATERAL jsonb_to_recordset(f.body -> 'values')
               AS v (level text, indicator text, half_pupils bigint, envelope_cents bigint, split numeric, value_cents numeric)
           WHERE f.act = 'fix budget') c USING (school_year, level, indicator)
WHERE (s.pupils, s.envelope_cents, s.split, s.value_cents, s.rules)
      IS DISTINCT FROM (c.pupils, c.envelope_cents, c.split, c.value_cents, c.rules)
UNION ALL
SELECT 'budget value is not envelope x split / pupils', teldag_data.year_name(b.school_year) || ' ' || b.level || ' ' || b.indicator,
       b.value_cents::text, x.value::text
FROM teldag_data.budget_value b
CROSS JOIN LATERAL (SELECT floor(b.envelope_cents * b.split * 2 * 10000 / nullif(b.pupils, 0) + 0.5) / 10000 AS value) x
WHERE b.value_cents IS DISTINCT FROM x.value
UNION ALL
SELECT 'granted is not amount x factor', b.school_year || ' ' || b.school_id || ' ' || b.indicator, b.granted_cents::text,
       floor(b.amount_cents * b.sanction_factor + 0.5)::text
FROM teldag.working_budget b
WHERE b.granted_cents IS DISTINCT FROM floor(b.amount_cents * b.sanction_factor + 0.5)
   OR (b.sanction_factor = 0.5) <> EXISTS (
        SELECT FROM teldag_check.sanction s
        WHERE s.school_id::text = b.school_id AND left(b.school_year, 4)::int >= s.first_year
          AND (s.last_year IS NULL OR left(b.school_year, 4)::int <= s.last_year));
