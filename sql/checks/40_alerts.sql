-- The alerts that fire, and their severity, are exactly those that counts, allocations and near settings ask for (design 8).
SELECT 'alert differs from the facts' AS what,
       concat_ws(' ', kind, school_year, school_id, nullif(grp, ''), nullif(stream, ''), nullif(subject, '')) AS key,
       coalesce(s.severity, 'not firing') AS stored, coalesce(c.severity, 'not firing') AS computed
FROM (SELECT a.* FROM teldag_data.alert_state a
      WHERE a.state = 'firing' AND a.kind NOT LIKE 'stream.%' AND a.kind <> 'dead_letter') s
FULL JOIN teldag_check.alert c USING (kind, school_id, school_year, grp, stream, subject)
WHERE s.severity IS DISTINCT FROM c.severity;
