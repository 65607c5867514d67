-- A retried dead letter has become an event of a log at its own position, or was retained there.
SELECT 'retried dead letter is in no log' AS what, n.name || ' epoch ' || d.epoch || ' seq ' || d.seq AS key, d.state AS stored,
       'an event' AS computed
FROM teldag_data.dead_letter d JOIN teldag_data.stream n USING (stream_id)
WHERE d.state = 'retried'
  AND NOT EXISTS (SELECT FROM teldag_check.event_position l WHERE (l.stream_id, l.epoch, l.seq) = (d.stream_id, d.epoch, d.seq))
  AND NOT EXISTS (SELECT FROM teldag_data.retained_position r
                  WHERE r.stream_id = d.stream_id AND r.epoch = d.epoch AND d.seq BETWEEN r.first_seq AND r.last_seq);
