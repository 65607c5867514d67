-- Fixed rows are those of the last recorded retention, by their digest, and of school years before it nothing names a pupil any more.
SELECT 'fixed rows differ from the recorded retention' AS what, coalesce(a.body ->> 'before', 'never retained') AS key,
       teldag_data.retained_digest() AS stored, coalesce(a.body ->> 'sha256', 'no rows') AS computed
FROM (SELECT (SELECT l.body FROM teldag_data.local_log l WHERE l.act = 'retain' ORDER BY l.recorded_at DESC, l.seq DESC LIMIT 1) AS body) a
WHERE teldag_data.retained_digest() IS DISTINCT FROM a.body ->> 'sha256'
  AND (a.body IS NOT NULL OR EXISTS (SELECT FROM teldag_data.retained_count) OR EXISTS (SELECT FROM teldag_data.retained_position))
UNION ALL
SELECT 'event of a retained school year', p.what || ' ' || p.school_year, p.rows::text, '0'
FROM teldag_data.retain_plan(teldag_data.retained_before()::smallint) p
WHERE p.what <> 'dead letters, their bytes';
