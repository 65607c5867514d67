-- Which key stands behind a pupil's pseudonym. Keys change with the school year, so a pseudonym means a pupil only together
-- with the key it was made with: its id (a keyed hash of a fixed text, 32 bits) stands in each row. Null: the registry sent
-- a pseudonym and no id, or the row came before this.
ALTER TABLE teldag_data.registration_log ADD COLUMN pupil_key int;
ALTER TABLE teldag_data.verklaring_log ADD COLUMN pupil_key int;
ALTER TABLE teldag_data.controle_log ADD COLUMN pupil_key int;
ALTER TABLE teldag_data.poah_log ADD COLUMN pupil_key int;
ALTER TABLE teldag_data.vlp_log ADD COLUMN pupil_key int;
ALTER TABLE teldag_data.toah_log ADD COLUMN pupil_key int;

CREATE FUNCTION teldag_data.key_name(key_id int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN key_id IS NULL THEN '' ELSE lpad(to_hex(key_id), 8, '0') END;

-- What stands of each entity, as in 0010, with the new column behind those that were there.
DO $$
DECLARE
    log record;
    listed text;
BEGIN
    FOR log IN SELECT * FROM (VALUES ('verklaring', 'verklaring_id'), ('controle', 'controle_id'), ('poah', 'request_id'),
                                     ('vlp', 'request_id'), ('toah', 'request_id')) AS v (name, key) LOOP
        SELECT string_agg(format('w.%I', a.attname), ', ' ORDER BY a.attnum) INTO listed
        FROM pg_attribute a WHERE a.attrelid = format('teldag_data.%I', log.name || '_last')::regclass AND a.attnum > 0;
        EXECUTE format('CREATE OR REPLACE VIEW teldag_data.%1$I AS SELECT %2$s, w.pupil_key FROM ('
                       'SELECT DISTINCT ON (s.%3$I) s.*, n.name AS stream FROM ('
                       'SELECT DISTINCT ON (l.%3$I, l.stream_id) l.* FROM teldag_data.%4$I l '
                       'ORDER BY l.%3$I, l.stream_id, l.epoch DESC, l.seq DESC) s '
                       'JOIN teldag_data.stream n USING (stream_id) '
                       'ORDER BY s.%3$I, s.happened_at DESC, n.name COLLATE "C" DESC) w WHERE w.op <> ''w''',
                       log.name || '_last', listed, log.key, log.name || '_log');
    END LOOP;
END $$;

CREATE OR REPLACE VIEW teldag.registration AS
SELECT y.name AS school_year, w.school_id, replace(w.pupil::text, '-', '') AS pupil, w.grp AS "group", w.regular,
       trim_scale(w.half_weight * 0.5) AS weight,
       teldag_data.indicator_list(teldag_data.indicator_bits(w.indicators, w.home_language)) AS indicators, w.seq, w.recorded_at,
       teldag_data.key_name(w.pupil_key) AS pupil_key
FROM teldag_data.school_year y
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (s.school_id, s.pupil) s.*,
           CASE WHEN s.epoch < m.generation THEN 'w'::"char" ELSE s.op END AS standing
    FROM (SELECT DISTINCT ON (l.school_id::text COLLATE "C", l.pupil, l.stream_id)
                 l.school_id::text COLLATE "C" AS school_id, l.school_id AS school, l.pupil, l.stream_id, l.epoch, l.seq, l.op,
                 l.grp, l.regular, l.half_weight, l.indicators, l.home_language, l.happened_at, l.recorded_at, l.pupil_key
          FROM teldag_data.registration_log l
          WHERE l.school_year = y.school_year AND l.op <> 'c'
          ORDER BY l.school_id::text COLLATE "C", l.pupil, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n ON n.stream_id = s.stream_id
    LEFT JOIN (SELECT * FROM teldag_data.resend_matched r WHERE r.school_year = y.school_year) m
           ON m.school_id = s.school AND m.stream_id = s.stream_id
    ORDER BY s.school_id, s.pupil, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.standing = 'u';

CREATE OR REPLACE VIEW teldag.huisonderwijs_verklaring AS
SELECT v.verklaring_id, replace(v.pupil::text, '-', '') AS pupil, teldag_data.year_name(v.school_year) AS school_year, v.kind, v.level,
       v.province, v.declared_on, v.last_school_id::text COLLATE "C" AS last_school_id, v.seq, v.recorded_at,
       teldag_data.key_name(v.pupil_key) AS pupil_key
FROM teldag_data.verklaring_last v;

CREATE OR REPLACE VIEW teldag.huisonderwijs_controle AS
SELECT c.controle_id, replace(c.pupil::text, '-', '') AS pupil, teldag_data.year_name(c.school_year) AS school_year, c.level, c.province,
       c.date, c.ordinal, c.verdict, c.criteria, c.seq, c.recorded_at, teldag_data.key_name(c.pupil_key) AS pupil_key
FROM teldag_data.controle_last c;

CREATE OR REPLACE VIEW teldag.poah_aanvraag AS
SELECT a.request_id, replace(a.pupil::text, '-', '') AS pupil, teldag_data.year_name(a.school_year) AS school_year, a.kind, a.received_on,
       a.type, a.opleidingsvorm, a.age, a.level, a.province, a.mfc, a.mfc_province, a.at_home, a.prior_toah, a.newcomer,
       a.school_id::text COLLATE "C" AS school_id, b.decision, b.decided_on, b.valid_from, b.valid_to,
       b.school_id::text COLLATE "C" AS responsible_school_id, a.seq, a.recorded_at, teldag_data.key_name(a.pupil_key) AS pupil_key
FROM teldag_data.poah_last a
LEFT JOIN teldag_data.beslissing_last b USING (request_id);

CREATE OR REPLACE VIEW teldag.vlp_aanvraag AS
SELECT v.request_id, replace(v.pupil::text, '-', '') AS pupil, teldag_data.year_name(v.school_year) AS school_year, v.kind, v.decision,
       v.granted_kind, v.decided_on, v.seq, v.recorded_at, teldag_data.key_name(v.pupil_key) AS pupil_key
FROM teldag_data.vlp_last v;

CREATE OR REPLACE VIEW teldag.toah_melding AS
SELECT t.request_id, replace(t.pupil::text, '-', '') AS pupil, t.school_id::text COLLATE "C" AS school_id,
       teldag_data.year_name(t.school_year) AS school_year, t.reason, t.starts_on AS start, t.ends_on AS "end", t.seq, t.recorded_at,
       teldag_data.key_name(t.pupil_key) AS pupil_key
FROM teldag_data.toah_last t;

DO $$
DECLARE
    shown name;
BEGIN
    FOREACH shown IN ARRAY ARRAY['registration', 'huisonderwijs_verklaring', 'huisonderwijs_controle', 'poah_aanvraag',
                                 'vlp_aanvraag', 'toah_melding'] LOOP
        EXECUTE format('COMMENT ON COLUMN teldag.%I.pupil_key IS %L', shown,
                       'id of the key behind the pseudonym, 8 hex digits; each school year has its own; empty: the registry sent none');
    END LOOP;
END $$;
DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;

-- Links: which pseudonyms mean one pupil, across keys. The last event on an old pseudonym stands, of any stream.
CREATE TABLE teldag_data.pupil_link_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    old_pupil   uuid        NOT NULL,
    old_key     int,
    new_pupil   uuid,                       -- null: a withdrawal
    new_key     int,
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);
CREATE INDEX pupil_link_log_old ON teldag_data.pupil_link_log (old_pupil); -- links are followed one by one

CREATE VIEW teldag_data.pupil_link_last AS
SELECT w.* FROM (
    SELECT DISTINCT ON (s.old_pupil) s.*, n.name AS stream
    FROM (SELECT DISTINCT ON (l.old_pupil, l.stream_id) l.* FROM teldag_data.pupil_link_log l
          ORDER BY l.old_pupil, l.stream_id, l.epoch DESC, l.seq DESC) s
    JOIN teldag_data.stream n USING (stream_id)
    ORDER BY s.old_pupil, s.happened_at DESC, n.name COLLATE "C" DESC) w
WHERE w.op <> 'w';

-- The pseudonym a pupil is known by: links followed from old to new to their end; of a circle, the smallest. Of those with a
-- control in huisonderwijs, which alone are compared across school years (7); a link at a time, through the index.
CREATE VIEW teldag_data.controle_identity AS
WITH RECURSIVE walk (pupil, at, path, closed) AS (
    SELECT DISTINCT k.pupil, k.pupil, ARRAY[k.pupil], false FROM teldag_data.controle_last k
    UNION ALL
    SELECT w.pupil, n.new_pupil, w.path || n.new_pupil, n.new_pupil = ANY (w.path)
    FROM walk w
    CROSS JOIN LATERAL (SELECT x.op, x.new_pupil
                        FROM (SELECT DISTINCT ON (l.stream_id) l.* FROM teldag_data.pupil_link_log l WHERE l.old_pupil = w.at
                              ORDER BY l.stream_id, l.epoch DESC, l.seq DESC) x
                        JOIN teldag_data.stream s USING (stream_id)
                        ORDER BY x.happened_at DESC, s.name COLLATE "C" DESC LIMIT 1) n
    WHERE NOT w.closed AND n.op = 'u'
)
SELECT DISTINCT ON (w.pupil) w.pupil,
       CASE WHEN w.closed
            THEN (SELECT c.p FROM unnest(w.path[array_position(w.path, w.at):]) AS c (p) ORDER BY c.p LIMIT 1)
            ELSE w.at END AS identity
FROM walk w
ORDER BY w.pupil, cardinality(w.path) DESC;

CREATE VIEW teldag.pupil_link AS
SELECT replace(k.old_pupil::text, '-', '') AS old, replace(k.new_pupil::text, '-', '') AS new, teldag_data.key_name(k.old_key) AS old_key,
       teldag_data.key_name(k.new_key) AS new_key, k.stream, k.seq, k.recorded_at
FROM teldag_data.pupil_link_last k;

CREATE VIEW teldag.pupil_identity AS
WITH RECURSIVE walk (pupil, at, path, closed) AS (
    SELECT k.old_pupil, k.new_pupil, ARRAY[k.old_pupil, k.new_pupil], false FROM teldag_data.pupil_link_last k
    UNION ALL
    SELECT w.pupil, k.new_pupil, w.path || k.new_pupil, k.new_pupil = ANY (w.path)
    FROM walk w JOIN teldag_data.pupil_link_last k ON k.old_pupil = w.at
    WHERE NOT w.closed
), known AS (
    SELECT DISTINCT ON (w.pupil) w.pupil,
           CASE WHEN w.closed
                THEN (SELECT c.p FROM unnest(w.path[array_position(w.path, w.at):]) AS c (p) ORDER BY c.p LIMIT 1)
                ELSE w.at END AS identity
    FROM walk w
    ORDER BY w.pupil, cardinality(w.path) DESC
)
SELECT replace(a.pupil::text, '-', '') AS pupil, replace(a.identity::text, '-', '') AS identity
FROM (SELECT k.pupil, k.identity FROM known k UNION SELECT k.identity, k.identity FROM known k) a;

-- As in 0014, but a second control finds its first under every pseudonym of the pupil.
CREATE OR REPLACE VIEW teldag.unmatched AS
SELECT r.stream, r.seq, r.key, r.reason FROM teldag_data.unmatched_registration r
UNION ALL
SELECT n.stream, n.seq, n.key COLLATE "default", 'unknown school'
FROM (SELECT i.stream, i.seq, i.report_id AS key, i.school_id FROM teldag_data.inspection_last i
      UNION ALL SELECT v.stream, v.seq, v.verklaring_id, v.last_school_id FROM teldag_data.verklaring_last v
      UNION ALL SELECT p.stream, p.seq, p.request_id, p.school_id FROM teldag_data.poah_last p
      UNION ALL SELECT b.stream, b.seq, b.request_id, b.school_id FROM teldag_data.beslissing_last b
      WHERE EXISTS (SELECT FROM teldag_data.poah_last p WHERE p.request_id = b.request_id) -- without a request: below, once
      UNION ALL SELECT t.stream, t.seq, t.request_id, t.school_id FROM teldag_data.toah_last t
      UNION ALL SELECT m.stream, m.seq, m.melding_id, m.school_id FROM teldag_data.melding_last m) n
WHERE n.school_id IS NOT NULL AND NOT EXISTS (SELECT FROM teldag_data.school_last s WHERE s.school_id = n.school_id)
UNION ALL
SELECT p.stream, p.seq, p.report_id COLLATE "default", CASE WHEN i.report_id IS NULL THEN 'opschorting without a report'
                                          ELSE 'opschorting by school ' || p.school_id || ' of a report on school ' || i.school_id END
FROM teldag_data.opschorting_last p LEFT JOIN teldag_data.inspection_last i USING (report_id)
WHERE i.report_id IS NULL OR i.school_id <> p.school_id
UNION ALL
SELECT c.stream, c.seq, c.controle_id COLLATE "default", 'second control without a first'
FROM (SELECT k.stream, k.seq, k.controle_id, k.ordinal,
             bool_or(k.ordinal = 1) OVER (PARTITION BY i.identity ORDER BY k.date, k.controle_id
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS has_first
      FROM teldag_data.controle_last k JOIN teldag_data.controle_identity i USING (pupil)) c
WHERE c.ordinal = 2 AND c.has_first IS NOT TRUE
UNION ALL
SELECT b.stream, b.seq, b.request_id COLLATE "default", 'decision without a request'
FROM teldag_data.beslissing_last b
WHERE NOT EXISTS (SELECT FROM teldag_data.poah_last a WHERE a.request_id = b.request_id)
UNION ALL
SELECT a.stream, a.seq, a.melding_id COLLATE "default", 'answer without a melding'
FROM teldag_data.beantwoord_last a
WHERE NOT EXISTS (SELECT FROM teldag_data.melding_last m WHERE m.melding_id = a.melding_id);

COMMENT ON VIEW teldag.pupil_link IS
    'Links that stand between pseudonyms: a row per old pseudonym. Keys change with the school year; only a link says that two pseudonyms mean one pupil.';
COMMENT ON COLUMN teldag.pupil_link.old IS 'earlier pseudonym, 32 hex digits';
COMMENT ON COLUMN teldag.pupil_link.new IS 'pseudonym that follows it';
COMMENT ON COLUMN teldag.pupil_link.old_key IS 'id of the key behind old, 8 hex digits; empty: not sent';
COMMENT ON COLUMN teldag.pupil_link.new_key IS 'id of the key behind new, 8 hex digits; empty: not sent';
COMMENT ON COLUMN teldag.pupil_link.stream IS 'stream of the event: any stream may bring links';
COMMENT ON COLUMN teldag.pupil_link.seq IS 'position of the event in its stream';
COMMENT ON COLUMN teldag.pupil_link.recorded_at IS 'when the event was stored';
COMMENT ON VIEW teldag.pupil_identity IS
    'Every pseudonym that stands in a link, and the one its pupil is known by: links followed to the end; of a circle, the smallest.';
COMMENT ON COLUMN teldag.pupil_identity.pupil IS 'pseudonym, 32 hex digits';
COMMENT ON COLUMN teldag.pupil_identity.identity IS 'pseudonym the pupil is known by; two pseudonyms with the same one mean one pupil';

-- The second computation.
CREATE OR REPLACE VIEW teldag_check.event_position AS
SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.school_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.entitlement_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.registration_log l
UNION ALL SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.pupil_link_log l
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

-- One pupil's pseudonyms: whoever is reached over links and has none of its own further on; without such an end the smallest of
-- those that reach themselves. Of pupils with controls.
CREATE VIEW teldag_check.same_pupil AS
WITH RECURSIVE last AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.pupil_link_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.pupil_link_log x WHERE x.old_pupil = l.old_pupil AND x.stream_id = l.stream_id
                                                              AND (x.epoch, x.seq) > (l.epoch, l.seq))
), edge AS MATERIALIZED (
    SELECT l.old_pupil AS a, l.new_pupil AS b FROM last l
    WHERE l.op = 'u' AND NOT EXISTS (SELECT FROM last x WHERE x.old_pupil = l.old_pupil
                                     AND (x.happened_at, x.name COLLATE "C") > (l.happened_at, l.name COLLATE "C"))
), reach AS (
    SELECT k.pupil AS a, k.pupil AS b FROM teldag_data.controle_log k WHERE k.pupil IS NOT NULL
    UNION
    SELECT r.a, e.b FROM reach r JOIN edge e ON e.a = r.b
), ring AS ( -- from every pseudonym that was reached on
    SELECT e.a, e.b FROM edge e WHERE e.a IN (SELECT r.b FROM reach r)
    UNION
    SELECT g.a, e.b FROM ring g JOIN edge e ON e.a = g.b
)
SELECT DISTINCT ON (r.a) r.a AS pupil, r.b AS identity
FROM reach r
WHERE NOT EXISTS (SELECT FROM edge e WHERE e.a = r.b) OR EXISTS (SELECT FROM ring g WHERE g.a = r.b AND g.b = r.b)
ORDER BY r.a, r.b;

CREATE OR REPLACE VIEW teldag_check.controle AS
WITH last AS MATERIALIZED (
    SELECT l.*, n.name FROM teldag_data.controle_log l JOIN teldag_data.stream n USING (stream_id)
    WHERE NOT EXISTS (SELECT FROM teldag_data.controle_log x WHERE x.controle_id = l.controle_id AND x.stream_id = l.stream_id
                                                             AND (x.epoch, x.seq) > (l.epoch, l.seq))
), stands AS MATERIALIZED (
    SELECT i.identity AS pupil, l.school_year, l.verdict, l.date, l.controle_id
    FROM last l JOIN teldag_check.same_pupil i USING (pupil)
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

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
