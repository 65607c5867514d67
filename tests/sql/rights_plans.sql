-- Statements that ask for the plan of a condition, one line each: psql variables schema (whose views) and known (nothing, school or
-- value: how much of what is asked for exists, in another school than 1). The plans must not tell these apart.
CREATE TABLE IF NOT EXISTS t.probe (nth int GENERATED ALWAYS AS IDENTITY, schema name, view name, col name, type regtype, school text, value text);
CREATE FUNCTION pg_temp.fill(s name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    DELETE FROM t.probe p WHERE p.schema = s;
    FOR c IN SELECT v.relname, a.attname, a.atttypid::regtype AS type,
                    EXISTS (SELECT FROM pg_attribute x WHERE x.attrelid = v.oid AND x.attname = 'school_id') AS of_school
             FROM pg_class v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
             WHERE v.relnamespace = s::regnamespace AND v.relkind = 'v' AND v.relname NOT IN ('rules', 'clock')
               AND v.oid IS DISTINCT FROM to_regclass('teldag_public.school') -- whole, and of now
               AND a.atttypid IN ('text'::regtype, 'int'::regtype, 'bigint'::regtype, 'numeric'::regtype, 'date'::regtype)
             ORDER BY 1, a.attnum LOOP
        EXECUTE format('INSERT INTO t.probe (schema, view, col, type, school, value) SELECT %L, %L, %L, %L::regtype, %s, x.%I::text FROM teldag.%I x
                        WHERE x.%6$I IS NOT NULL AND %8$s ORDER BY 5, 6 LIMIT 1', s, c.relname, c.attname, c.type,
                       CASE WHEN c.of_school THEN 'x.school_id' ELSE 'NULL' END, c.attname, c.relname,
                       CASE WHEN c.of_school THEN 'x.school_id <> ''1''' ELSE 'true' END);
    END LOOP;
END $$;
SELECT pg_temp.fill(:'schema') \g /dev/null
SELECT 'SET jit = off; SET plan_cache_mode = force_generic_plan; SET max_parallel_workers_per_gather = 0;'
UNION ALL
SELECT x.line FROM (
    SELECT p.nth, format('PREPARE q%s (text, %s) AS SELECT 1 FROM %I.%I WHERE (%s) AND %I = $2; \echo %3$s.%4$s %6$s
EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) EXECUTE q%1$s (%7$L, %8$L);', p.nth, p.type, p.schema, p.view,
        CASE WHEN p.school IS NULL THEN '$1 IS NULL OR true' ELSE 'school_id = $1' END, p.col,
        CASE WHEN :'known' = 'nothing' THEN '987654' ELSE p.school END,
        CASE WHEN :'known' = 'value' OR p.col = 'school_id' AND :'known' = 'school' THEN p.value
             WHEN p.col = 'school_id' THEN '987654' -- as above: two that differ are a plan of their own
             WHEN p.type = 'text'::regtype THEN 'nowhere' WHEN p.type = 'date'::regtype THEN '1066-10-14' ELSE '-987654' END) AS line
    FROM t.probe p WHERE p.schema = :'schema' ORDER BY p.nth) x;
