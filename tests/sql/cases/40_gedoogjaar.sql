-- Gedoogjaar (regulation 2, step 9): chains over the years, known history, predecessors, switches.
SELECT t.rules(2022, 2023, 2024, 2025, 2026);
CREATE FUNCTION pg_temp.strong(school int, year int) RETURNS void LANGUAGE sql AS $$ -- 40 of 60: 24 points, 6.9984 -> 7 hours
    SELECT t.regs(school, year, 1, 40, 'graad1', 4), t.regs(school, year, 41, 20, 'graad1', 0) $$;
CREATE FUNCTION pg_temp.weak(school int, year int) RETURNS void LANGUAGE sql AS $$ -- 5 of 60: 8.3 %, 3 points, 1 hour
    SELECT t.regs(school, year, 1, 5, 'graad1', 4), t.regs(school, year, 41, 55, 'graad1', 0) $$;
CREATE FUNCTION pg_temp.small(school int, year int) RETURNS void LANGUAGE sql AS $$ -- 10 of 20: threshold holds, 2 hours
    SELECT t.regs(school, year, 1, 10, 'graad1', 4), t.regs(school, year, 41, 10, 'graad1', 1) $$;
CREATE FUNCTION pg_temp.chain(school int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(school_year || ' ' || status || ' ' || granted || ' ' || coalesce(previous, '-'), ', ' ORDER BY school_year)
    FROM teldag_check.allocation WHERE school_id = school $$;
SELECT t.school(s, 'so') FROM generate_series(1, 9) AS s;
-- 1: granted, grace, nothing, granted again, grace
SELECT pg_temp.strong(1, 2021), pg_temp.weak(1, 2022), pg_temp.weak(1, 2023), pg_temp.strong(1, 2024), pg_temp.small(1, 2025);
-- 2: no history; 3: official history granted; 4: official grace; 5: a hole of a year; 6: computed is asked before official
SELECT pg_temp.weak(2, 2023), pg_temp.weak(3, 2023), pg_temp.weak(4, 2023), pg_temp.strong(5, 2021), pg_temp.weak(5, 2023), pg_temp.weak(6, 2022), pg_temp.weak(6, 2023);
SELECT t.known(3, 'gok_uren_leraar', 'graad1', 2023, 'granted', 7), t.known(4, 'gok_uren_leraar', 'graad1', 2023, 'grace', 7),
       t.known(6, 'gok_uren_leraar', 'graad1', 2023, 'granted', 7), t.known(2, 'gok_uren_leraar', 'okan', 2023, 'granted', 7),
       t.known(2, 'gok_uren_leraar', 'graad1', 2023, 'granted', 7), t.known(2, 'gok_uren_leraar', 'graad1', 2023, NULL, NULL, 'w');
SELECT t.count();
SELECT t.is('granted, grace, lost, granted, grace', pg_temp.chain(1),
            '2022 granted 7 -, 2023 grace 1 granted, 2024 below_threshold 0 grace, 2025 granted 7 below_threshold, 2026 grace 2 granted');
SELECT t.is('no history, no grace', pg_temp.chain(2), '2024 below_threshold 0 -'), t.is('official', pg_temp.chain(3), '2024 grace 1 granted'),
       t.is('official grace', pg_temp.chain(4), '2024 below_threshold 0 grace'),
       t.is('two years back is not y-1', pg_temp.chain(5), '2022 granted 7 -, 2024 below_threshold 0 -'),
       t.is('computed before official', pg_temp.chain(6), '2023 below_threshold 0 -, 2024 below_threshold 0 below_threshold');
-- Predecessors: 10 -> 12 <- 11; 13 -> 14 -> 15 (14 never had pupils); 16 -> 17, 17 has its own; circle 18 <-> 19
SELECT t.school(10, 'so', successor => 12), t.school(11, 'so', successor => 12), t.school(12, 'so'), t.school(13, 'so', successor => 14, closed_on => '2023-08-31'),
       t.school(14, 'so', successor => 15), t.school(15, 'so'), t.school(16, 'so', successor => 17), t.school(17, 'so'),
       t.school(18, 'so', successor => 19), t.school(19, 'so', successor => 18), t.school(20, 'so', successor => 21, op => 'w'), t.school(21, 'so');
SELECT pg_temp.weak(10, 2022), pg_temp.strong(11, 2022), pg_temp.weak(12, 2023), pg_temp.strong(13, 2021), pg_temp.weak(15, 2023), pg_temp.weak(15, 2022),
       pg_temp.strong(16, 2022), pg_temp.weak(17, 2022), pg_temp.weak(17, 2023), pg_temp.strong(18, 2022), pg_temp.weak(19, 2023),
       pg_temp.strong(20, 2022), pg_temp.weak(21, 2023);
SELECT t.count();
SELECT t.is('the best of the predecessors', pg_temp.chain(12), '2024 grace 1 granted');
SELECT t.is('through a school without history of its own', pg_temp.chain(15), '2023 grace 1 granted, 2024 below_threshold 0 grace');
SELECT t.is('own history first', pg_temp.chain(17), '2023 below_threshold 0 -, 2024 below_threshold 0 below_threshold');
SELECT t.is('a circle', pg_temp.chain(19), '2024 grace 1 granted');
SELECT t.is('a withdrawn school leads nowhere', pg_temp.chain(21), '2024 below_threshold 0 -');
-- Closing day: nothing for a year of use that starts on or after it
SELECT t.school(22, 'so', closed_on => '2023-09-01'), t.school(23, 'so', closed_on => '2023-09-02');
SELECT pg_temp.strong(22, 2022), pg_temp.strong(23, 2022), pg_temp.strong(23, 2023);
SELECT t.count();
SELECT t.is('closed on 1 September', pg_temp.chain(22), NULL), t.is('closed on 2 September', pg_temp.chain(23), '2023 granted 7 -');
-- ses has no gedoogjaar and nothing to lose
SELECT t.school(30, 'bao'), t.regs(30, 2022, 1, 1, 'lager', 4);
SELECT t.count();
SELECT t.is('ses', pg_temp.chain(30), '2023 granted 0 -');
-- covers: the minimum only
SELECT t.rule('gedoog.covers', 'minimum');
SELECT t.is('a failed threshold is not covered', pg_temp.chain(3), '2024 below_threshold 0 granted');
SELECT t.is('a failed minimum is', pg_temp.chain(1),
            '2022 granted 7 -, 2023 below_threshold 0 granted, 2024 below_threshold 0 below_threshold, 2025 granted 7 below_threshold, 2026 grace 2 granted');
