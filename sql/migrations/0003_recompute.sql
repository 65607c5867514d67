-- Schema teldag_check: the second computation. From the logs and the stored rules to counts, closings, allocations and alerts,
-- in SQL numeric, sharing no code with the daemon, so that `teldagctl verify` (sql/checks) compares two independent answers.
-- Written for whole sets, not for speed on one school. Section numbers are those of the regulation.
-- Each step may rest on the stored result of the step before, which has a check of its own: allocation on count_state, the
-- alerts on allocation_state's recomputation and on count_closed.

CREATE SCHEMA teldag_check;

-- The rule "rounding" (0): up when the first decimal digit is greater than 4 (gt4), or from 4 on (ge4).
CREATE FUNCTION teldag_check.round_by(value numeric, rounding text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN floor(value) + (value - floor(value) >= CASE rounding WHEN 'ge4' THEN 0.4 ELSE 0.5 END)::int;

-- Every parameter of every school year of use there can be figures for, from its own file or carried over: the nearest earlier
-- file, before the first the first. A carried-over teldag is derived, for that of another year would count nobody.
CREATE VIEW teldag_check.parameter AS
WITH current AS MATERIALIZED (
    SELECT p.rules_hash AS hash FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1
), file AS MATERIALIZED (
    SELECT DISTINCT r.school_year FROM teldag_data.rule r JOIN current c USING (hash)
), used AS (
    SELECT f.school_year FROM file f
    UNION SELECT (y.school_year + 1)::smallint FROM teldag_data.school_year y
    UNION SELECT a.school_year FROM teldag_data.allocation_state a
), source AS (
    SELECT u.school_year, coalesce((SELECT max(f.school_year) FROM file f WHERE f.school_year <= u.school_year),
                                   (SELECT min(f.school_year) FROM file f)) AS file_year
    FROM used u
)
SELECT s.school_year, s.file_year, r.name,
       CASE WHEN r.name = 'teldag' AND s.file_year <> s.school_year THEN teldag_data.derived_teldag(s.school_year - 1)::text
            ELSE r.value END AS value
FROM source s JOIN teldag_data.rule r ON r.school_year = s.file_year JOIN current c USING (hash);

-- The same, one row a school year of use. kind 1 = bubao, 2 = buso.
CREATE VIEW teldag_check.rules AS
SELECT p.school_year,
       max(p.value) FILTER (WHERE p.name = 'teldag')::date AS teldag,
       max(p.value) FILTER (WHERE p.name = 'rounding') AS rounding,
       max(p.value) FILTER (WHERE p.name = 'ses.moeder')::numeric AS ses_moeder,
       max(p.value) FILTER (WHERE p.name = 'ses.thuistaal')::numeric AS ses_thuistaal,
       max(p.value) FILTER (WHERE p.name = 'ses.schooltoelage')::numeric AS ses_schooltoelage,
       max(p.value) FILTER (WHERE p.name = 'gok.weight.trekkend')::numeric AS weight_trekkend,
       max(p.value) FILTER (WHERE p.name = 'gok.weight.thuisloos')::numeric AS weight_thuisloos,
       max(p.value) FILTER (WHERE p.name = 'gok.weight.moeder')::numeric AS weight_moeder,
       max(p.value) FILTER (WHERE p.name = 'gok.weight.schooltoelage')::numeric AS weight_schooltoelage,
       max(p.value) FILTER (WHERE p.name = 'gok.weight.thuistaal')::numeric AS weight_thuistaal,
       max(p.value) FILTER (WHERE p.name = 'gok.combination')::boolean AS combination,
       max(p.value) FILTER (WHERE p.name = 'gok.cap')::numeric AS cap,
       max(p.value) FILTER (WHERE p.name = 'gok.brussels_factor')::numeric AS brussels_factor,
       max(p.value) FILTER (WHERE p.name = 'gok.concentration_factor')::numeric AS concentration_factor,
       max(p.value) FILTER (WHERE p.name = 'gok.concentration_share')::numeric AS concentration_share,
       max(p.value) FILTER (WHERE p.name = 'gok.round_points')::boolean AS so_round_points,
       max(p.value) FILTER (WHERE p.name = 'gok.minimum')::int AS so_minimum,
       max(p.value) FILTER (WHERE p.name = 'gok.minimum_on') AS minimum_on,
       max(p.value) FILTER (WHERE p.name = 'gok.threshold.graad1')::numeric AS threshold_graad1,
       max(p.value) FILTER (WHERE p.name = 'gok.threshold.okan')::numeric AS threshold_okan,
       max(p.value) FILTER (WHERE p.name = 'gok.threshold.graad23')::numeric AS threshold_graad23,
       max(p.value) FILTER (WHERE p.name = 'gok.value.graad1')::numeric AS value_graad1,
       max(p.value) FILTER (WHERE p.name = 'gok.value.okan')::numeric AS value_okan,
       max(p.value) FILTER (WHERE p.name = 'gok.value.graad23')::numeric AS value_graad23,
       max(p.value) FILTER (WHERE p.name = 'bu.eligibility') AS bu_eligibility,
       max(p.value) FILTER (WHERE p.name = 'bu.share_counts') AS bu_share_counts,
       max(p.value) FILTER (WHERE p.name = 'bubao.moeder')::numeric AS bubao_moeder,
       max(p.value) FILTER (WHERE p.name = 'bubao.thuistaal')::numeric AS bubao_thuistaal,
       max(p.value) FILTER (WHERE p.name = 'bubao.threshold')::numeric AS bubao_threshold,
       max(p.value) FILTER (WHERE p.name = 'bubao.value')::numeric AS bubao_value,
       max(p.value) FILTER (WHERE p.name = 'bubao.minimum')::int AS bubao_minimum,
       max(p.value) FILTER (WHERE p.name = 'bubao.round_points')::boolean AS bubao_round_points,
       max(p.value) FILTER (WHERE p.name = 'buso.moeder')::numeric AS buso_moeder,
       max(p.value) FILTER (WHERE p.name = 'buso.thuistaal')::numeric AS buso_thuistaal,
       max(p.value) FILTER (WHERE p.name = 'buso.threshold')::numeric AS buso_threshold,
       max(p.value) FILTER (WHERE p.name = 'buso.value')::numeric AS buso_value,
       max(p.value) FILTER (WHERE p.name = 'buso.minimum')::int AS buso_minimum,
       max(p.value) FILTER (WHERE p.name = 'buso.round_points')::boolean AS buso_round_points,
       max(p.value) FILTER (WHERE p.name = 'gedoog.covers') AS gedoog_covers
FROM teldag_check.parameter p
GROUP BY p.school_year;

-- A stream's generations: all epochs before its first resend (generation 0), then one for each accepted resend.
CREATE VIEW teldag_check.generation AS
SELECT g.stream_id, g.generation, coalesce(lead(g.generation) OVER w, 9223372036854775807) AS until,
       lead(g.generation) OVER w IS NULL AS current
FROM (SELECT s.stream_id, 0::bigint AS generation FROM teldag_data.stream s
      UNION SELECT e.stream_id, e.epoch FROM teldag_data.stream_epoch e WHERE e.resend) g
WINDOW w AS (PARTITION BY g.stream_id ORDER BY g.generation);

-- What each stream says of a school's registrations, a row per generation it spoke in: how many keys stand at its end when
-- only this generation's events are looked at, whether a closed event's number matched at its own position, and the last
-- number announced (null: none).
CREATE VIEW teldag_check.held AS
SELECT h.school_year, h.school_id, h.stream_id, h.generation, sum(h.delta)::int AS held,
       bool_or(h.op = 'c' AND h.pupils = h.running) AS matched,
       (max(ARRAY[h.epoch, h.seq, h.pupils]) FILTER (WHERE h.op = 'c'))[3]::int AS announced
FROM (SELECT d.*, sum(d.delta) OVER (PARTITION BY d.school_id, d.school_year, d.stream_id, d.generation
                                     ORDER BY d.epoch, d.seq) AS running
      FROM (SELECT l.school_year, l.school_id, l.stream_id, g.generation, l.epoch, l.seq, l.op, l.pupils,
                   CASE l.op WHEN 'c' THEN 0 WHEN 'u' THEN 1 ELSE 0 END
                   - coalesce((l.op <> 'c' AND lag(l.op) OVER (PARTITION BY l.school_id, l.school_year, l.stream_id, g.generation,
                                                               l.pupil ORDER BY l.epoch, l.seq) = 'u')::int, 0) AS delta
            FROM teldag_data.registration_log l
            JOIN teldag_check.generation g
              ON g.stream_id = l.stream_id AND l.epoch >= g.generation AND l.epoch < g.until) d) h
GROUP BY h.school_year, h.school_id, h.stream_id, h.generation;

-- The last generation of a stream that got so far as a match: what lies before it no longer stands.
CREATE VIEW teldag_check.matched AS
SELECT h.school_year, h.school_id, h.stream_id, max(h.generation) AS generation
FROM teldag_check.held h WHERE h.generation > 0 AND h.matched
GROUP BY h.school_year, h.school_id, h.stream_id;

-- What stands in a stream that was ever sent again, whichever generation it is of.
CREATE VIEW teldag_check.standing AS
SELECT s.school_year, s.school_id, s.stream_id, count(*) FILTER (WHERE s.op = 'u' AND (s.epoch < m.generation) IS NOT TRUE)::int AS held
FROM (SELECT DISTINCT ON (l.school_year, l.school_id, l.pupil, l.stream_id)
             l.school_year, l.school_id, l.stream_id, l.epoch, l.op
      FROM (SELECT DISTINCT e.stream_id FROM teldag_data.stream_epoch e WHERE e.resend) r
      JOIN teldag_data.registration_log l USING (stream_id)
      WHERE l.op <> 'c'
      ORDER BY l.school_year, l.school_id, l.pupil, l.stream_id, l.epoch DESC, l.seq DESC) s
LEFT JOIN teldag_check.matched m USING (school_year, school_id, stream_id)
GROUP BY s.school_year, s.school_id, s.stream_id;

-- Closings (6): closed from the first match of any stream and generation on. held and announced are those of the stream that
-- differs, else of the one that announced, else of the first by name. A resend forgets the number announced before it; held is
-- what has been sent again once a number is announced after it, and all that stands until then.
CREATE VIEW teldag_check.closed AS
WITH held AS MATERIALIZED (
    SELECT * FROM teldag_check.held
), stream AS (
    SELECT h.school_year, h.school_id, h.stream_id, bool_or(h.matched) AS matched,
           max(h.held) FILTER (WHERE g.current) AS again, max(h.announced) FILTER (WHERE g.current) AS announced
    FROM held h JOIN teldag_check.generation g USING (stream_id, generation)
    GROUP BY h.school_year, h.school_id, h.stream_id
), told AS (
    SELECT s.school_year, s.school_id, s.stream_id, s.matched, s.announced,
           CASE WHEN s.announced IS NULL THEN coalesce(t.held, s.again, 0) ELSE s.again END AS held
    FROM stream s LEFT JOIN teldag_check.standing t USING (school_year, school_id, stream_id)
), ranked AS (
    SELECT s.*, bool_or(s.matched) OVER (PARTITION BY s.school_year, s.school_id) AS closed,
           row_number() OVER (PARTITION BY s.school_year, s.school_id
                              ORDER BY (s.announced <> s.held) IS TRUE DESC, s.announced IS NULL, n.name COLLATE "C") AS nth
    FROM told s JOIN teldag_data.stream n USING (stream_id)
)
SELECT r.school_year, r.school_id, r.closed, r.held, coalesce(r.announced, -1) AS announced,
       (r.announced <> r.held) IS TRUE AS differs
FROM ranked r WHERE r.nth = 1;

-- Registrations that stand. Within a stream the last event of a key, by (epoch, seq); what lies before a matched resend
-- no longer stands; between streams the later happened_at, then the stream name that sorts last.
CREATE VIEW teldag_check.registration AS
SELECT w.school_year, w.school_id, w.pupil, w.grp, w.regular, w.half_weight, w.valid_from, w.valid_until, w.indicators,
       w.home_language, w.stream_id, w.epoch, w.seq
FROM (SELECT DISTINCT ON (s.school_id, s.pupil, s.school_year) s.*, s.op = 'u' AND (s.epoch < m.generation) IS NOT TRUE AS stands
      FROM (SELECT DISTINCT ON (l.school_id, l.pupil, l.school_year, l.stream_id)
                   l.school_year, l.school_id, l.pupil, l.stream_id, l.epoch, l.seq, l.op, l.grp, l.regular, l.half_weight,
                   l.valid_from, l.valid_until, l.indicators, l.home_language, l.happened_at
            FROM teldag_data.registration_log l
            WHERE l.op <> 'c'
            ORDER BY l.school_id, l.pupil, l.school_year, l.stream_id, l.epoch DESC, l.seq DESC) s
      JOIN teldag_data.stream n USING (stream_id)
      LEFT JOIN teldag_check.matched m USING (school_year, school_id, stream_id)
      ORDER BY s.school_id, s.pupil, s.school_year, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.stands;

-- Of these the ones a count counts (1): regular, and there on the teldag of the count year.
CREATE VIEW teldag_check.counted AS
SELECT r.school_year, r.school_id, r.pupil, r.grp, r.half_weight, teldag_data.indicator_bits(r.indicators, r.home_language) AS bits
FROM teldag_check.registration r
JOIN teldag_check.rules u ON u.school_year = r.school_year + 1
WHERE r.regular AND (r.valid_from IS NULL OR r.valid_from <= u.teldag) AND (r.valid_until IS NULL OR u.teldag < r.valid_until);

-- Counts in half units (1); gok_pupils: at least one of the five, not buurt (bits 0-4: 31).
CREATE VIEW teldag_check.count AS
WITH cell AS MATERIALIZED (
    SELECT c.school_year, c.school_id, c.grp, c.bits, sum(c.half_weight) AS halves
    FROM teldag_check.counted c
    GROUP BY c.school_year, c.school_id, c.grp, c.bits
), total AS (
    SELECT c.school_year, c.school_id, c.grp, sum(c.halves)::int AS pupils,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 31 <> 0), 0)::int AS gok_pupils,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 1 <> 0), 0)::int AS thuistaal,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 2 <> 0), 0)::int AS schooltoelage,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 4 <> 0), 0)::int AS opleiding_moeder,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 8 <> 0), 0)::int AS thuisloos,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 16 <> 0), 0)::int AS trekkend,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 32 <> 0), 0)::int AS buurt
    FROM cell c GROUP BY c.school_year, c.school_id, c.grp
), full_cell AS (
    SELECT t.school_year, t.school_id, t.grp, array_agg(coalesce(c.halves, 0)::int ORDER BY b.bits) AS cells
    FROM total t CROSS JOIN generate_series(0, 63) AS b (bits)
    LEFT JOIN cell c USING (school_year, school_id, grp, bits)
    GROUP BY t.school_year, t.school_id, t.grp
)
SELECT t.*, f.cells FROM total t JOIN full_cell f USING (school_year, school_id, grp);

