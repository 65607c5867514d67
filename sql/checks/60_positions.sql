-- Every position below a stream's progress was applied or dead-lettered exactly once (P1): no hole from an epoch's first kept
-- position on, nothing twice, nothing beyond. A hole is excused only when an accept in local_log says to continue after it.
WITH place AS (
    SELECT l.stream_id, l.epoch, l.seq FROM teldag_check.event_position l
    -- a retried dead letter stands in a log at its own position
    UNION ALL SELECT d.stream_id, d.epoch, d.seq FROM teldag_data.dead_letter d WHERE d.state <> 'retried'
    -- where the next one is expected
    UNION ALL SELECT p.stream_id, p.epoch, p.next_seq FROM teldag_data.feed_progress p WHERE p.epoch > 0
), step AS (
    SELECT a.stream_id, a.epoch, a.seq,
           coalesce(lag(a.seq) OVER (PARTITION BY a.stream_id, a.epoch ORDER BY a.seq),
                    -- an epoch of which nothing is kept begins at 1
                    CASE WHEN a.seq = p.next_seq AND a.epoch = p.epoch THEN 0 END) AS before
    FROM place a LEFT JOIN teldag_data.feed_progress p USING (stream_id)
), accepted AS (
    SELECT s.stream_id, (a.body ->> 'epoch')::bigint AS epoch, (a.body ->> 'seq')::bigint AS seq
    FROM teldag_data.local_log a JOIN teldag_data.stream s ON s.name = a.body ->> 'stream'
    WHERE a.act = 'accept'
)
SELECT CASE WHEN w.seq = w.before THEN 'position twice or beyond the progress' ELSE 'positions missing' END AS what,
       n.name || ' epoch ' || w.epoch AS key, 'after ' || w.before || ' comes ' || w.seq AS stored,
       'after ' || w.before || ' comes ' || w.before + 1 AS computed
FROM step w JOIN teldag_data.stream n USING (stream_id)
WHERE w.seq <> w.before + 1
  AND NOT EXISTS (SELECT FROM accepted x WHERE x.stream_id = w.stream_id AND x.epoch = w.epoch AND x.seq = w.seq)
UNION ALL
SELECT 'position beyond the progress', n.name || ' epoch ' || b.epoch, b.last::text, 'below ' || p.next_seq || ' of epoch ' || p.epoch
FROM (SELECT a.stream_id, a.epoch, max(a.seq) AS last FROM place a GROUP BY a.stream_id, a.epoch) b
JOIN teldag_data.stream n USING (stream_id)
LEFT JOIN teldag_data.feed_progress p USING (stream_id)
WHERE b.epoch > coalesce(p.epoch, 0) OR (b.epoch = p.epoch AND b.last > p.next_seq);
