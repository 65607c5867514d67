UPDATE teldag_data.shard_progress SET today = $2::date WHERE shard = $1::int AND (today IS NULL OR today < $2::date)
