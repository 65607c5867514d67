-- Closing (design 6): matched at its position, for ever, before and after; differences; several streams; resends (design 5).
SELECT t.rules(2025);
CREATE FUNCTION pg_temp.c(school int) RETURNS text LANGUAGE sql AS $$ SELECT (closed, held, announced, differs)::text FROM teldag_check.closed WHERE school_id = school $$;
CREATE FUNCTION pg_temp.who(school int) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(ltrim(pupil, '0'), ' ' ORDER BY pupil), '') FROM teldag.registration WHERE school_id = school::text $$;
-- 1: never announced. 2: too many announced. 3: matched, then one more. 4: matched in the middle only. 5: zero pupils, closed early
SELECT t.reg(1, 2024, 1), t.reg(2, 2024, 1), t.closed(2, 2024, 2), t.reg(3, 2024, 1), t.closed(3, 2024, 1), t.reg(3, 2024, 2);
SELECT t.reg(4, 2024, 1), t.reg(4, 2024, 2, regular => false), t.reg(4, 2024, 2, bits => 4), t.closed(4, 2024, 2), t.reg(4, 2024, 1, op => 'w'),
       t.closed(4, 2024, 1), t.closed(4, 2024, 5), t.closed(5, 2024, 0);
-- 6: a withdraw of what never was, and twice; 7: one number before, the right one after
SELECT t.reg(6, 2024, 1, op => 'w'), t.reg(6, 2024, 2), t.reg(6, 2024, 2, op => 'w'), t.reg(6, 2024, 2, op => 'w'), t.reg(6, 2024, 3), t.closed(6, 2024, 1);
SELECT t.closed(7, 2024, 2), t.reg(7, 2024, 1), t.reg(7, 2024, 2);
SELECT t.is('never announced', pg_temp.c(1), '(f,1,-1,f)'), t.is('too many', pg_temp.c(2), '(f,1,2,t)'), t.is('then one more', pg_temp.c(3), '(t,2,1,t)'),
       t.is('in the middle', pg_temp.c(4), '(t,1,5,t)'), t.is('zero', pg_temp.c(5), '(t,0,0,f)'), t.is('withdrawals', pg_temp.c(6), '(t,1,1,f)'),
       t.is('before is not at its position', pg_temp.c(7), '(f,2,2,f)');
-- years are apart
SELECT t.reg(8, 2024, 1), t.reg(8, 2023, 1), t.reg(8, 2023, 2), t.closed(8, 2023, 2), t.closed(8, 2024, 2);
SELECT t.is('years apart', string_agg((school_year, closed, held, announced)::text, ' ' ORDER BY school_year), '(2023,t,2,2) (2024,f,1,2)') FROM teldag_check.closed WHERE school_id = 8;
-- two streams: each by itself; the one that differs is shown
SELECT t.reg(9, 2024, 1), t.closed(9, 2024, 1), t.reg(9, 2024, 2, stream => 'registration.1'), t.closed(9, 2024, 4, stream => 'registration.1');
SELECT t.is('two streams', pg_temp.c(9), '(t,1,4,t)');

-- Resend: 11 is sent again whole, 12 partly, 13 not at all, 14 wrongly and then rightly
SELECT t.reg(11, 2024, 1), t.reg(11, 2024, 2), t.closed(11, 2024, 2), t.reg(12, 2024, 1), t.reg(12, 2024, 2), t.reg(12, 2024, 3), t.closed(12, 2024, 3),
       t.reg(13, 2024, 1), t.closed(13, 2024, 2), t.reg(14, 2024, 1), t.reg(14, 2024, 2), t.closed(14, 2024, 9);
SELECT t.epoch('registration.0', 5, true);
SELECT t.is('a resend forgets what was announced', pg_temp.c(13), '(f,1,-1,f)');
SELECT t.is('closed stays closed', pg_temp.c(12), '(t,3,-1,f)');
SELECT t.reg(11, 2024, 1), t.reg(11, 2024, 2), t.closed(11, 2024, 2), t.reg(12, 2024, 1);
SELECT t.is('until the match all stand', pg_temp.who(12), '1 2 3');
SELECT t.is('held: all that stands, no number yet', pg_temp.c(12), '(t,3,-1,f)');
SELECT t.closed(12, 2024, 2);
SELECT t.is('a number of the resend: held is what was sent again', pg_temp.c(12), '(t,1,2,t)');
SELECT t.is('and all stand still', pg_temp.who(12), '1 2 3');
SELECT t.reg(12, 2024, 2), t.closed(12, 2024, 2);
SELECT t.is('matched: the rest is withdrawn', pg_temp.who(12), '1 2'), t.is('matched', pg_temp.c(12), '(t,2,2,f)');
SELECT t.is('not touched by others', pg_temp.who(13), '1'), t.is('whole', pg_temp.who(11), '1 2');
SELECT t.is('recomputed alike', (SELECT string_agg(ltrim(replace(pupil::text, '-', ''), '0'), ' ' ORDER BY pupil) FROM teldag_check.registration WHERE school_id = 12), '1 2');
SELECT t.reg(12, 2024, 3);
SELECT t.is('a later upsert stands again', pg_temp.who(12), '1 2 3');
SELECT t.reg(14, 2024, 2), t.reg(14, 2024, 1, op => 'w'), t.closed(14, 2024, 1);
SELECT t.is('withdrawn in the resend', pg_temp.who(14), '2'), t.is('closed by the resend', pg_temp.c(14), '(t,1,1,f)');
-- a second resend before the first was matched: 13
SELECT t.reg(13, 2024, 2), t.epoch('registration.0', 7, false);
SELECT t.reg(13, 2024, 3), t.epoch('registration.0', 9, true), t.reg(13, 2024, 4), t.closed(13, 2024, 1);
SELECT t.is('second resend withdraws both', pg_temp.who(13), '4');
-- a continue keeps all: epoch 11
SELECT t.epoch('registration.0', 11, false), t.reg(13, 2024, 5), t.closed(13, 2024, 2);
SELECT t.is('continue', pg_temp.who(13), '4 5'), t.is('continue closes', pg_temp.c(13), '(t,2,2,f)');
-- a withdrawn row keeps its time: another stream's earlier word does not come back, a later one does
SELECT set_config('t.at', '2024-05-01', false);
SELECT t.reg(15, 2024, 1, bits => 1, stream => 'registration.1');
SELECT set_config('t.at', '2024-05-02', false);
SELECT t.reg(15, 2024, 1, bits => 2), t.reg(15, 2024, 2);
SELECT set_config('t.at', '2024-05-03', false);
SELECT t.reg(15, 2024, 2, stream => 'registration.1'), t.epoch('registration.0', 13, true), t.closed(15, 2024, 0);
SELECT t.is('the empty resend', pg_temp.who(15), '2');
