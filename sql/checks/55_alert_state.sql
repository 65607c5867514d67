-- The current state of an alert is the last row of its key in the log, and rows follow each other only when state or severity
-- changes (design 8).
SELECT 'alert differs from its log' AS what,
       concat_ws(' ', kind, school_year, school_id, nullif(grp, ''), nullif(stream, ''), nullif(subject, '')) AS key,
       coalesce(ROW(s.shard, s.seq, s.state, s.severity, s.changed_at)::text, 'no row') AS stored,
       coalesce(ROW(l.shard, l.seq, l.state, l.severity, l.changed_at)::text, 'no row') AS computed
FROM teldag_data.alert_state s
FULL JOIN (SELECT DISTINCT ON (a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject) a.*
           FROM teldag_data.alert_log a
           ORDER BY a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject, a.shard DESC, a.seq DESC) l
     USING (kind, school_id, school_year, grp, stream, subject)
WHERE (s.shard, s.seq, s.state, s.severity, s.summary, s.detail, s.raised_at, s.changed_at, s.resolved_at)
      IS DISTINCT FROM (l.shard, l.seq, l.state, l.severity, l.summary, l.detail, l.raised_at, l.changed_at, l.resolved_at)
UNION ALL
SELECT 'alert logged without a change',
       concat_ws(' ', d.kind, d.school_year, d.school_id, nullif(d.grp, ''), nullif(d.stream, ''), nullif(d.subject, '')),
       'seq ' || d.seq, d.state || ' ' || d.severity
FROM (SELECT a.*, lag(a.state) OVER w AS state_before, lag(a.severity) OVER w AS severity_before
      FROM teldag_data.alert_log a
      WINDOW w AS (PARTITION BY a.shard, a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject ORDER BY a.seq)) d
WHERE d.state = coalesce(d.state_before, 'resolved') AND (d.state = 'resolved' OR d.severity = d.severity_before);
