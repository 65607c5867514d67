-- Advances one stream where it stands at the believed position.
UPDATE teldag_data.feed_progress
   SET epoch = $4::bigint, next_seq = $5::bigint, head_seq = greatest($6::bigint, $5::bigint), updated_at = now()
 WHERE stream_id = $1::int AND epoch = $2::bigint AND next_seq = $3::bigint
