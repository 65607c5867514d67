-- Views over the logs of the feeds inspection, huisonderwijs, aanhuis and melding: the events that stand, what follows from them
-- (evaluation, sanction) and the statistics. All are functions of the logs alone, so they are right in every snapshot. Counts are
-- numeric, key texts '' when there is none (a school that is not known has no level).

-- What stands of each log: within a stream the last event of a key by (epoch, seq); between streams the later happened_at, then
-- the stream name that sorts last; withdrawn keys have gone. Written as <> 'w',
-- not = 'u': of an equality the planner expects next to no rows, and joins by nested loops.
CREATE VIEW teldag_data.school_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.school_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.school_id, l.stream_id) l.* FROM teldag_data.school_log l
          ORDER BY l.school_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.school_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.inspection_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.report_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.report_id, l.stream_id) l.* FROM teldag_data.inspection_log l
          ORDER BY l.report_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.report_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.opschorting_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.report_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.report_id, l.stream_id) l.* FROM teldag_data.opschorting_log l
          ORDER BY l.report_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.report_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.verklaring_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.verklaring_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.verklaring_id, l.stream_id) l.* FROM teldag_data.verklaring_log l
          ORDER BY l.verklaring_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.verklaring_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.controle_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.controle_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.controle_id, l.stream_id) l.* FROM teldag_data.controle_log l
          ORDER BY l.controle_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.controle_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.poah_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.request_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.request_id, l.stream_id) l.* FROM teldag_data.poah_log l
          ORDER BY l.request_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.request_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.beslissing_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.request_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.request_id, l.stream_id) l.* FROM teldag_data.beslissing_log l
          ORDER BY l.request_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.request_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.vlp_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.request_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.request_id, l.stream_id) l.* FROM teldag_data.vlp_log l
          ORDER BY l.request_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.request_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.toah_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.request_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.request_id, l.stream_id) l.* FROM teldag_data.toah_log l
          ORDER BY l.request_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.request_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.melding_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.melding_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.melding_id, l.stream_id) l.* FROM teldag_data.melding_log l
          ORDER BY l.melding_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.melding_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

CREATE VIEW teldag_data.beantwoord_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.melding_id) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.melding_id, l.stream_id) l.* FROM teldag_data.beantwoord_log l
          ORDER BY l.melding_id, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.melding_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

-- The school year a day lies in: 1 September to 31 August.
CREATE FUNCTION teldag_data.year_of(day date) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN extract(year FROM day)::int - (extract(month FROM day) < 9)::int;

