INSERT INTO teldag_data.rules_set (hash, near_pupils, near_hours) VALUES ($1::text, $2::int, $3::int) ON CONFLICT DO NOTHING
