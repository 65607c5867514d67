-- Each change of an alert: the current row, and a row in the log with the sequence the writer gave it.
-- raised_at is kept while the alert goes on firing.
WITH new AS (
    SELECT *
      FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::text[], $12::jsonb[], $13::timestamptz[])
           AS u (shard, seq, kind, severity, state, school_id, school_year, grp, stream, subject, summary, detail, at)
), changed AS (
    INSERT INTO teldag_data.alert_state AS a
    SELECT shard, seq, kind, severity, state, school_id, school_year, grp, stream, subject, summary, detail, at, at,
           CASE WHEN state = 'resolved' THEN at END
      FROM new
    ON CONFLICT (kind, school_id, school_year, grp, stream, subject) DO UPDATE
       SET shard = excluded.shard, seq = excluded.seq, severity = excluded.severity, state = excluded.state,
           summary = excluded.summary, detail = excluded.detail, changed_at = excluded.changed_at,
           resolved_at = excluded.resolved_at,
           raised_at = CASE WHEN a.state = 'firing' THEN a.raised_at ELSE excluded.raised_at END
    RETURNING *
)
INSERT INTO teldag_data.alert_log
SELECT shard, seq, kind, severity, state, school_id, school_year, grp, stream, subject, summary, detail, raised_at, changed_at,
       resolved_at
  FROM changed
