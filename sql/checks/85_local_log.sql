-- The operator's acts of a shard are numbered 1, 2, 3, ... without a hole.
SELECT 'local log has a hole' AS what, 'shard ' || l.shard AS key,
       count(*) || ' rows, ' || min(l.seq) || ' to ' || max(l.seq) AS stored, '1 to ' || count(*) AS computed
FROM teldag_data.local_log l
GROUP BY l.shard
HAVING min(l.seq) <> 1 OR max(l.seq) <> count(*);
