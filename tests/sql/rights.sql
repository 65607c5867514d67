-- Every object of the schemas of teldagd, and what each role may do with it, one line an object. rights.expected is this query's
-- answer as it was decided: a new object, or a right nobody decided on, differs from it.
WITH role AS (
    SELECT r.rolname, replace(replace(r.rolname, 'teldag_', ''), '_reader', '') AS short, n AS nth
    FROM unnest(ARRAY['teldag_writer', 'teldag_reader', 'teldag_inspection_reader', 'teldag_board_reader', 'teldag_school_reader',
                      'teldag_public_reader', 'nobody_in_particular']) WITH ORDINALITY AS r (rolname, n)
), space AS (
    SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname LIKE 'teldag%' OR n.nspname = 'public'
), object AS (
    SELECT 0 AS kind, 'schema ' || s.nspname AS object, s.oid, NULL::oid AS relation FROM space s
    UNION ALL
    SELECT 1, CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END || s.nspname || '.' || c.relname
              || CASE WHEN c.relrowsecurity THEN ' rls' ELSE '' END || CASE WHEN c.relforcerowsecurity THEN ' forced' ELSE '' END
              || coalesce(' ' || array_to_string(c.reloptions, ' '), ''), c.oid, c.oid
    FROM pg_class c JOIN space s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 2, 'function ' || s.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
              || CASE WHEN p.prosecdef THEN ' definer' ELSE '' END
              || CASE WHEN p.provolatile <> 'i' THEN coalesce(' ' || array_to_string(p.proconfig, ' '), ' no search_path') ELSE '' END, p.oid, NULL
    FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
    UNION ALL
    SELECT 3, 'policy ' || c.relname || ' ' || o.polname || ' ' || o.polcmd::text || ' ' || coalesce(pg_get_expr(o.polqual, o.polrelid), ''), o.oid, NULL
    FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid
)
SELECT o.object || ':' || coalesce(string_agg(' ' || r.short || '=' || g.rights, '' ORDER BY r.nth) FILTER (WHERE g.rights <> ''), '')
FROM object o
CROSS JOIN role r
CROSS JOIN LATERAL (
    SELECT CASE o.kind
        WHEN 0 THEN concat(CASE WHEN has_schema_privilege(r.rolname, o.oid, 'USAGE') THEN 'usage' END,
                           CASE WHEN has_schema_privilege(r.rolname, o.oid, 'CREATE') THEN '+create' END)
        WHEN 1 THEN CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = o.oid)
            WHEN 'S' THEN CASE WHEN has_sequence_privilege(r.rolname, o.oid, 'USAGE,SELECT,UPDATE') THEN 'sequence' ELSE '' END
            ELSE concat(CASE WHEN has_table_privilege(r.rolname, o.oid, 'SELECT') THEN 'r' END,
                        CASE WHEN has_table_privilege(r.rolname, o.oid, 'INSERT') THEN 'a' END,
                        CASE WHEN has_table_privilege(r.rolname, o.oid, 'UPDATE') THEN 'w'
                             WHEN has_any_column_privilege(r.rolname, o.oid, 'UPDATE') THEN 'w(' ||
                                  (SELECT string_agg(t.attname, ',' ORDER BY t.attnum) FROM pg_attribute t
                                   WHERE t.attrelid = o.oid AND t.attnum > 0 AND has_column_privilege(r.rolname, o.oid, t.attnum, 'UPDATE')) || ')' END,
                        CASE WHEN has_table_privilege(r.rolname, o.oid, 'DELETE') THEN 'd' END,
                        CASE WHEN has_table_privilege(r.rolname, o.oid, 'TRUNCATE,REFERENCES,TRIGGER') THEN 'x' END) END
        WHEN 2 THEN CASE WHEN has_function_privilege(r.rolname, o.oid, 'EXECUTE') THEN 'x' ELSE '' END
        ELSE CASE WHEN (SELECT p.polroles && ARRAY[(SELECT q.oid FROM pg_roles q WHERE q.rolname = r.rolname), 0] FROM pg_policy p WHERE p.oid = o.oid)
             THEN 'applies' ELSE '' END END AS rights) g
GROUP BY o.object, o.kind, o.oid
ORDER BY o.kind, o.object COLLATE "C";
