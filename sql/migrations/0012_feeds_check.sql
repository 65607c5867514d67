-- The second computation of what follows from inspections, controls in huisonderwijs and meldingen: sanctions and their factor
-- in the allocations, and the alerts that must fire on clock.today. From the logs and the stored rules, sharing no code with
-- the daemon and no view with the readers. Section numbers are those of the regulation; (design 8) names the alerts.

-- Where every event stands, of all logs.
CREATE VIEW teldag_check.event_position AS
SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.school_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.entitlement_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.registration_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.inspection_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.opschorting_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.verklaring_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.controle_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.poah_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.beslissing_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.vlp_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.toah_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.melding_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.beantwoord_log l;

-- A parameter of a school year of use as a whole number: of its own file, else of the nearest earlier one, before the first of
-- the first.
CREATE VIEW teldag_check.law AS
SELECT r.name, r.school_year AS from_year, r.value::int AS value,
       lead(r.school_year::int, 1, 10000) OVER (PARTITION BY r.name ORDER BY r.school_year) AS before_year,
       row_number() OVER (PARTITION BY r.name ORDER BY r.school_year) = 1 AS is_first
FROM teldag_data.rule r
WHERE r.hash = (SELECT p.rules_hash FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1)
  AND r.name IN ('evaluation.followup_months', 'melding.answer_days', 'melding.answer_days_summer');
CREATE FUNCTION teldag_check.law_of(year int, wanted text) RETURNS int
LANGUAGE sql STABLE
RETURN (SELECT l.value FROM teldag_check.law l
        WHERE l.name = wanted AND (year >= l.from_year OR l.is_first) AND year < l.before_year);

-- What stands of a key: a row beats every other of its stream that came before it; of what is left, every other stream's that
-- happened earlier, or at the same moment in a stream whose name sorts first.
CREATE VIEW teldag_check.report AS
WITH last AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.inspection_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.inspection_log x WHERE x.report_id = l.report_id AND x.stream_id = l.stream_id
                                                               AND (x.epoch, x.seq) > (l.epoch, l.seq))
), asked AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.opschorting_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.opschorting_log x WHERE x.report_id = l.report_id AND x.stream_id = l.stream_id
                                                                AND (x.epoch, x.seq) > (l.epoch, l.seq))
)
SELECT l.report_id, l.school_id, l.school_year, l.date, l.kind, l.advice, l.gok, l.followup_due,
       EXISTS (SELECT FROM asked a
               WHERE a.report_id = l.report_id AND a.op = 'u' AND a.school_id = l.school_id
                 AND NOT EXISTS (SELECT FROM asked x WHERE x.report_id = a.report_id
                                 AND (x.happened_at, x.name COLLATE "C") > (a.happened_at, a.name COLLATE "C"))) AS asked,
       row_number() OVER (PARTITION BY l.school_id ORDER BY l.date, l.report_id COLLATE "C") AS nth
FROM last l
WHERE l.op = 'u' AND NOT EXISTS (SELECT FROM last x WHERE x.report_id = l.report_id
                                 AND (x.happened_at, x.name COLLATE "C") > (l.happened_at, l.name COLLATE "C"));

-- Verdicts (3): negatives counts those in a row up to and including this one; no kind of report is left out, none changes nothing.
CREATE VIEW teldag_check.verdict AS
WITH verdict AS MATERIALIZED (
    SELECT r.* FROM teldag_check.report r WHERE r.gok IN ('positief', 'negatief')
), released AS (
    SELECT v.*, coalesce(max(v.nth) FILTER (WHERE v.gok = 'positief') OVER (PARTITION BY v.school_id ORDER BY v.nth), 0) AS after_nth,
           max(v.nth) OVER (PARTITION BY v.school_id) = v.nth AS is_last
    FROM verdict v
)
SELECT r.*, count(*) FILTER (WHERE r.gok = 'negatief') OVER (PARTITION BY r.school_id, r.after_nth ORDER BY r.nth) AS negatives
FROM released r;

