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
