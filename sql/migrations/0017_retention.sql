-- Retention: what names pupils of school years before some year goes, and what was counted of them stays, as fixed rows. An operator's
-- act (teldagctl retain), recorded in local_log with the digest of all fixed rows; the daemon starts from these as it does from
-- logs, and every view and every second computation adds them to what it finds in the logs. docs/privacy.md says what is kept
-- how long, and why.

-- What was retained. Only retain() below writes here: the writer may add to local_log, so an act there proves nothing by itself.
CREATE TABLE teldag_data.retention (
    nth      bigint      PRIMARY KEY,
    before   smallint    NOT NULL,
    body     jsonb       NOT NULL,          -- of its act in local_log
    login    name        NOT NULL DEFAULT session_user,
    happened timestamptz NOT NULL DEFAULT now()
);

-- A retention that no act in local_log records is no retention: its transaction cannot be committed.
CREATE FUNCTION teldag_data.need_retention_act() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM teldag_data.local_log l WHERE l.act = 'retain' AND l.body = NEW.body) THEN
        RAISE EXCEPTION 'retain: cannot be committed without its act in local_log' USING ERRCODE = '42501';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER need_act AFTER INSERT ON teldag_data.retention DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION teldag_data.need_retention_act();

-- The first school year whose pupils are kept; 0: nothing was ever retained.
CREATE FUNCTION teldag_data.retained_before() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(max(r.before), 0)::int FROM teldag_data.retention r
$$;

-- Fixed counts and closings, as they stood.
CREATE TABLE teldag_data.retained_count (LIKE teldag_data.count_state INCLUDING CONSTRAINTS, PRIMARY KEY (school_year, school_id, grp));
CREATE TABLE teldag_data.retained_closed (
    LIKE teldag_data.count_closed,
    best_effort text[] NOT NULL,           -- streams without journal that the count rests on
    PRIMARY KEY (school_year, school_id)
);
-- Events at a school that risk indicators count.
CREATE TABLE teldag_data.retained_incident (
    school_year int    NOT NULL,
    school_id   int    NOT NULL,
    indicator   text   NOT NULL,
    observed    bigint NOT NULL,
    PRIMARY KEY (school_year, school_id, indicator)
);
-- Where the events stood that have gone: so that none is missed and none taken twice.
CREATE TABLE teldag_data.retained_position (
    stream_id int    NOT NULL,
    epoch     bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq  bigint NOT NULL,
    PRIMARY KEY (stream_id, epoch, first_seq)
);

-- Statistics: each view is from here on what its logs give (view ..._of_log) and what is fixed, added up.
CREATE TABLE teldag_data.retained_stats (
    view   name   PRIMARY KEY,
    keys   text[] NOT NULL,
    counts text[] NOT NULL
);
INSERT INTO teldag_data.retained_stats VALUES
    ('stats_huisonderwijs', '{school_year,level,ordinal}', '{controles,voldoende,onvoldoende,geweigerd}'),
    ('stats_verklaring', '{school_year,kind,level}', '{verklaringen}'),
    ('stats_poah', '{school_year,kind,level,province,type}', '{aanvragen,goedgekeurd,afgewezen,uitgesteld,with_mfc,with_prior_toah}'),
    ('stats_vlp', '{school_year,kind}', '{aanvragen,granted}'),
    ('stats_toah', '{school_year,reason}', '{meldingen}'),
    ('toah_poah_per_school', '{school_year,school_id}', '{toah,poah}');
DO $$
DECLARE
    s    record;
    keys text;
    sums text;
BEGIN
    FOR s IN SELECT * FROM teldag_data.retained_stats LOOP
        SELECT string_agg(quote_ident(k), ', ') INTO keys FROM unnest(s.keys) AS k;
        SELECT string_agg(format('sum(x.%I) AS %1$I', c), ', ') INTO sums FROM unnest(s.counts) AS c;
        EXECUTE format('CREATE VIEW teldag_data.%I AS %s', s.view || '_of_log', pg_get_viewdef(format('teldag.%I', s.view)::regclass));
        EXECUTE format('CREATE TABLE teldag_data.%I (LIKE teldag.%I)', 'retained_' || s.view, s.view);
        EXECUTE format('CREATE OR REPLACE VIEW teldag.%I AS SELECT %s, %s FROM (SELECT * FROM teldag_data.%I UNION ALL SELECT * FROM teldag_data.%I) x GROUP BY %2$s',
                       s.view, keys, sums, s.view || '_of_log', 'retained_' || s.view);
    END LOOP;