-- Spans (3): from the school year after the second negative's, up to and including that of the next positive; null while there is
-- none. A span whose last year is before its first covers no year.
CREATE VIEW teldag_check.sanction AS
SELECT s.school_id, s.report_id, s.school_year, s.school_year + 1 AS first_year,
       (SELECT p.school_year FROM teldag_check.verdict p
        WHERE p.school_id = s.school_id AND p.gok = 'positief' AND p.nth > s.nth ORDER BY p.nth LIMIT 1)::int AS last_year
FROM teldag_check.verdict s
WHERE s.gok = 'negatief' AND s.negatives = 2;

-- Allocations (2), step (10): half of a granted row under a sanction, rounded again by the same rule (3).
ALTER VIEW teldag_check.allocation RENAME TO allocation_before_sanction;
CREATE VIEW teldag_check.allocation AS
WITH sanction AS MATERIALIZED (
    SELECT * FROM teldag_check.sanction
), rounding AS MATERIALIZED (
    SELECT r.school_year, r.rounding FROM teldag_check.rules r
), covered AS (
    SELECT a.*, EXISTS (SELECT FROM sanction s WHERE s.school_id = a.school_id AND a.school_year >= s.first_year
                                                 AND (s.last_year IS NULL OR a.school_year <= s.last_year)) AS sanctioned
    FROM teldag_check.allocation_before_sanction a
)
SELECT c.school_year, c.school_id, c.staffing, c.grp, c.pupils, c.gok_pupils, c.threshold, c.points, c.hours_exact, c.hours, c.minimum,
       c.status, CASE WHEN c.sanctioned THEN 0.5 ELSE 1 END AS sanction_factor,
       CASE WHEN c.sanctioned THEN teldag_check.round_by(c.granted * 0.5, r.rounding)::int ELSE c.granted END AS granted,
       c.margin_pupils, c.margin_hours, c.previous
FROM covered c JOIN rounding r USING (school_year);

-- Controls (7) of a pupil in a row, the last ones: tail = how many insufficient or refused there are after the last sufficient one,
-- nth_of_tail numbers them.
CREATE VIEW teldag_check.controle AS
WITH last AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.controle_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.controle_log x WHERE x.controle_id = l.controle_id AND x.stream_id = l.stream_id
                                                             AND (x.epoch, x.seq) > (l.epoch, l.seq))
), stands AS MATERIALIZED (
    SELECT l.* FROM last l
    WHERE l.op = 'u' AND NOT EXISTS (SELECT FROM last x WHERE x.controle_id = l.controle_id
                                     AND (x.happened_at, x.name COLLATE "C") > (l.happened_at, l.name COLLATE "C"))
), tail AS (
    SELECT s.pupil, s.school_year, s.verdict,
           count(*) FILTER (WHERE s.verdict = 'voldoende') OVER (PARTITION BY s.pupil ORDER BY s.date DESC, s.controle_id COLLATE "C" DESC) = 0
               AS in_tail,
           s.date, s.controle_id
    FROM stands s
)
SELECT t.pupil, t.school_year, count(*) OVER (PARTITION BY t.pupil) AS tail,
       row_number() OVER (PARTITION BY t.pupil ORDER BY t.date, t.controle_id COLLATE "C") AS nth_of_tail
FROM tail t WHERE t.in_tail;

-- Meldingen (7) without an answer, with the last day for one.
CREATE VIEW teldag_check.unanswered AS
WITH last AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.melding_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.melding_log x WHERE x.melding_id = l.melding_id AND x.stream_id = l.stream_id
                                                            AND (x.epoch, x.seq) > (l.epoch, l.seq))
), answer AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.beantwoord_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.beantwoord_log x WHERE x.melding_id = l.melding_id AND x.stream_id = l.stream_id
                                                               AND (x.epoch, x.seq) > (l.epoch, l.seq))
), open AS (
    SELECT l.melding_id, l.school_id, l.received_on,
           extract(year FROM l.received_on + interval '4 months')::int - 1 AS school_year -- 1 September starts a school year
    FROM last l
    WHERE l.op = 'u'
      AND NOT EXISTS (SELECT FROM last x WHERE x.melding_id = l.melding_id
                      AND (x.happened_at, x.name COLLATE "C") > (l.happened_at, l.name COLLATE "C"))
      AND NOT EXISTS (SELECT FROM answer a
                      WHERE a.melding_id = l.melding_id AND a.op = 'u'
                        AND NOT EXISTS (SELECT FROM answer x WHERE x.melding_id = a.melding_id
                                        AND (x.happened_at, x.name COLLATE "C") > (a.happened_at, a.name COLLATE "C")))
)
SELECT o.melding_id, o.school_id, o.school_year,
       o.received_on + CASE WHEN daterange(o.received_on, o.received_on + t.days, '[]')
                                 && datemultirange(daterange(make_date(o.school_year + 1, 7, 1), make_date(o.school_year + 1, 9, 1)),
                                                   daterange(make_date(o.school_year + 2, 7, 1), make_date(o.school_year + 2, 9, 1)))
                            THEN t.summer ELSE t.days END AS deadline
