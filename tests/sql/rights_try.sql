-- Attempts as each reader, one line each: role | statement | may or may not | done, or the error. What a role may read comes from
-- rights.expected (table t.expected).
CREATE FUNCTION t.try(role name, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RESET ROLE;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RESET ROLE;
    RETURN replace(sqlerrm, '|', '/');
END $$;
CREATE TABLE t.attempt AS
WITH reader AS (
    SELECT r AS role, replace(replace(r, 'teldag_', ''), '_reader', '') AS short
    FROM unnest(ARRAY['teldag_reader', 'teldag_inspection_reader', 'teldag_board_reader', 'teldag_school_reader', 'teldag_public_reader']) AS r
), relation AS (
    SELECT substring(e.line FROM '^(?:view|table) ([^ :]+)') AS name, e.line FROM t.expected e WHERE e.line ~ '^(view|table) '
)
-- tables are named by views only: the schema stays closed
SELECT r.role, 'SELECT * FROM ' || n.name AS statement, n.line ~ (' ' || r.short || '=r') AND n.name NOT LIKE 'teldag\_data.%' AS may
FROM reader r CROSS JOIN relation n
UNION ALL SELECT r.role, 'DELETE FROM ' || n.name, false FROM reader r CROSS JOIN relation n
UNION ALL SELECT r.role, replace(s.statement, '$role', r.role), false FROM reader r CROSS JOIN (VALUES
    ('CREATE VIEW teldag.x AS SELECT 1'), ('CREATE VIEW teldag_own.x AS SELECT 1'), ('CREATE TABLE teldag_data.x (i int)'),
    ('CREATE TABLE public.x (i int)'), ('CREATE SCHEMA x'),
    ('SELECT teldag_data.ensure_year(2032::smallint)'), ('SELECT teldag_data.own_schools(''postgres'')'),
    ('SELECT teldag_data.grant_board(''$role'', ''B1'')'), ('SELECT teldag_data.grant_roles()'), ('SELECT teldag_data.set_policies()'),
    ('COPY (SELECT 1) TO PROGRAM ''id'''), ('COPY (SELECT 1) TO ''/tmp/teldag-rights'''), ('SELECT pg_read_file(''/etc/passwd'')'),
    ('SELECT lo_import(''/etc/passwd'')'), ('SELECT * FROM pg_statistic'), ('SELECT * FROM pg_authid'),
    ('SELECT table_to_xml(' || 'teldag_data.count_state'::regclass::oid || ', true, false, '''')'),
    ('CREATE EXTENSION dblink'), ('CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION y WITH (connect = false)')) AS s (statement)
UNION ALL SELECT r.role, replace(s.statement, '$role', r.role), false
FROM (SELECT role FROM reader UNION SELECT 'teldag_writer') r CROSS JOIN (VALUES
    ('ALTER ROLE $role SUPERUSER'), ('ALTER TABLE teldag_data.count_state DISABLE ROW LEVEL SECURITY'),
    ('DROP POLICY owner ON teldag_data.count_state'), ('DROP TABLE teldag_data.registration_log_2024')) AS s (statement);
BEGIN;
SELECT a.role, a.statement, CASE WHEN a.may THEN 'may' ELSE 'may not' END, t.try(a.role, a.statement) FROM t.attempt a;
ROLLBACK;
