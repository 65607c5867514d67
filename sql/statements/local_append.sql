INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES ($1::int, $2::bigint, $3::text, $4::jsonb)