END $$;

-- The other views that read logs which may go.
CREATE OR REPLACE VIEW teldag.best_effort AS
SELECT DISTINCT teldag_data.year_name(l.school_year) AS school_year, l.school_id::text COLLATE "C" AS school_id, s.name AS stream
FROM teldag_data.feed_progress p
JOIN teldag_data.stream s USING (stream_id)
JOIN teldag_data.registration_log l USING (stream_id)
WHERE p.best_effort
UNION
SELECT teldag_data.year_name(c.school_year), c.school_id::text COLLATE "C", b.stream
FROM teldag_data.retained_closed c CROSS JOIN LATERAL unnest(c.best_effort) AS b (stream);

CREATE OR REPLACE VIEW teldag_data.incident AS
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
SELECT v.school_year, v.last_school_id, 'huisonderwijs' FROM teldag_data.verklaring_last v WHERE v.last_school_id IS NOT NULL
UNION ALL
SELECT r.school_year, r.school_id, r.indicator FROM teldag_data.retained_incident r CROSS JOIN LATERAL generate_series(1, r.observed);

-- Counts and allocations say whether their pupils have gone.
CREATE OR REPLACE VIEW teldag.count AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.school_id::text COLLATE "C" AS school_id, c.grp AS "group",
       teldag_data.pupils(c.pupils) AS pupils, teldag_data.pupils(c.gok_pupils) AS gok_pupils,
       teldag_data.pupils(c.thuistaal) AS thuistaal, teldag_data.pupils(c.schooltoelage) AS schooltoelage,
       teldag_data.pupils(c.opleiding_moeder) AS opleiding_moeder, teldag_data.pupils(c.thuisloos) AS thuisloos,
       teldag_data.pupils(c.trekkend) AS trekkend, teldag_data.pupils(c.buurt) AS buurt, coalesce(d.closed, false) AS closed,
       c.school_year < (SELECT teldag_data.retained_before()) AS retained
FROM teldag_data.count_state c
LEFT JOIN teldag_data.count_closed d USING (school_year, school_id);
CREATE OR REPLACE VIEW teldag.allocation AS
SELECT teldag_data.year_name(a.school_year) AS school_year, a.school_id::text COLLATE "C" AS school_id, a.staffing AS stream,
       a.grp AS "group", teldag_data.year_name(a.school_year - 1) AS count_year, teldag_data.pupils(a.pupils) AS pupils,
       teldag_data.pupils(a.gok_pupils) AS gok_pupils, trim_scale(teldag_data.ratio(a.gok_pupils, a.pupils, 9)) AS share,
       trim_scale(a.threshold) AS threshold, trim_scale(a.points) AS points, trim_scale(a.hours_exact) AS hours_exact, a.hours,
       a.minimum, a.status, trim_scale(a.sanction_factor) AS sanction_factor, a.granted, a.margin_pupils, a.margin_hours, a.rules,
       a.school_year <= (SELECT teldag_data.retained_before()) AS retained
FROM teldag_data.allocation_state a;
COMMENT ON COLUMN teldag.count.retained IS 'the registrations behind it have gone (teldagctl retain): a fixed row';
COMMENT ON COLUMN teldag.allocation.retained IS 'rests on a fixed count, whose registrations have gone (teldagctl retain)';

-- ---- the second computation ----

DO $$
DECLARE
    source text;
BEGIN
    FOREACH source IN ARRAY ARRAY['count', 'closed', 'incident', 'alert'] LOOP
        EXECUTE format('CREATE VIEW teldag_check.%I AS %s', source || '_of_log', pg_get_viewdef(format('teldag_check.%I', source)::regclass));
    END LOOP;
