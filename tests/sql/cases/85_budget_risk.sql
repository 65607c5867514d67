-- Working budget and risk views over rows as the writer keeps them.
SELECT t.rules(2024, 2025);
SELECT t.school(1, 'bao'), t.school(2, 'bao'), t.school(3, 'so'), t.school(4, 'bubao'), t.school(5, 'bao', closed_on => '2025-09-01'), t.school(6, 'bao', closed_on => '2025-09-02');
-- school 1: 3 pupils on moeder (4), one of them of half weight; school 2: 1 on moeder; 3: okan on all; 4: no such budget; 5: closed; 6: open a day
SELECT t.regs(1, 2024, 100, 2, 'kleuter', 4), t.reg(1, 2024, 150, 'lager', 4, halves => 1), t.reg(1, 2024, 160, 'okan', 4), t.reg(2, 2024, 200, 'lager', 36),
       t.reg(3, 2024, 300, 'okan', 39), t.reg(4, 2024, 400, 'type3', 39), t.reg(5, 2024, 500, 'lager', 4), t.reg(6, 2024, 600, 'lager', 4), t.reg(9, 2024, 900, 'lager', 4);
SELECT t.settle();
SELECT t.is('no value, no amounts', array_agg(DISTINCT concat_ws(' ', value_cents, amount_cents, granted_cents, sanction_factor))::text, '{1}') FROM teldag.working_budget;
SELECT t.is('schools, indicators and pupils', string_agg(concat_ws(' ', school_year, school_id, indicator, pupils), ',' ORDER BY school_id, indicator),
            '2025-2026 1 opleiding_moeder 2.5,2025-2026 2 buurt 1,2025-2026 2 opleiding_moeder 1,2025-2026 3 buurt 1,2025-2026 3 opleiding_moeder 1,'
            || '2025-2026 3 schooltoelage 1,2025-2026 3 thuistaal 1,2025-2026 6 opleiding_moeder 1')
FROM teldag.working_budget WHERE pupils > 0;
SELECT t.is('four rows a school', array_agg(DISTINCT c)::text, '{4}') FROM (SELECT count(*) AS c FROM teldag.working_budget GROUP BY school_id) x;

INSERT INTO teldag_data.budget_value (school_year, level, indicator, pupils, envelope_cents, split, value_cents, rules)
VALUES (2025, 'bao', 'opleiding_moeder', 9, 1001, 0.5, 111.2222, 'test'), (2025, 'so', 'opleiding_moeder', 0, 100, 1, NULL, 'test');
SELECT t.is('amounts are rounded once, half up', string_agg(school_id || ' ' || value_cents || ' ' || amount_cents, ',' ORDER BY school_id), '1 111.2222 278,2 111.2222 111,6 111.2222 111')
FROM teldag.working_budget WHERE amount_cents IS NOT NULL AND indicator = 'opleiding_moeder';
SELECT t.is('nobody at the fixing: no value, no amount', count(*) FILTER (WHERE amount_cents IS NULL), 1::bigint) FROM teldag.working_budget WHERE school_id = '3' AND indicator = 'opleiding_moeder';
SELECT t.is('what is left of the envelope', concat_ws(' ', pupils, pupils_now, amount_cents, granted_cents, difference_cents), '4.5 4.5 500 500 0.5')
FROM teldag.working_budget_total WHERE level = 'bao';
SELECT f.inspection('r1', 2, 2022, '2022-10-03', gok => 'negatief'), f.inspection('r2', 2, 2023, '2023-10-02', gok => 'negatief');
SELECT t.is('a sanction halves and rounds again', concat_ws(' ', amount_cents, sanction_factor, granted_cents), '111 0.5 56')
FROM teldag.working_budget WHERE school_id = '2' AND indicator = 'opleiding_moeder';
SELECT t.is('and stands in the total', concat_ws(' ', amount_cents, granted_cents), '500 445') FROM teldag.working_budget_total WHERE level = 'bao';

-- Risk.
SELECT t.is('no reference, no band', array_agg(DISTINCT concat_ws(' ', expected, probability, band))::text, '{""}') FROM teldag.risk_indicator;
SELECT t.is('every school and indicator', count(*), 28::bigint) FROM teldag.risk_indicator;
INSERT INTO teldag_data.risk_reference (school_year, level, indicator, events, pupils, rate)
VALUES (2024, 'bao', 'meldingen', 1, 4000, 0.5), (2024, 'bao', 'toah', 0, 4000, 0), (2024, 'so', 'meldingen', 2, 1000, 4);
SELECT f.melding('m' || n, 1, '2024-09-01', ARRAY['leerrecht']) FROM generate_series(1, 3) AS n;
SELECT f.melding('m4', 1, '2024-08-31', ARRAY['leerrecht']), f.melding('m5', 3, '2025-08-31', ARRAY['leerrecht']), f.melding('m6', 77, '2024-10-01', ARRAY['leerrecht']),
       f.toah('t1', 1, 1, 2024), f.toah('t2', 1, 1, 2024), f.toah('t3', 1, 1, 2024);
SELECT t.settle_risk();
SELECT t.is('observed, pupils, expected, band', string_agg(concat_ws(' ', school_id, observed, pupils, expected, band), ',' ORDER BY school_id),
            '1 3 3.5 0.00175 very_high,2 0 1 0.0005 normal,3 1 1 0.004 normal,4 0 1,5 0 1 0.0005 normal,6 0 1 0.0005 normal,77 1 0,9 0 1')
FROM teldag.risk_indicator WHERE school_year = '2024-2025' AND indicator = 'meldingen';
SELECT t.is('no events: certain', probability, 1::float8) FROM teldag.risk_indicator WHERE school_id = '2' AND indicator = 'meldingen';
SELECT t.is('a rate of nothing judges nothing', concat_ws(' ', observed, expected, probability, band), '3 0') FROM teldag.risk_indicator WHERE school_id = '1' AND indicator = 'toah' AND school_year = '2024-2025';
SELECT t.is('the melding of August belongs to the year before', concat_ws(' ', observed, pupils), '1 0') FROM teldag.risk_indicator WHERE school_id = '1' AND school_year = '2023-2024' AND indicator = 'meldingen';
SELECT t.is('ranking', concat_ws(' ', school_year, rank, school_id, level, very_high, high, reasons::text),
            '2024-2025 1 1 bao 1 0 {"meldingen: 3 among 3.5 pupils where 0.0018 would be expected, probability 8.92e-10 (very_high)"}') FROM teldag.risk_ranking;
SELECT t.is('tail, digits known otherwise', round(teldag_check.poisson_tail(x.mean, x.k), 15)::text, x.want)
FROM (VALUES (0.2, 1, '0.181269246922018'), (1, 3, '0.080301397071394'), (10, 16, '0.048740403303979'), (100, 60, '0.999993658496573'), (3, 3, '0.576809918873156'),
             (2.5, 0, '1.000000000000000')) AS x (mean, k, want);
