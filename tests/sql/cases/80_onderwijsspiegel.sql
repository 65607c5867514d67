-- Events drawn to have the totals published for 2023-2024 (conf/data/onderwijsspiegel_2023_2024.json) come back from the views as
-- these numbers: every number of the file is asked for. Around them lies what must not count: earlier versions of the same events,
-- withdrawn events and the same events of other school years.
\set file `cat "$TELDAG_TOP"/conf/data/onderwijsspiegel_2023_2024.json`
CREATE TABLE published AS SELECT :'file'::jsonb AS d;
CREATE FUNCTION p(VARIADIC path text[]) RETURNS int LANGUAGE sql STABLE RETURN (SELECT (d #>> path)::int FROM published);

-- Which number of the file each question answers; at the end no number may be left.
CREATE TABLE asked (path text);
CREATE FUNCTION ask(got numeric, VARIADIC path text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO asked VALUES (path::text);
    SELECT t.is('published ' || array_to_string(path, '.'), got, p(VARIADIC path)::numeric) $$;

-- Schools: a doorlichting each, so that a visit knows which advice its school had; network and province go round.
CREATE TABLE place AS
SELECT row_number() OVER (ORDER BY l.key, n)::int AS school, l.key AS level, n::int AS n
FROM published, jsonb_each_text(d -> 'doorlichtingen_per_level' #- '{total}' #- '{without_legal_consequence}') l,
     generate_series(1, l.value::int) AS n;
INSERT INTO teldag_data.school_log
SELECT x.stream_id, x.epoch, x.seq, 'u', school, 'school ' || school, level, (ARRAY['go', 'vrij', 'officieel'])[1 + school % 3],
       (ARRAY['antwerpen', 'brussel', 'limburg', 'oost-vlaanderen', 'vlaams-brabant', NULL])[1 + school % 6], NULL, false, NULL, NULL, NULL,
       'e', 's', x.at, x.at
FROM place CROSS JOIN LATERAL t.next('school.' || school * 0) x;

-- n-th doorlichting of its level -> advice. bao and so have some without legal consequence; what is published for bao is bao's, the
-- rest of each advice falls on the other levels together.
CREATE FUNCTION cut(n int, VARIADIC lengths int[]) RETURNS int LANGUAGE sql IMMUTABLE AS $$ -- which stretch n falls in, null after the last
    SELECT min(i)::int FROM generate_subscripts(lengths, 1) AS i WHERE n <= (SELECT sum(l) FROM unnest(lengths[1:i]) l) $$;
CREATE TABLE doorlichting AS
WITH other AS (
    SELECT school, row_number() OVER (ORDER BY school)::int AS nth FROM place
    WHERE level <> 'bao' AND NOT (level = 'so' AND n > p('doorlichtingen_per_level', 'so') - p('doorlichtingen_per_level', 'without_legal_consequence', 'so'))
)
SELECT place.*, CASE level
    WHEN 'bao' THEN (ARRAY['gunstig', 'gunstig_met_tekorten', 'ongunstig_met_opschorting', 'ongunstig_zonder_opschorting'])[
        cut(n, p('adviezen_bao', 'gunstig'), p('adviezen_bao', 'gunstig_met_tekorten'), p('adviezen_bao', 'ongunstig_met_opschorting'),
            p('adviezen_bao', 'ongunstig_zonder_opschorting'))]
    ELSE (ARRAY['gunstig', 'gunstig_met_tekorten', 'ongunstig_met_opschorting'])[
        cut(nth, p('adviezen', 'gunstig') - p('adviezen_bao', 'gunstig'), p('adviezen', 'gunstig_met_tekorten') - p('adviezen_bao', 'gunstig_met_tekorten'),
            p('adviezen', 'ongunstig'))] END AS advice,
    CASE WHEN level = 'bao' THEN (ARRAY['negatief', 'positief'])[
            cut(n, p('gok_onvoldoende', 'bao', '0'), p('gok_onvoldoende', 'bao', '1') - p('gok_onvoldoende', 'bao', '0'))]
         WHEN level = 'so' THEN (ARRAY['negatief', 'positief', 'none'])[
            cut(n, p('gok_onvoldoende', 'so', '0'), p('gok_onvoldoende', 'so', '1') - p('gok_onvoldoende', 'so', '0'),
                p('gok_onvoldoende', 'so_without_verdict_no_gok_means'))] END AS gok,
    CASE WHEN level IN ('bao', 'so') THEN (ARRAY['negatief', 'werkpunten', 'positief'])[
            cut(n, p('leerlingenbegeleiding', level, 'negatief'),
                p('leerlingenbegeleiding', level, 'werkpunten_or_negatief') - p('leerlingenbegeleiding', level, 'negatief'),
                p('leerlingenbegeleiding', level, 'assessed') - p('leerlingenbegeleiding', level, 'werkpunten_or_negatief'))] END AS begeleiding
FROM place LEFT JOIN other USING (school);

-- Reports: an earlier version with another verdict first; then in an order that has nothing to do with anything.
SELECT f.inspection('D' || school, school, 2023, '2023-12-01', gok => 'positief', advice => 'gunstig', begeleiding => 'positief')
FROM doorlichting WHERE school % 4 = 0;
SELECT f.inspection('D' || school, school, 2023, date '2023-11-02' + school % 150, gok => gok, advice => advice, begeleiding => begeleiding)
FROM doorlichting ORDER BY md5(school::text);
SELECT f.inspection('gone' || school, school, 2023, '2023-12-01', gok => 'negatief', advice => 'gunstig', begeleiding => 'negatief'),
       f.inspection('gone' || school, NULL, NULL, NULL, NULL, op => 'w'),
       f.inspection('before' || school, school, 2022, '2022-12-01', 'doorlichting', 'none', 'gunstig', 'negatief')
FROM doorlichting WHERE school % 5 = 0;

-- Visits: those after ongunstig in June to schools of bao with that advice, all others before any doorlichting of the year.
CREATE TABLE visit AS
SELECT l.key AS level, n::int AS n, l.key = 'bao' AND n <= p('tussentijdse_bezoeken', 'after_ongunstig') AS after
FROM published, jsonb_each_text(d -> 'tussentijdse_bezoeken' #- '{total}' #- '{after_ongunstig}') l, generate_series(1, l.value::int) AS n;
SELECT f.inspection(format('B-%s-%s', v.level, v.n), s.school, 2023, CASE WHEN v.after THEN '2024-06-03'::date ELSE '2023-10-02' END, 'tussentijds_bezoek')
FROM visit v
JOIN LATERAL (SELECT x.school FROM doorlichting x WHERE x.level = v.level AND (NOT v.after OR x.advice LIKE 'ongunstig%')
              ORDER BY x.school OFFSET (v.n - 1) % (SELECT count(*) FROM doorlichting y WHERE y.level = v.level AND (NOT v.after OR y.advice LIKE 'ongunstig%')) LIMIT 1) s ON true;

-- Huisonderwijs: a first control of each pupil, a second of some whose first was insufficient.
CREATE TABLE first_control AS
SELECT n AS pupil, CASE WHEN n <= p('huisonderwijs_controles', 'first', '(bu)bao') THEN 'basis' ELSE 'secundair' END AS level,
       row_number() OVER (ORDER BY md5(n::text)) <= p('huisonderwijs_controles', 'first', 'onvoldoende') AS insufficient
FROM generate_series(1, p('huisonderwijs_controles', 'first', '(bu)bao') + p('huisonderwijs_controles', 'first', '(bu)so')) AS n;
CREATE TABLE second_control AS
SELECT s.*, row_number() OVER (ORDER BY md5('x' || pupil)) <= p('huisonderwijs_controles', 'second', 'onvoldoende') AS again
FROM (SELECT *, row_number() OVER (PARTITION BY level ORDER BY pupil) AS nth FROM first_control WHERE insufficient) s
WHERE nth <= p('huisonderwijs_controles', 'second', CASE level WHEN 'basis' THEN '(bu)bao' ELSE '(bu)so' END);
SELECT f.controle('2-' || pupil, pupil, 2023, date '2024-05-01' + pupil % 30, 2, CASE WHEN again THEN 'onvoldoende' ELSE 'voldoende' END, level) FROM second_control;
SELECT f.controle('1-' || pupil, pupil, 2023, '2024-01-10', 1, 'geweigerd', level) FROM first_control WHERE pupil % 7 = 0;
SELECT f.controle('1-' || pupil, pupil, 2023, date '2023-12-01' + pupil % 100, 1, CASE WHEN insufficient THEN 'onvoldoende' ELSE 'voldoende' END, level)
FROM first_control;
SELECT f.controle('0-' || pupil, pupil, 2022, '2023-03-01', 1, 'voldoende', level) FROM first_control WHERE pupil % 3 = 0;
SELECT f.verklaring('V' || n, n, 2023, 'individueel', CASE n % 5 WHEN 0 THEN 'secundair' ELSE 'basis' END)
FROM generate_series(1, p('huisonderwijs_controles', 'verklaringen_individueel')) AS n;
SELECT f.verklaring('W' || n, n, 2023, 'collectief'), f.verklaring('V0' || n, n, 2022) FROM generate_series(1, 50) AS n;

-- The questions.
SELECT ask((SELECT sum(controles) FROM teldag.stats_huisonderwijs s WHERE s.school_year = '2023-2024' AND s.ordinal = o.n AND s.level = l.level),
           'huisonderwijs_controles', o.name, l.name)
FROM (VALUES (1, 'first'), (2, 'second')) AS o (n, name), (VALUES ('basis', '(bu)bao'), ('secundair', '(bu)so')) AS l (level, name);
SELECT ask((SELECT sum(onvoldoende) FROM teldag.stats_huisonderwijs s WHERE s.school_year = '2023-2024' AND s.ordinal = o.n), 'huisonderwijs_controles', o.name, 'onvoldoende')
FROM (VALUES (1, 'first'), (2, 'second')) AS o (n, name);
SELECT ask(sum(controles), 'huisonderwijs_controles', 'total'), ask(sum(voldoende), 'huisonderwijs_controles', 'voldoende'),
       ask(sum(onvoldoende), 'huisonderwijs_controles', 'onvoldoende') FROM teldag.stats_huisonderwijs WHERE school_year = '2023-2024';
SELECT ask(sum(verklaringen), 'huisonderwijs_controles', 'verklaringen_individueel') FROM teldag.stats_verklaring WHERE school_year = '2023-2024' AND kind = 'individueel';

SELECT ask(sum(inspections), 'doorlichtingen_per_level', level) FROM teldag.stats_doorlichting WHERE school_year = '2023-2024' GROUP BY level;
SELECT ask(sum(inspections), 'doorlichtingen_per_level', 'total') FROM teldag.stats_doorlichting WHERE school_year = '2023-2024';
SELECT ask(sum(without_advice), 'doorlichtingen_per_level', 'without_legal_consequence', level)
FROM teldag.stats_doorlichting WHERE school_year = '2023-2024' GROUP BY level HAVING sum(without_advice) > 0;
SELECT ask(sum(gunstig), 'adviezen', 'gunstig'), ask(sum(gunstig_met_tekorten), 'adviezen', 'gunstig_met_tekorten'),
       ask(sum(ongunstig_met_opschorting + ongunstig_zonder_opschorting), 'adviezen', 'ongunstig'),
       ask(sum(inspections - without_advice), 'adviezen', 'total')
FROM teldag.stats_doorlichting WHERE school_year = '2023-2024';
SELECT ask(sum(gunstig), 'adviezen_bao', 'gunstig'), ask(sum(gunstig_met_tekorten), 'adviezen_bao', 'gunstig_met_tekorten'),
       ask(sum(ongunstig_met_opschorting), 'adviezen_bao', 'ongunstig_met_opschorting'),
       ask(sum(ongunstig_zonder_opschorting), 'adviezen_bao', 'ongunstig_zonder_opschorting')
FROM teldag.stats_doorlichting WHERE school_year = '2023-2024' AND level = 'bao';
SELECT ask(negatief, 'gok_onvoldoende', level, '0'), ask(assessed, 'gok_onvoldoende', level, '1') FROM teldag.stats_gok WHERE school_year = '2023-2024';
SELECT ask("none", 'gok_onvoldoende', 'so_without_verdict_no_gok_means') FROM teldag.stats_gok WHERE school_year = '2023-2024' AND level = 'so';
SELECT ask(assessed, 'leerlingenbegeleiding', level, 'assessed'), ask(negatief, 'leerlingenbegeleiding', level, 'negatief'),
       ask(werkpunten + negatief, 'leerlingenbegeleiding', level, 'werkpunten_or_negatief')
FROM teldag.stats_leerlingenbegeleiding WHERE school_year = '2023-2024';
SELECT ask(bezoeken, 'tussentijdse_bezoeken', level) FROM teldag.stats_bezoek WHERE school_year = '2023-2024';
SELECT ask(sum(bezoeken), 'tussentijdse_bezoeken', 'total'), ask(sum(after_ongunstig), 'tussentijdse_bezoeken', 'after_ongunstig')
FROM teldag.stats_bezoek WHERE school_year = '2023-2024';

-- No number of the file without its question.
WITH RECURSIVE node (path, value) AS (
    SELECT ARRAY[]::text[], d FROM published
    UNION ALL
    SELECT n.path || k.key, k.value FROM node n
    CROSS JOIN LATERAL (SELECT key, value FROM jsonb_each(CASE jsonb_typeof(n.value) WHEN 'object' THEN n.value ELSE '{}' END)
                        UNION ALL SELECT (i - 1)::text, e FROM jsonb_array_elements(CASE jsonb_typeof(n.value) WHEN 'array' THEN n.value ELSE '[]' END)
                                                               WITH ORDINALITY AS a (e, i)) k
)
SELECT t.is('numbers of the file nobody asked for', string_agg(path::text, ' '), NULL) FROM node
WHERE jsonb_typeof(value) = 'number' AND path::text NOT IN (SELECT a.path FROM asked a);
SELECT t.is('nothing waits', count(*), 0::bigint) FROM teldag.unmatched;

-- The other breakdowns hold the same events.
SELECT t.is('by province and network', (count(DISTINCT province), count(DISTINCT network), sum(inspections))::text, '(6,3,622)')
FROM teldag.stats_doorlichting WHERE school_year = '2023-2024';

-- C9: 115 + 104 granted and 27 rejected of 248 pupils. The two that are missing are not made up: nobody decided on them.
SELECT f.poah('P' || n, n, 2023, NULL, CASE WHEN n <= 130 THEN 'eerste' ELSE 'verlenging' END, CASE n % 2 WHEN 0 THEN 'bubao' ELSE 'buso' END,
              CASE n % 3 WHEN 0 THEN 'limburg' WHEN 1 THEN 'antwerpen' END, 1 + n % 9, n % 4 = 0, n % 5 = 0)
FROM generate_series(1, 248) AS n;
SELECT f.beslissing('P' || n, 'uitgesteld') FROM generate_series(1, 20) AS n;
SELECT f.beslissing('P' || n, CASE WHEN n <= 115 OR n BETWEEN 131 AND 234 THEN 'goedgekeurd' ELSE 'afgewezen' END)
FROM generate_series(1, 246) AS n WHERE n <= 246;
SELECT t.is('C9 ' || kind, (sum(aanvragen), sum(goedgekeurd), sum(afgewezen), sum(uitgesteld))::text, CASE kind WHEN 'eerste' THEN '(130,115,15,0)' ELSE '(118,104,12,0)' END)
FROM teldag.stats_poah WHERE school_year = '2023-2024' GROUP BY kind;
SELECT t.is('by province, type and the two flags', (count(DISTINCT province), count(DISTINCT type), sum(with_mfc), sum(with_prior_toah))::text, '(3,9,62,49)')
FROM teldag.stats_poah WHERE school_year = '2023-2024';
