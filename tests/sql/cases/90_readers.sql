-- What each kind of reader sees: its own schools exactly as they are, figures without pupils, nothing below five.
DO $$
DECLARE
    who text;
BEGIN
    FOREACH who IN ARRAY ARRAY['case_board', 'case_two', 'case_school', 'case_none', 'case_loose', 'case_all', 'case_public'] LOOP
        IF to_regrole(who) IS NULL THEN EXECUTE format('CREATE ROLE %I LOGIN', who); END IF;
    END LOOP;
END $$;
GRANT teldag_reader TO case_all;
GRANT teldag_public_reader TO case_public;
GRANT teldag_board_reader TO case_none;

SELECT t.rules(2024, 2025, 2026);
SELECT t.school(n, 'so') FROM generate_series(1, 3) AS n;
SELECT t.school(4, 'bao');
UPDATE teldag_data.school_log SET board_id = CASE school_id WHEN 1 THEN 'B1' WHEN 2 THEN 'B1' WHEN 3 THEN 'B2' ELSE 'B3' END;
-- the pupil 100 in schools 1 and 3; school 2 falls below its threshold
SELECT t.regs(1, 2024, 100, 60, 'graad1', 4), t.closed(1, 2024, 60), t.regs(2, 2023, 500, 60, 'graad1', 4), t.closed(2, 2023, 60),
       t.regs(2, 2024, 500, 40, 'graad1', 0), t.closed(2, 2024, 41), t.reg(3, 2024, 100, 'okan', 5), t.closed(3, 2024, 1),
       t.regs(4, 2024, 800, 30, 'lager', 39), t.closed(4, 2024, 30);
SELECT t.known(1, 'gok_uren_leraar', 'graad1', 2024, 'granted', 7), t.known(3, 'gok_uren_leraar', 'okan', 2024, 'granted', 9);
SELECT f.inspection('r1', 1, 2023, '2023-10-02', gok => 'negatief'), f.inspection('r2', 1, 2024, '2024-10-01', gok => 'negatief'),
       f.inspection('r3', 3, 2024, '2024-10-08', gok => 'negatief'), f.melding('m1', 3, '2024-10-01', ARRAY['leerrecht']),
       f.melding('m2', 2, '2024-10-01', ARRAY['leerrecht']), f.controle('c1', 700, 2024, '2024-11-04', 1, 'onvoldoende'),
       f.toah('t1', 100, 1, 2024), f.poah('p1', 101, 2024, 3);
-- a report that moved from school 3 to school 1, and one that was withdrawn: the rows behind them are of a school of board B2
SELECT f.inspection('moved', 3, 2024, '2024-10-09'), f.inspection('moved', 1, 2024, '2024-10-09');
SELECT f.inspection('gone', 3, 2024, '2024-10-10'), f.inspection('gone', NULL, NULL, NULL, NULL, op => 'w');
INSERT INTO teldag_data.budget_value (school_year, level, indicator, pupils, envelope_cents, split, value_cents, rules)
VALUES (2025, 'bao', 'opleiding_moeder', 40, 100001, 0.30, 1500.0150, 'test'), (2025, 'so', 'opleiding_moeder', 40, 100001, 0.30, 1500.0150, 'test');
SELECT t.settle();
-- the texts of alerts as the daemon writes them
UPDATE teldag_data.alert_log SET summary = 'pupil ' || subject, detail = jsonb_build_object('pupil', subject, 'controle_id', 'c1', 'other_school_id', '3', 'schools', 2)
WHERE kind IN ('registration.double', 'huisonderwijs.control_due');
UPDATE teldag_data.alert_state s SET summary = l.summary, detail = l.detail FROM teldag_data.alert_log l WHERE l.seq = s.seq;
SELECT teldag_data.grant_board('case_board', 'B1'), teldag_data.grant_board('case_two', 'B2'), teldag_data.grant_board('case_two', 'B3'),
       teldag_data.grant_school('case_school', '3'), teldag_data.grant_school('case_school', '3');

