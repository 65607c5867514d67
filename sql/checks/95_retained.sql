-- Fixed rows are those of the last retention, by their digest; every retention stands in local_log as an act, and no other act does; and
-- of school years before it nothing names a pupil any more.
SELECT 'fixed rows differ from the last retention' AS what, coalesce(a.body ->> 'before', 'never retained') AS key,
       teldag_data.retained_digest() AS stored, coalesce(a.body ->> 'sha256', 'no rows') AS computed
FROM (SELECT (SELECT r.body FROM teldag_data.retention r ORDER BY r.nth DESC LIMIT 1) AS body) a
WHERE teldag_data.retained_digest() IS DISTINCT FROM a.body ->> 'sha256'
  AND (a.body IS NOT NULL OR EXISTS (SELECT FROM teldag_data.retained_count) OR EXISTS (SELECT FROM teldag_data.retained_position))
UNION ALL
SELECT CASE WHEN r.body IS NULL THEN 'act retain of no retention' ELSE 'retention without its act' END,
       coalesce(l.body, r.body) ->> 'before', coalesce(l.acts, 0)::text, CASE WHEN r.body IS NULL THEN '0' ELSE '1' END
FROM (SELECT x.body, count(*) AS acts FROM teldag_data.local_log x WHERE x.act = 'retain' GROUP BY x.body) l
FULL JOIN teldag_data.retention r ON r.body = l.body
WHERE coalesce(l.acts, 0) <> 1 OR r.body IS NULL
UNION ALL
SELECT 'event of a retained school year', p.what || ' ' || p.school_year, p.rows::text, '0'
FROM teldag_data.retain_plan(teldag_data.retained_before()::smallint) p
WHERE p.what <> 'dead letters, their bytes';
