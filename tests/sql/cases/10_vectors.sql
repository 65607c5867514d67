-- The worked vectors of regulation 2, exact to the last digit, and the switches they turn on.
SELECT t.rules(2025);
-- SES: school, group, pupils with moeder only, thuistaal only, schooltoelage only
CREATE TABLE v AS SELECT * FROM (VALUES (1, 31, 44, 52, 27.28798, 27), (2, 12, 9, 30, 9.40074, 9), (3, 40, 55, 90, 37.42310, 37),
    (4, 20, 20, 20, 13.54860, 14), (5, 2, 0, 0, 0.53420, 1), (6, 1, 0, 0, 0.26710, 0)) AS x (school, moeder, taal, toelage, exact, hours);
SELECT t.school(school, 'bao'), t.regs(school, 2024, school * 1000, moeder, 'lager', 4),
       t.regs(school, 2024, school * 1000 + 200, taal, 'lager', 1), t.regs(school, 2024, school * 1000 + 400, toelage, 'lager', 2) FROM v;
-- kleuter and lager are rounded each
SELECT t.school(7, 'bao'), t.regs(7, 2024, 7000, 2, 'kleuter', 4), t.regs(7, 2024, 7100, 2, 'lager', 4), t.regs(7, 2024, 7200, 5, 'lager', 0);
-- BuBaO 11-13 (40 % holds), BuSO 21-22
SELECT t.school(11, 'bubao'), t.regs(11, 2024, 11000, 25, 'type3', 5), t.regs(11, 2024, 11100, 35, 'basisaanbod', 4),
       t.regs(11, 2024, 11200, 40, 'ander', 5);
SELECT t.school(12, 'bubao'), t.regs(12, 2024, 12000, 3, 'type3', 5), t.regs(12, 2024, 12100, 25, 'basisaanbod', 4);
SELECT t.school(13, 'bubao'), t.regs(13, 2024, 13000, 30, 'basisaanbod', 4), t.regs(13, 2024, 13100, 10, 'basisaanbod', 1);
SELECT t.school(21, 'buso'), t.regs(21, 2024, 21000, 14, 'type3', 5), t.regs(21, 2024, 21100, 19, 'basisaanbod', 4);
SELECT t.school(22, 'buso'), t.regs(22, 2024, 22000, 9, 'type3', 5), t.regs(22, 2024, 22100, 28, 'basisaanbod', 4);
-- SO: 81 x 0.6 = 48.6 points in graad23; 34 x 0.6 = 20.4 in graad1; thuistaal alone weighs nothing; the cap is 1.2; okan in Brussels
SELECT t.school(31, 'so'), t.regs(31, 2024, 31000, 81, 'graad23', 4), t.regs(31, 2024, 31100, 100, 'graad23', 0),
       t.regs(31, 2024, 31300, 34, 'graad1', 4), t.regs(31, 2024, 31400, 30, 'graad1', 0);
SELECT t.school(32, 'so', true), t.regs(32, 2024, 32000, 20, 'okan', 24), t.regs(32, 2024, 32100, 20, 'okan', 1),
       t.regs(32, 2024, 32200, 10, 'okan', 5);
-- concentration: 11 of 20 on schooltoelage is exactly 55 %
SELECT t.school(33, 'so'), t.regs(33, 2024, 33000, 11, 'graad1', 2), t.regs(33, 2024, 33100, 9, 'graad1', 0);
SELECT t.settle();
SELECT t.is('ses ' || school, (hours_exact, a.hours, threshold, minimum, status, granted)::text, (trim_scale(exact), v.hours, NULL::numeric, NULL::int, 'granted', v.hours)::text)
FROM v JOIN teldag_check.allocation a ON a.school_id = v.school;
SELECT t.is('ses per group', string_agg(grp || ' ' || hours, ', ' ORDER BY grp), 'kleuter 1, lager 1') FROM teldag_check.allocation WHERE school_id = 7;
CREATE TABLE w AS SELECT * FROM (VALUES (11, 58.0, 14.628807444, 15), (12, 23.6, 5.9524113048, 6), (13, 24.0, 6.053299632, 6),
    (21, 32, 7.270304, 7), (22, 33, 7.497501, 7)) AS x (school, points, exact, hours);
SELECT t.is('bu ' || school, (trim_scale(a.points), trim_scale(a.hours_exact), a.hours, a.grp)::text,
            (trim_scale(w.points), trim_scale(w.exact), w.hours, 'aanbod')::text)
