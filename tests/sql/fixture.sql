-- Functions by which the cases build small worlds: a line an event, as the daemon would have logged it. Schema t; never shipped.
CREATE SCHEMA t;

CREATE FUNCTION t.stream(wanted text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE id int;
BEGIN
    SELECT stream_id INTO id FROM teldag_data.stream WHERE name = wanted;
    IF id IS NULL THEN
        INSERT INTO teldag_data.stream (name) VALUES (wanted) RETURNING stream_id INTO id;
        INSERT INTO teldag_data.feed_progress (stream_id, shard, epoch) VALUES (id, 0, 1);
    END IF;
    RETURN id;
END $$;

-- The next position of a stream; clock runs with it unless a case sets t.at.
CREATE FUNCTION t.next(wanted text, OUT stream_id int, OUT epoch bigint, OUT seq bigint, OUT at timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    stream_id := t.stream(wanted);
    UPDATE teldag_data.feed_progress p SET next_seq = p.next_seq + 1, head_seq = p.next_seq + 1
    WHERE p.stream_id = next.stream_id RETURNING p.epoch, p.next_seq - 1 INTO epoch, seq;
    at := coalesce(nullif(current_setting('t.at', true), '')::timestamptz,
                   timestamptz '2024-01-01' + seq * interval '1 second');
END $$;

CREATE FUNCTION t.school(id int, level text, brussels boolean DEFAULT false, closed_on date DEFAULT NULL, successor int DEFAULT NULL,
                         op "char" DEFAULT 'u', stream text DEFAULT 'school.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.school_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, 'school ' || id, level, 'go', NULL, NULL, brussels, NULL, closed_on, successor,
           'e', 's', n.at, n.at FROM t.next(stream) n $$;

CREATE FUNCTION t.known(id int, staffing text, grp text, year int, status text, hours int, op "char" DEFAULT 'u',
                        stream text DEFAULT 'school.0') RETURNS void LANGUAGE sql AS $$
    SELECT teldag_data.ensure_year(year::smallint);
    INSERT INTO teldag_data.entitlement_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, staffing, grp, year, status, hours, 'e', 's', n.at, n.at FROM t.next(stream) n $$;

-- bits: the indicators as in registration_log.indicators; pupils are numbered.
CREATE FUNCTION t.pupil(n int) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN lpad(to_hex(n), 32, '0')::uuid;
CREATE FUNCTION t.reg(school int, year int, pupil int, grp text DEFAULT 'graad1', bits int DEFAULT 0, op "char" DEFAULT 'u',
                      halves int DEFAULT 2, regular boolean DEFAULT true, valid_from date DEFAULT NULL, valid_until date DEFAULT NULL,
                      home int DEFAULT NULL, stream text DEFAULT 'registration.0') RETURNS void LANGUAGE sql AS $$
    SELECT teldag_data.ensure_year(year::smallint);
    INSERT INTO teldag_data.registration_log
    SELECT n.stream_id, n.epoch, n.seq, op, school, year, t.pupil(pupil), grp, regular, halves, valid_from, valid_until, bits, home,
           NULL, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION t.closed(school int, year int, pupils int, stream text DEFAULT 'registration.0') RETURNS void LANGUAGE sql AS $$
    SELECT teldag_data.ensure_year(year::smallint);
    INSERT INTO teldag_data.registration_log
    SELECT n.stream_id, n.epoch, n.seq, 'c', school, year, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, pupils, 'e', 's', n.at, n.at
    FROM t.next(stream) n $$;
-- A group of pupils: n of them with the same indicators, numbered from first on.
CREATE FUNCTION t.regs(school int, year int, first int, n int, grp text, bits int) RETURNS void LANGUAGE sql AS $$
    SELECT t.reg(school, year, p, grp, bits) FROM generate_series(first, first + n - 1) AS p $$;
CREATE FUNCTION t.epoch(stream text, number bigint, resend boolean) RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.stream_epoch SELECT t.stream(stream), number, resend;
    UPDATE teldag_data.feed_progress SET epoch = number, next_seq = 1, head_seq = 1 WHERE stream_id = t.stream(stream) $$;
CREATE FUNCTION t.dead(stream text, reason text, raw bytea, state text DEFAULT 'open') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.dead_letter SELECT n.stream_id, n.epoch, n.seq, reason, raw, state, n.at FROM t.next(stream) n $$;

-- Regulation 2 in its defaults, for the school years of use given; then single parameters by t.rule().
CREATE FUNCTION t.rules(VARIADIC years int[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.shard_progress (shard, shards, rules_hash, today) VALUES (0, 1, 'test', '2025-01-01')
    ON CONFLICT (shard) DO UPDATE SET rules_hash = 'test';
    INSERT INTO teldag_data.rules_set (hash, near_pupils, near_hours) VALUES ('test', 3, 1) ON CONFLICT DO NOTHING;
    INSERT INTO teldag_data.rule (hash, school_year, name, value, source, verified)
    SELECT 'test', y, r.name, CASE r.name WHEN 'teldag' THEN y || '-02-01' ELSE r.value END, '[test]', true
    FROM unnest(years) AS y CROSS JOIN (VALUES
        ('teldag', ''), ('rounding', 'gt4'), ('ses.moeder', '0.26710'), ('ses.thuistaal', '0.29116'), ('ses.schooltoelage', '0.11917'),
        ('gok.weight.trekkend', '0.8'), ('gok.weight.thuisloos', '0.8'), ('gok.weight.moeder', '0.6'),
        ('gok.weight.schooltoelage', '0.4'), ('gok.weight.thuistaal', '0.2'), ('gok.combination', 'true'), ('gok.cap', '1.2'),
        ('gok.brussels_factor', '1.5'), ('gok.concentration_factor', '1.5'), ('gok.concentration_share', '0.55'),
        ('gok.round_points', 'true'), ('gok.minimum', '6'), ('gok.minimum_on', 'rounded'), ('gok.threshold.graad1', '0.10'),
        ('gok.threshold.okan', '0.10'), ('gok.threshold.graad23', '0.25'), ('gok.value.graad1', '0.2916'),
        ('gok.value.okan', '0.2916'), ('gok.value.graad23', '0.1225'), ('bu.eligibility', 'and'), ('bu.share_counts', 'moeder'),
        ('bubao.moeder', '0.80'), ('bubao.thuistaal', '0.40'), ('bubao.threshold', '0.40'), ('bubao.value', '0.252220818'),
        ('bubao.minimum', '6'), ('bubao.round_points', 'false'), ('buso.moeder', '0.80'), ('buso.thuistaal', '0.40'),
        ('buso.threshold', '0.40'), ('buso.value', '0.227197'), ('buso.minimum', '6'), ('buso.round_points', 'true'),
        ('gedoog.covers', 'threshold and minimum'), ('evaluation.followup_months', '12'), ('erkenning.opschorting_days', '30'),
        ('melding.answer_days', '30'), ('melding.answer_days_summer', '60'), ('budget.envelope_bao', ''), ('budget.envelope_so', ''),
        ('budget.split.moeder', '0.30'), ('budget.split.schooltoelage', '0.30'), ('budget.split.thuistaal', '0.20'),
        ('budget.split.buurt', '0.20')) AS r (name, value) $$;
CREATE FUNCTION t.rule(wanted text, wanted_value text) RETURNS void LANGUAGE sql AS $$
    UPDATE teldag_data.rule SET value = wanted_value WHERE name = wanted $$;

-- Stored counts, on which allocations and alerts rest, as recomputed.
CREATE FUNCTION t.count() RETURNS void LANGUAGE sql AS $$
    DELETE FROM teldag_data.count_state;
    DELETE FROM teldag_data.count_closed;
    INSERT INTO teldag_data.count_state
    SELECT school_year, school_id, grp, pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, thuisloos, trekkend, buurt, cells
    FROM teldag_check.count;
    INSERT INTO teldag_data.count_closed SELECT school_year, school_id, closed, held, announced FROM teldag_check.closed $$;

CREATE FUNCTION t.settle_risk() RETURNS void LANGUAGE sql AS $$
    DELETE FROM teldag_data.risk_state;
    INSERT INTO teldag_data.risk_state
    SELECT school_year, school_id, indicator, observed, halves, probability, band FROM teldag_check.risk $$;

-- What the writer would have stored, taken from the recomputation: so that a case can falsify one thing and see its check fail.
CREATE FUNCTION t.settle() RETURNS void LANGUAGE sql AS $$
    SELECT t.count();
    INSERT INTO teldag_data.allocation_state
    SELECT school_year, school_id, staffing, grp, pupils, gok_pupils, threshold, points, hours_exact, hours, minimum, status,
           sanction_factor, granted, margin_pupils, margin_hours, 'test' FROM teldag_check.allocation;
    SELECT t.settle_risk();
    INSERT INTO teldag_data.alert_log
    SELECT 0, row_number() OVER (ORDER BY kind, school_id, school_year, grp, subject), kind, severity, 'firing', school_id, school_year,
           grp, stream, subject, 'summary', '{}', '2025-01-01', '2025-01-01', NULL FROM teldag_check.alert;
    INSERT INTO teldag_data.alert_state SELECT * FROM teldag_data.alert_log;
    UPDATE teldag_data.shard_progress SET alert_seq = (SELECT count(*) FROM teldag_data.alert_log) $$;

-- One expectation; the runner counts the rows.
CREATE TABLE t.result (nth int GENERATED ALWAYS AS IDENTITY, file text DEFAULT current_setting('t.file', true), what text, got text, want text);
CREATE FUNCTION t.is(what text, got anyelement, want anyelement) RETURNS void LANGUAGE sql AS $$
    INSERT INTO t.result (what, got, want) VALUES (what, got::text, want::text) $$;
