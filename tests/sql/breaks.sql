-- check: 10_counts
UPDATE teldag_data.count_state SET pupils = pupils + 1 WHERE school_id = 1 AND school_year = 2024;
-- check: 10_counts
UPDATE teldag_data.count_state SET buurt = 0 WHERE school_id = 3;
-- check: 10_counts
UPDATE teldag_data.count_state SET cells[6] = 0, cells[5] = cells[6] WHERE school_id = 2;
-- check: 10_counts
DELETE FROM teldag_data.count_state WHERE school_id = 4;
-- check: 10_counts
INSERT INTO teldag_data.count_state SELECT 2023::smallint, 7, 'okan', 2, 0, 0, 0, 0, 0, 0, 0, array_fill(0, ARRAY[64]);
-- check: 10_counts
DELETE FROM teldag_data.registration_log WHERE school_id = 1 AND pupil = t.pupil(1200);
-- check: 20_closed
UPDATE teldag_data.count_closed SET closed = false WHERE school_id = 1 AND school_year = 2024;
-- check: 20_closed
UPDATE teldag_data.count_closed SET closed = true WHERE school_id = 3;
-- check: 20_closed
UPDATE teldag_data.count_closed SET announced = 20 WHERE school_id = 3;
-- check: 20_closed
UPDATE teldag_data.count_closed SET held = held - 1 WHERE school_id = 4;
-- check: 20_closed
DELETE FROM teldag_data.count_closed WHERE school_id = 2;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET hours = hours + 1 WHERE school_id = 3;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET status = 'below_threshold', granted = 0 WHERE status = 'grace';
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET hours_exact = hours_exact + 0.000000001 WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET points = points + 1 WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET threshold = NULL WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET minimum = 5, margin_hours = hours - 5 WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET margin_pupils = margin_pupils + 1 WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET gok_pupils = gok_pupils - 1 WHERE school_id = 2;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET sanction_factor = 0.5 WHERE school_id = 4;
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET granted = granted - 1 WHERE school_id = 4;
-- check: 30_allocation
DELETE FROM teldag_data.allocation_state WHERE school_id = 3;
-- check: 30_allocation
UPDATE teldag_data.rule SET value = '0.13' WHERE name = 'gok.value.okan';
-- check: 30_allocation
UPDATE teldag_data.rule SET value = 'minimum' WHERE name = 'gedoog.covers';
-- check: 35_allocation_rules
UPDATE teldag_data.allocation_state SET rules = 'other' WHERE school_id = 3;
-- check: 40_alerts
UPDATE teldag_data.alert_state SET severity = 'critical' WHERE kind = 'threshold.grace';
-- check: 40_alerts
UPDATE teldag_data.alert_state SET state = 'resolved' WHERE kind = 'registration.double' AND school_id = '1';
-- check: 40_alerts
DELETE FROM teldag_data.alert_state WHERE kind = 'count.incomplete';
-- check: 40_alerts
UPDATE teldag_data.alert_state SET kind = 'threshold.near' WHERE kind = 'threshold.grace';
-- check: 40_alerts
UPDATE teldag_data.rules_set SET near_hours = 1000;
-- check: 50_alert_sequence
DELETE FROM teldag_data.alert_log WHERE seq = 2;
-- check: 50_alert_sequence
DELETE FROM teldag_data.alert_log WHERE seq = 1;
-- check: 50_alert_sequence
UPDATE teldag_data.shard_progress SET alert_seq = alert_seq + 1;
-- check: 50_alert_sequence
DELETE FROM teldag_data.alert_log;
-- check: 55_alert_state
UPDATE teldag_data.alert_state SET severity = 'info' WHERE kind = 'count.incomplete';
-- check: 55_alert_state
DELETE FROM teldag_data.alert_state WHERE kind = 'stream.stale';
-- check: 55_alert_state
UPDATE teldag_data.alert_state SET detail = '{"n": 1}' WHERE kind = 'count.incomplete';
-- check: 55_alert_state
INSERT INTO teldag_data.alert_log SELECT shard, 100 + seq, kind, severity, state, school_id, school_year, grp, stream, subject, summary, detail, raised_at, changed_at, resolved_at
FROM teldag_data.alert_log WHERE kind = 'count.incomplete';
-- check: 60_positions
DELETE FROM teldag_data.registration_log WHERE seq = 30 AND stream_id = t.stream('registration.0');
-- check: 60_positions
DELETE FROM teldag_data.registration_log WHERE seq = 1 AND stream_id = t.stream('registration.0');
-- check: 60_positions
DELETE FROM teldag_data.dead_letter WHERE state = 'open';
-- check: 60_positions
UPDATE teldag_data.feed_progress SET next_seq = next_seq + 1 WHERE stream_id = t.stream('registration.0');
-- check: 60_positions
UPDATE teldag_data.feed_progress SET next_seq = next_seq - 1 WHERE stream_id = t.stream('registration.0');
-- check: 60_positions
UPDATE teldag_data.feed_progress SET next_seq = next_seq + 1 WHERE stream_id = t.stream('registration.1');
-- check: 60_positions
UPDATE teldag_data.dead_letter SET state = 'superseded' WHERE state = 'retried';
-- check: 60_positions
INSERT INTO teldag_data.registration_log SELECT stream_id, epoch, seq, op, school_id, 2023, pupil, grp, regular, half_weight, valid_from, valid_until, indicators, home_language, pupils, id, source, happened_at, recorded_at
FROM teldag_data.registration_log WHERE seq = 100 AND school_year = 2024;
-- check: 60_positions
DELETE FROM teldag_data.local_log WHERE act = 'accept';
-- check: 60_positions
UPDATE teldag_data.feed_progress SET epoch = 1 WHERE stream_id = t.stream('school.0');
-- check: 65_retried
DELETE FROM teldag_data.registration_log WHERE pupil = t.pupil(9);
-- check: 70_invariants
UPDATE teldag_data.count_state SET cells[1] = cells[1] + 1 WHERE school_id = 1;
-- check: 70_invariants
UPDATE teldag_data.count_state SET pupils = 0 WHERE school_id = 2;
-- check: 70_invariants
UPDATE teldag_data.count_state SET thuistaal = pupils + 1 WHERE school_id = 2;
-- check: 70_invariants
UPDATE teldag_data.allocation_state SET granted = hours + 1 WHERE school_id = 3;
-- check: 70_invariants
UPDATE teldag_data.allocation_state SET status = 'below_minimum' WHERE school_id = 4;
-- check: 70_invariants
UPDATE teldag_data.allocation_state SET margin_hours = margin_hours + 1 WHERE school_id = 4;
-- check: 80_national_numbers
UPDATE teldag_data.dead_letter SET raw = 'pupil 85073003328 was here' WHERE state = 'open';
-- check: 80_national_numbers
UPDATE teldag_data.dead_letter SET raw = '"rrn:17.07.30-033.84"' WHERE state = 'open';
-- check: 80_national_numbers
UPDATE teldag_data.dead_letter SET reason = 'bad value 85 07 30 033 28' WHERE state = 'open';
-- check: 80_national_numbers
UPDATE teldag_data.school_log SET name = 'school of 85.07.30-033.28' WHERE seq = 1 AND epoch = 1;
-- check: 80_national_numbers
UPDATE teldag_data.alert_log SET detail = '{"rules": [{"value": "85.07.30-033.28"}]}' WHERE seq = 1;
-- check: 80_national_numbers
UPDATE teldag_data.alert_log SET detail = '{"a": {"b": 85073003328}}' WHERE seq = 1;
-- check: 85_local_log
DELETE FROM teldag_data.local_log WHERE seq = 1;
-- check: 85_local_log
INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES (0, 6, 'clock', '{}');
-- check: 90_rules
DELETE FROM teldag_data.rules_set;
-- check: 90_rules
DELETE FROM teldag_data.rule;
-- check: 90_rules
UPDATE teldag_data.shard_progress SET rules_hash = '';
-- check: 90_rules
INSERT INTO teldag_data.rules_set (hash, near_pupils, near_hours) VALUES ('b', 3, 1);
INSERT INTO teldag_data.rule VALUES ('b', 2024, 'teldag', '2024-02-01', '', true);
INSERT INTO teldag_data.shard_progress (shard, shards, rules_hash) VALUES (1, 2, 'b');
-- check: 30_allocation
UPDATE teldag_data.allocation_state SET sanction_factor = 1, granted = hours WHERE school_id = 3;
-- check: 30_allocation
UPDATE teldag_data.inspection_log SET gok = 'positief' WHERE report_id = 'r2';
-- check: 40_alerts
UPDATE teldag_data.alert_state SET severity = 'warning' WHERE kind = 'evaluation.second_negative';
-- check: 40_alerts
UPDATE teldag_data.shard_progress SET today = '2025-03-02';
-- check: 40_alerts
DELETE FROM teldag_data.opschorting_log WHERE report_id = 'r3';
-- check: 40_alerts
UPDATE teldag_data.controle_log SET verdict = 'voldoende' WHERE controle_id = 'c2';
-- check: 40_alerts
DELETE FROM teldag_data.beantwoord_log WHERE melding_id = 'm2';
-- check: 45_sanctions
UPDATE teldag_data.allocation_state SET granted = hours WHERE sanction_factor = 0.5;
-- check: 45_sanctions
CREATE OR REPLACE VIEW teldag.sanction AS SELECT ''::text COLLATE "C" AS school_id, ''::text AS first_year, NULL::text AS last_year WHERE false;
-- check: 45_sanctions
CREATE OR REPLACE VIEW teldag.evaluation AS SELECT '3'::text COLLATE "C" AS school_id, 1::numeric AS negatives, NULL::date AS followup_due;
-- check: 51_budget
UPDATE teldag_data.budget_value SET pupils = 41;
-- check: 51_budget
UPDATE teldag_data.local_log SET body = jsonb_set(body, '{values,0,envelope_cents}', '100002') WHERE act = 'fix budget';
-- check: 51_budget
DELETE FROM teldag_data.budget_value;
-- check: 51_budget
UPDATE teldag_data.budget_value SET value_cents = 1500.0151;
UPDATE teldag_data.local_log SET body = jsonb_set(body, '{values,0,value_cents}', '1500.0151') WHERE act = 'fix budget';
-- check: 51_budget
UPDATE teldag_data.inspection_log SET gok = 'positief' WHERE report_id = 'r2';
CREATE OR REPLACE VIEW teldag_data.sanction_span AS SELECT 3 AS school_id, 2025 AS first_year, NULL::int AS last_year;
-- check: 52_risk_reference
UPDATE teldag_data.risk_reference SET events = 5 WHERE indicator = 'meldingen';
-- check: 52_risk_reference
DELETE FROM teldag_data.risk_reference WHERE indicator = 'toah';
-- check: 52_risk_reference
UPDATE teldag_data.risk_reference SET rate = 0.333333334 WHERE indicator = 'toah';
UPDATE teldag_data.local_log SET body = jsonb_set(body, '{values,1,rate}', '0.333333334') WHERE act = 'fix reference';
-- check: 53_risk
UPDATE teldag_data.risk_state SET probability = probability * (1 + 3e-12) WHERE indicator = 'meldingen';
-- check: 53_risk
UPDATE teldag_data.risk_state SET band = 'high' WHERE indicator = 'meldingen';
-- check: 53_risk
UPDATE teldag_data.melding_log SET op = 'w' WHERE melding_id = 'm11';
-- check: 53_risk
DELETE FROM teldag_data.risk_state;
-- check: 53_risk
UPDATE teldag_data.count_state SET pupils = pupils + 2 WHERE school_id = 2;
-- check: 40_alerts
DELETE FROM teldag_data.alert_state WHERE kind = 'risk.high';
-- check: 95_retained
INSERT INTO teldag_data.retained_count SELECT 2019, school_id, grp, pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt, cells
FROM teldag_data.count_state LIMIT 1;
-- check: 95_retained
INSERT INTO teldag_data.retention (nth, before, body) VALUES (1, 2024, jsonb_build_object('before', '2024-2025', 'sha256', teldag_data.retained_digest()));
INSERT INTO teldag_data.local_log (shard, seq, act, body) SELECT 0, 5, 'retain', r.body FROM teldag_data.retention r;
-- check: 95_retained
INSERT INTO teldag_data.retention (nth, before, body) VALUES (1, 2019, jsonb_build_object('before', '2019-2020', 'sha256', teldag_data.retained_digest()));
-- check: 95_retained
INSERT INTO teldag_data.local_log (shard, seq, act, body) VALUES (0, 5, 'retain', jsonb_build_object('before', '2019-2020', 'sha256', teldag_data.retained_digest()));
-- check: 60_positions
INSERT INTO teldag_data.retained_position VALUES (1, 1, 2, 3);
