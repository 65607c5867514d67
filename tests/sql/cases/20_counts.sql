-- What a count counts: who stands, who is regular, who is there on the teldag, with which weight and which indicators.
SELECT t.rules(2025);
SELECT t.school(1, 'so');
-- 27 home_language declarations: k = 0, or three members and k = 1
SELECT t.is('home_language ' || h, teldag_data.home_language_indicates(h), h IN (0, 1, 3, 4, 9, 10, 12, 13, 14, 16, 22)) FROM generate_series(0, 26) AS h;
SELECT t.is('thuisloos implies buurt', teldag_data.indicator_list(teldag_data.indicator_bits(8, NULL)), ARRAY['thuisloos', 'buurt']);
SELECT t.is('list and declaration together', teldag_data.indicator_list(teldag_data.indicator_bits(6, 13)),
            ARRAY['thuistaal', 'schooltoelage', 'opleiding_moeder']);
SELECT t.is('a declaration that does not indicate', teldag_data.indicator_list(teldag_data.indicator_bits(NULL, 26)), ARRAY[]::text[]);
-- teldag is 2025-02-01: from <= teldag < until
SELECT t.reg(1, 2024, 1, valid_from => '2025-02-01'), t.reg(1, 2024, 2, valid_until => '2025-02-02'),
       t.reg(1, 2024, 3, valid_from => '2025-02-02'), t.reg(1, 2024, 4, valid_until => '2025-02-01'),
       t.reg(1, 2024, 5, regular => false), t.reg(1, 2024, 6, bits => 20, halves => 1), t.reg(1, 2024, 7, bits => 32),
       t.reg(1, 2024, 8, bits => NULL, home => 13), t.reg(1, 2024, 9), t.reg(1, 2024, 9, op => 'w'),
       t.reg(1, 2024, 10, 'graad1', 2), t.reg(1, 2024, 10, 'graad23', 4);
-- an unknown school counts too
SELECT t.reg(99, 2024, 1, 'kleuter', 4);
SELECT t.is('graad1: 1, 2, half of 6, 7, 8', (pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt)::text,
            '(9,3,2,0,1,0,1,3)') FROM teldag_check.count WHERE school_id = 1 AND grp = 'graad1';
SELECT t.is('cells: none 4, moeder+trekkend+buurt 1, buurt 2, thuistaal 2',
            (SELECT string_agg((nth - 1) || ':' || k, ' ' ORDER BY nth) FROM unnest(cells) WITH ORDINALITY AS u (k, nth) WHERE k > 0), '0:4 1:2 32:2 52:1')
FROM teldag_check.count WHERE school_id = 1 AND grp = 'graad1';
SELECT t.is('moved to graad23', (pupils, opleiding_moeder, schooltoelage)::text, '(2,2,0)') FROM teldag_check.count WHERE school_id = 1 AND grp = 'graad23';
SELECT t.is('unknown school', pupils, 2) FROM teldag_check.count WHERE school_id = 99;
SELECT t.settle();
SELECT t.is('view count', (school_year, school_id, "group", pupils, gok_pupils, opleiding_moeder, closed)::text, '(2024-2025,1,graad1,4.5,1.5,0.5,f)')
FROM teldag.count WHERE school_id = '1' AND "group" = 'graad1';
-- (buurt 1.5 + moeder 1.5 + toelage 0 + thuistaal 1) / 5.5
SELECT t.is('view oki', (pupils, buurt, opleiding_moeder, schooltoelage, thuistaal, oki)::text, '(5.5,1.5,1.5,0,1,0.7273)') FROM teldag.oki WHERE school_id = '1';
SELECT t.is('view registration: who stands', string_agg(ltrim(pupil, '0'), ' ' ORDER BY pupil), '1 2 3 4 5 6 7 8 a') FROM teldag.registration WHERE school_id = '1';
SELECT t.is('view registration: one', (school_year, pupil, "group", regular, weight, indicators)::text,
            '(2024-2025,00000000000000000000000000000006,graad1,t,0.5,"{opleiding_moeder,trekkend,buurt}")')
FROM teldag.registration WHERE school_year = '2024-2025' AND school_id = '1' AND pupil LIKE '%6';
-- between streams: the later time, whatever the order of arrival; then the name that sorts last
SELECT set_config('t.at', '2024-06-02', false);
SELECT t.reg(1, 2024, 20, 'okan', 4);
SELECT set_config('t.at', '2024-06-01', false);
SELECT t.reg(1, 2024, 20, 'okan', 1, stream => 'registration.1'), t.reg(1, 2024, 21, 'okan', 4);
SELECT set_config('t.at', '2024-06-03', false);
SELECT t.reg(1, 2024, 21, op => 'w', stream => 'registration.1');
SELECT t.reg(1, 2024, 22, 'okan', 1, stream => 'registration.10'), t.reg(1, 2024, 22, 'okan', 2, stream => 'registration.1');
-- within a stream the later position, though its time is earlier
SELECT set_config('t.at', '2023-01-01', false);
SELECT t.reg(1, 2024, 23, 'okan', 1), t.reg(1, 2024, 23, 'okan', 32);
SELECT t.is('winners', (SELECT string_agg(ltrim(pupil, '0') || ' ' || indicators::text, ', ' ORDER BY pupil) FROM teldag.registration WHERE "group" = 'okan'),
            '14 {opleiding_moeder}, 16 {thuistaal}, 17 {buurt}');
SELECT t.is('winners, recomputed', (pupils, thuistaal, opleiding_moeder, buurt)::text, '(6,2,2,2)') FROM teldag_check.count WHERE school_id = 1 AND grp = 'okan';
-- a rules set with another teldag counts others; a year without file derives its own
SELECT t.rule('teldag', '2025-02-02');
SELECT t.is('another teldag: 1 3 6 7 8', pupils, 9) FROM teldag_check.count WHERE school_id = 1 AND grp = 'graad1';
SELECT t.is('derived teldag', teldag_data.derived_teldag(y)::text, d) FROM (VALUES (2023, '2024-02-01'), (2024, '2025-02-03'), (2025, '2026-02-02')) AS x (y, d);
SELECT t.reg(1, 2025, 30, valid_from => '2026-02-02'), t.reg(1, 2025, 31, valid_from => '2026-02-03');
SELECT t.is('carried-over year counts on its own teldag', pupils, 2) FROM teldag_check.count WHERE school_year = 2025;
