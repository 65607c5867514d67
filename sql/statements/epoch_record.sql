INSERT INTO teldag_data.stream_epoch (stream_id, epoch, resend) VALUES ($1::int, $2::bigint, $3::boolean)
