-- No national register number with a right check number stands in what is kept as text (P6).
-- A fraction such as 13.367703354 hours in an alert's detail has eleven digits too, and now and then the right remainder.
SELECT 'national register number kept' AS what, f.place AS key, 'not shown' AS stored, 'rrn:#' AS computed
FROM (SELECT 'dead letter of stream ' || d.stream_id || ' epoch ' || d.epoch || ' seq ' || d.seq AS place,
             d.reason || E'\n' || encode(d.raw, 'escape') AS text
      FROM teldag_data.dead_letter d
      UNION ALL
      SELECT 'school event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq,
             concat_ws(E'\n', l.name, l.municipality, l.board_id)
      FROM teldag_data.school_log l
      UNION ALL
      SELECT 'inspection event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.report_id, l.scales::text)
      FROM teldag_data.inspection_log l
      UNION ALL
      SELECT 'opschorting event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.report_id)
      FROM teldag_data.opschorting_log l
      UNION ALL
      SELECT 'verklaring event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.verklaring_id)
      FROM teldag_data.verklaring_log l
      UNION ALL
      SELECT 'controle event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.controle_id, l.criteria::text)
      FROM teldag_data.controle_log l
      UNION ALL
      SELECT 'poah event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.request_id)
      FROM teldag_data.poah_log l
      UNION ALL
      SELECT 'beslissing event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.request_id)
      FROM teldag_data.beslissing_log l
      UNION ALL
      SELECT 'vlp event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.request_id)
      FROM teldag_data.vlp_log l
      UNION ALL
      SELECT 'toah event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.request_id)
      FROM teldag_data.toah_log l
      UNION ALL
      SELECT 'melding event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.melding_id)
      FROM teldag_data.melding_log l
      UNION ALL
      SELECT 'beantwoord event of stream ' || l.stream_id || ' epoch ' || l.epoch || ' seq ' || l.seq, concat_ws(E'\n', l.melding_id)
      FROM teldag_data.beantwoord_log l
      UNION ALL
      SELECT 'alert ' || a.seq || ' of shard ' || a.shard, concat_ws(E'\n', a.summary, d.words)
      FROM teldag_data.alert_log a
      CROSS JOIN LATERAL (SELECT string_agg(v #>> '{}', E'\n') AS words FROM jsonb_path_query(a.detail, 'strict $.**') AS v
                          WHERE jsonb_typeof(v) = 'string' OR jsonb_typeof(v) = 'number' AND v::text !~ '[.]') d) f
CROSS JOIN LATERAL (SELECT regexp_replace(m[1], '[^0-9]', '', 'g') AS digits
                    FROM regexp_matches(f.text, '(?<![0-9A-Za-z])([0-9](?:[-./ ]?[0-9]){10})(?![-./ ]?[0-9])(?![A-Za-z])', 'g') AS m) r
WHERE right(r.digits, 2)::int IN (97 - left(r.digits, 9)::bigint % 97, 97 - ('2' || left(r.digits, 9))::bigint % 97);
