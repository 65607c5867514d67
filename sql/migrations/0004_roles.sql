-- Two roles without login: teldag_writer for the daemon and teldagctl, teldag_reader for whoever reads. GRANT them to login roles.
-- The writer can add to the logs and never change or remove what stands in them; the reader sees the views of schema teldag
-- and nothing else. Partitions need no rights of their own: rows are written and read through their parent.

CREATE FUNCTION teldag_data.grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    GRANT USAGE ON SCHEMA teldag_data, teldag, teldag_check TO teldag_writer;
    GRANT SELECT ON ALL TABLES IN SCHEMA teldag, teldag_check TO teldag_writer;
    GRANT SELECT, INSERT ON teldag_data.stream, teldag_data.stream_epoch, teldag_data.school_log, teldag_data.entitlement_log,
        teldag_data.registration_log, teldag_data.local_log, teldag_data.dead_letter, teldag_data.rules_set, teldag_data.rule,
        teldag_data.alert_log TO teldag_writer;
    GRANT SELECT, INSERT, UPDATE ON teldag_data.feed_progress, teldag_data.shard_progress TO teldag_writer;
    GRANT UPDATE (state, resolved_at) ON teldag_data.dead_letter TO teldag_writer;
    GRANT SELECT, INSERT, UPDATE, DELETE ON teldag_data.count_state, teldag_data.count_closed, teldag_data.allocation_state,
        teldag_data.alert_state TO teldag_writer;
    GRANT SELECT ON teldag_data.schema_migration, teldag_data.school_year, teldag_data.resend_matched TO teldag_writer;
    GRANT EXECUTE ON FUNCTION teldag_data.ensure_year(smallint) TO teldag_writer;

    GRANT USAGE ON SCHEMA teldag TO teldag_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA teldag TO teldag_reader;
END $$;
REVOKE EXECUTE ON FUNCTION teldag_data.ensure_year(smallint), teldag_data.grant_roles() FROM PUBLIC;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['teldag_writer', 'teldag_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    PERFORM teldag_data.grant_roles();
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN -- another database's migration made them just now
        PERFORM teldag_data.grant_roles();
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'roles teldag_writer and teldag_reader were not made: % may not create roles', current_user
            USING HINT = 'As a superuser: CREATE ROLE teldag_writer NOLOGIN; CREATE ROLE teldag_reader NOLOGIN; then as '
                         || current_user || ': SELECT teldag_data.grant_roles();';
END $$;
