UPDATE teldag_data.shard_progress SET rules_hash = $2::text WHERE shard = $1::int
