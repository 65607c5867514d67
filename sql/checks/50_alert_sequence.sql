-- The alert log of a shard is 1, 2, 3, ... without a hole, up to the number its progress row says was given out (P3).
SELECT 'alert sequence has a hole' AS what, 'shard ' || coalesce(p.shard, l.shard) AS key,
       coalesce(l.rows, 0) || ' rows, ' || coalesce(l.first, 0) || ' to ' || coalesce(l.last, 0) AS stored,
       coalesce(p.alert_seq, 0) || ' given out' AS computed
FROM teldag_data.shard_progress p
FULL JOIN (SELECT a.shard, count(*) AS rows, min(a.seq) AS first, max(a.seq) AS last
           FROM teldag_data.alert_log a GROUP BY a.shard) l ON l.shard = p.shard
WHERE (coalesce(l.rows, 0), coalesce(l.last, 0)) IS DISTINCT FROM (coalesce(p.alert_seq, 0), coalesce(p.alert_seq, 0))
   OR l.first <> 1;
