-- The readers' views: names, columns, texts; carried-over rules; what does not fit; raw bytes; predicates reach the log.
SELECT t.rules(2023, 2025);
UPDATE teldag_data.rule SET value = '1.3' WHERE name = 'gok.cap' AND school_year = 2023;
SELECT t.is('columns of ' || v, (SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('teldag.' || v)::regclass AND attnum > 0), want)
FROM (VALUES
    ('registration', 'school_year school_id pupil group regular weight indicators seq recorded_at pupil_key'),
    ('count', 'school_year school_id group pupils gok_pupils thuistaal schooltoelage opleiding_moeder thuisloos trekkend buurt closed retained'),
    ('oki', 'school_year school_id pupils buurt opleiding_moeder schooltoelage thuistaal oki'),
    ('allocation', 'school_year school_id stream group count_year pupils gok_pupils share threshold points hours_exact hours minimum status sanction_factor granted margin_pupils margin_hours rules retained'),
    ('alert', 'seq kind severity state school_id school_year group stream subject summary detail raised_at changed_at resolved_at'),
    ('alert_log', 'seq kind severity state school_id school_year group stream subject summary detail raised_at changed_at resolved_at'),
    ('feed_progress', 'stream epoch next_seq head_seq updated_at'),
    ('unmatched', 'stream seq key reason'), ('rules', 'school_year name value source verified'), ('clock', 'today')) AS x (v, want);
SELECT t.is('types of ' || a.attrelid::regclass || '.' || attname, format_type(atttypid, NULL),
            CASE WHEN attname IN ('hours', 'granted', 'minimum', 'margin_pupils', 'margin_hours') THEN 'integer' WHEN attname = 'detail' THEN 'jsonb'
                 WHEN attname IN ('school_year', 'school_id', 'stream', 'group', 'count_year', 'status', 'rules', 'pupil') THEN 'text' ELSE 'numeric' END)
FROM pg_attribute a WHERE attrelid IN ('teldag.count'::regclass, 'teldag.allocation'::regclass, 'teldag.oki'::regclass) AND attnum > 0 AND attname NOT IN ('closed', 'retained');
SELECT t.is('commented: ' || c.relname || coalesce('.' || a.attname, ''), coalesce(length(col_description(c.oid, a.attnum)), length(obj_description(c.oid))) > 8, true)
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'teldag'::regnamespace AND c.relkind = 'v';
-- school: winner, all fields
SELECT t.school(1, 'so'), t.school(1, 'bao', true, '2030-01-31', 2), t.school(2, 'so'), t.school(2, 'so', op => 'w'), t.school(3, 'dko');
SELECT t.is('school', string_agg((school_id, name, level, brussels, closed_on, successor_id, seq)::text, ' ' ORDER BY school_id), '(1,"school 1",bao,t,2030-01-31,2,2) (3,"school 3",dko,f,,,5)') FROM teldag.school;
-- unmatched: unknown 9, withdrawn 2, group against level 1 and 3; also irregular ones and those not there on the teldag; until the partner fits
SELECT t.reg(1, 2024, 1, 'lager'), t.reg(1, 2024, 2, 'graad1', regular => false), t.reg(9, 2024, 3, 'okan'), t.reg(2, 2024, 4), t.reg(3, 2024, 5, 'kleuter'),
       t.reg(9, 2024, 6), t.reg(9, 2024, 6, op => 'w'), t.reg(1, 2024, 7, 'okan'), t.reg(1, 2024, 7, 'kleuter');
SELECT t.is('unmatched', string_agg((stream, seq, key, reason)::text, E'\n' ORDER BY seq),
$$(registration.0,2,"2024-2025 1 00000000000000000000000000000002","group graad1 does not fit level bao")
(registration.0,3,"2024-2025 9 00000000000000000000000000000003","unknown school")
(registration.0,4,"2024-2025 2 00000000000000000000000000000004","unknown school")
(registration.0,5,"2024-2025 3 00000000000000000000000000000005","group kleuter does not fit level dko")$$) FROM teldag.unmatched;
SELECT t.school(9, 'so'), t.school(1, 'so');
SELECT t.is('unmatched follows the school', string_agg(seq || ' ' || reason, ', ' ORDER BY seq), '1 group lager does not fit level so, 4 unknown school, 5 group kleuter does not fit level dko, 9 group kleuter does not fit level so') FROM teldag.unmatched;
SELECT t.is('fits: ' || g || ' ' || l, teldag_data.group_fits_level(g, l),
            (l, g) IN (('bao', 'kleuter'), ('bao', 'lager'), ('so', 'graad1'), ('so', 'okan'), ('so', 'graad23'), ('bubao', 'basisaanbod'), ('bubao', 'type3'),
                       ('bubao', 'ander'), ('buso', 'basisaanbod'), ('buso', 'type3'), ('buso', 'ander')))
