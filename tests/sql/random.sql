-- A random world, repeatable by :seed: few schools and pupils, so that everything meets everything: moves, doubles, corrections,
-- streams that contradict each other, resends, early and late closings, successors, unknown schools, carried-over years.
SELECT t.rules(2023, 2024);
SELECT t.rule('gok.minimum', '1'), t.rule('bubao.minimum', '1'), t.rule('buso.minimum', '1'), t.rule('gok.value.graad1', '0.9'),
       t.rule('gok.value.okan', '0.8'), t.rule('gok.value.graad23', '0.7');
SELECT setseed(:seed::double precision / 1000);
CREATE FUNCTION pg_temp.pick(a anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS $$ SELECT a[1 + floor(random() * cardinality(a))::int] $$;
CREATE FUNCTION pg_temp.n(low int, high int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT low + floor(random() * (high - low + 1))::int $$;
SELECT t.rule(n, v) FROM (VALUES ('rounding', 'ge4'), ('gok.minimum_on', 'exact'), ('gok.combination', 'false'),
    ('gok.round_points', 'false'), ('bu.eligibility', 'or'), ('bu.share_counts', 'any'), ('gedoog.covers', 'minimum'), ('gok.cap', '0.9'),
    ('gok.brussels_factor', '1.25'), ('gok.threshold.graad1', '0.333333333')) AS x (n, v) WHERE random() < 0.25;
DO $$
DECLARE
    i int;
    s text;
    levels text[] := ARRAY['bao', 'so', 'so', 'so', 'bubao', 'buso', 'dko'];
    groups text[] := ARRAY['kleuter', 'lager', 'graad1', 'graad1', 'graad1', 'okan', 'graad23', 'basisaanbod', 'type3', 'ander'];
    streams text[] := ARRAY['registration.0', 'registration.0', 'registration.1', 'registration.10'];
BEGIN
    FOREACH s IN ARRAY ARRAY['school.0', 'school.1', 'registration.0', 'registration.1', 'registration.10', 'inspection.0',
                             'inspection.1', 'huisonderwijs.0', 'huisonderwijs.1', 'melding.0', 'melding.1', 'aanhuis.0', 'aanhuis.1'] LOOP
        PERFORM t.epoch(s, 1, false);
    END LOOP;
    FOR i IN 1..1500 LOOP
        PERFORM set_config('t.at', (timestamptz '2024-01-01' + pg_temp.n(1, 400) * interval '1 hour')::text, true);
        CASE
        WHEN i <= 12 OR random() < 0.03 THEN
            PERFORM t.school(CASE WHEN i <= 12 THEN i ELSE pg_temp.n(1, 14) END, pg_temp.pick(levels), random() < 0.2,
                             CASE WHEN random() < 0.1 THEN pg_temp.pick(ARRAY['2024-09-01', '2024-09-02', '2030-01-01', '2023-08-31'])::date END,
                             CASE WHEN random() < 0.3 THEN pg_temp.n(20, 34) - 20 + 1 END, CASE WHEN random() < 0.1 THEN 'w' ELSE 'u' END::"char",
                             pg_temp.pick(ARRAY['school.0', 'school.1']));
        WHEN random() < 0.03 THEN
            PERFORM t.known(pg_temp.n(1, 14), x.staffing, x.grp, pg_temp.n(2021, 2026), pg_temp.pick(ARRAY['granted', 'granted', 'grace', 'below_threshold', 'below_minimum']),
                            pg_temp.n(0, 20), CASE WHEN random() < 0.2 THEN 'w' ELSE 'u' END::"char", pg_temp.pick(ARRAY['school.0', 'school.1']))
            FROM (SELECT * FROM (VALUES ('gok_uren_leraar', 'graad1'), ('gok_uren_leraar', 'okan'), ('gok_uren_leraar', 'graad23'),
                  ('gok_extra_lesuren', 'aanbod'), ('gok_aanvullende_lestijden', 'aanbod'), ('ses_lestijden', 'lager')) AS v (staffing, grp) ORDER BY random() LIMIT 1) x;
        WHEN random() < 0.004 THEN
            PERFORM t.epoch(x.name, x.epoch + pg_temp.n(1, 3), random() < 0.7)
            FROM (SELECT n.name, p.epoch FROM teldag_data.stream n JOIN teldag_data.feed_progress p USING (stream_id)
                  WHERE n.name LIKE 'registration%' ORDER BY random() LIMIT 1) x;
        WHEN random() < 0.05 THEN -- years and dates that contradict each other too
            PERFORM f.inspection('r' || pg_temp.n(1, 40), pg_temp.n(1, 15), pg_temp.n(2020, 2026),
                                 make_date(pg_temp.n(2020, 2026), pg_temp.n(1, 12), pg_temp.n(1, 3)),
                                 pg_temp.pick(ARRAY['doorlichting', 'opvolging', 'tussentijds_bezoek']),
                                 pg_temp.pick(ARRAY['negatief', 'negatief', 'positief', 'none', NULL]),
                                 pg_temp.pick(ARRAY['gunstig', 'ongunstig_met_opschorting', 'ongunstig_zonder_opschorting', NULL]), NULL,
                                 CASE WHEN random() < 0.5 THEN make_date(pg_temp.n(2023, 2026), pg_temp.n(1, 12), 5) END,
                                 CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", pg_temp.pick(ARRAY['inspection.0', 'inspection.1']));
        WHEN random() < 0.02 THEN
            PERFORM f.opschorting('r' || pg_temp.n(1, 40), pg_temp.n(1, 15), '2025-01-01', CASE WHEN random() < 0.2 THEN 'w' ELSE 'u' END::"char",
                                  pg_temp.pick(ARRAY['inspection.0', 'inspection.1']));
        WHEN random() < 0.03 THEN
            PERFORM f.controle('c' || pg_temp.n(1, 40), pg_temp.n(1, 9), pg_temp.n(2022, 2025), make_date(2024, pg_temp.n(1, 12), pg_temp.n(1, 3)),
                               pg_temp.n(1, 2), pg_temp.pick(ARRAY['voldoende', 'onvoldoende', 'geweigerd']), 'basis',
                               CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", pg_temp.pick(ARRAY['huisonderwijs.0', 'huisonderwijs.1']));
        WHEN random() < 0.02 THEN -- chains, branches, circles; few withdrawals, so that they stay
            PERFORM f.link(x.old, 1 + (x.old + pg_temp.n(0, 10)) % 12, CASE WHEN random() < 0.2 THEN 'w' ELSE 'u' END::"char",
                           pg_temp.pick(ARRAY['huisonderwijs.0', 'huisonderwijs.1', 'registration.1']))
            FROM (SELECT pg_temp.n(1, 12) AS old) x;
        WHEN random() < 0.03 THEN
            PERFORM f.melding('m' || pg_temp.n(1, 30), pg_temp.n(1, 15), date '2024-11-01' + pg_temp.n(0, 400), ARRAY['leerrecht'], 'so',
                              CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", pg_temp.pick(ARRAY['melding.0', 'melding.1']));
        WHEN random() < 0.01 THEN
            PERFORM f.beantwoord('m' || pg_temp.n(1, 30), '2025-01-01', CASE WHEN random() < 0.2 THEN 'w' ELSE 'u' END::"char",
                                 pg_temp.pick(ARRAY['melding.0', 'melding.1']));
        WHEN random() < 0.1 THEN
            CASE pg_temp.n(1, 4)
            WHEN 1 THEN
                PERFORM f.toah('q' || pg_temp.n(1, 30), 1, pg_temp.n(1, 15), pg_temp.n(2022, 2024),
                               op => CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", stream => pg_temp.pick(ARRAY['aanhuis.0', 'aanhuis.1']));
            WHEN 2 THEN
                PERFORM f.poah('q' || pg_temp.n(1, 30), 1, pg_temp.n(2022, 2024), CASE WHEN random() < 0.8 THEN pg_temp.n(1, 15) END,
                               op => CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", stream => pg_temp.pick(ARRAY['aanhuis.0', 'aanhuis.1']));
            WHEN 3 THEN
                PERFORM f.beslissing('q' || pg_temp.n(1, 30), 'goedgekeurd', '2024-12-01', CASE WHEN random() < 0.6 THEN pg_temp.n(1, 15) END,
                                     op => CASE WHEN random() < 0.3 THEN 'w' ELSE 'u' END::"char", stream => pg_temp.pick(ARRAY['aanhuis.0', 'aanhuis.1']));
            ELSE
                PERFORM f.verklaring('q' || pg_temp.n(1, 30), 1, pg_temp.n(2022, 2024), last_school => CASE WHEN random() < 0.8 THEN pg_temp.n(1, 15) END,
                                     op => CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char",
                                     stream => pg_temp.pick(ARRAY['huisonderwijs.0', 'huisonderwijs.1']));
            END CASE;
        WHEN random() < 0.2 THEN
            PERFORM t.closed(pg_temp.n(1, 15), pg_temp.n(2021, 2025), pg_temp.n(0, 4), pg_temp.pick(streams));
        ELSE
            PERFORM t.reg(pg_temp.n(1, 15), pg_temp.n(2021, 2025), pg_temp.n(1, 9), pg_temp.pick(groups),
                          CASE WHEN random() < 0.9 THEN pg_temp.n(0, 63) END, CASE WHEN random() < 0.15 THEN 'w' ELSE 'u' END::"char", pg_temp.n(1, 2),
                          random() < 0.9, CASE WHEN random() < 0.2 THEN make_date(pg_temp.n(2022, 2026), 2, pg_temp.n(1, 3)) END,
                          CASE WHEN random() < 0.2 THEN make_date(pg_temp.n(2022, 2026), 2, pg_temp.n(1, 3)) END,
                          CASE WHEN random() < 0.3 THEN pg_temp.n(0, 26) END, pg_temp.pick(streams));
        END CASE;
    END LOOP;
END $$;
UPDATE teldag_data.shard_progress SET today = CASE WHEN random() < 0.9 THEN date '2025-03-01' + pg_temp.n(0, 300) END;
-- References of two years, some of a rate of nothing, some absent.
INSERT INTO teldag_data.local_log (shard, seq, act, body)
SELECT 0, y.nth, 'fix reference', jsonb_build_object('school_year', y.year || '-' || y.year + 1, 'values', jsonb_agg(jsonb_build_object(
           'level', x.level, 'indicator', x.indicator, 'events', x.events, 'half_pupils', x.halves, 'rate', round(x.events * 2000.0 / x.halves, 9))))
FROM (VALUES (1, 2023), (2, 2024)) AS y (nth, year)
CROSS JOIN LATERAL (SELECT l.level, i.indicator, pg_temp.n(0, 9) + 0 * y.nth AS events, pg_temp.n(10, 9000) + 0 * y.nth AS halves
                    FROM unnest(ARRAY['bao', 'so', 'bubao', 'buso']) AS l (level)
                    CROSS JOIN unnest(ARRAY['meldingen', 'toah', 'poah', 'huisonderwijs']) AS i (indicator)
                    WHERE random() < 0.9) x
GROUP BY y.nth, y.year;
INSERT INTO teldag_data.risk_reference (school_year, level, indicator, events, pupils, rate)
SELECT left(l.body ->> 'school_year', 4)::int, v.level, v.indicator, v.events, v.half_pupils, v.rate
FROM teldag_data.local_log l CROSS JOIN LATERAL jsonb_to_recordset(l.body -> 'values')
     AS v (level text, indicator text, events bigint, half_pupils bigint, rate numeric);