-- The family leerlingenbegeleiding among the categories of a melding (7).
CREATE FUNCTION teldag_data.is_leerlingenbegeleiding(categories text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN categories && ARRAY['aanpak_pesten_agressie', 'grensoverschrijdend_gedrag', 'leerrecht', 'orde_tucht', 'studiebekrachtiging',
                           'vrijheidsbeperkende_maatregelen', 'zorg_welzijn'];

-- Events.

CREATE VIEW teldag.inspection AS
SELECT i.report_id, i.school_id::text COLLATE "C" AS school_id, teldag_data.year_name(i.school_year) AS school_year, i.date, i.kind,
       i.advice, i.leerlingenbegeleiding, i.gok, i.followup_due, i.scales, p.asked_on AS opschorting_asked_on, i.seq, i.recorded_at
FROM teldag_data.inspection_last i
LEFT JOIN teldag_data.opschorting_last p ON p.report_id = i.report_id AND p.school_id = i.school_id;

CREATE VIEW teldag.huisonderwijs_verklaring AS
SELECT v.verklaring_id, replace(v.pupil::text, '-', '') AS pupil, teldag_data.year_name(v.school_year) AS school_year, v.kind, v.level,
       v.province, v.declared_on, v.last_school_id::text COLLATE "C" AS last_school_id, v.seq, v.recorded_at
FROM teldag_data.verklaring_last v;

CREATE VIEW teldag.huisonderwijs_controle AS
SELECT c.controle_id, replace(c.pupil::text, '-', '') AS pupil, teldag_data.year_name(c.school_year) AS school_year, c.level, c.province,
       c.date, c.ordinal, c.verdict, c.criteria, c.seq, c.recorded_at
FROM teldag_data.controle_last c;

CREATE VIEW teldag.poah_aanvraag AS
SELECT a.request_id, replace(a.pupil::text, '-', '') AS pupil, teldag_data.year_name(a.school_year) AS school_year, a.kind, a.received_on,
       a.type, a.opleidingsvorm, a.age, a.level, a.province, a.mfc, a.mfc_province, a.at_home, a.prior_toah, a.newcomer,
       a.school_id::text COLLATE "C" AS school_id, b.decision, b.decided_on, b.valid_from, b.valid_to,
       b.school_id::text COLLATE "C" AS responsible_school_id, a.seq, a.recorded_at
FROM teldag_data.poah_last a
LEFT JOIN teldag_data.beslissing_last b USING (request_id);

CREATE VIEW teldag.vlp_aanvraag AS
SELECT v.request_id, replace(v.pupil::text, '-', '') AS pupil, teldag_data.year_name(v.school_year) AS school_year, v.kind, v.decision,
       v.granted_kind, v.decided_on, v.seq, v.recorded_at
FROM teldag_data.vlp_last v;

CREATE VIEW teldag.toah_melding AS
SELECT t.request_id, replace(t.pupil::text, '-', '') AS pupil, t.school_id::text COLLATE "C" AS school_id,
       teldag_data.year_name(t.school_year) AS school_year, t.reason, t.starts_on AS start, t.ends_on AS "end", t.seq, t.recorded_at
FROM teldag_data.toah_last t;

CREATE VIEW teldag.melding AS
SELECT m.melding_id, m.school_id::text COLLATE "C" AS school_id, teldag_data.year_name(teldag_data.year_of(m.received_on)) AS school_year,
       m.level, m.received_on, m.categories, a.answered_on, m.seq, m.recorded_at
FROM teldag_data.melding_last m
LEFT JOIN teldag_data.beantwoord_last a USING (melding_id);

-- Verdicts on the use of GOK means (3): positief or negatief, of any kind of report, in the order (date, report_id). streak counts
-- the positive ones so far: negatives in a row share one, and the positive that ends them has the next.
CREATE VIEW teldag_data.verdict AS
SELECT i.school_id, i.school_year, i.date, i.report_id, i.gok, i.followup_due,
       count(*) FILTER (WHERE i.gok = 'positief') OVER w AS streak,
       row_number() OVER (PARTITION BY i.school_id ORDER BY i.date DESC, i.report_id DESC) AS nth_from_last
FROM teldag_data.inspection_last i
WHERE i.gok IN ('positief', 'negatief')
WINDOW w AS (PARTITION BY i.school_id ORDER BY i.date, i.report_id);

-- The next evaluation is due on the day the last negative report states; after a first negative that states none, within the rule
-- evaluation.followup_months of the report's school year (the nearest earlier file, before the first the first; [OFF] 12 without
-- any).
CREATE VIEW teldag.evaluation AS
SELECT l.school_id::text COLLATE "C" AS school_id, l.negatives::numeric AS negatives,
       CASE WHEN l.negatives > 0 AND l.followup_due IS NOT NULL THEN l.followup_due
            WHEN l.negatives = 1
            THEN (l.date + make_interval(months => coalesce(
                     (SELECT r.value::int FROM teldag_data.rule r
                      WHERE r.name = 'evaluation.followup_months'
                        AND r.hash = (SELECT p.rules_hash FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1)
                      ORDER BY r.school_year <= l.school_year DESC, abs(r.school_year - l.school_year) LIMIT 1), 12)))::date
       END AS followup_due
FROM (SELECT v.*, CASE v.gok WHEN 'negatief' THEN row_number() OVER (PARTITION BY v.school_id, v.streak, v.gok
                                                                     ORDER BY v.date, v.report_id) ELSE 0 END AS negatives
      FROM teldag_data.verdict v) l
WHERE l.nth_from_last = 1;

-- (1) the second negative in a row; (2) from the school year after its own; (3) up to and including that of the next positive;
-- (4) a positive that comes no later than the year of the second negative leaves no span.
CREATE VIEW teldag_data.sanction_span AS
SELECT r.school_id, r.second_year + 1 AS first_year, r.positive_year AS last_year
FROM (SELECT v.school_id, (array_agg(v.school_year::int ORDER BY v.date, v.report_id) FILTER (WHERE v.gok = 'negatief'))[2] AS second_year,
             max(v.school_year::int) FILTER (WHERE v.gok = 'positief') AS positive_year
      FROM teldag_data.verdict v
      GROUP BY v.school_id, v.streak - (v.gok = 'positief')::int) r -- negatives in a row and the positive that ends them
WHERE r.second_year IS NOT NULL AND (r.positive_year IS NULL OR r.positive_year > r.second_year);

CREATE VIEW teldag.sanction AS
SELECT s.school_id::text COLLATE "C" AS school_id, teldag_data.year_name(s.first_year) AS first_year,
       teldag_data.year_name(s.last_year) AS last_year
FROM teldag_data.sanction_span s;

-- Statistics.

