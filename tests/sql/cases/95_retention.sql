-- What retention takes away and keeps, in small: the daemon's part is the act in local_log and the alerts that end (tests/system/test_retention.py).
SELECT t.rules(2018, 2019, 2020, 2021);
UPDATE teldag_data.shard_progress SET today = '2021-10-01';
SELECT t.school(1, 'so'), t.school(2, 'so');
SELECT t.regs(1, y, y * 1000, 40, 'graad1', 4), t.closed(1, y, 40) FROM generate_series(2017, 2020) AS y;
SELECT t.reg(2, 2018, 2018000, 'graad1', 4), t.closed(2, 2018, 1);
SELECT f.controle('c1', 1, 2017, '2018-02-01', 1, 'voldoende'), f.controle('c2', 1, 2020, '2021-02-01', 1, 'voldoende'),
       f.controle('c3', 2, 2017, '2018-02-01', 1, 'onvoldoende'), f.controle('c4', 2, 2018, '2019-02-01', 2, 'voldoende'),
       f.verklaring('v1', 1, 2017, last_school => 1), f.verklaring('v2', 1, 2020, last_school => 1),
       f.poah('p1', 1, 2017, 1, mfc => true), f.beslissing('p1', 'goedgekeurd', school => 2), f.poah('p2', 1, 2020, 1), f.vlp('x1', 1, 2017, 'tijdelijk', 'goedgekeurd'),
       f.toah('t1', 1, 1, 2017), f.toah('t2', 1, 1, 2017), f.toah('t2', 1, 1, 2019), f.melding('m1', 1, '2018-02-01', ARRAY['leerrecht']);
SELECT t.dead('registration.0', 'pupil 0123456789abcdef0123456789abcdef is wrong', '{"school_year": "2017-2018", "pupil": "x"}'),
       t.dead('registration.0', 'later', '{"school_year" : "2020-2021"}'), t.dead('school.0', 'no pupil', '{"school_year": "2017-2018"}');
SELECT t.settle();
CREATE TEMP TABLE was AS
SELECT 'count' AS v, to_jsonb(x) - 'retained' AS r FROM teldag.count x UNION ALL SELECT 'allocation', to_jsonb(x) - 'retained' FROM teldag.allocation x
UNION ALL SELECT 'huis', to_jsonb(x) FROM teldag.stats_huisonderwijs x UNION ALL SELECT 'poah', to_jsonb(x) FROM teldag.stats_poah x
UNION ALL SELECT 'toah', to_jsonb(x) FROM teldag.stats_toah x UNION ALL SELECT 'risk', to_jsonb(x) FROM teldag.risk_indicator x
UNION ALL SELECT 'per', to_jsonb(x) FROM teldag.toah_poah_per_school x;

SELECT t.is('needed', (SELECT count(*) FROM teldag_data.retain_refusals(2021::smallint, true) r WHERE r LIKE '%is needed%'), 1::bigint),
       t.is('allowed', (SELECT array_agg(r) FROM teldag_data.retain_refusals(2020::smallint, true) r), NULL::text[]),
       t.is('what is open', (SELECT array_agg(r ORDER BY r) FROM teldag_data.retain_refusals(2019::smallint, false) r),
            ARRAY['1 dead letters are open', '2 alerts registration.double fire']);
SELECT t.is('plan', (SELECT array_agg(p.what || ' ' || p.school_year || ' ' || p.rows ORDER BY p.what, p.school_year) FROM teldag_data.retain_plan(2019::smallint) p),
    ARRAY['beslissing events  1', 'controle events  2', 'dead letters, their bytes  1', 'poah events  1', 'registration events 2017-2018 41',
          'registration events 2018-2019 43',
          'rows of alerts, their pupil 2018-2019 2', 'toah events  1', 'verklaring events  1', 'vlp events  1']);