-- Schools by number.
CREATE VIEW teldag_check.school AS
SELECT s.school_id::int AS school_id, s.level, s.brussels, s.closed_on, s.successor_id::int AS successor_id FROM teldag.school s;

-- Whose history a school inherits (6, school.upsert): every predecessor, with the schools between them on the way.
CREATE VIEW teldag_check.predecessor AS
WITH RECURSIVE chain AS (
    SELECT s.successor_id AS school_id, s.school_id AS predecessor_id, ARRAY[]::int[] AS between
    FROM teldag_check.school s WHERE s.successor_id IS NOT NULL AND s.successor_id <> s.school_id
    UNION ALL
    SELECT c.school_id, s.school_id, c.between || c.predecessor_id
    FROM chain c JOIN teldag_check.school s ON s.successor_id = c.predecessor_id
    WHERE s.school_id <> c.school_id AND s.school_id <> c.predecessor_id AND s.school_id <> ALL (c.between)
)
SELECT c.school_id, c.predecessor_id, c.between FROM chain c;

-- Allocations (2), steps numbered as there. previous: the status of the year before (computed, else known, else the best of
-- the predecessors'), null when there is none.
CREATE VIEW teldag_check.allocation AS
WITH cell AS (
    SELECT (c.school_year + 1) AS school_year, c.school_id, s.brussels,
           CASE s.level WHEN 'bao' THEN 'ses_lestijden' WHEN 'so' THEN 'gok_uren_leraar'
                WHEN 'bubao' THEN 'gok_aanvullende_lestijden' ELSE 'gok_extra_lesuren' END AS staffing,
           CASE WHEN s.level IN ('bubao', 'buso') THEN 'aanbod' ELSE c.grp END AS grp,
           (k.nth - 1)::int AS bits, k.halves
    FROM teldag_data.count_state c
    JOIN teldag_check.school s USING (school_id)
    CROSS JOIN LATERAL unnest(c.cells) WITH ORDINALITY AS k (halves, nth)
    WHERE k.halves <> 0
      AND (s.closed_on IS NULL OR s.closed_on > make_date(c.school_year + 1, 9, 1))
      AND CASE s.level WHEN 'bao' THEN c.grp IN ('kleuter', 'lager') WHEN 'so' THEN c.grp IN ('graad1', 'okan', 'graad23')
               WHEN 'bubao' THEN c.grp IN ('basisaanbod', 'type3') WHEN 'buso' THEN c.grp IN ('basisaanbod', 'type3')
               ELSE false END
), rules AS MATERIALIZED (
    SELECT * FROM teldag_check.rules
), weight AS MATERIALIZED ( -- SO (2): per pupil, over the five, thuistaal only together with another, capped
    SELECT r.school_year, b.bits,
           least(r.cap,
                 CASE WHEN b.bits & 16 <> 0 THEN r.weight_trekkend ELSE 0 END
                 + CASE WHEN b.bits & 8 <> 0 THEN r.weight_thuisloos ELSE 0 END
                 + CASE WHEN b.bits & 4 <> 0 THEN r.weight_moeder ELSE 0 END
                 + CASE WHEN b.bits & 2 <> 0 THEN r.weight_schooltoelage ELSE 0 END
                 + CASE WHEN b.bits & 1 <> 0 AND (NOT r.combination OR b.bits & 30 <> 0) THEN r.weight_thuistaal ELSE 0 END) AS weight
    FROM rules r CROSS JOIN generate_series(0, 63) AS b (bits)
), total AS (
    SELECT c.school_year, c.school_id, c.staffing, c.grp, bool_or(c.brussels) AS brussels, sum(c.halves) AS pupils,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 31 <> 0), 0) AS five,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 1 <> 0), 0) AS thuistaal,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 2 <> 0), 0) AS schooltoelage,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 4 <> 0), 0) AS moeder,
           coalesce(sum(c.halves) FILTER (WHERE c.bits & 5 = 5), 0) AS both_two,
           sum(c.halves * w.weight) * 0.5 AS so_points
    FROM cell c JOIN weight w USING (school_year, bits)
    GROUP BY c.school_year, c.school_id, c.staffing, c.grp
), raw AS ( -- points before rounding, and the parameters of the row
    SELECT t.school_year, t.school_id, t.staffing, t.grp, t.pupils, t.staffing = 'ses_lestijden' AS ses,
           CASE WHEN t.staffing IN ('ses_lestijden', 'gok_uren_leraar') OR r.bu_share_counts = 'any' THEN t.five
                ELSE t.moeder END AS gok_pupils,
           CASE t.staffing
               WHEN 'ses_lestijden' THEN
                   (t.moeder * r.ses_moeder + t.thuistaal * r.ses_thuistaal + t.schooltoelage * r.ses_schooltoelage) * 0.5
               WHEN 'gok_uren_leraar' THEN
                   t.so_points * greatest(CASE WHEN t.brussels THEN r.brussels_factor END,
                                          CASE WHEN t.schooltoelage >= r.concentration_share * t.pupils
                                                 OR t.thuistaal >= r.concentration_share * t.pupils THEN r.concentration_factor END,
                                          CASE WHEN NOT t.brussels AND t.schooltoelage < r.concentration_share * t.pupils
                                                AND t.thuistaal < r.concentration_share * t.pupils THEN 1 END)
               WHEN 'gok_aanvullende_lestijden' THEN (t.moeder * r.bubao_moeder + t.both_two * r.bubao_thuistaal) * 0.5
               ELSE (t.moeder * r.buso_moeder + t.both_two * r.buso_thuistaal) * 0.5 END AS points_exact,
           CASE t.staffing WHEN 'ses_lestijden' THEN false WHEN 'gok_uren_leraar' THEN r.so_round_points
                WHEN 'gok_aanvullende_lestijden' THEN r.bubao_round_points ELSE r.buso_round_points END AS round_points,
           CASE t.staffing WHEN 'ses_lestijden' THEN 1 WHEN 'gok_aanvullende_lestijden' THEN r.bubao_value
                WHEN 'gok_extra_lesuren' THEN r.buso_value
                ELSE CASE t.grp WHEN 'graad1' THEN r.value_graad1 WHEN 'okan' THEN r.value_okan ELSE r.value_graad23 END END AS value,
           CASE t.staffing WHEN 'gok_aanvullende_lestijden' THEN r.bubao_threshold WHEN 'gok_extra_lesuren' THEN r.buso_threshold
                WHEN 'gok_uren_leraar' THEN CASE t.grp WHEN 'graad1' THEN r.threshold_graad1 WHEN 'okan' THEN r.threshold_okan
                                                 ELSE r.threshold_graad23 END END AS threshold,
           CASE t.staffing WHEN 'gok_aanvullende_lestijden' THEN r.bubao_minimum WHEN 'gok_extra_lesuren' THEN r.buso_minimum
                WHEN 'gok_uren_leraar' THEN r.so_minimum END AS minimum,
           r.rounding, r.minimum_on, r.gedoog_covers, t.grp = 'aanbod' AND r.bu_eligibility = 'or' AS either
    FROM total t JOIN rules r USING (school_year)
), hours AS ( -- (5) round the points, (6) x point value
    SELECT x.*, CASE WHEN NOT x.ses THEN CASE WHEN x.round_points THEN teldag_check.round_by(x.points_exact, x.rounding)
                                              ELSE x.points_exact END END AS points,
           x.value * CASE WHEN x.round_points THEN teldag_check.round_by(x.points_exact, x.rounding) ELSE x.points_exact END
               AS hours_exact
    FROM raw x
), base AS MATERIALIZED ( -- (7) round the hours, (8) threshold and minimum
    SELECT h.*, teldag_check.round_by(h.hours_exact, h.rounding)::int AS hours,
           coalesce(h.gok_pupils >= h.threshold * h.pupils, true) AS threshold_holds,
           coalesce(CASE h.minimum_on WHEN 'exact' THEN h.hours_exact
                         ELSE teldag_check.round_by(h.hours_exact, h.rounding) END >= h.minimum, true) AS minimum_holds
    FROM hours h
), ordinary AS MATERIALIZED (
    SELECT b.*, CASE WHEN b.either THEN b.threshold_holds OR b.minimum_holds
                     ELSE b.threshold_holds AND b.minimum_holds END AS holds
    FROM base b
), known AS MATERIALIZED (
    SELECT left(k.school_year, 4)::int AS school_year, k.school_id::int AS school_id, k.stream AS staffing, k."group" AS grp, k.status
    FROM teldag.allocation_known k
), history AS MATERIALIZED ( -- what a year says of itself; whether an ordinary grant, which needs no look further back
    SELECT o.school_year, o.school_id, o.staffing, o.grp, o.holds AS granted, NULL AS known_status FROM ordinary o
    UNION ALL
    SELECT k.school_year, k.school_id, k.staffing, k.grp, k.status = 'granted', k.status FROM known k
    WHERE NOT EXISTS (SELECT FROM ordinary o WHERE o.school_year = k.school_year AND o.school_id = k.school_id
                                               AND o.staffing = k.staffing AND o.grp = k.grp)
), heir AS MATERIALIZED ( -- rows without a history of their own: the predecessors' that speaks first on each way
    SELECT o.school_year, o.school_id, o.staffing, o.grp, p.predecessor_id, h.granted
    FROM ordinary o
    JOIN teldag_check.predecessor p USING (school_id)
    JOIN history h ON h.school_year = o.school_year - 1 AND h.school_id = p.predecessor_id AND h.staffing = o.staffing
                  AND h.grp = o.grp
    WHERE NOT o.ses
      AND NOT EXISTS (SELECT FROM history x WHERE x.school_year = o.school_year - 1 AND x.staffing = o.staffing AND x.grp = o.grp
                                              AND (x.school_id = o.school_id OR x.school_id = ANY (p.between)))
), inherited AS (
    SELECT i.school_year, i.school_id, i.staffing, i.grp, bool_or(i.granted) AS granted
    FROM heir i GROUP BY i.school_year, i.school_id, i.staffing, i.grp
), settled AS MATERIALIZED ( -- (9) gedoogjaar
    SELECT o.*, CASE WHEN o.holds THEN 'granted'
                     WHEN coalesce(h.granted, i.granted, false) AND (o.threshold_holds OR o.gedoog_covers = 'threshold and minimum')
                         THEN 'grace'
                     WHEN o.threshold_holds THEN 'below_minimum' ELSE 'below_threshold' END AS status
    FROM ordinary o
    LEFT JOIN history h ON h.school_year = o.school_year - 1 AND h.school_id = o.school_id AND h.staffing = o.staffing
                       AND h.grp = o.grp AND NOT o.ses
    LEFT JOIN inherited i ON i.school_year = o.school_year AND i.school_id = o.school_id AND i.staffing = o.staffing AND i.grp = o.grp
), spoken AS MATERIALIZED ( -- history again, now with grace in it
    SELECT h.school_year, h.school_id, h.staffing, h.grp, coalesce(h.known_status, s.status) AS status
    FROM history h LEFT JOIN settled s USING (school_year, school_id, staffing, grp)
), inherited_status AS (
    SELECT DISTINCT ON (i.school_year, i.school_id, i.staffing, i.grp) i.school_year, i.school_id, i.staffing, i.grp, s.status
    FROM heir i
    JOIN spoken s ON s.school_year = i.school_year - 1 AND s.school_id = i.predecessor_id AND s.staffing = i.staffing AND s.grp = i.grp
    ORDER BY i.school_year, i.school_id, i.staffing, i.grp,
             CASE s.status WHEN 'granted' THEN 0 WHEN 'grace' THEN 1 ELSE 2 END, s.school_id
)
SELECT s.school_year::smallint AS school_year, s.school_id, s.staffing, s.grp, s.pupils::int AS pupils, s.gok_pupils::int AS gok_pupils,
       s.threshold, trim_scale(s.points) AS points, trim_scale(s.hours_exact) AS hours_exact, s.hours, s.minimum, s.status, 1::numeric AS sanction_factor,
       CASE WHEN s.status IN ('granted', 'grace') THEN s.hours ELSE 0 END AS granted, -- (10) no sanction without inspections
       floor((s.gok_pupils - s.threshold * s.pupils) / (2 * (1 - s.threshold)))::int AS margin_pupils,
       s.hours - s.minimum AS margin_hours, coalesce(p.status, i.status) AS previous
