-- A clean world with something of everything, for breaks.sql: every check must be silent on it.
SELECT t.rules(2024, 2025);
SELECT t.school(1, 'so'), t.school(2, 'so'), t.school(3, 'bao'), t.school(4, 'buso');
SELECT t.regs(1, 2023, 1000, 60, 'graad1', 4), t.closed(1, 2023, 60), t.regs(1, 2024, 1100, 2, 'graad1', 4), t.regs(1, 2024, 1200, 58, 'graad1', 0),
       t.closed(1, 2024, 60), t.reg(2, 2024, 1100, 'okan', 5), t.closed(2, 2024, 1), t.regs(3, 2024, 3000, 20, 'lager', 39), t.closed(3, 2024, 19),
       t.regs(4, 2024, 4000, 33, 'type3', 5), t.closed(4, 2024, 33);
SELECT t.known(2, 'gok_uren_leraar', 'okan', 2024, 'granted', 7);
SELECT t.dead('registration.0', 'not JSON', 'a number with a wrong check 85073003327 and one scrubbed rrn:#'), t.dead('registration.0', 'refused then', '{}', 'retried');
-- the retried one stands in the log at its own position
INSERT INTO teldag_data.registration_log
SELECT stream_id, epoch, seq, 'w', 9, 2024, t.pupil(9), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'e', 's', recorded_at, recorded_at
FROM teldag_data.dead_letter WHERE state = 'retried';
-- a stream that went on after a hole, as the operator said
SELECT t.reg(9, 2024, 1, stream => 'registration.1'), t.reg(9, 2024, 2, stream => 'registration.1');
UPDATE teldag_data.feed_progress SET next_seq = 10 WHERE stream_id = t.stream('registration.1');
SELECT t.reg(9, 2024, 3, stream => 'registration.1');
INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES (0, 1, 'rules', '{}'),
    (0, 2, 'accept', '{"stream": "registration.1", "mode": "continue", "from_epoch": 1, "from_seq": 3, "epoch": 1, "seq": 10}');
-- a new journal, nothing of it received yet; and one begun
SELECT t.epoch('registration.1', 20, false), t.epoch('school.0', 20, true), t.school(2, 'so');
-- reports, controls and meldingen: a sanction on school 3, everything else that an alert rests on
SELECT f.inspection('r1', 3, 2023, '2023-10-02', gok => 'negatief'), f.inspection('r2', 3, 2024, '2024-10-01', gok => 'negatief', due => '2025-05-01'),
       f.inspection('r3', 4, 2024, '2024-10-08', advice => 'ongunstig_met_opschorting'), f.opschorting('r3', 4, '2024-10-20'),
       f.controle('c1', 1, 2023, '2024-03-01', 1, 'voldoende'), f.controle('c2', 1, 2024, '2024-11-04', 1, 'onvoldoende'),
       f.controle('c3', 1, 2024, '2024-12-02', 2, 'geweigerd'), f.melding('m1', 4, '2024-10-01', ARRAY['leerrecht']),
       f.melding('m2', 4, '2024-10-01', ARRAY['veiligheid']), f.beantwoord('m2', '2024-10-20');
-- what an operator fixed, and four meldingen where few are expected
SELECT f.melding('m' || n, 2, '2024-10-15', ARRAY['leerrecht']), f.beantwoord('m' || n, '2024-10-16') FROM generate_series(10, 13) AS n;
SELECT f.toah('t1', 1, 1, 2024), f.poah('p1', 1, 2024, 1), f.beslissing('p1', 'goedgekeurd', school => 4), f.verklaring('v1', 1, 2024, last_school => 1);
INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES
    (0, 3, 'fix budget', '{"school_year": "2025-2026", "rules": "test", "values": [{"level": "bao", "indicator": "opleiding_moeder",
       "half_pupils": 40, "envelope_cents": 100001, "split": 0.3, "value_cents": 1500.015}]}'),
    (0, 4, 'fix reference', '{"school_year": "2024-2025", "rules": "test", "values": [
       {"level": "so", "indicator": "meldingen", "events": 4, "half_pupils": 8000, "rate": 1},
       {"level": "so", "indicator": "toah", "events": 1, "half_pupils": 6000, "rate": 0.333333333}]}');
INSERT INTO teldag_data.budget_value (school_year, level, indicator, pupils, envelope_cents, split, value_cents, rules)
VALUES (2025, 'bao', 'opleiding_moeder', 40, 100001, 0.30, 1500.0150, 'test');
INSERT INTO teldag_data.risk_reference (school_year, level, indicator, events, pupils, rate)
VALUES (2024, 'so', 'meldingen', 4, 8000, 1.000000000), (2024, 'so', 'toah', 1, 6000, 0.333333333);
SELECT t.settle();
-- an operational alert fired and resolved; the fraction looks like a national number with a right check number
INSERT INTO teldag_data.alert_log
SELECT 0, alert_seq + n, 'stream.stale', 'warning', CASE n WHEN 1 THEN 'firing' ELSE 'resolved' END, '', '', '', 'school.0', '', 's', '{"hours_exact": 13.367703354}', '2025-01-01', '2025-01-01',
       CASE n WHEN 2 THEN timestamptz '2025-01-02' END FROM teldag_data.shard_progress, generate_series(1, 2) AS n;
INSERT INTO teldag_data.alert_state SELECT * FROM teldag_data.alert_log WHERE kind = 'stream.stale' AND state = 'resolved';
UPDATE teldag_data.shard_progress SET alert_seq = alert_seq + 2;