FROM unnest(ARRAY['kleuter', 'lager', 'graad1', 'okan', 'graad23', 'basisaanbod', 'type3', 'ander']) AS g, unnest(ARRAY['bao', 'so', 'bubao', 'buso', 'dko', 'vwo', 'clb', 'naft']) AS l;
-- rules: own years as they are; 2024 and 2027 carried over from before, 2021 from the first
SELECT t.reg(1, 2023, 1), t.reg(1, 2026, 1), t.reg(1, 2020, 1);
SELECT t.settle();
SELECT t.is('rules', (SELECT string_agg((school_year, value, source, verified)::text, ' ' ORDER BY school_year) FROM teldag.rules WHERE name = 'gok.cap'),
            '(2021-2022,1.3,"[test] (carried over from 2023-2024)",f) (2023-2024,1.3,[test],t) (2024-2025,1.3,"[test] (carried over from 2023-2024)",f) (2025-2026,1.2,[test],t) (2027-2028,1.2,"[test] (carried over from 2025-2026)",f)');
SELECT t.is('rules: teldag', (SELECT string_agg(school_year || ' ' || value, ', ' ORDER BY school_year) FROM teldag.rules WHERE name = 'teldag' AND NOT verified),
            '2021-2022 2021-02-01, 2024-2025 2024-02-01, 2027-2028 2027-02-01');
SELECT t.is('the recomputation reads the same parameters', (SELECT string_agg(school_year || ' ' || cap, ', ' ORDER BY school_year) FROM teldag_check.rules WHERE school_year IN (2021, 2023, 2024, 2025, 2027)),
            '2021 1.3, 2023 1.3, 2024 1.3, 2025 1.2, 2027 1.2');
-- dead letters
SELECT t.dead('registration.0', 'not UTF-8', '\x7b22ff5c00'), t.dead('registration.0', 'bad', convert_to('{"é": 1}', 'UTF8'));
SELECT t.is('dead_letter', string_agg((stream, epoch, reason, event, state)::text, ' ' ORDER BY seq), $$(registration.0,1,"not UTF-8","{""\\377\\\\\\000",open) (registration.0,1,bad,"{""é"": 1}",open)$$) FROM teldag.dead_letter;
-- allocation_known against what is computed
SELECT t.known(1, 'gok_uren_leraar', 'graad1', 2024, 'granted', 9), t.known(1, 'gok_uren_leraar', 'okan', 2024, 'granted', 4);
SELECT t.is('difference', (SELECT string_agg(("group", known_status, computed_status, known_hours, computed_granted, difference)::text, ' ' ORDER BY "group") FROM teldag.allocation_difference),
            '(graad1,granted,below_threshold,9,0,-9) (okan,granted,,4,,-4)');
SELECT t.is('streams', (SELECT string_agg((stream, reliability, behind, paused)::text, ' ' ORDER BY stream) FROM teldag.streams), '(registration.0,journal,0,f) (school.0,journal,0,f)');
SELECT t.is('clock', today, date '2025-01-01') FROM teldag.clock;
SELECT t.is('schema_version', count(*) >= 4, true) FROM teldag.schema_version;
SELECT t.is('share: half up, exact', teldag_data.ratio(a, b, 9), w) FROM (VALUES (1, 3, 0.333333333), (2, 3, 0.666666667), (1, 2000000000, 0.000000001), (1, 2000000001, 0.000000000)) AS x (a, b, w);
SELECT t.is('oki of Turnhout', teldag_data.ratio(322 + 329 + 554 + 323, 1000, 4), 1.5280);
-- predicates reach the log: one partition is opened, and the school is looked for there
CREATE FUNCTION pg_temp.plan(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || q LOOP plan := plan || line || E'\n'; END LOOP;
    RETURN plan;
END $$;
CREATE TABLE plan AS SELECT pg_temp.plan($$SELECT * FROM teldag.registration WHERE school_year = '2024-2025' AND school_id = '1'$$) AS p;
SELECT t.is('school_id reaches the log', p ~ 'Filter: [^\n]*school_id\)::text[^\n]*= ''1''', true) FROM plan;
SELECT t.is('other years stay closed', p ~ 'registration_log_2026 [^\n]*never executed' OR p !~ 'registration_log_2026', true) FROM plan;