FROM open o
CROSS JOIN LATERAL (SELECT teldag_check.law_of(o.school_year, 'melding.answer_days') AS days,
                           teldag_check.law_of(o.school_year, 'melding.answer_days_summer') AS summer) t;

-- Alerts of subjects (design 8) that must fire on clock.today.
CREATE VIEW teldag_check.alert_subject AS
WITH clock AS MATERIALIZED (
    SELECT coalesce(p.today, '-infinity'::date) AS today FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1
), followup AS (
    SELECT v.school_id, v.school_year, v.report_id,
           coalesce(v.followup_due, CASE WHEN v.negatives = 1 THEN
               (v.date + make_interval(months => teldag_check.law_of(v.school_year, 'evaluation.followup_months')))::date END) AS due
    FROM teldag_check.verdict v WHERE v.is_last AND v.gok = 'negatief'
)
SELECT 'evaluation.first_negative' AS kind, v.school_id::text AS school_id, teldag_data.year_name(v.school_year) AS school_year,
       v.report_id AS subject, 'warning' AS severity
FROM teldag_check.verdict v WHERE v.is_last AND v.gok = 'negatief' AND v.negatives = 1
UNION ALL
SELECT 'evaluation.followup_due', f.school_id::text, teldag_data.year_name(f.school_year), f.report_id,
       CASE WHEN c.today >= f.due - 14 THEN 'critical' ELSE 'warning' END
FROM followup f CROSS JOIN clock c WHERE c.today >= f.due - 60
UNION ALL
SELECT 'evaluation.second_negative', s.school_id::text, teldag_data.year_name(s.school_year), s.report_id, 'critical'
FROM teldag_check.sanction s CROSS JOIN clock c
WHERE s.last_year IS NULL OR (s.last_year >= s.first_year AND c.today < make_date(s.last_year + 1, 9, 1))
UNION ALL
SELECT 'erkenning.ongunstig', r.school_id::text, teldag_data.year_name(r.school_year), r.report_id, 'critical'
FROM teldag_check.report r
WHERE r.advice LIKE 'ongunstig%' AND NOT r.asked
  AND NOT EXISTS (SELECT FROM teldag_check.report d WHERE d.school_id = r.school_id AND d.kind = 'doorlichting' AND d.nth > r.nth)
UNION ALL
SELECT CASE c.tail WHEN 1 THEN 'huisonderwijs.control_due' ELSE 'huisonderwijs.second_insufficient' END, '',
       teldag_data.year_name(c.school_year), replace(c.pupil::text, '-', ''), CASE c.tail WHEN 1 THEN 'info' ELSE 'critical' END
FROM teldag_check.controle c WHERE c.nth_of_tail = least(c.tail, 2)
UNION ALL
SELECT 'melding.answer_overdue', u.school_id::text, teldag_data.year_name(u.school_year), u.melding_id, 'warning'
FROM teldag_check.unanswered u CROSS JOIN clock c WHERE c.today > u.deadline;

ALTER VIEW teldag_check.alert RENAME TO alert_of_counts;
CREATE VIEW teldag_check.alert AS
SELECT a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject, a.severity FROM teldag_check.alert_of_counts a
UNION ALL
SELECT s.kind, s.school_id, s.school_year, '', '', s.subject, s.severity FROM teldag_check.alert_subject s;

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
