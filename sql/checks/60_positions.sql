-- Every position below a stream's progress was applied or dead-lettered exactly once (P1): no hole from an epoch's 1 on, nothing twice,
-- nothing beyond. A hole is excused only when an accept in local_log says to continue after it. Where events stood that were
-- retained, a range says so.
WITH place AS (
    SELECT l.stream_id, l.epoch, l.seq AS first, l.seq AS last FROM teldag_check.event_position l
    UNION ALL SELECT r.stream_id, r.epoch, r.first_seq, r.last_seq FROM teldag_data.retained_position r
    -- a retried dead letter stands in a log at its own position
    UNION ALL SELECT d.stream_id, d.epoch, d.seq, d.seq FROM teldag_data.dead_letter d WHERE d.state <> 'retried'
    -- where the next one is expected
    UNION ALL SELECT p.stream_id, p.epoch, p.next_seq, p.next_seq FROM teldag_data.feed_progress p WHERE p.epoch > 0
), step AS (
    SELECT a.stream_id, a.epoch, a.first,
           -- an epoch begins at 1
           coalesce(lag(a.last) OVER (PARTITION BY a.stream_id, a.epoch ORDER BY a.first, a.last), 0) AS before
    FROM place a
), accepted AS (
    SELECT s.stream_id, (a.body ->> 'epoch')::bigint AS epoch, (a.body ->> 'seq')::bigint AS seq
    FROM teldag_data.local_log a JOIN teldag_data.stream s ON s.name = a.body ->> 'stream'
    WHERE a.act = 'accept'
)
SELECT CASE WHEN w.first <= w.before THEN 'position twice or beyond the progress' ELSE 'positions missing' END AS what,
       n.name || ' epoch ' || w.epoch AS key, 'after ' || w.before || ' comes ' || w.first AS stored,
       'after ' || w.before || ' comes ' || w.before + 1 AS computed
FROM step w JOIN teldag_data.stream n USING (stream_id)
WHERE w.first <> w.before + 1
  AND NOT EXISTS (SELECT FROM accepted x WHERE x.stream_id = w.stream_id AND x.epoch = w.epoch AND x.seq = w.first)
UNION ALL
SELECT 'position beyond the progress', n.name || ' epoch ' || b.epoch, b.last::text, 'below ' || p.next_seq || ' of epoch ' || p.epoch
FROM (SELECT a.stream_id, a.epoch, max(a.last) AS last FROM place a GROUP BY a.stream_id, a.epoch) b
JOIN teldag_data.stream n USING (stream_id)
LEFT JOIN teldag_data.feed_progress p USING (stream_id)
WHERE b.epoch > coalesce(p.epoch, 0) OR (b.epoch = p.epoch AND b.last > p.next_seq);