FROM w JOIN teldag_check.allocation a ON a.school_id = w.school;
SELECT t.is('bu counts type3 and basisaanbod only', pupils, 120) FROM teldag_check.allocation WHERE school_id = 11;
SELECT t.is('bu margin: floor((60 - 0.4 * 60) / 0.6) pupils, 15 - 6 hours', (margin_pupils, margin_hours)::text, '(60,9)')
FROM teldag_check.allocation WHERE school_id = 11;
SELECT t.is('so graad23', (points, hours_exact, hours, status)::text, '(49,6.0025,6,granted)') FROM teldag_check.allocation WHERE school_id = 31 AND grp = 'graad23';
SELECT t.is('so graad1', (points, hours_exact, hours, status)::text, '(20,5.832,6,granted)') FROM teldag_check.allocation WHERE school_id = 31 AND grp = 'graad1';
SELECT t.is('so margin: floor((34 - 6.4) / 0.9) = 30', margin_pupils, 30) FROM teldag_check.allocation WHERE school_id = 31 AND grp = 'graad1';
-- (20 x 1.2 + 10 x 0.8) x 1.5 = 48; 48 x .2916 = 13.9968
SELECT t.is('so cap, combination, Brussels', (points, hours_exact, gok_pupils)::text, '(48,13.9968,100)') FROM teldag_check.allocation WHERE school_id = 32;
-- 4.4 x 1.5 = 6.6 -> 7; 7 x .2916 = 2.0412
SELECT t.is('so concentration at the edge', (points, hours_exact, hours, status)::text, '(7,2.0412,2,below_minimum)') FROM teldag_check.allocation WHERE school_id = 33;
SELECT t.is('share in the view, half up at 9 decimals', share, 0.447513812) FROM teldag.allocation WHERE school_id = '31' AND "group" = 'graad23';
SELECT t.is('view columns', (school_year, count_year, pupils, gok_pupils, threshold, points, hours_exact, margin_hours)::text,
            '(2025-2026,2024-2025,64,34,0.1,20,5.832,0)') FROM teldag.allocation WHERE school_id = '31' AND "group" = 'graad1';
-- switches
SELECT t.rule('rounding', 'ge4');
SELECT t.is('ge4: 9.40074 -> 10', hours, 10) FROM teldag_check.allocation WHERE school_id = 2;
SELECT t.rule('rounding', 'gt4'), t.rule('buso.round_points', 'false');
SELECT t.is('37/9 without rounding the points', (points, hours)::text, '(33.2,8)') FROM teldag_check.allocation WHERE school_id = 22;
SELECT t.rule('gok.round_points', 'false');
SELECT t.is('48.6 x .1225', (hours_exact, hours, status)::text, '(5.9535,6,granted)') FROM teldag_check.allocation WHERE school_id = 31 AND grp = 'graad23';
SELECT t.rule('gok.minimum_on', 'exact');
SELECT t.is('minimum on the exact hours', status, 'below_minimum') FROM teldag_check.allocation WHERE school_id = 31 AND grp = 'graad23';
SELECT t.rule('gok.combination', 'false'), t.rule('gok.cap', '0.7');
SELECT t.is('no combination, lower cap: (20 x 0.7 + 20 x 0.2 + 10 x 0.7) x 1.5', points, 37.5) FROM teldag_check.allocation WHERE school_id = 32;
SELECT t.rule('gok.brussels_factor', '1.1');
SELECT t.is('both factors: the larger, once', points, 37.5) FROM teldag_check.allocation WHERE school_id = 32;
SELECT t.rule('gok.concentration_share', '0.9');
SELECT t.is('Brussels alone', points, 27.5) FROM teldag_check.allocation WHERE school_id = 32;
SELECT t.rule('bubao.threshold', '0.9');
SELECT t.is('40 % and 6 hours', status, 'below_threshold') FROM teldag_check.allocation WHERE school_id = 13;
SELECT t.rule('bu.eligibility', 'or');
SELECT t.is('40 % or 6 hours', (status, granted)::text, '(granted,6)') FROM teldag_check.allocation WHERE school_id = 13;
SELECT t.rule('bu.eligibility', 'and'), t.rule('bu.share_counts', 'any');
SELECT t.is('any of the five', (gok_pupils, status)::text, '(80,granted)') FROM teldag_check.allocation WHERE school_id = 13;