FROM settled s
LEFT JOIN spoken p ON p.school_year = s.school_year - 1 AND p.school_id = s.school_id AND p.staffing = s.staffing AND p.grp = s.grp
                  AND NOT s.ses
LEFT JOIN inherited_status i ON i.school_year = s.school_year AND i.school_id = s.school_id AND i.staffing = s.staffing
                            AND i.grp = s.grp;

-- Pupils counted in two or more schools whose counts are closed, with more than one pupil's weight together (1). Only the pupils
-- two schools ever spoke of are looked at; who stands and who is counted is decided as in registration and counted.
CREATE VIEW teldag_check.double AS
WITH suspect AS MATERIALIZED (
    SELECT l.school_year, l.pupil FROM teldag_data.registration_log l WHERE l.op = 'u'
    GROUP BY l.school_year, l.pupil HAVING min(l.school_id) <> max(l.school_id)
), last AS (
    SELECT DISTINCT ON (l.school_id, l.pupil, l.school_year, l.stream_id) l.*
    FROM suspect x JOIN teldag_data.registration_log l USING (school_year, pupil)
    ORDER BY l.school_id, l.pupil, l.school_year, l.stream_id, l.epoch DESC, l.seq DESC
), winner AS (
    SELECT DISTINCT ON (s.school_id, s.pupil, s.school_year) s.*, s.op = 'u' AND (s.epoch < m.generation) IS NOT TRUE AS stands
    FROM last s
    JOIN teldag_data.stream n USING (stream_id)
    LEFT JOIN teldag_check.matched m USING (school_year, school_id, stream_id)
    ORDER BY s.school_id, s.pupil, s.school_year, s.happened_at DESC, n.name COLLATE "C" DESC
), here AS (
    SELECT w.school_year, w.school_id, w.pupil,
           count(*) OVER (PARTITION BY w.school_year, w.pupil) AS schools,
           sum(w.half_weight) OVER (PARTITION BY w.school_year, w.pupil) AS halves
    FROM winner w
    JOIN teldag_check.rules u ON u.school_year = w.school_year + 1
    JOIN teldag_data.count_closed d ON d.school_year = w.school_year AND d.school_id = w.school_id AND d.closed
    WHERE w.stands AND w.regular AND (w.valid_from IS NULL OR w.valid_from <= u.teldag)
      AND (w.valid_until IS NULL OR u.teldag < w.valid_until)
)
SELECT h.school_year, h.school_id, h.pupil, h.schools, h.halves FROM here h WHERE h.schools > 1 AND h.halves > 2;

