-- The views readers use (schema teldag, a contract: names, columns and meaning stay) and the small pure functions behind them.
-- Inside the tables a count is in half units, a school year its first year and a pupil a uuid; here ids and school years are
-- text, counts and shares numeric in their shortest form, and nothing is stored twice. docs/sql.md lists every column.

-- 2024 -> '2024-2025'
CREATE FUNCTION teldag_data.year_name(year int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN year::text || '-' || (year + 1)::text;

-- Half units -> pupils, shortest: 1467 -> 733.5, 260 -> 130.
CREATE FUNCTION teldag_data.pupils(halves bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN trim_scale(halves * 0.5);

-- a / b rounded half up to some decimals, from the exact quotient (no rounding before the rounding); null when b is 0.
CREATE FUNCTION teldag_data.ratio(a bigint, b bigint, decimals int) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(div(2 * a * 10::numeric ^ decimals + b, nullif(2 * b, 0)) / 10::numeric ^ decimals, decimals);

-- thuistaal from a home_language code mother*9 + father*3 + siblings, each 0 absent, 1 no, 2 yes (regulation 1):
-- k members speak the language of instruction; the indicator holds when k = 0, or when all three are there and k <= 1.
CREATE FUNCTION teldag_data.home_language_indicates(code int) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE (code / 9 = 2)::int + (code / 3 % 3 = 2)::int + (code % 3 = 2)::int
       WHEN 0 THEN true WHEN 1 THEN code / 9 > 0 AND code / 3 % 3 > 0 AND code % 3 > 0 ELSE false END;

-- The indicators that follow from a registration, as bits: 0 thuistaal 1 schooltoelage 2 opleiding_moeder 3 thuisloos
-- 4 trekkend 5 buurt. thuisloos or trekkend (bits 3, 4: 24) implies buurt (32).
CREATE FUNCTION teldag_data.indicator_bits(list int, home_language int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(list, 0)
       | CASE WHEN home_language IS NOT NULL AND teldag_data.home_language_indicates(home_language) THEN 1 ELSE 0 END
       | CASE WHEN coalesce(list, 0) & 24 <> 0 THEN 32 ELSE 0 END;

CREATE FUNCTION teldag_data.indicator_list(bits int) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_remove(ARRAY[CASE WHEN bits & 1 <> 0 THEN 'thuistaal' END, CASE WHEN bits & 2 <> 0 THEN 'schooltoelage' END,
                          CASE WHEN bits & 4 <> 0 THEN 'opleiding_moeder' END, CASE WHEN bits & 8 <> 0 THEN 'thuisloos' END,
                          CASE WHEN bits & 16 <> 0 THEN 'trekkend' END, CASE WHEN bits & 32 <> 0 THEN 'buurt' END], NULL);

CREATE FUNCTION teldag_data.group_fits_level(grp text, level text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE level WHEN 'bao' THEN grp IN ('kleuter', 'lager') WHEN 'so' THEN grp IN ('graad1', 'okan', 'graad23')
       WHEN 'bubao' THEN grp IN ('basisaanbod', 'type3', 'ander') WHEN 'buso' THEN grp IN ('basisaanbod', 'type3', 'ander')
       ELSE false END;

-- Raw bytes as text: as they are when they are UTF-8, otherwise with each byte outside ASCII, and the backslash, escaped.
CREATE FUNCTION teldag_data.bytes_text(raw bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN convert_from(raw, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN encode(raw, 'escape');
END $$;

-- Resends. A generation is what follows a resend epoch of a stream, up to the next one. Its first closed event whose number
-- matches the registrations it has sent withdraws the stream's older registrations of that school and year. Here: the
-- last generation that got so far. Empty without resend, and then costs nothing.
CREATE VIEW teldag_data.resend_matched AS
SELECT h.school_year, h.school_id, h.stream_id, max(h.generation) AS generation
FROM (SELECT d.*, sum(d.delta) OVER (PARTITION BY d.school_year, d.school_id, d.stream_id, d.generation
                                     ORDER BY d.epoch, d.seq) AS held
      FROM (SELECT l.school_year, l.school_id, l.stream_id, g.generation, l.epoch, l.seq, l.op, l.pupils,
                   CASE WHEN l.op = 'c' THEN 0
                        ELSE (l.op = 'u')::int
                             - coalesce(lag(l.op) OVER (PARTITION BY l.school_year, l.school_id, l.stream_id, g.generation, l.pupil
                                                        ORDER BY l.epoch, l.seq) = 'u', false)::int END AS delta
            FROM (SELECT e.stream_id, e.epoch AS generation, lead(e.epoch) OVER (PARTITION BY e.stream_id ORDER BY e.epoch) AS next
                  FROM teldag_data.stream_epoch e WHERE e.resend) g
            JOIN teldag_data.registration_log l
              ON l.stream_id = g.stream_id AND l.epoch >= g.generation AND (l.epoch < g.next OR g.next IS NULL)) d) h
WHERE h.op = 'c' AND h.pupils = h.held
GROUP BY h.school_year, h.school_id, h.stream_id;

CREATE VIEW teldag.school AS
SELECT w.school_id::text COLLATE "C" AS school_id, w.name, w.level, w.network, w.province, w.municipality, w.brussels, w.board_id,
       w.closed_on, w.successor_id::text AS successor_id, w.seq, w.recorded_at
FROM (SELECT DISTINCT ON (s.school_id) s.*
      FROM (SELECT DISTINCT ON (l.school_id, l.stream_id) l.* FROM teldag_data.school_log l
            ORDER BY l.school_id, l.stream_id, l.epoch DESC, l.seq DESC) s
      JOIN teldag_data.stream n USING (stream_id)
      ORDER BY s.school_id, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op = 'u';

-- A year at a time, so that a predicate on school_year opens one partition; school_id stands in every DISTINCT ON, so that a
-- predicate on it reaches the log.
CREATE VIEW teldag.registration AS
SELECT y.name AS school_year, w.school_id, replace(w.pupil::text, '-', '') AS pupil, w.grp AS "group", w.regular,
       trim_scale(w.half_weight * 0.5) AS weight,
       teldag_data.indicator_list(teldag_data.indicator_bits(w.indicators, w.home_language)) AS indicators, w.seq, w.recorded_at
FROM teldag_data.school_year y
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (s.school_id, s.pupil) s.*,
           CASE WHEN s.epoch < m.generation THEN 'w'::"char" ELSE s.op END AS standing
    FROM (SELECT DISTINCT ON (l.school_id::text COLLATE "C", l.pupil, l.stream_id)
                 l.school_id::text COLLATE "C" AS school_id, l.school_id AS school, l.pupil, l.stream_id, l.epoch, l.seq, l.op,
                 l.grp, l.regular, l.half_weight, l.indicators, l.home_language, l.happened_at, l.recorded_at
          FROM teldag_data.registration_log l
          WHERE l.school_year = y.school_year AND l.op <> 'c'
          ORDER BY l.school_id::text COLLATE "C", l.pupil, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n ON n.stream_id = s.stream_id
    LEFT JOIN (SELECT * FROM teldag_data.resend_matched r WHERE r.school_year = y.school_year) m
           ON m.school_id = s.school AND m.stream_id = s.stream_id
    ORDER BY s.school_id, s.pupil, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.standing = 'u';

CREATE VIEW teldag.count AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.school_id::text COLLATE "C" AS school_id, c.grp AS "group",
       teldag_data.pupils(c.pupils) AS pupils, teldag_data.pupils(c.gok_pupils) AS gok_pupils,
       teldag_data.pupils(c.thuistaal) AS thuistaal, teldag_data.pupils(c.schooltoelage) AS schooltoelage,
       teldag_data.pupils(c.opleiding_moeder) AS opleiding_moeder, teldag_data.pupils(c.thuisloos) AS thuisloos,
       teldag_data.pupils(c.trekkend) AS trekkend, teldag_data.pupils(c.buurt) AS buurt, coalesce(d.closed, false) AS closed
FROM teldag_data.count_state c
LEFT JOIN teldag_data.count_closed d USING (school_year, school_id);

CREATE VIEW teldag.oki AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.school_id::text COLLATE "C" AS school_id,
       teldag_data.pupils(sum(c.pupils)) AS pupils, teldag_data.pupils(sum(c.buurt)) AS buurt,
       teldag_data.pupils(sum(c.opleiding_moeder)) AS opleiding_moeder, teldag_data.pupils(sum(c.schooltoelage)) AS schooltoelage,
       teldag_data.pupils(sum(c.thuistaal)) AS thuistaal,
       teldag_data.ratio(sum(c.buurt + c.opleiding_moeder + c.schooltoelage + c.thuistaal), sum(c.pupils), 4) AS oki
FROM teldag_data.count_state c
GROUP BY c.school_year, c.school_id;

CREATE VIEW teldag.allocation AS
SELECT teldag_data.year_name(a.school_year) AS school_year, a.school_id::text COLLATE "C" AS school_id, a.staffing AS stream,
       a.grp AS "group", teldag_data.year_name(a.school_year - 1) AS count_year, teldag_data.pupils(a.pupils) AS pupils,
       teldag_data.pupils(a.gok_pupils) AS gok_pupils, trim_scale(teldag_data.ratio(a.gok_pupils, a.pupils, 9)) AS share,
       trim_scale(a.threshold) AS threshold, trim_scale(a.points) AS points, trim_scale(a.hours_exact) AS hours_exact, a.hours,
       a.minimum, a.status, trim_scale(a.sanction_factor) AS sanction_factor, a.granted, a.margin_pupils, a.margin_hours, a.rules
FROM teldag_data.allocation_state a;

CREATE VIEW teldag.allocation_known AS
SELECT teldag_data.year_name(w.school_year) AS school_year, w.school_id::text COLLATE "C" AS school_id, w.staffing AS stream,
       w.grp AS "group", w.status, w.hours, w.seq, w.recorded_at
FROM (SELECT DISTINCT ON (s.school_year, s.school_id, s.staffing, s.grp) s.*
      FROM (SELECT DISTINCT ON (l.school_year, l.school_id, l.staffing, l.grp, l.stream_id) l.* FROM teldag_data.entitlement_log l
            ORDER BY l.school_year, l.school_id, l.staffing, l.grp, l.stream_id, l.epoch DESC, l.seq DESC) s
      JOIN teldag_data.stream n USING (stream_id)
      ORDER BY s.school_year, s.school_id, s.staffing, s.grp, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op = 'u';

CREATE VIEW teldag.allocation_difference AS
SELECT k.school_year, k.school_id, k.stream, k."group", k.status AS known_status, a.status AS computed_status,
       k.hours AS known_hours, a.granted AS computed_granted, coalesce(a.granted, 0) - k.hours AS difference
FROM teldag.allocation_known k
LEFT JOIN teldag.allocation a USING (school_year, school_id, stream, "group");

CREATE VIEW teldag.alert AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream, a.subject, a.summary, a.detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_state a;

CREATE VIEW teldag.alert_log AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream, a.subject, a.summary, a.detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_log a;

CREATE VIEW teldag.feed_progress AS
SELECT s.name AS stream, p.epoch, p.next_seq, p.head_seq, p.updated_at
FROM teldag_data.feed_progress p JOIN teldag_data.stream s USING (stream_id);

CREATE VIEW teldag.streams AS
SELECT s.name AS stream, CASE WHEN p.best_effort THEN 'best-effort' ELSE 'journal' END AS reliability, p.shard, p.epoch,
       p.next_seq, p.head_seq, greatest(p.head_seq - p.next_seq, 0) AS behind, p.paused,
       coalesce((SELECT max(e.epoch) FROM teldag_data.stream_epoch e WHERE e.stream_id = p.stream_id AND e.resend), 0) AS resend_epoch,
       p.updated_at
FROM teldag_data.feed_progress p JOIN teldag_data.stream s USING (stream_id);

-- Reads the log of best-effort streams only: empty, and free, without any.
CREATE VIEW teldag.best_effort AS
SELECT DISTINCT teldag_data.year_name(l.school_year) AS school_year, l.school_id::text COLLATE "C" AS school_id, s.name AS stream
FROM teldag_data.feed_progress p
JOIN teldag_data.stream s USING (stream_id)
JOIN teldag_data.registration_log l USING (stream_id)
WHERE p.best_effort;

CREATE VIEW teldag.dead_letter AS
SELECT s.name AS stream, d.epoch, d.seq, d.reason, teldag_data.bytes_text(d.raw) AS event, d.state, d.recorded_at, d.resolved_at
FROM teldag_data.dead_letter d JOIN teldag_data.stream s USING (stream_id);

-- First the (school, group) pairs that do not fit, from one pass over the log; only their schools are looked at closer, so
-- that without any, as on most days, the view costs that one pass.
CREATE VIEW teldag.unmatched AS
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

-- First school day of February without a source (regulation 1, C7): the 1st, or the Monday after when that is a weekend.
CREATE FUNCTION teldag_data.derived_teldag(count_year int) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN make_date(count_year + 1, 2, 1)
       + CASE extract(isodow FROM make_date(count_year + 1, 2, 1))::int WHEN 6 THEN 2 WHEN 7 THEN 1 ELSE 0 END;

-- The rules set in force (that of the lowest shard; all shards load the same files), with the years it is carried over to.
CREATE VIEW teldag.rules AS
WITH current AS (
    SELECT p.rules_hash AS hash FROM teldag_data.shard_progress p ORDER BY p.shard LIMIT 1
), file AS (
    SELECT DISTINCT r.school_year FROM teldag_data.rule r JOIN current c USING (hash)
), carried AS (
    SELECT u.school_year,
           coalesce((SELECT max(f.school_year) FROM file f WHERE f.school_year < u.school_year),
                    (SELECT min(f.school_year) FROM file f)) AS file_year
    FROM (SELECT a.school_year FROM teldag_data.allocation_state a
          UNION SELECT (c.school_year + 1)::smallint FROM teldag_data.count_state c) u
    WHERE u.school_year NOT IN (SELECT f.school_year FROM file f)
)
SELECT teldag_data.year_name(r.school_year) AS school_year, r.name, r.value, r.source, r.verified
FROM teldag_data.rule r JOIN current c USING (hash)
UNION ALL
SELECT teldag_data.year_name(y.school_year), r.name,
       CASE r.name WHEN 'teldag' THEN teldag_data.derived_teldag(y.school_year - 1)::text ELSE r.value END,
       CASE r.name WHEN 'teldag' THEN 'no rules file for this year; derived: first school day of February [C7]'
            ELSE r.source || ' (carried over from ' || teldag_data.year_name(y.file_year) || ')' END, false
FROM carried y JOIN teldag_data.rule r ON r.school_year = y.file_year JOIN current c USING (hash);

CREATE VIEW teldag.clock AS
SELECT max(p.today) AS today FROM teldag_data.shard_progress p;

CREATE VIEW teldag.schema_version AS
SELECT m.version, m.applied_at FROM teldag_data.schema_migration m;
