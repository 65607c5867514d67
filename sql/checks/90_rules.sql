-- The rules set in force is stored whole, and is the same on every shard.
SELECT 'rules set in force is not stored' AS what, 'shard ' || p.shard AS key, p.rules_hash AS stored, 'a stored set' AS computed
FROM teldag_data.shard_progress p
WHERE p.rules_hash <> ''
  AND NOT EXISTS (SELECT FROM teldag_data.rules_set s JOIN teldag_data.rule r USING (hash) WHERE s.hash = p.rules_hash)
UNION ALL
SELECT 'shards hold different rules sets', 'shard ' || p.shard, p.rules_hash, f.rules_hash
FROM teldag_data.shard_progress p
CROSS JOIN (SELECT q.rules_hash FROM teldag_data.shard_progress q ORDER BY q.shard LIMIT 1) f
WHERE p.rules_hash <> f.rules_hash
UNION ALL
SELECT 'figures without a rules set', 'shard ' || p.shard, p.rules_hash, 'a stored set'
FROM teldag_data.shard_progress p
WHERE p.rules_hash = '' AND EXISTS (SELECT FROM teldag_data.count_state);
