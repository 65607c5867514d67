-- Moves the shard's row where it stands at the believed values; no row: another daemon moved it. synchronous: what a standby
-- that is promoted later can be trusted to have.
UPDATE teldag_data.shard_progress
   SET batch = batch + 1, alert_seq = $4::bigint, token = $5::bigint, updated_at = now(),
       synchronous = current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') NOT IN ('off', 'local')
 WHERE shard = $1::int AND batch = $2::bigint AND alert_seq = $3::bigint
