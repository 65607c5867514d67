-- Working budget (regulation 4) and risk indicators (design 9): what an operator fixed, the probabilities the writer keeps, the
-- views over both, and their second computation. Within tables a count is in half units, as everywhere.

-- Values of the working budget, by `fix budget YEAR`: the last recorded act of a school year says what stands here.
CREATE TABLE teldag_data.budget_value (
    school_year    smallint    NOT NULL,     -- of use; the counts are those of the school year before
    level          text        NOT NULL,     -- bao, so
    indicator      text        NOT NULL,
    pupils         bigint      NOT NULL,     -- half units: of all open schools of the level on the indicator
    envelope_cents bigint      NOT NULL,     -- of the level
    split          numeric     NOT NULL,     -- the indicator's part of it
    value_cents    numeric,                  -- per pupil, 4 decimals, for showing; null: there was nobody
    rules          text        NOT NULL,     -- hash of the rules set the envelope and the split come from
    fixed_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (school_year, level, indicator)
);

-- Reference rates, by `fix reference YEAR`: the last recorded act of a school year says what stands here.
CREATE TABLE teldag_data.risk_reference (
    school_year smallint    NOT NULL,        -- of the events and of the count
    level       text        NOT NULL,
    indicator   text        NOT NULL,        -- meldingen, toah, poah, huisonderwijs
    events      bigint      NOT NULL,
    pupils      bigint      NOT NULL,        -- half units: of all known schools of the level
    rate        numeric     NOT NULL,        -- events per 1,000 pupils, half up to 9 decimals
    fixed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (school_year, level, indicator)
);

-- What the writer keeps: of schools with an event, in school years with a reference.
CREATE TABLE teldag_data.risk_state (
    school_year smallint         NOT NULL,
    school_id   int              NOT NULL,
    indicator   text             NOT NULL,
    observed    int              NOT NULL,
    pupils      bigint           NOT NULL,   -- half units
    probability double precision NOT NULL,   -- of as many or more
    band        text             NOT NULL,   -- normal, high, very_high
    PRIMARY KEY (school_year, school_id, indicator)
);