CREATE VIEW teldag.stats_doorlichting AS
SELECT teldag_data.year_name(i.school_year) AS school_year, coalesce(s.level, '') AS level, coalesce(s.province, '') AS province,
       coalesce(s.network, '') AS network, count(*)::numeric AS inspections,
       count(*) FILTER (WHERE i.advice = 'gunstig')::numeric AS gunstig,
       count(*) FILTER (WHERE i.advice = 'gunstig_met_tekorten')::numeric AS gunstig_met_tekorten,
       count(*) FILTER (WHERE i.advice = 'ongunstig_met_opschorting')::numeric AS ongunstig_met_opschorting,
       count(*) FILTER (WHERE i.advice = 'ongunstig_zonder_opschorting')::numeric AS ongunstig_zonder_opschorting,
       count(*) FILTER (WHERE i.advice IS NULL)::numeric AS without_advice
FROM teldag_data.inspection_last i
LEFT JOIN teldag_data.school_last s ON s.school_id = i.school_id
WHERE i.kind = 'doorlichting'
GROUP BY 1, 2, 3, 4;

-- A visit after ongunstig: the last advice of a doorlichting of an earlier day was ongunstig.
CREATE VIEW teldag.stats_bezoek AS
SELECT teldag_data.year_name(v.school_year) AS school_year, coalesce(s.level, '') AS level, count(*)::numeric AS bezoeken,
       count(*) FILTER (WHERE v.advice_before IN ('ongunstig_met_opschorting', 'ongunstig_zonder_opschorting'))::numeric AS after_ongunstig
FROM (SELECT i.kind, i.school_id, i.school_year,
             (max(CASE WHEN i.kind = 'doorlichting' AND i.advice IS NOT NULL
                       THEN ARRAY[to_char(i.date, 'YYYYMMDD') COLLATE "C", i.report_id, i.advice] END)
              OVER (PARTITION BY i.school_id ORDER BY i.date RANGE BETWEEN UNBOUNDED PRECEDING AND '1 day' PRECEDING))[3] AS advice_before
      FROM teldag_data.inspection_last i) v
LEFT JOIN teldag_data.school_last s ON s.school_id = v.school_id
WHERE v.kind = 'tussentijds_bezoek'
GROUP BY 1, 2;

CREATE VIEW teldag.stats_gok AS
SELECT teldag_data.year_name(i.school_year) AS school_year, coalesce(s.level, '') AS level,
       count(*) FILTER (WHERE i.gok <> 'none')::numeric AS assessed, count(*) FILTER (WHERE i.gok = 'positief')::numeric AS positief,
       count(*) FILTER (WHERE i.gok = 'negatief')::numeric AS negatief, count(*) FILTER (WHERE i.gok = 'none')::numeric AS "none"
FROM teldag_data.inspection_last i
LEFT JOIN teldag_data.school_last s ON s.school_id = i.school_id
WHERE i.gok IS NOT NULL
GROUP BY 1, 2;

CREATE VIEW teldag.stats_leerlingenbegeleiding AS
SELECT teldag_data.year_name(i.school_year) AS school_year, coalesce(s.level, '') AS level, count(*)::numeric AS assessed,
       count(*) FILTER (WHERE i.leerlingenbegeleiding = 'positief')::numeric AS positief,
       count(*) FILTER (WHERE i.leerlingenbegeleiding = 'werkpunten')::numeric AS werkpunten,
       count(*) FILTER (WHERE i.leerlingenbegeleiding = 'negatief')::numeric AS negatief
FROM teldag_data.inspection_last i
LEFT JOIN teldag_data.school_last s ON s.school_id = i.school_id
WHERE i.leerlingenbegeleiding IS NOT NULL
GROUP BY 1, 2;

CREATE VIEW teldag.stats_huisonderwijs AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.level, c.ordinal, count(*)::numeric AS controles,
       count(*) FILTER (WHERE c.verdict = 'voldoende')::numeric AS voldoende,
       count(*) FILTER (WHERE c.verdict = 'onvoldoende')::numeric AS onvoldoende,
       count(*) FILTER (WHERE c.verdict = 'geweigerd')::numeric AS geweigerd
FROM teldag_data.controle_last c
GROUP BY 1, 2, 3;

CREATE VIEW teldag.stats_verklaring AS
SELECT teldag_data.year_name(v.school_year) AS school_year, v.kind, v.level, count(*)::numeric AS verklaringen
FROM teldag_data.verklaring_last v
GROUP BY 1, 2, 3;

CREATE VIEW teldag.stats_poah AS
SELECT teldag_data.year_name(a.school_year) AS school_year, a.kind, a.level, coalesce(a.province, '') AS province, a.type,
       count(*)::numeric AS aanvragen, count(*) FILTER (WHERE b.decision = 'goedgekeurd')::numeric AS goedgekeurd,
       count(*) FILTER (WHERE b.decision = 'afgewezen')::numeric AS afgewezen,
       count(*) FILTER (WHERE b.decision = 'uitgesteld')::numeric AS uitgesteld, count(*) FILTER (WHERE a.mfc)::numeric AS with_mfc,
       count(*) FILTER (WHERE a.prior_toah)::numeric AS with_prior_toah