-- Without its act it cannot be committed; an act that says so without it is not believed.
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN sqlerrm;
END $$;
SELECT t.is('no act', pg_temp.refused('SELECT teldag_data.retain(2019::smallint, true)'), 'retain: cannot be committed without its act in local_log');
SELECT t.is('nothing went', (SELECT count(*) FROM teldag_data.registration_log WHERE school_year < 2019), 84::bigint);
BEGIN;
INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES (0, 1, 'retain', '{"before": "2099-2100"}');
SELECT teldag_data.retained_before() AS before \gset
SELECT pg_temp.refused('SELECT teldag_data.retain_alerts(2099::smallint)') AS alerts \gset
ROLLBACK;
SELECT t.is('an act alone', :before, 0), t.is('its alerts', :'alerts'::text, 'cannot blank alerts: school years before 2099-2100 are not retained'::text);
INSERT INTO teldag_data.local_log (shard, seq, act, body) SELECT 0, 1, 'retain', teldag_data.retain(2019::smallint, true);
SELECT teldag_data.retain_alerts(2019::smallint);
SELECT t.is('nothing is left', (SELECT count(*) FROM teldag_data.retain_plan(2019::smallint)), 0::bigint),
       t.is('the file of a pupil is kept whole', (SELECT array_agg(DISTINCT controle_id ORDER BY controle_id) FROM teldag_data.controle_log), ARRAY['c1', 'c2']),
       t.is('a key that moved on is kept', (SELECT count(*) FROM teldag_data.toah_log), 2::bigint),
       t.is('what is no pupil''s is kept', (SELECT count(*) FROM teldag_data.melding_log), 1::bigint),
       t.is('letters', (SELECT array_agg(concat_ws(' ', state, reason, length(raw)) ORDER BY reason) FROM teldag_data.dead_letter),
            ARRAY['open later 29', 'open no pupil 28', 'dropped pupil # is wrong 0']);
SELECT t.is('no figure moved: ' || coalesce(n.v, w.v), to_jsonb(n.r)::text, to_jsonb(w.r)::text)
FROM was w FULL JOIN (
SELECT 'count' AS v, to_jsonb(x) - 'retained' AS r FROM teldag.count x UNION ALL SELECT 'allocation', to_jsonb(x) - 'retained' FROM teldag.allocation x
UNION ALL SELECT 'huis', to_jsonb(x) FROM teldag.stats_huisonderwijs x UNION ALL SELECT 'poah', to_jsonb(x) FROM teldag.stats_poah x
UNION ALL SELECT 'toah', to_jsonb(x) FROM teldag.stats_toah x UNION ALL SELECT 'risk', to_jsonb(x) FROM teldag.risk_indicator x
UNION ALL SELECT 'per', to_jsonb(x) FROM teldag.toah_poah_per_school x) n ON n.v = w.v AND n.r = w.r;
SELECT t.is('fixed years', (SELECT array_agg(DISTINCT school_year ORDER BY school_year) FROM teldag.count WHERE retained), ARRAY['2017-2018', '2018-2019']),
       t.is('counts still come back', (SELECT count(*) FROM teldag_check.count c FULL JOIN teldag_data.count_state s USING (school_year, school_id, grp)
                                       WHERE c.cells IS DISTINCT FROM s.cells), 0::bigint),
       t.is('incidents still come back', (SELECT sum(observed) FROM teldag_check.incident WHERE school_year = 2017), 4::numeric),
       t.is('positions in ranges', (SELECT sum(last_seq - first_seq + 1) FROM teldag_data.retained_position), (41 + 43 + 7)::numeric);
-- Again, a year on: what was fixed stays, what is new is added.
INSERT INTO teldag_data.local_log (shard, seq, act, body) SELECT 0, 2, 'retain', teldag_data.retain(2020::smallint, true);
SELECT t.is('toah twice', (SELECT sum(meldingen) FROM teldag.stats_toah), 2::numeric),
       t.is('rows of the fixed statistics are not doubled', (SELECT count(*) FROM teldag_data.retained_stats_toah), 2::bigint),
       t.is('digest', (SELECT body ->> 'sha256' FROM teldag_data.local_log WHERE seq = 2), teldag_data.retained_digest());