-- Half up of a / b, exactly; null when b is 0.
CREATE FUNCTION teldag_data.half_up(a numeric, b numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN div(2 * a + b, nullif(2 * b, 0));

-- Pupils a working budget is for (4): of bao and so, in groups that fit the level, at schools open in the school year of use.
CREATE VIEW teldag_data.budget_pupils AS
SELECT c.school_year + 1 AS school_year, c.school_id, s.level, i.indicator, sum(i.halves)::bigint AS halves
FROM teldag_data.count_state c
JOIN teldag.school s ON s.school_id = c.school_id::text COLLATE "C"
CROSS JOIN LATERAL (VALUES ('opleiding_moeder', c.opleiding_moeder), ('schooltoelage', c.schooltoelage), ('thuistaal', c.thuistaal),
                           ('buurt', c.buurt)) AS i (indicator, halves)
WHERE s.level IN ('bao', 'so') AND teldag_data.group_fits_level(c.grp, s.level)
  AND (s.closed_on IS NULL OR s.closed_on > make_date(c.school_year + 1, 9, 1))
GROUP BY c.school_year, c.school_id, s.level, i.indicator;

-- A school's amount: pupils x (envelope x split / pupils of all), rounded once; the sanction halves it and rounds again (3).
CREATE VIEW teldag_data.budget_amount AS
SELECT p.school_year, p.school_id, p.level, p.indicator, p.halves, v.value_cents,
       teldag_data.half_up(p.halves * v.envelope_cents * v.split, v.pupils) AS amount, x.factor
FROM teldag_data.budget_pupils p
LEFT JOIN teldag_data.budget_value v USING (school_year, level, indicator)
LEFT JOIN (SELECT DISTINCT a.school_id, y.school_year, 0.5 AS factor
           FROM teldag_data.sanction_span a
           JOIN (SELECT DISTINCT c.school_year + 1 AS school_year FROM teldag_data.count_state c) y
                ON y.school_year >= a.first_year AND (a.last_year IS NULL OR y.school_year <= a.last_year)) x
     USING (school_id, school_year);

CREATE VIEW teldag.working_budget AS
SELECT teldag_data.year_name(b.school_year) AS school_year, b.school_id::text COLLATE "C" AS school_id, b.indicator,
       teldag_data.pupils(b.halves) AS pupils, b.value_cents, b.amount::bigint AS amount_cents,
       coalesce(b.factor, 1) AS sanction_factor,
       CASE WHEN b.factor IS NULL THEN b.amount ELSE teldag_data.half_up(b.amount, 2) END::bigint AS granted_cents
FROM teldag_data.budget_amount b;

CREATE VIEW teldag.working_budget_total AS
SELECT teldag_data.year_name(v.school_year) AS school_year, v.level, v.indicator, v.envelope_cents, trim_scale(v.split) AS split,
       teldag_data.pupils(v.pupils) AS pupils, v.value_cents, teldag_data.pupils(coalesce(a.halves, 0)::bigint) AS pupils_now,
       coalesce(a.amount, 0)::bigint AS amount_cents, coalesce(a.granted, 0)::bigint AS granted_cents,
       trim_scale(v.envelope_cents * v.split - coalesce(a.amount, 0)) AS difference_cents, v.rules, v.fixed_at
FROM teldag_data.budget_value v
LEFT JOIN (SELECT b.school_year, b.level, b.indicator, sum(b.halves) AS halves, sum(b.amount) AS amount,
                  sum(CASE WHEN b.factor IS NULL THEN b.amount ELSE teldag_data.half_up(b.amount, 2) END) AS granted
           FROM teldag_data.budget_amount b GROUP BY b.school_year, b.level, b.indicator) a USING (school_year, level, indicator);

-- Events that risk indicators count, a row each, at the school they count at (design 9).
CREATE VIEW teldag_data.incident AS
SELECT teldag_data.year_of(m.received_on) AS school_year, m.school_id, 'meldingen' AS indicator
FROM teldag_data.melding_last m
WHERE m.received_on >= DATE '1990-09-01'
UNION ALL
SELECT t.school_year, t.school_id, 'toah' FROM teldag_data.toah_last t
UNION ALL
SELECT a.school_year, coalesce(b.school_id, a.school_id), 'poah'
FROM teldag_data.poah_last a LEFT JOIN teldag_data.beslissing_last b USING (request_id)
WHERE coalesce(b.school_id, a.school_id) IS NOT NULL
UNION ALL
SELECT v.school_year, v.last_school_id, 'huisonderwijs' FROM teldag_data.verklaring_last v WHERE v.last_school_id IS NOT NULL;

-- observed, pupils and expected come from the events and counts; probability and band of schools with an event from the writer.
CREATE VIEW teldag.risk_indicator AS
WITH seen AS MATERIALIZED (
    SELECT i.school_year, i.school_id, i.indicator, count(*) AS observed FROM teldag_data.incident i
    GROUP BY i.school_year, i.school_id, i.indicator
), counted AS MATERIALIZED (
    SELECT c.school_year::int AS school_year, c.school_id, sum(c.pupils)::bigint AS halves FROM teldag_data.count_state c
    GROUP BY c.school_year, c.school_id
), pair AS (
    SELECT c.school_year, c.school_id FROM counted c UNION SELECT s.school_year, s.school_id FROM seen s
), school AS MATERIALIZED (
    SELECT s.school_id::int AS school_id, s.level FROM teldag.school s
), judged AS (
    SELECT p.school_year, p.school_id, k.indicator, coalesce(s.observed, 0) AS observed, coalesce(c.halves, 0) AS halves,
           r.rate * coalesce(c.halves, 0) * 0.0005 AS expected
    FROM pair p
    CROSS JOIN (VALUES ('meldingen'), ('toah'), ('poah'), ('huisonderwijs')) AS k (indicator)
    LEFT JOIN seen s USING (school_year, school_id, indicator)
    LEFT JOIN counted c USING (school_year, school_id)
    LEFT JOIN school l USING (school_id)
    LEFT JOIN teldag_data.risk_reference r ON r.school_year = p.school_year AND r.level = l.level AND r.indicator = k.indicator
)
SELECT teldag_data.year_name(j.school_year) AS school_year, j.school_id::text COLLATE "C" AS school_id, j.indicator,
       j.observed::numeric AS observed, teldag_data.pupils(j.halves) AS pupils, trim_scale(j.expected) AS expected,
       CASE WHEN j.expected > 0 THEN CASE WHEN j.observed = 0 THEN 1 ELSE t.probability END END::double precision AS probability,
       CASE WHEN j.expected > 0 THEN CASE WHEN j.observed = 0 THEN 'normal' ELSE t.band END END AS band
FROM judged j
LEFT JOIN teldag_data.risk_state t ON t.school_year = j.school_year AND t.school_id = j.school_id AND t.indicator = j.indicator;

-- By what fires: the number of very high bands, then of high ones, then the least probability.
CREATE VIEW teldag.risk_ranking AS
SELECT r.school_year, rank() OVER (PARTITION BY r.school_year ORDER BY r.very_high DESC, r.high DESC, r.least) AS rank, r.school_id,
       r.level, r.very_high, r.high, r.reasons
FROM (SELECT i.school_year, i.school_id, s.level, count(*) FILTER (WHERE i.band = 'very_high')::numeric AS very_high,
             count(*) FILTER (WHERE i.band = 'high')::numeric AS high, min(i.probability) AS least,
             array_agg(format('%s: %s among %s pupils where %s would be expected, probability %s (%s)', i.indicator, i.observed, i.pupils,
                              trim_scale(round(i.expected, 4)), btrim(to_char(i.probability, '9.99EEEE')), i.band)
                       ORDER BY i.probability, i.indicator) AS reasons
      FROM teldag.risk_indicator i
      LEFT JOIN teldag.school s USING (school_id)
      WHERE i.band IN ('high', 'very_high')
      GROUP BY i.school_year, i.school_id, s.level) r
ORDER BY r.school_year DESC, rank, r.school_id;

CREATE VIEW teldag.risk_reference AS
SELECT teldag_data.year_name(r.school_year) AS school_year, r.level, r.indicator, r.events::numeric AS events,
       teldag_data.pupils(r.pupils) AS pupils, trim_scale(r.rate) AS rate, r.fixed_at
FROM teldag_data.risk_reference r;

-- The second computation.

-- P(X >= k) of a Poisson variable, to 16 digits or more: one term through logarithms of 40 decimals, the others from it by ratios.
CREATE FUNCTION teldag_check.poisson_tail(lambda numeric, k bigint) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    upper constant boolean := k > lambda;
    mean  constant numeric := round(lambda, 40);
    j     bigint  := CASE WHEN k > lambda THEN k ELSE greatest(k - 1, 0) END;
    first constant numeric := exp(j * ln(mean) - mean - ln(round(factorial(j), 40)));
    term  numeric := 1;
    total numeric := 1;
BEGIN
    IF k <= 0 THEN
        RETURN 1;
    END IF;
    WHILE term > 1e-25 AND (upper OR j > 0) LOOP
        IF upper THEN
            j := j + 1;
            term := round(term * mean / j, 40);
        ELSE
            term := round(term * j / mean, 40);
            j := j - 1;
        END IF;
        total := total + term;
    END LOOP;
    RETURN CASE WHEN upper THEN first * total ELSE 1 - first * total END;
END $$;

-- What stands of the events that count at a school: the last of each stream, of these the latest, then the name that sorts last.
CREATE VIEW teldag_check.incident AS
WITH event AS (
    SELECT 'melding' AS log, l.melding_id AS key, l.stream_id, l.epoch, l.seq, l.op, l.happened_at,
           extract(year FROM l.received_on + interval '4 months')::int - 1 AS school_year, l.school_id
    FROM teldag_data.melding_log l
    UNION ALL
    SELECT 'toah', l.request_id, l.stream_id, l.epoch, l.seq, l.op, l.happened_at, l.school_year, l.school_id FROM teldag_data.toah_log l
    UNION ALL
    SELECT 'poah', l.request_id, l.stream_id, l.epoch, l.seq, l.op, l.happened_at, l.school_year, l.school_id FROM teldag_data.poah_log l
    UNION ALL
    SELECT 'beslissing', l.request_id, l.stream_id, l.epoch, l.seq, l.op, l.happened_at, NULL, l.school_id
    FROM teldag_data.beslissing_log l
    UNION ALL
    SELECT 'verklaring', l.verklaring_id, l.stream_id, l.epoch, l.seq, l.op, l.happened_at, l.school_year, l.last_school_id
    FROM teldag_data.verklaring_log l
), back AS (
    SELECT e.*, n.name, row_number() OVER (PARTITION BY e.log, e.key, e.stream_id ORDER BY e.epoch DESC, e.seq DESC) AS nth
    FROM event e JOIN teldag_data.stream n USING (stream_id)
), across AS (
    SELECT b.*, row_number() OVER (PARTITION BY b.log, b.key ORDER BY b.happened_at DESC, b.name COLLATE "C" DESC) AS place
    FROM back b WHERE b.nth = 1
), stands AS MATERIALIZED (
    SELECT a.log, a.key, a.school_year, a.school_id FROM across a WHERE a.place = 1 AND a.op = 'u'
), placed AS (
    SELECT s.school_year, s.school_id, CASE s.log WHEN 'melding' THEN 'meldingen' WHEN 'toah' THEN 'toah' ELSE 'huisonderwijs' END AS indicator
    FROM stands s WHERE s.log IN ('melding', 'toah', 'verklaring')
    UNION ALL
    SELECT p.school_year, coalesce(d.school_id, p.school_id), 'poah'
    FROM stands p LEFT JOIN stands d ON d.log = 'beslissing' AND d.key = p.key
    WHERE p.log = 'poah'
)
SELECT p.school_year, p.school_id, p.indicator, count(*) AS observed
FROM placed p WHERE p.school_id IS NOT NULL AND p.school_year >= 1990
GROUP BY p.school_year, p.school_id, p.indicator;

CREATE VIEW teldag_check.risk AS
WITH counted AS MATERIALIZED (
    SELECT c.school_year::int AS school_year, c.school_id, sum(c.pupils) AS halves FROM teldag_data.count_state c GROUP BY 1, 2
), expected AS (
    SELECT i.school_year, i.school_id, i.indicator, i.observed, c.halves, r.rate * c.halves / 2 / 1000 AS expected
    FROM teldag_check.incident i
    JOIN counted c USING (school_year, school_id)
    JOIN teldag_check.school s USING (school_id)
    JOIN teldag_data.risk_reference r ON r.school_year = i.school_year AND r.level = s.level AND r.indicator = i.indicator
    WHERE r.rate > 0
), tail AS MATERIALIZED (
    SELECT e.*, teldag_check.poisson_tail(e.expected, e.observed) AS probability FROM expected e
)
SELECT t.school_year, t.school_id, t.indicator, t.observed, t.halves, t.probability,
       CASE WHEN t.observed < 3 OR t.probability > 0.025 THEN 'normal' WHEN t.probability > 0.001 THEN 'high' ELSE 'very_high' END AS band
FROM tail t;

-- The last recorded act that fixed a school year; what it said stands in the table of its kind.
CREATE VIEW teldag_check.fixed AS
SELECT f.act, f.school_year, f.body
FROM (SELECT l.act, left(l.body ->> 'school_year', 4)::int AS school_year, l.body,
             row_number() OVER (PARTITION BY l.act, l.body ->> 'school_year' ORDER BY l.recorded_at DESC, l.seq DESC) AS nth
      FROM teldag_data.local_log l WHERE l.act IN ('fix budget', 'fix reference')) f
WHERE f.nth = 1;

ALTER VIEW teldag_check.alert RENAME TO alert_before_risk;
CREATE VIEW teldag_check.alert AS
SELECT a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject, a.severity FROM teldag_check.alert_before_risk a
UNION ALL
SELECT 'risk.high', r.school_id::text, teldag_data.year_name(r.school_year), '', '', r.indicator, 'warning'
FROM teldag_check.risk r WHERE r.band = 'very_high';

-- What the roles may do, as in 0010, and the tables above.
CREATE OR REPLACE FUNCTION teldag_data.grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log name;
BEGIN
    GRANT USAGE ON SCHEMA teldag_data, teldag, teldag_check TO teldag_writer;
    GRANT SELECT ON ALL TABLES IN SCHEMA teldag, teldag_check TO teldag_writer;
    GRANT SELECT, INSERT ON teldag_data.stream, teldag_data.stream_epoch, teldag_data.dead_letter, teldag_data.rules_set,
        teldag_data.rule TO teldag_writer;
    FOR log IN SELECT c.relname FROM pg_class c
               WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND c.relname LIKE '%\_log' LOOP
        EXECUTE format('GRANT SELECT, INSERT ON teldag_data.%I TO teldag_writer', log);
    END LOOP;
    GRANT SELECT, INSERT, UPDATE ON teldag_data.feed_progress, teldag_data.shard_progress TO teldag_writer;
    GRANT UPDATE (state, resolved_at) ON teldag_data.dead_letter TO teldag_writer;
    GRANT SELECT, INSERT, UPDATE, DELETE ON teldag_data.count_state, teldag_data.count_closed, teldag_data.allocation_state,
        teldag_data.alert_state, teldag_data.budget_value, teldag_data.risk_reference, teldag_data.risk_state TO teldag_writer;
    GRANT SELECT ON teldag_data.schema_migration, teldag_data.school_year TO teldag_writer;
    FOR log IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON teldag_data.%I TO teldag_writer', log);
    END LOOP;
    GRANT EXECUTE ON FUNCTION teldag_data.ensure_year(smallint) TO teldag_writer;

    GRANT USAGE ON SCHEMA teldag TO teldag_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA teldag TO teldag_reader;
END $$;

-- What each view and column means.

COMMENT ON VIEW teldag.working_budget IS
    'Working budget on pupil characteristics (SES-werkingsmiddelen), bao and so only (regulation 4): a row per school, school year of use and indicator. The counts are those of the school year before, as in allocation. Values come from `fix budget YEAR`; amounts are null until then.';
COMMENT ON COLUMN teldag.working_budget.school_year IS 'school year of use, ''2025-2026''; its pupils are those counted in the school year before';
COMMENT ON COLUMN teldag.working_budget.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.working_budget.indicator IS 'opleiding_moeder, schooltoelage, thuistaal or buurt';
COMMENT ON COLUMN teldag.working_budget.pupils IS 'pupils counted on the indicator, all groups of the level, in pupils';
COMMENT ON COLUMN teldag.working_budget.value_cents IS 'value per pupil in euro cents, half up to 4 decimals; null: not fixed';
COMMENT ON COLUMN teldag.working_budget.amount_cents IS 'pupils x (envelope x split / pupils of all schools), in euro cents, half up once; not from the rounded value; null: not fixed';
COMMENT ON COLUMN teldag.working_budget.sanction_factor IS '1, or 0.5 under the sanction of a second negative evaluation (3)';
COMMENT ON COLUMN teldag.working_budget.granted_cents IS 'amount x sanction_factor in euro cents, half up again (3); null: not fixed';

COMMENT ON VIEW teldag.working_budget_total IS
    'Fixed values of the working budget against their envelope (regulation 4): what rounding, and counts that came after the fixing, leave of it.';
COMMENT ON COLUMN teldag.working_budget_total.school_year IS 'school year of use';
COMMENT ON COLUMN teldag.working_budget_total.level IS 'bao or so';
COMMENT ON COLUMN teldag.working_budget_total.indicator IS 'opleiding_moeder, schooltoelage, thuistaal or buurt';
COMMENT ON COLUMN teldag.working_budget_total.envelope_cents IS 'envelope of the level in euro cents, as fixed (parameter budget.envelope_bao or budget.envelope_so)';
COMMENT ON COLUMN teldag.working_budget_total.split IS 'part of the envelope for the indicator, as fixed (parameters budget.split)';
COMMENT ON COLUMN teldag.working_budget_total.pupils IS 'pupils of all schools on the indicator at the moment of fixing';
COMMENT ON COLUMN teldag.working_budget_total.value_cents IS 'value per pupil in euro cents, half up to 4 decimals; null: there was nobody';
COMMENT ON COLUMN teldag.working_budget_total.pupils_now IS 'pupils of all schools on the indicator now';
COMMENT ON COLUMN teldag.working_budget_total.amount_cents IS 'sum of the amounts of all schools, before sanctions';
COMMENT ON COLUMN teldag.working_budget_total.granted_cents IS 'the same after sanctions';
COMMENT ON COLUMN teldag.working_budget_total.difference_cents IS 'envelope x split less amount_cents: at most half a cent a school as long as the counts are those of the fixing';
COMMENT ON COLUMN teldag.working_budget_total.rules IS 'hash of the rules set that envelope and split come from';
COMMENT ON COLUMN teldag.working_budget_total.fixed_at IS 'when `fix budget` was recorded';

COMMENT ON VIEW teldag.risk_indicator IS
    'How many events a school has, how many its pupils would give at the reference rate of its level, and how likely so many or more are (design 9): a row per school with a count or an event, school year and indicator.';
COMMENT ON COLUMN teldag.risk_indicator.school_year IS 'school year of the events and of the count';
COMMENT ON COLUMN teldag.risk_indicator.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.risk_indicator.indicator IS 'meldingen, toah (notifications), poah (requests, at the school made responsible, else that of the request) or huisonderwijs (verklaringen by last_school_id)';
COMMENT ON COLUMN teldag.risk_indicator.observed IS 'events that stand';
COMMENT ON COLUMN teldag.risk_indicator.pupils IS 'regular pupils counted in that school year';
COMMENT ON COLUMN teldag.risk_indicator.expected IS 'rate of risk_reference x pupils / 1,000, exactly; null without a reference';
COMMENT ON COLUMN teldag.risk_indicator.probability IS 'Poisson probability of observed or more when expected is the mean, to 1e-12 relative; null without a reference, pupils or a rate above 0';
COMMENT ON COLUMN teldag.risk_indicator.band IS 'normal, high (probability at most .025) or very_high (at most .001: alert risk.high); never above normal on fewer than 3 events; null as probability';

COMMENT ON VIEW teldag.risk_ranking IS
    'Schools with a band above normal, ordered by what fires: the number of very high bands, then of high ones, then the least probability (design 9). No score: the reasons say it.';
COMMENT ON COLUMN teldag.risk_ranking.school_year IS 'school year of the events and of the count';
COMMENT ON COLUMN teldag.risk_ranking.rank IS 'place within the school year; equal when all three are equal';
COMMENT ON COLUMN teldag.risk_ranking.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.risk_ranking.level IS 'level of the school';
COMMENT ON COLUMN teldag.risk_ranking.very_high IS 'indicators in band very_high';
COMMENT ON COLUMN teldag.risk_ranking.high IS 'indicators in band high';
COMMENT ON COLUMN teldag.risk_ranking.reasons IS 'a sentence per indicator above normal, the least probable first';

COMMENT ON VIEW teldag.risk_reference IS
    'Reference rates that were fixed by `fix reference YEAR` (design 9): events and pupils of all known schools of a level at that moment.';
COMMENT ON COLUMN teldag.risk_reference.school_year IS 'school year of the events and of the count';
COMMENT ON COLUMN teldag.risk_reference.level IS 'level of the schools';
COMMENT ON COLUMN teldag.risk_reference.indicator IS 'meldingen, toah, poah or huisonderwijs';
COMMENT ON COLUMN teldag.risk_reference.events IS 'events at these schools';
COMMENT ON COLUMN teldag.risk_reference.pupils IS 'regular pupils counted at these schools';
COMMENT ON COLUMN teldag.risk_reference.rate IS 'events per 1,000 pupils, half up to 9 decimals';
COMMENT ON COLUMN teldag.risk_reference.fixed_at IS 'when `fix reference` was recorded';

COMMENT ON COLUMN teldag.alert.kind IS 'threshold.near, threshold.grace, threshold.lost, count.incomplete, registration.double, evaluation.first_negative, evaluation.followup_due, evaluation.second_negative, erkenning.ongunstig, huisonderwijs.control_due, huisonderwijs.second_insufficient, melding.answer_overdue, risk.high, stream.gap, stream.stale or dead_letter';
COMMENT ON COLUMN teldag.alert_log.kind IS 'threshold.near, threshold.grace, threshold.lost, count.incomplete, registration.double, evaluation.first_negative, evaluation.followup_due, evaluation.second_negative, erkenning.ongunstig, huisonderwijs.control_due, huisonderwijs.second_insufficient, melding.answer_overdue, risk.high, stream.gap, stream.stale or dead_letter';

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
