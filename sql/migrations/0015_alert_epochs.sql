-- Failover and restore: whether the shard's last transaction was committed under declared synchronous replication (a promoted
-- standby then has everything that was published), and the alert log's epochs for subscribers that must find their way back.

ALTER TABLE teldag_data.shard_progress ADD COLUMN synchronous boolean NOT NULL DEFAULT false;

-- The server an alert epoch belongs to: system identifier, timeline (that of the WAL now written: the control file shows a
-- promotion only after its first checkpoint), and the table itself, which a restored dump makes anew. An error on a standby.
CREATE FUNCTION teldag_data.server_id() RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT system_identifier || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int || '/'
           || 'teldag_data.shard_progress'::regclass::oid
      FROM pg_control_system()
$$;

-- A new epoch of a shard's alert log, recorded as an act. The row moves on as with a batch, so that a daemon that believes
-- otherwise is fenced. Without a row (another daemon was first, or the shard is unknown) nothing is done.
CREATE FUNCTION teldag_data.renew_alert_epoch(shard int, from_epoch bigint, epoch bigint, system_id text, reason text) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH moved AS (
        UPDATE teldag_data.shard_progress p
           SET alert_epoch = renew_alert_epoch.epoch, system_id = renew_alert_epoch.system_id, batch = p.batch + 1,
               token = (random() * 9e15)::bigint, updated_at = now()
         WHERE p.shard = renew_alert_epoch.shard AND p.alert_epoch = renew_alert_epoch.from_epoch
        RETURNING p.shard, p.alert_seq)
    INSERT INTO teldag_data.local_log (shard, seq, act, body)
    SELECT m.shard, (SELECT coalesce(max(l.seq), 0) + 1 FROM teldag_data.local_log l WHERE l.shard = m.shard), 'epoch',
           jsonb_build_object('epoch', renew_alert_epoch.epoch, 'from_epoch', from_epoch, 'after_seq', m.alert_seq, 'reason', reason)
      FROM moved m
    RETURNING seq
$$;

CREATE VIEW teldag.alert_epoch AS
SELECT l.shard, (l.body ->> 'epoch')::bigint AS epoch, (l.body ->> 'from_epoch')::bigint AS from_epoch,
       (l.body ->> 'after_seq')::bigint AS after_seq, l.body ->> 'reason' AS reason, l.recorded_at AS since
FROM teldag_data.local_log l WHERE l.act = 'epoch';

COMMENT ON VIEW teldag.alert_epoch IS
    'Each time the alert log of a shard got a new epoch: what a subscriber received after after_seq under an earlier epoch no longer stands.';
COMMENT ON COLUMN teldag.alert_epoch.shard IS 'shard whose alert log it is: stream alert.<shard>';
COMMENT ON COLUMN teldag.alert_epoch.epoch IS 'the new epoch, microseconds since 1970 when it began; later = larger';
COMMENT ON COLUMN teldag.alert_epoch.from_epoch IS 'the epoch before it, as far as this database knows';
COMMENT ON COLUMN teldag.alert_epoch.after_seq IS 'last alert that both epochs have';
COMMENT ON COLUMN teldag.alert_epoch.reason IS 'why: a promotion, a restored dump or copy, or the operator''s word';
COMMENT ON COLUMN teldag.alert_epoch.since IS 'when it was recorded';

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
