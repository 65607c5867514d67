-- Alerts (design 8): near, grace, lost on closed counts only; incomplete; doubles among closed counts; severities.
SELECT t.rules(2024, 2025);
CREATE FUNCTION pg_temp.so(school int, year int, gok int, pupils int) RETURNS void LANGUAGE sql AS $$
    SELECT t.school(school, 'so') WHERE NOT EXISTS (SELECT FROM teldag.school s WHERE s.school_id = school::text);
    SELECT t.regs(school, year, school * 1000 + year % 10 * 300, gok, 'graad1', 4), t.regs(school, year, school * 1000 + year % 10 * 300 + gok, pupils - gok, 'graad1', 0);
    SELECT t.closed(school, year, pupils) $$;
-- t of the law is 10 %, minimum 6 hours: 34 on moeder give 20.4 -> 20 points, 5.832 -> 6 hours
SELECT pg_temp.so(1, 2024, 60, 100);  -- 36 points 10.4976 -> 10 hours, margin 4 hours, 55 pupils: quiet
SELECT pg_temp.so(2, 2024, 40, 100);  -- 24 points, 7 hours: margin 1 hour
SELECT pg_temp.so(3, 2024, 34, 100);  -- 6 hours: margin 0, no history: critical
SELECT pg_temp.so(4, 2023, 60, 100), pg_temp.so(4, 2024, 34, 100); -- margin 0, granted before: warning
SELECT pg_temp.so(5, 2023, 60, 100), pg_temp.so(5, 2024, 2, 100);  -- grace
SELECT pg_temp.so(6, 2023, 2, 100), pg_temp.so(6, 2024, 2, 100);   -- below twice: never had it, silent
SELECT t.known(6, 'gok_uren_leraar', 'graad1', 2023, 'granted', 9); -- so 2024 is grace and 2025 lost
SELECT pg_temp.so(7, 2024, 60, 594);  -- margin floor((60 - 59.4) / .9) = 0 pupils: critical
SELECT pg_temp.so(8, 2024, 63, 594);  -- margin floor(3.6 / .9) = 4: quiet
SELECT pg_temp.so(9, 2024, 62, 594);  -- margin floor(2.6 / .9) = 2: near
SELECT t.school(10, 'so'), t.regs(10, 2024, 10000, 34, 'graad1', 4); -- as 3, but never closed
SELECT t.school(11, 'so'), t.reg(11, 2024, 11000), t.closed(11, 2024, 2); -- incomplete
SELECT t.settle();
SELECT t.is('alerts', (SELECT string_agg(concat_ws(' ', school_id, kind, school_year, grp, stream, severity), E'\n' ORDER BY school_id::int, school_year) FROM teldag_check.alert),
$$2 threshold.near 2025-2026 graad1 gok_uren_leraar warning
3 threshold.near 2025-2026 graad1 gok_uren_leraar critical
4 threshold.near 2025-2026 graad1 gok_uren_leraar warning
5 threshold.grace 2025-2026 graad1 gok_uren_leraar warning
6 threshold.grace 2024-2025 graad1 gok_uren_leraar warning
6 threshold.lost 2025-2026 graad1 gok_uren_leraar critical
7 threshold.near 2025-2026 graad1 gok_uren_leraar critical
9 threshold.near 2025-2026 graad1 gok_uren_leraar warning
11 count.incomplete 2024-2025   warning$$);
UPDATE teldag_data.rules_set SET near_pupils = 0, near_hours = -1;
SELECT t.is('other near settings', (SELECT string_agg(school_id, ' ' ORDER BY school_id) FROM teldag_check.alert WHERE kind = 'threshold.near'), '7');
UPDATE teldag_data.rules_set SET near_pupils = 3, near_hours = 1;
-- Doubles: pupil 1 at two closed schools; 2 half and half; 3 half and whole; 4 one of the counts not closed; 5 not regular at one;
-- 6 gone from one before the teldag; 7 three schools of which one open; 8 at two schools in two years
SELECT t.reg(s, 2024, p) FROM (VALUES (51, 1), (52, 1), (51, 4), (53, 4), (51, 7), (52, 7), (53, 7), (51, 8), (51, 6), (51, 5)) AS x (s, p);
SELECT t.reg(51, 2024, 2, halves => 1), t.reg(52, 2024, 2, halves => 1), t.reg(51, 2024, 3, halves => 1), t.reg(52, 2024, 3),
       t.reg(52, 2024, 5, regular => false), t.reg(52, 2024, 6, valid_until => '2025-02-01'), t.reg(52, 2023, 8);
SELECT t.closed(51, 2024, 8), t.closed(52, 2024, 6), t.closed(52, 2023, 1);
SELECT t.count();
SELECT t.is('doubles', (SELECT string_agg(concat_ws(' ', school_id, school_year, ltrim(subject, '0'), severity), ', ' ORDER BY subject, school_id) FROM teldag_check.alert WHERE kind = 'registration.double'),
            '51 2024-2025 1 warning, 52 2024-2025 1 warning, 51 2024-2025 3 warning, 52 2024-2025 3 warning, 51 2024-2025 7 warning, 52 2024-2025 7 warning');