-- Alerts that must fire (8), but for the operational ones.
CREATE VIEW teldag_check.alert AS
WITH near AS (
    SELECT r.near_pupils, r.near_hours
    FROM teldag_data.rules_set r
    WHERE r.hash = (SELECT p.rules_hash FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1)
), judged AS (
    SELECT a.*, CASE WHEN a.status = 'grace' THEN 'threshold.grace'
                     WHEN a.status LIKE 'below%' AND a.previous IN ('granted', 'grace') THEN 'threshold.lost'
                     WHEN a.status = 'granted' AND (a.margin_pupils <= n.near_pupils OR a.margin_hours <= n.near_hours)
                         THEN 'threshold.near' END AS kind
    FROM teldag_check.allocation a
    JOIN teldag_data.count_closed d ON d.school_year = a.school_year - 1 AND d.school_id = a.school_id AND d.closed
    CROSS JOIN near n
)
SELECT j.kind, j.school_id::text AS school_id, teldag_data.year_name(j.school_year) AS school_year, j.grp, j.staffing AS stream,
       '' AS subject,
       CASE WHEN j.kind = 'threshold.lost' THEN 'critical'
            WHEN j.kind = 'threshold.near' AND (j.margin_pupils = 0 OR j.margin_hours = 0) AND j.previous IS DISTINCT FROM 'granted'
                THEN 'critical'
            ELSE 'warning' END AS severity
FROM judged j WHERE j.kind IS NOT NULL
UNION ALL
SELECT 'count.incomplete', d.school_id::text, teldag_data.year_name(d.school_year), '', '', '', 'warning'
FROM teldag_data.count_closed d WHERE d.announced >= 0 AND d.announced <> d.held
UNION ALL
SELECT 'registration.double', d.school_id::text, teldag_data.year_name(d.school_year), '', '', replace(d.pupil::text, '-', ''), 'warning'
FROM teldag_check.double d;