END $$;
CREATE OR REPLACE VIEW teldag_check.count AS
SELECT l.* FROM teldag_check.count_of_log l
UNION ALL
SELECT r.school_year, r.school_id, r.grp, r.pupils, r.gok_pupils, r.thuistaal, r.schooltoelage, r.opleiding_moeder, r.thuisloos,
       r.trekkend, r.buurt, r.cells
FROM teldag_data.retained_count r;
CREATE OR REPLACE VIEW teldag_check.closed AS
SELECT l.* FROM teldag_check.closed_of_log l
UNION ALL
SELECT r.school_year, r.school_id, r.closed, r.held, r.announced, false FROM teldag_data.retained_closed r;
CREATE OR REPLACE VIEW teldag_check.incident AS
SELECT i.school_year, i.school_id, i.indicator, sum(i.observed)::bigint AS observed
FROM (SELECT l.school_year, l.school_id, l.indicator, l.observed FROM teldag_check.incident_of_log l
      UNION ALL SELECT r.school_year, r.school_id, r.indicator, r.observed FROM teldag_data.retained_incident r) i
GROUP BY i.school_year, i.school_id, i.indicator;
-- A number announced and never held is nothing to wait for any more.
CREATE OR REPLACE VIEW teldag_check.alert AS
SELECT a.* FROM teldag_check.alert_of_log a
WHERE a.kind <> 'count.incomplete' OR a.school_year COLLATE "C" >= (SELECT teldag_data.retained_before()::text);

-- All fixed rows, as text; their digest stands in the act.
CREATE FUNCTION teldag_data.retained_digest() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
    source text;
    part   text;
    whole  text := '';
