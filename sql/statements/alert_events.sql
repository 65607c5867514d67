-- Alerts from a sequence on, each as its CloudEvents line; then kind and school for the topic of live messages.
SELECT l.seq,
       json_build_object(
           'specversion', '1.0', 'id', 'alert.' || l.shard || '-' || p.alert_epoch || '-' || l.seq, 'source', 'teldagd', 'type', 'alert.v1',
           'time', to_char(l.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'datacontenttype', 'application/json',
           'data', json_build_object(
               'seq', l.seq, 'kind', l.kind, 'severity', l.severity, 'state', l.state, 'school_id', l.school_id,
               'school_year', l.school_year, 'group', l.grp, 'stream', l.stream, 'subject', l.subject, 'summary', l.summary,
               'detail', l.detail, 'raised_at', l.raised_at, 'changed_at', l.changed_at, 'resolved_at', l.resolved_at))::text,
       l.kind, l.school_id
  FROM teldag_data.alert_log l
  JOIN teldag_data.shard_progress p USING (shard)
 WHERE l.shard = $1::int AND l.seq >= $2::bigint AND p.alert_epoch = $4::bigint
 ORDER BY l.seq
 LIMIT $3::bigint