-- Every view of teldag_own shows exactly the rows of schema teldag whose school is the reader's.
CREATE FUNCTION t.own(reader name, schools text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v text;
    columns text;
    extra int;
    missing int;
    shown int;
BEGIN
    FOR v IN SELECT viewname FROM pg_views WHERE schemaname = 'teldag_own' AND viewname NOT IN ('rules', 'clock') ORDER BY 1 LOOP
        SELECT string_agg(CASE WHEN v IN ('alert', 'alert_log') AND attname IN ('subject', 'summary', 'detail')
                               THEN format('CASE WHEN kind = ''registration.double'' THEN NULL ELSE %I END', attname) ELSE quote_ident(attname) END, ', ' ORDER BY attnum)
        INTO columns FROM pg_attribute WHERE attrelid = ('teldag.' || quote_ident(v))::regclass AND attnum > 0;
        EXECUTE format('SET LOCAL ROLE %I', reader);
        EXECUTE format('CREATE TEMP TABLE seen AS SELECT * FROM teldag_own.%I', v);
        RESET ROLE;
        EXECUTE format('SELECT count(*) FROM (SELECT %s FROM seen EXCEPT ALL SELECT %1$s FROM teldag.%I WHERE school_id = ANY ($1)) x', columns, v) INTO extra USING schools;
        EXECUTE format('SELECT count(*) FROM (SELECT %s FROM teldag.%I WHERE school_id = ANY ($1) EXCEPT ALL SELECT %1$s FROM seen) x', columns, v) INTO missing USING schools;
        SELECT count(*) INTO shown FROM seen;
        DROP TABLE seen;
        PERFORM t.is(reader || ' ' || v || ': extra, missing', ROW(extra, missing)::text, '(0,0)');
        IF reader = 'case_board' THEN PERFORM t.is(v || ' is not empty', shown > 0, true); END IF;
        IF schools = '{}' THEN PERFORM t.is(v || ' is empty', shown, 0); END IF;
    END LOOP;
END $$;
SELECT t.own('case_board', '{1,2}'), t.own('case_two', '{3,4}'), t.own('case_school', '{3}'), t.own('case_none', '{}'),
       t.own('teldag_board_reader', '{}'), t.own('teldag_school_reader', '{}');

-- A board that gets a school sees it, and the one before no more.
SELECT t.school(2, 'so');
UPDATE teldag_data.school_log SET board_id = 'B2' WHERE board_id IS NULL;
SELECT t.own('case_two', '{2,3,4}');
SET ROLE case_board;
CREATE TEMP TABLE left_over AS SELECT school_id FROM teldag_own.school;
RESET ROLE;
SELECT t.is('the board before sees school 1 only', (SELECT array_agg(school_id) FROM left_over), '{1}');

-- No pupil in alerts, neither in the own schools' nor in all.
CREATE FUNCTION t.pupils_in(reader name, relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', reader);
    EXECUTE format($q$SELECT format('%%s rows about pupils, %%s name one', count(*), count(*) FILTER (WHERE a::text ~ '[0-9a-f]{32}|c1'))
                      FROM %s a WHERE kind IN ('registration.double', 'huisonderwijs.control_due')$q$, relation) INTO answer;
    RESET ROLE;
    RETURN answer;
END $$;
SELECT t.is('own alert', t.pupils_in('case_board', 'teldag_own.alert'), '1 rows about pupils, 0 name one'),
       t.is('own alert_log', t.pupils_in('case_board', 'teldag_own.alert_log'), '1 rows about pupils, 0 name one'),
       t.is('reader alert', t.pupils_in('case_all', 'teldag.alert'), '3 rows about pupils, 0 name one'),
       t.is('reader alert_log', t.pupils_in('case_all', 'teldag.alert_log'), '3 rows about pupils, 0 name one'),
       t.is('inspection alert', t.pupils_in('teldag_inspection_reader', 'teldag.alert'), '3 rows about pupils, 0 name one'),
       t.is('writer alert', t.pupils_in('teldag_writer', 'teldag.alert'), '3 rows about pupils, 3 name one'),
       t.is('writer alert_log', t.pupils_in('teldag_writer', 'teldag.alert_log'), '3 rows about pupils, 3 name one');

-- Binding what sees everything anyway would be a lie.
CREATE FUNCTION t.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN sqlstate;
END $$;
SELECT t.is('a reader of everything', t.refused($q$SELECT teldag_data.grant_board('case_all', 'B1')$q$), '42501'),
       t.is('a superuser', t.refused($q$SELECT teldag_data.grant_school('postgres', '1')$q$), '42501'),
       t.is('no such role', t.refused($q$SELECT teldag_data.grant_board('case_nobody', 'B1')$q$), '42704'),
       t.is('no number', t.refused($q$SELECT teldag_data.grant_school('case_loose', 'x')$q$), '22P02');
-- Bound, but no member: nothing, not even the right to ask. A member of a bound role sees as itself nothing, as that role its schools.
SELECT teldag_data.grant_board('case_loose', 'B1');
REVOKE teldag_board_reader FROM case_loose;
GRANT case_board TO case_none;
SELECT t.own('case_none', '{}');
SET ROLE case_loose;
SELECT set_config('t.got', '', false);
DO $$ BEGIN PERFORM 1 FROM teldag_own.count; EXCEPTION WHEN insufficient_privilege THEN PERFORM set_config('t.got', 'refused', false); END $$;
RESET ROLE;
SELECT t.is('a binding without membership', current_setting('t.got'), 'refused');
REVOKE case_board FROM case_none;
SELECT t.is('revoke', teldag_data.revoke_reader('case_board'), 1::bigint);
SET ROLE case_board;
CREATE TEMP TABLE after_revoke AS SELECT FROM teldag_own.count UNION ALL SELECT FROM teldag_own.school UNION ALL SELECT FROM teldag_own.alert_log;
RESET ROLE;
SELECT t.is('after revoke', (SELECT count(*) FROM after_revoke), 0::bigint);

-- ---- the public ----
-- Random counts, small ones among them: no shown number is below five, nor is the difference of two of which one contains the other,
-- nor of a total and the groups shown. The same without masking must fail, so that this test can.
DELETE FROM teldag_data.count_state;
DELETE FROM teldag_data.count_closed;
SELECT setseed((coalesce(nullif(current_setting('t.seed', true), ''), '17'))::float / 1000000);
INSERT INTO teldag_data.count_state
SELECT 2021, s, g, p, k[1], k[2], k[3], k[4], k[5], k[6], k[7], array_fill(0, ARRAY[64])
FROM generate_series(1, 400) AS s CROSS JOIN unnest(ARRAY['graad1', 'okan', 'graad23']) AS g
CROSS JOIN LATERAL (SELECT (random() * random() * CASE WHEN s > 300 THEN 600 ELSE 60 END)::int + 1 + length(g) * 0 AS p) q
CROSS JOIN LATERAL (SELECT floor(random() * (p + 1))::int AS gok, floor(random() * (p + 1))::int AS buurt) r
CROSS JOIN LATERAL (SELECT ARRAY[gok, floor(random() * (gok + 1))::int, floor(random() * (gok + 1))::int, floor(random() * (gok + 1))::int,
                                 floor(random() * (least(gok, buurt) + 1))::int, floor(random() * (least(gok, buurt) + 1))::int, buurt] AS k) i
WHERE s <= 300 OR g = 'graad1';
INSERT INTO teldag_data.count_closed SELECT DISTINCT 2021, school_id, school_id <> 7, 1, 1 FROM teldag_data.count_state;
INSERT INTO teldag_data.count_state SELECT 2024, school_id, grp, pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt, cells
FROM teldag_data.count_state; -- of a year that runs
INSERT INTO teldag_data.count_closed SELECT DISTINCT 2024, school_id, true, 1, 1 FROM teldag_data.count_state;
SET ROLE case_public;
CREATE TEMP TABLE public_count AS SELECT * FROM teldag_public.count;
CREATE TEMP TABLE public_oki AS SELECT * FROM teldag_public.oki;
RESET ROLE;
CREATE TEMP TABLE open_count AS SELECT school_year, school_id, "group", pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt
FROM teldag.count WHERE school_year = '2021-2022' AND closed;
CREATE TEMP TABLE open_oki AS SELECT * FROM teldag.oki WHERE school_year = '2021-2022' AND school_id <> '7';
CREATE FUNCTION t.small_cells(counts regclass, totals regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
BEGIN
    EXECUTE format($q$
        WITH cell AS (
            SELECT c.school_id, c."group", m.measure, m.n
            FROM %s c CROSS JOIN LATERAL (VALUES ('pupils', c.pupils), ('gok_pupils', c.gok_pupils), ('thuistaal', c.thuistaal),
                ('schooltoelage', c.schooltoelage), ('opleiding_moeder', c.opleiding_moeder), ('thuisloos', c.thuisloos), ('trekkend', c.trekkend),
                ('buurt', c.buurt)) AS m (measure, n)
        ), total AS (
            SELECT o.school_id, m.measure, m.n FROM %s o
            CROSS JOIN LATERAL (VALUES ('pupils', o.pupils), ('thuistaal', o.thuistaal), ('schooltoelage', o.schooltoelage),
                ('opleiding_moeder', o.opleiding_moeder), ('buurt', o.buurt)) AS m (measure, n)
        )
        SELECT (SELECT count(*) FROM cell WHERE n < 5)
             + (SELECT count(*) FROM cell a JOIN cell b ON b.school_id = a.school_id AND b."group" = a."group"
                JOIN (VALUES ('gok_pupils', 'pupils'), ('buurt', 'pupils'), ('thuistaal', 'pupils'), ('schooltoelage', 'pupils'),
                      ('opleiding_moeder', 'pupils'), ('thuisloos', 'pupils'), ('trekkend', 'pupils'), ('thuistaal', 'gok_pupils'),
                      ('schooltoelage', 'gok_pupils'), ('opleiding_moeder', 'gok_pupils'), ('thuisloos', 'gok_pupils'),
                      ('trekkend', 'gok_pupils'), ('thuisloos', 'buurt'), ('trekkend', 'buurt')) AS x (part, whole)
                     ON x.part = a.measure AND x.whole = b.measure
                WHERE b.n - a.n < 5)
             + (SELECT count(*) FROM total t
                JOIN (SELECT school_id, measure, sum(n) AS n, count(*) = count(n) AS whole FROM cell GROUP BY 1, 2) s USING (school_id, measure)
                WHERE NOT s.whole AND t.n IS NOT NULL OR t.n < 5)$q$, counts, totals) INTO found;
    RETURN found;
END $$;
SELECT t.is('small cells the public can derive', t.small_cells('public_count', 'public_oki'), 0::bigint),
       t.is('small cells there are', t.small_cells('open_count', 'open_oki') > 1000, true),
       t.is('most of what is large is shown', (SELECT count(pupils) > 300 AND count(gok_pupils) > 100 AND count(thuistaal) > 30 FROM public_count), true),
       t.is('oki is shown', (SELECT count(oki) > 3 FROM public_oki), true),
       t.is('oki is the sum', (SELECT count(*) FROM public_oki p JOIN teldag.oki o USING (school_year, school_id) WHERE p.oki <> o.oki), 0::bigint),
       t.is('only years that have ended', (SELECT array_agg(DISTINCT school_year) FROM public_count), '{2021-2022}'),
       t.is('only closed counts', (SELECT count(*) FROM public_count WHERE school_id = '7'), 0::bigint);
-- Statistics: parts all or none, the rest of a whole never small.
SELECT f.controle('s' || n, 900 + n, 2021, '2022-01-10', 1, CASE WHEN n <= 9 THEN 'voldoende' WHEN n <= 15 THEN 'onvoldoende' ELSE 'geweigerd' END)
FROM generate_series(1, 19) AS n; -- 9, 6, 4
SELECT f.controle('t' || n, 900 + n, 2021, '2022-02-10', 2, CASE WHEN n <= 9 THEN 'voldoende' WHEN n <= 15 THEN 'onvoldoende' ELSE 'geweigerd' END)
FROM generate_series(1, 20) AS n; -- 9, 6, 5
SELECT f.poah('q' || n, 900 + n, 2021, NULL, mfc => n <= 6, prior => n <= 4) FROM generate_series(1, 10) AS n;
SELECT f.toah('u' || n, 900 + n, 1, 2021, CASE WHEN n = 1 THEN 'moederschapsverlof' ELSE 'chronisch_ziek' END) FROM generate_series(1, 6) AS n;
SET ROLE case_public;
CREATE TEMP TABLE public_controls AS SELECT * FROM teldag_public.stats_huisonderwijs;
CREATE TEMP TABLE public_poah AS SELECT * FROM teldag_public.stats_poah;
CREATE TEMP TABLE public_toah AS SELECT * FROM teldag_public.stats_toah;
RESET ROLE;
SELECT t.is('one part below five hides all parts', (SELECT ROW(controles, voldoende, onvoldoende, geweigerd)::text FROM public_controls WHERE ordinal = 1), '(19,,,)'),
       t.is('all parts from five', (SELECT ROW(controles, voldoende, onvoldoende, geweigerd)::text FROM public_controls WHERE ordinal = 2), '(20,9,6,5)'),
       t.is('rest below five', (SELECT ROW(aanvragen, goedgekeurd, with_mfc, with_prior_toah)::text FROM public_poah), '(10,,,)'),
       t.is('a row below five', (SELECT array_agg(ROW(reason, meldingen)::text ORDER BY reason) FROM public_toah), ARRAY['(chronisch_ziek,5)', '(moederschapsverlof,)']);

DROP OWNED BY case_board, case_two, case_school, case_none, case_loose, case_all, case_public;
DROP ROLE case_board, case_two, case_school, case_none, case_loose, case_all, case_public;