BEGIN
    FOR source IN SELECT c.relname FROM pg_class c
                  WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'retained\_%'
                    AND c.relname <> 'retained_stats' ORDER BY c.relname COLLATE "C" LOOP
        EXECUTE format('SELECT encode(sha256(convert_to(coalesce(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C"), ''''), ''UTF8'')), ''hex'') FROM teldag_data.%I t', source)
        INTO part;
        whole := whole || source || ' ' || part || E'\n';
    END LOOP;
    RETURN encode(sha256(convert_to(whole, 'UTF8')), 'hex');
END $$;

-- ---- alerts about pupils ----

-- Alerts whose subject is a pupil; their summary names it, their detail too, with the key of a control and the pupil's other school.
CREATE FUNCTION teldag_data.names_pupil(kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind IN ('registration.double', 'huisonderwijs.control_due', 'huisonderwijs.second_insufficient');
CREATE FUNCTION teldag_data.without_pupil(detail jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN detail - ARRAY['pupil', 'controle_id', 'other_school_id'];

-- ---- the act ----

-- Pupils whose controls are kept, under every pseudonym that links say is theirs, and the one an alert names them by: the controls of a
-- pupil are one file, for one control rests on another across school years, and it goes when its last control is of an earlier
-- school year.
CREATE FUNCTION teldag_data.kept_files(before int) RETURNS TABLE (pupil uuid, identity uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH one AS MATERIALIZED (
        SELECT c.pupil, coalesce(i.identity, c.pupil) AS identity, max(c.school_year) AS last
        FROM teldag_data.controle_log c LEFT JOIN teldag_data.controle_identity i ON i.pupil = c.pupil
        WHERE c.pupil IS NOT NULL GROUP BY 1, 2
    )
    SELECT o.pupil, o.identity FROM one o
    WHERE o.identity IN (SELECT k.identity FROM one k GROUP BY k.identity HAVING max(k.last) >= before)
$$;

-- Keys that go, whole: every event of the key is of an earlier school year. A link goes when it was made in an earlier one and no
-- control that is kept needs it.
CREATE FUNCTION teldag_data.retained_keys(before int) RETURNS TABLE (log text, key text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'verklaring', l.verklaring_id FROM teldag_data.verklaring_log l GROUP BY 2 HAVING max(l.school_year) < before
    UNION ALL SELECT 'poah', l.request_id FROM teldag_data.poah_log l GROUP BY 2 HAVING max(l.school_year) < before
    UNION ALL SELECT 'vlp', l.request_id FROM teldag_data.vlp_log l GROUP BY 2 HAVING max(l.school_year) < before
    UNION ALL SELECT 'toah', l.request_id FROM teldag_data.toah_log l GROUP BY 2 HAVING max(l.school_year) < before
    UNION ALL
    SELECT 'controle', l.controle_id FROM teldag_data.controle_log l LEFT JOIN teldag_data.kept_files(before) k ON k.pupil = l.pupil
    GROUP BY 2 HAVING max(l.school_year) < before AND count(k.pupil) = 0
    UNION ALL
    SELECT 'beslissing', b.request_id FROM teldag_data.beslissing_log b
    WHERE b.request_id IN (SELECT l.request_id FROM teldag_data.poah_log l GROUP BY 1 HAVING max(l.school_year) < before)
    GROUP BY 2
    UNION ALL
    (WITH RECURSIVE needed AS (
        SELECT k.pupil FROM teldag_data.kept_files(before) k
        UNION
        SELECT l.new_pupil FROM needed n JOIN teldag_data.pupil_link_log l ON l.old_pupil = n.pupil WHERE l.new_pupil IS NOT NULL
    )
    SELECT 'link', l.old_pupil::text FROM teldag_data.pupil_link_log l
    WHERE l.old_pupil NOT IN (SELECT n.pupil FROM needed n)
    GROUP BY 2 HAVING max(teldag_data.year_of((l.happened_at AT TIME ZONE 'Europe/Brussels')::date)) < before)
$$;

-- Dead letters of feeds about pupils: by the school year their bytes name, else by that of the day they came.
CREATE FUNCTION teldag_data.retained_letters(before int) RETURNS TABLE (stream_id int, epoch bigint, seq bigint, state text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.stream_id, d.epoch, d.seq, d.state
    FROM teldag_data.dead_letter d JOIN teldag_data.stream s USING (stream_id)
    WHERE (s.name LIKE 'registration.%' OR s.name LIKE 'huisonderwijs.%' OR s.name LIKE 'aanhuis.%') AND d.raw <> ''
      AND coalesce(substring(encode(d.raw, 'escape') FROM '"school_year"[[:space:]]*:[[:space:]]*"([0-9]{4})-')::int,
                   teldag_data.year_of((d.recorded_at AT TIME ZONE 'Europe/Brussels')::date)) < before
$$;

-- Keys of alerts about pupils of earlier school years; of huisonderwijs not while the pupil's file is kept.
CREATE FUNCTION teldag_data.retained_alerts(before int)
RETURNS TABLE (kind text, school_id text, school_year text, grp text, stream text, subject text, rows bigint, shard int, first_seq bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject, count(*), min(a.shard), min(a.seq)
    FROM teldag_data.alert_log a
    WHERE teldag_data.names_pupil(a.kind) AND a.school_year COLLATE "C" < before::text AND a.subject NOT LIKE 'erased-%'
      AND (a.kind NOT LIKE 'huisonderwijs.%'
           OR a.subject NOT IN (SELECT replace(k.identity::text, '-', '') FROM teldag_data.kept_files(before) k
                                UNION SELECT replace(k.pupil::text, '-', '') FROM teldag_data.kept_files(before) k))
    GROUP BY a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject
$$;

-- What an act would take away.
CREATE FUNCTION teldag_data.retain_plan(before smallint) RETURNS TABLE (what text, school_year text, rows bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'registration events', teldag_data.year_name(l.school_year), count(*) FROM teldag_data.registration_log l
    WHERE l.school_year < before GROUP BY l.school_year
    UNION ALL
    SELECT k.log || ' events', '', count(*)
    FROM (SELECT x.log, x.key FROM teldag_data.retained_keys(before) x) k
    JOIN (SELECT 'verklaring' AS log, l.verklaring_id AS key FROM teldag_data.verklaring_log l
          UNION ALL SELECT 'controle', l.controle_id FROM teldag_data.controle_log l
          UNION ALL SELECT 'poah', l.request_id FROM teldag_data.poah_log l
          UNION ALL SELECT 'beslissing', l.request_id FROM teldag_data.beslissing_log l
          UNION ALL SELECT 'vlp', l.request_id FROM teldag_data.vlp_log l
          UNION ALL SELECT 'toah', l.request_id FROM teldag_data.toah_log l
          UNION ALL SELECT 'link', l.old_pupil::text FROM teldag_data.pupil_link_log l) e USING (log, key)
    GROUP BY k.log
    UNION ALL
    SELECT 'dead letters, their bytes', '', count(*) FROM teldag_data.retained_letters(before) HAVING count(*) > 0
    UNION ALL
    SELECT 'rows of alerts, their pupil', a.school_year, sum(a.rows)::bigint FROM teldag_data.retained_alerts(before) a
    GROUP BY a.school_year
    ORDER BY 1, 2
$$;

-- Why an act is refused: a sentence a reason. The last three are about what could still change; as_they_are says to
-- fix counts as they are, end those alerts and drop those letters.
CREATE FUNCTION teldag_data.retain_refusals(before smallint, as_they_are boolean) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('school year %s is needed: its counts are in use until 31 August %s, by clock.today and by the database''s own clock; give %s or an earlier one',
                  teldag_data.year_name(before - 1), before + 1, teldag_data.year_name(t.year - 1))
    FROM (SELECT teldag_data.year_of(least(min(p.today), (now() AT TIME ZONE 'Europe/Brussels')::date)) AS year FROM teldag_data.shard_progress p) t
    WHERE before > t.year - 1 OR t.year IS NULL
    UNION ALL
    SELECT format('%s shards share this database: stop their daemons, and let one daemon with shard = "0/1" do it', count(*))
    FROM teldag_data.shard_progress p HAVING count(*) > 1 OR max(p.shards) > 1
    UNION ALL
    SELECT format('%s counts before %s differ from the registrations: run teldagctl verify', count(*), teldag_data.year_name(before))
    FROM (SELECT c.* FROM teldag_data.count_state c WHERE c.school_year < before) s
    FULL JOIN (SELECT c.* FROM teldag_check.count c WHERE c.school_year < before) c USING (school_year, school_id, grp)
    WHERE s.pupils IS DISTINCT FROM c.pupils OR s.cells IS DISTINCT FROM c.cells HAVING count(*) > 0
    UNION ALL
    SELECT format('%s counts are not closed', count(*))
    FROM (SELECT DISTINCT c.school_year, c.school_id FROM teldag_data.count_state c) c
    LEFT JOIN teldag_data.count_closed d USING (school_year, school_id)
    WHERE NOT as_they_are AND d.school_year < before AND d.school_year >= teldag_data.retained_before() AND d.closed IS NOT TRUE
    HAVING count(*) > 0
    UNION ALL
    SELECT format('%s alerts %s fire', count(*), a.kind)
    FROM teldag_data.alert_state a
    WHERE NOT as_they_are AND a.state = 'firing'
      AND a.school_year COLLATE "C" < before::text
      AND (a.kind = 'count.incomplete'
           OR (a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject)
              IN (SELECT r.kind, r.school_id, r.school_year, r.grp, r.stream, r.subject FROM teldag_data.retained_alerts(before) r))
    GROUP BY a.kind
    UNION ALL
    SELECT format('%s dead letters are open', count(*))
    FROM teldag_data.retained_letters(before) d WHERE NOT as_they_are AND d.state = 'open' HAVING count(*) > 0
$$;

-- Takes the rows away and keeps what they gave, within the daemon's transaction; the body of the act. Null: a long reader holds a
-- partition. With the owner's rights, for the daemon may not delete from logs: so it looks again at what may go.
CREATE FUNCTION teldag_data.retain(before smallint, as_they_are boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    why    text;
    year   smallint;
    years  smallint[];
    s      record;
    keys   text;
    sums   text;
    went   jsonb;
    act    jsonb;
BEGIN
    SELECT string_agg(r, '; ') INTO why FROM teldag_data.retain_refusals(before, as_they_are) AS r;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'cannot retain: %', why USING ERRCODE = '22023';
    END IF;
    SELECT coalesce(array_agg(y.school_year ORDER BY y.school_year), '{}') INTO years
    FROM teldag_data.school_year y
    WHERE y.school_year < before AND to_regclass('teldag_data.registration_log_' || y.school_year) IS NOT NULL;
    BEGIN
        LOCK TABLE teldag_data.registration_log IN ACCESS EXCLUSIVE MODE;
    EXCEPTION WHEN lock_not_available THEN
        RETURN NULL;
    END;
    SELECT coalesce(jsonb_object_agg(trim(p.what || ' ' || p.school_year), p.rows), '{}') INTO went FROM teldag_data.retain_plan(before) p;
    CREATE TEMP TABLE gone_key ON COMMIT DROP AS SELECT k.log, k.key COLLATE "C" AS key FROM teldag_data.retained_keys(before) k;
    CREATE TEMP TABLE gone_position (stream_id int, epoch bigint, seq bigint) ON COMMIT DROP;

    -- (1) Counts and closings of years that are not fixed yet, with the streams that make them less than certain.
    INSERT INTO teldag_data.retained_count
    SELECT c.* FROM teldag_data.count_state c WHERE c.school_year < before ON CONFLICT DO NOTHING;
    INSERT INTO teldag_data.retained_closed
    SELECT c.school_year, c.school_id, c.closed, c.held, c.announced,
           ARRAY(SELECT b.stream FROM teldag.best_effort b
                 WHERE b.school_year = teldag_data.year_name(c.school_year) AND b.school_id = c.school_id::text ORDER BY 1)
    FROM teldag_data.count_closed c WHERE c.school_year < before ON CONFLICT DO NOTHING;

    -- (2) Statistics and incidents: what they were with the rows that go, less what they are without them (below).
    FOR s IN SELECT * FROM teldag_data.retained_stats LOOP
        EXECUTE format('INSERT INTO teldag_data.%I SELECT * FROM teldag_data.%I', 'retained_' || s.view, s.view || '_of_log');
    END LOOP;
    CREATE TEMP TABLE gone_incident ON COMMIT DROP AS
    SELECT i.school_year, i.school_id, i.indicator, count(*) AS observed FROM teldag_data.incident i GROUP BY 1, 2, 3;

    -- (3) The rows. A partition's space comes back with the COMMIT.
    FOREACH year IN ARRAY years LOOP
        INSERT INTO gone_position SELECT l.stream_id, l.epoch, l.seq FROM teldag_data.registration_log l WHERE l.school_year = year;
        EXECUTE format('DROP TABLE teldag_data.%I', 'registration_log_' || year);
    END LOOP;
    WITH gone AS (DELETE FROM teldag_data.verklaring_log l USING gone_key k WHERE k.log = 'verklaring' AND k.key = l.verklaring_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.controle_log l USING gone_key k WHERE k.log = 'controle' AND k.key = l.controle_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.poah_log l USING gone_key k WHERE k.log = 'poah' AND k.key = l.request_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.beslissing_log l USING gone_key k WHERE k.log = 'beslissing' AND k.key = l.request_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.vlp_log l USING gone_key k WHERE k.log = 'vlp' AND k.key = l.request_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.toah_log l USING gone_key k WHERE k.log = 'toah' AND k.key = l.request_id RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    WITH gone AS (DELETE FROM teldag_data.pupil_link_log l USING gone_key k WHERE k.log = 'link' AND k.key = l.old_pupil::text RETURNING l.stream_id, l.epoch, l.seq)
    INSERT INTO gone_position SELECT * FROM gone;
    UPDATE teldag_data.dead_letter d
    SET raw = '', reason = regexp_replace(d.reason, '[0-9a-fA-F]{32}', '#', 'g'),
        state = CASE d.state WHEN 'open' THEN 'dropped' ELSE d.state END, resolved_at = coalesce(d.resolved_at, now())
    FROM teldag_data.retained_letters(before) r WHERE (r.stream_id, r.epoch, r.seq) = (d.stream_id, d.epoch, d.seq);

    -- (4) Where they stood, as ranges.
    INSERT INTO teldag_data.retained_position
    SELECT g.stream_id, g.epoch, min(g.seq), max(g.seq)
    FROM (SELECT p.*, p.seq - row_number() OVER (PARTITION BY p.stream_id, p.epoch ORDER BY p.seq) AS island FROM gone_position p) g
    GROUP BY g.stream_id, g.epoch, g.island;

    -- (5) The difference, added to what was fixed before.
    FOR s IN SELECT * FROM teldag_data.retained_stats LOOP
        SELECT string_agg(format('g.%I', k), ', ') INTO keys FROM unnest(s.keys) AS k;
        SELECT string_agg(format('-g.%I', c), ', ') INTO sums FROM unnest(s.counts) AS c;
        EXECUTE format('INSERT INTO teldag_data.%I SELECT %s, %s FROM teldag_data.%I g', 'retained_' || s.view, keys, sums, s.view || '_of_log');
        SELECT string_agg(format('sum(g.%I)', c), ', ') INTO sums FROM unnest(s.counts) AS c;
        EXECUTE format('WITH g AS (DELETE FROM teldag_data.%I RETURNING *) INSERT INTO teldag_data.%1$I SELECT %s, %s FROM g GROUP BY %2$s HAVING (%3$s) <> (%s)',
                       'retained_' || s.view, keys, sums, array_to_string(array_fill(0, ARRAY[cardinality(s.counts)]), ', '));
    END LOOP;
    INSERT INTO teldag_data.retained_incident AS r
    SELECT g.school_year, g.school_id, g.indicator, g.observed - coalesce(l.observed, 0)
    FROM gone_incident g
    LEFT JOIN (SELECT i.school_year, i.school_id, i.indicator, count(*) AS observed FROM teldag_data.incident i GROUP BY 1, 2, 3) l
              USING (school_year, school_id, indicator)
    WHERE g.observed > coalesce(l.observed, 0)
    ON CONFLICT (school_year, school_id, indicator) DO UPDATE SET observed = r.observed + excluded.observed;

    -- (6) The record; the daemon's transaction adds the act with this body to local_log, or is not committed.
    SELECT jsonb_build_object('before', teldag_data.year_name(retain.before), 'as_they_are', as_they_are, 'rows', went,
                              'sha256', teldag_data.retained_digest(), 'nth', coalesce(max(r.nth), 0) + 1)
    INTO act FROM teldag_data.retention r;
    INSERT INTO teldag_data.retention (nth, before, body) VALUES ((act ->> 'nth')::bigint, retain.before, act);
    RETURN act;
END $$;

-- After the transaction's own alerts: who an alert was about. A subject becomes erased-SHARD-SEQ, of the first row of that alert: who
-- received that row knows which one it is, who did not learns nothing.
CREATE FUNCTION teldag_data.retain_alerts(before smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF before > teldag_data.retained_before() THEN
        RAISE EXCEPTION 'cannot blank alerts: school years before % are not retained', teldag_data.year_name(before) USING ERRCODE = '22023';
    END IF;
    CREATE TEMP TABLE gone_subject ON COMMIT DROP AS
    SELECT a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject, 'erased-' || a.shard || '-' || a.first_seq AS erased
    FROM teldag_data.retained_alerts(before) a;
    UPDATE teldag_data.alert_log a
    SET subject = g.erased, summary = a.kind || ' of a pupil whose data were erased', detail = teldag_data.without_pupil(a.detail)
    FROM gone_subject g
    WHERE (a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject) = (g.kind, g.school_id, g.school_year, g.grp, g.stream, g.subject);
    UPDATE teldag_data.alert_state a
    SET subject = g.erased, summary = a.kind || ' of a pupil whose data were erased', detail = teldag_data.without_pupil(a.detail)
    FROM gone_subject g
    WHERE (a.kind, a.school_id, a.school_year, a.grp, a.stream, a.subject) = (g.kind, g.school_id, g.school_year, g.grp, g.stream, g.subject);
END $$;

DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