FROM teldag_data.poah_last a
LEFT JOIN teldag_data.beslissing_last b USING (request_id)
GROUP BY 1, 2, 3, 4, 5;

CREATE VIEW teldag.stats_vlp AS
SELECT teldag_data.year_name(v.school_year) AS school_year, v.kind, count(*)::numeric AS aanvragen,
       count(*) FILTER (WHERE v.decision = 'goedgekeurd')::numeric AS granted
FROM teldag_data.vlp_last v
GROUP BY 1, 2;

CREATE VIEW teldag.stats_toah AS
SELECT teldag_data.year_name(t.school_year) AS school_year, t.reason, count(*)::numeric AS meldingen
FROM teldag_data.toah_last t
GROUP BY 1, 2;

-- POAH counts at the school the decision makes responsible, before that (or without) at the school of the request.
CREATE VIEW teldag.toah_poah_per_school AS
SELECT teldag_data.year_name(x.school_year) AS school_year, x.school_id::text COLLATE "C" AS school_id, sum(x.toah)::numeric AS toah,
       sum(x.poah)::numeric AS poah
FROM (SELECT t.school_year, t.school_id, 1 AS toah, 0 AS poah FROM teldag_data.toah_last t
      UNION ALL
      SELECT a.school_year, coalesce(b.school_id, a.school_id), 0, 1
      FROM teldag_data.poah_last a LEFT JOIN teldag_data.beslissing_last b USING (request_id)
      WHERE coalesce(b.school_id, a.school_id) IS NOT NULL) x
GROUP BY 1, 2;

CREATE VIEW teldag.stats_melding AS
SELECT teldag_data.year_name(teldag_data.year_of(m.received_on)) AS school_year, m.level, c.category, count(*)::numeric AS meldingen
FROM teldag_data.melding_last m CROSS JOIN LATERAL unnest(m.categories) AS c (category)
GROUP BY 1, 2, 3;

CREATE VIEW teldag.stats_melding_total AS
SELECT teldag_data.year_name(teldag_data.year_of(m.received_on)) AS school_year, count(*)::numeric AS meldingen,
       count(*) FILTER (WHERE teldag_data.is_leerlingenbegeleiding(m.categories))::numeric AS leerlingenbegeleiding,
       count(*) FILTER (WHERE cardinality(m.categories) > 1)::numeric AS multiple
FROM teldag_data.melding_last m
GROUP BY 1;

-- What stands without its partner.
CREATE VIEW teldag_data.unmatched_registration AS
WITH school AS MATERIALIZED (
    SELECT s.school_id::int AS school_id, s.level FROM teldag.school s
), suspect AS MATERIALIZED (
    SELECT g.school_year, g.school_id, g.grp,
           CASE WHEN s.school_id IS NULL THEN 'unknown school'
                ELSE 'group ' || g.grp || ' does not fit level ' || s.level END AS reason
    FROM (SELECT l.school_year, l.school_id, l.grp FROM teldag_data.registration_log l WHERE l.op = 'u'
          GROUP BY l.school_year, l.school_id, l.grp) g
    LEFT JOIN school s USING (school_id)
    WHERE s.school_id IS NULL OR NOT teldag_data.group_fits_level(g.grp, s.level)
)
SELECT w.stream, w.seq, teldag_data.year_name(w.school_year) || ' ' || w.school_id || ' ' || replace(w.pupil::text, '-', '') AS key,
       x.reason
FROM (SELECT DISTINCT ON (s.school_year, s.school_id, s.pupil) s.*, n.name AS stream,
             CASE WHEN s.epoch < m.generation THEN 'w'::"char" ELSE s.op END AS standing
      FROM (SELECT DISTINCT ON (l.school_year, l.school_id, l.pupil, l.stream_id)
                   l.school_year, l.school_id, l.pupil, l.stream_id, l.epoch, l.seq, l.op, l.grp, l.happened_at
            FROM (SELECT DISTINCT school_year, school_id FROM suspect) b
            JOIN teldag_data.registration_log l USING (school_year, school_id)
            WHERE l.op <> 'c'
            ORDER BY l.school_year, l.school_id, l.pupil, l.stream_id, l.epoch DESC, l.seq DESC) s
      JOIN teldag_data.stream n USING (stream_id)
      LEFT JOIN teldag_data.resend_matched m USING (school_year, school_id, stream_id)
      ORDER BY s.school_year, s.school_id, s.pupil, s.happened_at DESC, n.name COLLATE "C" DESC) w
JOIN suspect x USING (school_year, school_id, grp)
WHERE w.standing = 'u';

