-- Every allocation names the rules set in force.
SELECT 'allocation names another rules set' AS what,
       teldag_data.year_name(a.school_year) || ' ' || a.school_id || ' ' || a.staffing || ' ' || a.grp AS key,
       a.rules AS stored, p.rules_hash AS computed
FROM teldag_data.allocation_state a
CROSS JOIN (SELECT q.rules_hash FROM teldag_data.shard_progress q ORDER BY q.shard LIMIT 1) p
WHERE a.rules <> p.rules_hash;