CREATE OR REPLACE VIEW teldag.unmatched AS
SELECT r.stream, r.seq, r.key, r.reason FROM teldag_data.unmatched_registration r
UNION ALL
SELECT i.stream, i.seq, i.report_id COLLATE "default", 'unknown school'
FROM teldag_data.inspection_last i
WHERE NOT EXISTS (SELECT FROM teldag_data.school_last s WHERE s.school_id = i.school_id)
UNION ALL
SELECT p.stream, p.seq, p.report_id COLLATE "default", CASE WHEN i.report_id IS NULL THEN 'opschorting without a report'
                                          ELSE 'opschorting by school ' || p.school_id || ' of a report on school ' || i.school_id END
FROM teldag_data.opschorting_last p LEFT JOIN teldag_data.inspection_last i USING (report_id)
WHERE i.report_id IS NULL OR i.school_id <> p.school_id
UNION ALL
SELECT c.stream, c.seq, c.controle_id COLLATE "default", 'second control without a first'
FROM (SELECT k.stream, k.seq, k.controle_id, k.ordinal,
             bool_or(k.ordinal = 1) OVER (PARTITION BY k.pupil ORDER BY k.date, k.controle_id
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS has_first
      FROM teldag_data.controle_last k) c
WHERE c.ordinal = 2 AND c.has_first IS NOT TRUE
UNION ALL
SELECT b.stream, b.seq, b.request_id COLLATE "default", 'decision without a request'
FROM teldag_data.beslissing_last b
WHERE NOT EXISTS (SELECT FROM teldag_data.poah_last a WHERE a.request_id = b.request_id)
UNION ALL
SELECT a.stream, a.seq, a.melding_id COLLATE "default", 'answer without a melding'
FROM teldag_data.beantwoord_last a
WHERE NOT EXISTS (SELECT FROM teldag_data.melding_last m WHERE m.melding_id = a.melding_id);

-- What each view and column means, as 0005 for the first ones.

COMMENT ON VIEW teldag.inspection IS
    'Inspection reports that stand, the last event of each report_id (6).';
COMMENT ON COLUMN teldag.inspection.report_id IS 'key of the report';
COMMENT ON COLUMN teldag.inspection.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.inspection.school_year IS 'school year of the report, ''2023-2024''; it decides in 3';
COMMENT ON COLUMN teldag.inspection.date IS 'day of the report';
COMMENT ON COLUMN teldag.inspection.kind IS 'doorlichting, opvolging or tussentijds_bezoek';
COMMENT ON COLUMN teldag.inspection.advice IS 'gunstig, gunstig_met_tekorten, ongunstig_met_opschorting or ongunstig_zonder_opschorting; null: no advice';
COMMENT ON COLUMN teldag.inspection.leerlingenbegeleiding IS 'positief, werkpunten or negatief; null: not looked at';
COMMENT ON COLUMN teldag.inspection.gok IS 'positief or negatief; none: the school has no GOK means; null: not looked at (3)';
COMMENT ON COLUMN teldag.inspection.followup_due IS 'day the next evaluation is due; null: not stated';
COMMENT ON COLUMN teldag.inspection.scales IS 'verdict per scale, {"K1": "volgens"}: beneden, benadert, volgens or overstijgt';
COMMENT ON COLUMN teldag.inspection.opschorting_asked_on IS 'day the board asked for suspension of this report''s advice; null: it did not';
COMMENT ON COLUMN teldag.inspection.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.inspection.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.huisonderwijs_verklaring IS
    'Verklaringen huisonderwijs that stand (7).';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.verklaring_id IS 'key of the verklaring';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.kind IS 'individueel or collectief';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.level IS 'basis or secundair';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.province IS 'home province, null when not sent';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.declared_on IS 'day of the verklaring';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.last_school_id IS 'school the pupil left; null: none or not sent';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.huisonderwijs_verklaring.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.huisonderwijs_controle IS
    'Controls of huisonderwijs that stand (7).';
COMMENT ON COLUMN teldag.huisonderwijs_controle.controle_id IS 'key of the control';
COMMENT ON COLUMN teldag.huisonderwijs_controle.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.huisonderwijs_controle.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.huisonderwijs_controle.level IS 'basis or secundair';
COMMENT ON COLUMN teldag.huisonderwijs_controle.province IS 'home province, null when not sent';
COMMENT ON COLUMN teldag.huisonderwijs_controle.date IS 'day of the control';
COMMENT ON COLUMN teldag.huisonderwijs_controle.ordinal IS '1 first, 2 after an insufficient first';
COMMENT ON COLUMN teldag.huisonderwijs_controle.verdict IS 'voldoende, onvoldoende or geweigerd';
COMMENT ON COLUMN teldag.huisonderwijs_controle.criteria IS 'verdict per criterion: leermiddelen, onderwijsdoelen, aanbod, organisatie, evaluatie; null when not sent';
COMMENT ON COLUMN teldag.huisonderwijs_controle.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.huisonderwijs_controle.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.poah_aanvraag IS
    'Requests for permanent onderwijs aan huis that stand, with the decision that stands (7).';
COMMENT ON COLUMN teldag.poah_aanvraag.request_id IS 'key of the request';
COMMENT ON COLUMN teldag.poah_aanvraag.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.poah_aanvraag.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.poah_aanvraag.kind IS 'eerste or verlenging';
COMMENT ON COLUMN teldag.poah_aanvraag.received_on IS 'day the request came';
COMMENT ON COLUMN teldag.poah_aanvraag.type IS 'type of special education, 1 to 9';
COMMENT ON COLUMN teldag.poah_aanvraag.opleidingsvorm IS '1 to 4; null when not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.age IS 'age in years';
COMMENT ON COLUMN teldag.poah_aanvraag.level IS 'bubao or buso';
COMMENT ON COLUMN teldag.poah_aanvraag.province IS 'home province, null when not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.mfc IS 'stays in a multifunctional centre';
COMMENT ON COLUMN teldag.poah_aanvraag.mfc_province IS 'province of that centre, null when not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.at_home IS 'taught at home (false: in the centre)';
COMMENT ON COLUMN teldag.poah_aanvraag.prior_toah IS 'had TOAH before';
COMMENT ON COLUMN teldag.poah_aanvraag.newcomer IS 'newcomer, as sent';
COMMENT ON COLUMN teldag.poah_aanvraag.school_id IS 'school of the request; null when not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.decision IS 'goedgekeurd, afgewezen or uitgesteld; null: not decided yet';
COMMENT ON COLUMN teldag.poah_aanvraag.decided_on IS 'day of the decision; null: none or not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.valid_from IS 'first day of what is granted; null: none or not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.valid_to IS 'last day of what is granted; null: none or not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.responsible_school_id IS 'school the decision makes responsible; null: none or not sent';
COMMENT ON COLUMN teldag.poah_aanvraag.seq IS 'position of the event in its stream (of the request)';
COMMENT ON COLUMN teldag.poah_aanvraag.recorded_at IS 'when the request was stored';

COMMENT ON VIEW teldag.vlp_aanvraag IS
    'Requests for vrijstelling leerplicht (VLP) that stand (7).';
COMMENT ON COLUMN teldag.vlp_aanvraag.request_id IS 'key of the request';
COMMENT ON COLUMN teldag.vlp_aanvraag.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.vlp_aanvraag.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.vlp_aanvraag.kind IS 'asked: tijdelijk or definitief';
COMMENT ON COLUMN teldag.vlp_aanvraag.decision IS 'goedgekeurd, afgewezen or uitgesteld; null: not decided yet';
COMMENT ON COLUMN teldag.vlp_aanvraag.granted_kind IS 'granted: tijdelijk or definitief; null: none or not sent';
COMMENT ON COLUMN teldag.vlp_aanvraag.decided_on IS 'day of the decision; null: none or not sent';
COMMENT ON COLUMN teldag.vlp_aanvraag.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.vlp_aanvraag.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.toah_melding IS
    'Notifications of temporary onderwijs aan huis that stand (7).';
COMMENT ON COLUMN teldag.toah_melding.request_id IS 'key of the notification';
COMMENT ON COLUMN teldag.toah_melding.pupil IS 'pseudonym, 32 hex digits; never a national number';
COMMENT ON COLUMN teldag.toah_melding.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.toah_melding.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.toah_melding.reason IS 'langdurig_ziek, chronisch_ziek or moederschapsverlof';
COMMENT ON COLUMN teldag.toah_melding.start IS 'first day';
COMMENT ON COLUMN teldag.toah_melding."end" IS 'last day; null: not known yet';
COMMENT ON COLUMN teldag.toah_melding.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.toah_melding.recorded_at IS 'when the event was stored';

COMMENT ON VIEW teldag.melding IS
    'Meldingen that stand, with their answer (7).';
COMMENT ON COLUMN teldag.melding.melding_id IS 'key of the melding';
COMMENT ON COLUMN teldag.melding.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.melding.school_year IS 'school year received_on lies in';
COMMENT ON COLUMN teldag.melding.level IS 'level the melding is about';
COMMENT ON COLUMN teldag.melding.received_on IS 'day it came in';
COMMENT ON COLUMN teldag.melding.categories IS 'one or more of the thirteen categories of 7, in their order there';
COMMENT ON COLUMN teldag.melding.answered_on IS 'day the school answered; null: not answered';
COMMENT ON COLUMN teldag.melding.seq IS 'position of the event in its stream (of the melding)';
COMMENT ON COLUMN teldag.melding.recorded_at IS 'when the melding was stored';

COMMENT ON VIEW teldag.evaluation IS
    'Where each school with a verdict on the use of GOK means stands (3).';
COMMENT ON COLUMN teldag.evaluation.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.evaluation.negatives IS 'negative verdicts in a row up to the last verdict; 0 when that is positive';
COMMENT ON COLUMN teldag.evaluation.followup_due IS 'when the last verdict is negative, the day the next evaluation is due: as stated, else, after a first negative, a year after the report (rule evaluation.followup_months, [OFF]); null otherwise';

COMMENT ON VIEW teldag.sanction IS
    'Spans of school years in which half is granted, after a second negative evaluation in a row (3).';
COMMENT ON COLUMN teldag.sanction.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.sanction.first_year IS 'first school year of use with factor 0.5: the one after that of the second negative';
COMMENT ON COLUMN teldag.sanction.last_year IS 'last one: that of the next positive verdict; null: still open';

COMMENT ON VIEW teldag.stats_doorlichting IS
    'Doorlichtingen per school year and kind of school, by advice (6). The kind of school is that of view school, '''' when unknown.';
COMMENT ON COLUMN teldag.stats_doorlichting.school_year IS 'school year of the report';
COMMENT ON COLUMN teldag.stats_doorlichting.level IS 'level of the school';
COMMENT ON COLUMN teldag.stats_doorlichting.province IS 'province of the school';
COMMENT ON COLUMN teldag.stats_doorlichting.network IS 'network of the school';
COMMENT ON COLUMN teldag.stats_doorlichting.inspections IS 'doorlichtingen';
COMMENT ON COLUMN teldag.stats_doorlichting.gunstig IS 'with this advice';
COMMENT ON COLUMN teldag.stats_doorlichting.gunstig_met_tekorten IS 'with this advice';
COMMENT ON COLUMN teldag.stats_doorlichting.ongunstig_met_opschorting IS 'with this advice';
COMMENT ON COLUMN teldag.stats_doorlichting.ongunstig_zonder_opschorting IS 'with this advice';
COMMENT ON COLUMN teldag.stats_doorlichting.without_advice IS 'without advice, so without legal consequence';

COMMENT ON VIEW teldag.stats_bezoek IS
    'Tussentijdse bezoeken per school year and level (6).';
COMMENT ON COLUMN teldag.stats_bezoek.school_year IS 'school year of the report';
COMMENT ON COLUMN teldag.stats_bezoek.level IS 'level of the school, '''' when unknown';
COMMENT ON COLUMN teldag.stats_bezoek.bezoeken IS 'tussentijdse bezoeken';
COMMENT ON COLUMN teldag.stats_bezoek.after_ongunstig IS 'of these to schools whose last advice of a doorlichting of an earlier day was ongunstig';

COMMENT ON VIEW teldag.stats_gok IS
    'Verdicts on the use of GOK means, of reports of any kind (3).';
COMMENT ON COLUMN teldag.stats_gok.school_year IS 'school year of the report';
COMMENT ON COLUMN teldag.stats_gok.level IS 'level of the school, '''' when unknown';
COMMENT ON COLUMN teldag.stats_gok.assessed IS 'reports with a verdict: positief + negatief';
COMMENT ON COLUMN teldag.stats_gok.positief IS 'of these positive';
COMMENT ON COLUMN teldag.stats_gok.negatief IS 'of these negative';
COMMENT ON COLUMN teldag.stats_gok."none" IS 'no verdict because the school has no GOK means; reports that did not look at it count nowhere';

COMMENT ON VIEW teldag.stats_leerlingenbegeleiding IS
    'Verdicts on leerlingenbegeleiding, of reports of any kind (6).';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.school_year IS 'school year of the report';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.level IS 'level of the school, '''' when unknown';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.assessed IS 'reports with a verdict';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.positief IS 'of these positive';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.werkpunten IS 'of these with points to work on';
COMMENT ON COLUMN teldag.stats_leerlingenbegeleiding.negatief IS 'of these negative';

COMMENT ON VIEW teldag.stats_huisonderwijs IS
    'Controls of huisonderwijs (7).';
COMMENT ON COLUMN teldag.stats_huisonderwijs.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.stats_huisonderwijs.level IS 'basis or secundair';
COMMENT ON COLUMN teldag.stats_huisonderwijs.ordinal IS '1 first, 2 second';
COMMENT ON COLUMN teldag.stats_huisonderwijs.controles IS 'controls held';
COMMENT ON COLUMN teldag.stats_huisonderwijs.voldoende IS 'of these sufficient';
COMMENT ON COLUMN teldag.stats_huisonderwijs.onvoldoende IS 'of these insufficient';
COMMENT ON COLUMN teldag.stats_huisonderwijs.geweigerd IS 'of these refused';

COMMENT ON VIEW teldag.stats_verklaring IS
    'Verklaringen huisonderwijs (7).';
COMMENT ON COLUMN teldag.stats_verklaring.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.stats_verklaring.kind IS 'individueel or collectief';
COMMENT ON COLUMN teldag.stats_verklaring.level IS 'basis or secundair';
COMMENT ON COLUMN teldag.stats_verklaring.verklaringen IS 'verklaringen';

COMMENT ON VIEW teldag.stats_poah IS
    'POAH requests by what was decided (7).';
COMMENT ON COLUMN teldag.stats_poah.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.stats_poah.kind IS 'eerste or verlenging';
COMMENT ON COLUMN teldag.stats_poah.level IS 'bubao or buso';
COMMENT ON COLUMN teldag.stats_poah.province IS 'home province, '''' when not sent';
COMMENT ON COLUMN teldag.stats_poah.type IS 'type of special education, 1 to 9';
COMMENT ON COLUMN teldag.stats_poah.aanvragen IS 'requests, decided or not';
COMMENT ON COLUMN teldag.stats_poah.goedgekeurd IS 'of these granted';
COMMENT ON COLUMN teldag.stats_poah.afgewezen IS 'of these rejected';
COMMENT ON COLUMN teldag.stats_poah.uitgesteld IS 'of these postponed, not decided yet';
COMMENT ON COLUMN teldag.stats_poah.with_mfc IS 'of a pupil in a multifunctional centre';
COMMENT ON COLUMN teldag.stats_poah.with_prior_toah IS 'of a pupil who had TOAH before';

COMMENT ON VIEW teldag.stats_vlp IS
    'VLP requests (7).';
COMMENT ON COLUMN teldag.stats_vlp.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.stats_vlp.kind IS 'asked: tijdelijk or definitief';
COMMENT ON COLUMN teldag.stats_vlp.aanvragen IS 'requests, decided or not';
COMMENT ON COLUMN teldag.stats_vlp.granted IS 'granted, of either kind';

COMMENT ON VIEW teldag.stats_toah IS
    'TOAH notifications (7).';
COMMENT ON COLUMN teldag.stats_toah.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.stats_toah.reason IS 'langdurig_ziek, chronisch_ziek or moederschapsverlof';
COMMENT ON COLUMN teldag.stats_toah.meldingen IS 'notifications';

COMMENT ON VIEW teldag.toah_poah_per_school IS
    'TOAH notifications and POAH requests per school (7).';
COMMENT ON COLUMN teldag.toah_poah_per_school.school_year IS 'school year, ''2023-2024''';
COMMENT ON COLUMN teldag.toah_poah_per_school.school_id IS 'number of the school, decimal';
COMMENT ON COLUMN teldag.toah_poah_per_school.toah IS 'TOAH notifications';
COMMENT ON COLUMN teldag.toah_poah_per_school.poah IS 'POAH requests, whatever was decided, at the school made responsible, else that of the request; requests without either count nowhere';

COMMENT ON VIEW teldag.stats_melding IS
    'Meldingen by category (7): one with two categories counts in both.';
COMMENT ON COLUMN teldag.stats_melding.school_year IS 'school year received_on lies in';
COMMENT ON COLUMN teldag.stats_melding.level IS 'level the melding is about';
COMMENT ON COLUMN teldag.stats_melding.category IS 'one of the thirteen categories';
COMMENT ON COLUMN teldag.stats_melding.meldingen IS 'meldingen';

COMMENT ON VIEW teldag.stats_melding_total IS
    'Meldingen, each once (7).';
COMMENT ON COLUMN teldag.stats_melding_total.school_year IS 'school year received_on lies in';
COMMENT ON COLUMN teldag.stats_melding_total.meldingen IS 'meldingen';
COMMENT ON COLUMN teldag.stats_melding_total.leerlingenbegeleiding IS 'with at least one category of leerlingenbegeleiding';
COMMENT ON COLUMN teldag.stats_melding_total.multiple IS 'with more than one category';

COMMENT ON VIEW teldag.unmatched IS
    'What stands but does not fit yet: registrations, reports of schools that are not known, and events without their partner. It counts where it can and allocates nothing.';
COMMENT ON COLUMN teldag.unmatched.stream IS 'stream it came by';
COMMENT ON COLUMN teldag.unmatched.seq IS 'position in its stream';
COMMENT ON COLUMN teldag.unmatched.key IS 'registration: school year, school and pupil, separated by spaces; otherwise the key of the event';
COMMENT ON COLUMN teldag.unmatched.reason IS 'unknown school; which group does not fit which level; opschorting without a report; second control without a first; decision without a request; answer without a melding';

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
