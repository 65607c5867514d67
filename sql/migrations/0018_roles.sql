-- Who may see and do what. docs/sql.md says it in words, tests/sql/rights.expected object by object: an object without a line
-- there fails the tests, and what no list below names is granted to nobody.
--   teldag_writer             the daemon: adds to the logs, never changes or removes what stands in them
--   teldag_reader             every figure of every school, no pupil
--   teldag_inspection_reader  what the inspectorate works with, the controls of huisonderwijs with their pupils among it
--   teldag_board_reader       schema teldag_own: the schools of the boards a role is bound to
--   teldag_school_reader      schema teldag_own: the schools a role is bound to
--   teldag_public_reader      schema teldag_public: school years that have ended, nothing below five
--
-- Why only the tables of results have row level security: PostgreSQL refuses COPY into a table that has it, and COPY is how logs
-- are written; and a row filter over a log would be wrong, since a withdrawal names no school and a correction may name another:
-- the row that is hidden is the one that says that an older one no longer stands. So count, oki, allocation and alerts are
-- security_invoker views over tables with forced row level security, and what follows from logs is filtered after it is known what
-- stands, by security_barrier views. Both ask the same function for the schools of the role.

CREATE SCHEMA teldag_own;
CREATE SCHEMA teldag_public;

-- Which boards and schools a reader is bound to. The binding is to the role itself, not to a setting, which its session could
-- change, and not to what the role is a member of. role: dumps name it, and a role of the same name made anew is another one.
CREATE TABLE teldag_data.reader_scope (
    role       regrole     NOT NULL,
    board_id   text        COLLATE "C",
    school_id  int,
    granted_by name        NOT NULL DEFAULT session_user,
    granted_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(board_id, school_id) = 1),
    UNIQUE NULLS NOT DISTINCT (role, board_id, school_id)
);

-- The schools of a role. Asked with the current user's name by policies and views; who is not asks for one he may not become
-- gets nothing.
CREATE FUNCTION teldag_data.own_schools(who name) RETURNS int[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(o.school_id), '{}')
    FROM (SELECT s.school_id FROM teldag_data.reader_scope s
          WHERE s.role = to_regrole(quote_ident(who)) AND s.school_id IS NOT NULL AND pg_has_role(who, 'teldag_school_reader', 'USAGE')
          UNION
          SELECT l.school_id FROM teldag_data.reader_scope s JOIN teldag_data.school_last l ON l.board_id COLLATE "C" = s.board_id
          WHERE s.role = to_regrole(quote_ident(who)) AND pg_has_role(who, 'teldag_board_reader', 'USAGE')) o
    WHERE pg_has_role(session_user, who, 'MEMBER')
$$;
CREATE FUNCTION teldag_data.own_school_names(who name) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN teldag_data.own_schools(who)::text[];

-- Binds a login role. Refused where it would say less than the truth: such a role sees everything whatever it is bound to.
CREATE FUNCTION teldag_data.bind_reader(reader name, membership name, board text, school int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wide name;
BEGIN
    IF to_regrole(quote_ident(reader)) IS NULL THEN
        RAISE EXCEPTION 'there is no role %', reader USING ERRCODE = '42704', HINT = format('CREATE ROLE %I LOGIN;', reader);
    END IF;
    SELECT r.rolname INTO wide FROM pg_roles r
    WHERE pg_has_role(reader, r.oid, 'MEMBER')
      AND (r.rolsuper OR r.rolbypassrls OR r.rolname IN ('teldag_writer', 'teldag_reader', 'teldag_inspection_reader')
           OR r.oid = (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'teldag_data'))
    ORDER BY r.rolname LIMIT 1;
    IF wide IS NOT NULL THEN
        RAISE EXCEPTION 'role % is or may become %, which is not bound to schools', reader, wide USING ERRCODE = '42501',
            HINT = 'Bind a login role of its own, that is a member of nothing else.';
    END IF;
    INSERT INTO teldag_data.reader_scope (role, board_id, school_id) VALUES (to_regrole(quote_ident(reader)), board, school)
    ON CONFLICT DO NOTHING;
    IF NOT pg_has_role(reader, membership, 'USAGE') THEN
        BEGIN
            EXECUTE format('GRANT %I TO %I', membership, reader);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE '% may not grant roles', current_user USING HINT = format('As a superuser: GRANT %I TO %I;', membership, reader);
        END;
    END IF;
END $$;
CREATE FUNCTION teldag_data.grant_board(reader name, board_id text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT teldag_data.bind_reader(reader, 'teldag_board_reader', board_id, NULL) $$;
CREATE FUNCTION teldag_data.grant_school(reader name, school_id text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT teldag_data.bind_reader(reader, 'teldag_school_reader', NULL, school_id::int) $$;
-- Takes every board and school from a reader; the number it had.
CREATE FUNCTION teldag_data.revoke_reader(reader name) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (DELETE FROM teldag_data.reader_scope s WHERE s.role = to_regrole(quote_ident(reader)) RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- ---- alerts without pupils ----

-- Whether who asks may see the pupil an alert is about: the owner and the writer.
CREATE FUNCTION teldag_data.sees_pupils() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_roles r
                   WHERE (r.rolname = 'teldag_writer' OR r.oid = (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'teldag_data'))
                     AND pg_has_role(current_user, r.oid, 'USAGE'))
$$;
CREATE OR REPLACE VIEW teldag.alert AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream,
       CASE WHEN h.hidden THEN 'a pupil' ELSE a.subject END AS subject,
       CASE WHEN h.hidden THEN a.kind || ' of a pupil this role does not see' ELSE a.summary END AS summary,
       CASE WHEN h.hidden THEN teldag_data.without_pupil(a.detail) ELSE a.detail END AS detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_state a
CROSS JOIN LATERAL (SELECT teldag_data.names_pupil(a.kind) AND NOT (SELECT teldag_data.sees_pupils()) AS hidden) h;

CREATE OR REPLACE VIEW teldag.alert_log AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream,
       CASE WHEN h.hidden THEN 'a pupil' ELSE a.subject END AS subject,
       CASE WHEN h.hidden THEN a.kind || ' of a pupil this role does not see' ELSE a.summary END AS summary,
       CASE WHEN h.hidden THEN teldag_data.without_pupil(a.detail) ELSE a.detail END AS detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_log a
CROSS JOIN LATERAL (SELECT teldag_data.names_pupil(a.kind) AND NOT (SELECT teldag_data.sees_pupils()) AS hidden) h;

-- ---- teldag_own: the schools of who asks ----

-- Over tables with row level security, with the rights of who asks.
CREATE VIEW teldag_own.count WITH (security_invoker = true) AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.school_id::text COLLATE "C" AS school_id, c.grp AS "group",
       teldag_data.pupils(c.pupils) AS pupils, teldag_data.pupils(c.gok_pupils) AS gok_pupils,
       teldag_data.pupils(c.thuistaal) AS thuistaal, teldag_data.pupils(c.schooltoelage) AS schooltoelage,
       teldag_data.pupils(c.opleiding_moeder) AS opleiding_moeder, teldag_data.pupils(c.thuisloos) AS thuisloos,
       teldag_data.pupils(c.trekkend) AS trekkend, teldag_data.pupils(c.buurt) AS buurt, coalesce(d.closed, false) AS closed,
       c.school_year < (SELECT teldag_data.retained_before()) AS retained
FROM teldag_data.count_state c
LEFT JOIN teldag_data.count_closed d USING (school_year, school_id);

CREATE VIEW teldag_own.oki WITH (security_invoker = true) AS
SELECT teldag_data.year_name(c.school_year) AS school_year, c.school_id::text COLLATE "C" AS school_id,
       teldag_data.pupils(sum(c.pupils)) AS pupils, teldag_data.pupils(sum(c.buurt)) AS buurt,
       teldag_data.pupils(sum(c.opleiding_moeder)) AS opleiding_moeder, teldag_data.pupils(sum(c.schooltoelage)) AS schooltoelage,
       teldag_data.pupils(sum(c.thuistaal)) AS thuistaal,
       teldag_data.ratio(sum(c.buurt + c.opleiding_moeder + c.schooltoelage + c.thuistaal), sum(c.pupils), 4) AS oki
FROM teldag_data.count_state c
GROUP BY c.school_year, c.school_id;

CREATE VIEW teldag_own.allocation WITH (security_invoker = true) AS
SELECT teldag_data.year_name(a.school_year) AS school_year, a.school_id::text COLLATE "C" AS school_id, a.staffing AS stream,
       a.grp AS "group", teldag_data.year_name(a.school_year - 1) AS count_year, teldag_data.pupils(a.pupils) AS pupils,
       teldag_data.pupils(a.gok_pupils) AS gok_pupils, trim_scale(teldag_data.ratio(a.gok_pupils, a.pupils, 9)) AS share,
       trim_scale(a.threshold) AS threshold, trim_scale(a.points) AS points, trim_scale(a.hours_exact) AS hours_exact, a.hours,
       a.minimum, a.status, trim_scale(a.sanction_factor) AS sanction_factor, a.granted, a.margin_pupils, a.margin_hours, a.rules,
       a.school_year <= (SELECT teldag_data.retained_before()) AS retained
FROM teldag_data.allocation_state a;

CREATE VIEW teldag_own.alert WITH (security_invoker = true) AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN 'a pupil' ELSE a.subject END AS subject,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN a.kind || ' of a pupil this role does not see' ELSE a.summary END AS summary,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN teldag_data.without_pupil(a.detail) ELSE a.detail END AS detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_state a;

CREATE VIEW teldag_own.alert_log WITH (security_invoker = true) AS
SELECT a.seq, a.kind, a.severity, a.state, a.school_id, a.school_year, a.grp AS "group", a.stream,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN 'a pupil' ELSE a.subject END AS subject,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN a.kind || ' of a pupil this role does not see' ELSE a.summary END AS summary,
       CASE WHEN teldag_data.names_pupil(a.kind) THEN teldag_data.without_pupil(a.detail) ELSE a.detail END AS detail,
       a.raised_at, a.changed_at, a.resolved_at
FROM teldag_data.alert_log a;

-- What follows from logs, with the owner's rights.
DO $$
DECLARE
    source text;
BEGIN
    FOREACH source IN ARRAY ARRAY['school', 'allocation_known', 'allocation_difference', 'working_budget', 'evaluation', 'sanction',
                                  'inspection', 'melding'] LOOP
        EXECUTE format('CREATE VIEW teldag_own.%I WITH (security_barrier = true) AS SELECT v.* FROM teldag.%1$I v
                        WHERE v.school_id = ANY ((SELECT teldag_data.own_school_names(current_user))::text[])', source);
    END LOOP;
END $$;
CREATE VIEW teldag_own.rules AS SELECT r.* FROM teldag.rules r;
CREATE VIEW teldag_own.clock AS SELECT c.* FROM teldag.clock c;

-- ---- teldag_public: nothing below five ----

-- A number is shown from five on. Less than five, zero among it, is null, and so is a number that would give such a one away by
-- subtraction from another shown one: a part of a whole is shown only when it and the rest are at least five; the parts that make
-- up a whole are shown all or none; a total over groups only when all its groups are. Only school years that have ended, and
-- counts that are closed: who looks each day at figures that move sees every single pupil come and go.
CREATE FUNCTION teldag_data.shown(part numeric, VARIADIC wholes numeric[] DEFAULT '{}') RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN part >= 5 AND NOT EXISTS (SELECT FROM unnest(wholes) AS w WHERE w - part < 5);

CREATE FUNCTION teldag_data.years_ended() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT teldag_data.year_of(min(p.today)) FROM teldag_data.shard_progress p
$$;

CREATE VIEW teldag_public.school WITH (security_barrier = true) AS
SELECT s.school_id, s.name, s.level, s.network, s.province, s.municipality, s.brussels, s.board_id, s.closed_on, s.successor_id
FROM teldag.school s;

CREATE VIEW teldag_public.count WITH (security_barrier = true) AS
SELECT c.school_year, c.school_id, c."group", CASE WHEN p.shown THEN c.pupils END AS pupils,
       CASE WHEN p.shown AND teldag_data.shown(c.gok_pupils, c.pupils) THEN c.gok_pupils END AS gok_pupils,
       CASE WHEN teldag_data.shown(c.thuistaal, c.pupils, c.gok_pupils) THEN c.thuistaal END AS thuistaal,
       CASE WHEN teldag_data.shown(c.schooltoelage, c.pupils, c.gok_pupils) THEN c.schooltoelage END AS schooltoelage,
       CASE WHEN teldag_data.shown(c.opleiding_moeder, c.pupils, c.gok_pupils) THEN c.opleiding_moeder END AS opleiding_moeder,
       CASE WHEN teldag_data.shown(c.thuisloos, c.pupils, c.gok_pupils, c.buurt) THEN c.thuisloos END AS thuisloos,
       CASE WHEN teldag_data.shown(c.trekkend, c.pupils, c.gok_pupils, c.buurt) THEN c.trekkend END AS trekkend,
       CASE WHEN teldag_data.shown(c.buurt, c.pupils) THEN c.buurt END AS buurt
FROM teldag.count c
CROSS JOIN LATERAL (SELECT teldag_data.shown(c.pupils) AS shown) p
WHERE c.closed AND left(c.school_year, 4)::int < (SELECT teldag_data.years_ended());

CREATE VIEW teldag_public.oki WITH (security_barrier = true) AS
SELECT o.school_year, o.school_id, o.pupils, o.buurt, o.opleiding_moeder, o.schooltoelage, o.thuistaal,
       teldag_data.ratio((2 * (o.buurt + o.opleiding_moeder + o.schooltoelage + o.thuistaal))::bigint, (2 * o.pupils)::bigint, 4) AS oki
FROM (SELECT c.school_year, c.school_id,
             CASE WHEN count(*) = count(c.pupils) THEN sum(c.pupils) END AS pupils,
             CASE WHEN count(*) = count(c.buurt) THEN sum(c.buurt) END AS buurt,
             CASE WHEN count(*) = count(c.opleiding_moeder) THEN sum(c.opleiding_moeder) END AS opleiding_moeder,
             CASE WHEN count(*) = count(c.schooltoelage) THEN sum(c.schooltoelage) END AS schooltoelage,
             CASE WHEN count(*) = count(c.thuistaal) THEN sum(c.thuistaal) END AS thuistaal
      FROM teldag_public.count c GROUP BY c.school_year, c.school_id) o;

-- Hours are made of the counts: shown, rounded only, where the counts they are made of are.
CREATE VIEW teldag_public.allocation WITH (security_barrier = true) AS
SELECT a.school_year, a.school_id, a.stream, a."group", CASE WHEN o.whole THEN a.status END AS status,
       CASE WHEN o.whole THEN a.hours END AS hours, CASE WHEN o.whole THEN a.granted END AS granted
FROM teldag.allocation a
JOIN (SELECT c.school_year, c.school_id,
             bool_and(num_nulls(c.pupils, c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder) = 0) AS whole
      FROM teldag_public.count c GROUP BY c.school_year, c.school_id) o
     ON o.school_year = a.count_year AND o.school_id = a.school_id
WHERE left(a.school_year, 4)::int < (SELECT teldag_data.years_ended());

-- keys, the whole, the parts that make it up, and parts of it that stand by themselves
CREATE FUNCTION teldag_data.make_public_stats(stats name, keys text[], whole name, parts name[], others name[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part  name;
    judge text;
    texts text[] := keys;
BEGIN
    SELECT string_agg(format('s.%I >= 5', p), ' AND ') || format(' AND s.%I - (%s) NOT IN (1, 2, 3, 4)', whole, string_agg(format('s.%I', p), ' + '))
    INTO judge FROM unnest(parts) AS p;
    texts := texts || format('CASE WHEN teldag_data.shown(s.%I) THEN s.%1$I END AS %1$I', whole);
    FOREACH part IN ARRAY parts LOOP
        texts := texts || format('CASE WHEN %s THEN s.%I END AS %2$I', judge, part);
    END LOOP;
    FOREACH part IN ARRAY others LOOP
        texts := texts || format('CASE WHEN teldag_data.shown(s.%I, s.%I) THEN s.%1$I END AS %1$I', part, whole);
    END LOOP;
    EXECUTE format('CREATE VIEW teldag_public.%I WITH (security_barrier = true) AS SELECT %s FROM teldag.%1$I s
                    WHERE left(s.school_year, 4)::int < (SELECT teldag_data.years_ended())', stats, array_to_string(texts, ', '));
END $$;
DO $$ BEGIN PERFORM teldag_data.make_public_stats(s.stats, s.keys, s.whole, s.parts, s.others) FROM (VALUES
    ('stats_doorlichting'::name, ARRAY['s.school_year', 's.level', 's.province', 's.network'], 'inspections'::name,
     ARRAY['gunstig', 'gunstig_met_tekorten', 'ongunstig_met_opschorting', 'ongunstig_zonder_opschorting']::name[], ARRAY['without_advice']::name[]),
    ('stats_bezoek', ARRAY['s.school_year', 's.level'], 'bezoeken', '{}', '{after_ongunstig}'),
    ('stats_gok', ARRAY['s.school_year', 's.level'], 'assessed', '{positief,negatief}', '{}'),
    ('stats_leerlingenbegeleiding', ARRAY['s.school_year', 's.level'], 'assessed', '{positief,werkpunten,negatief}', '{}'),
    ('stats_huisonderwijs', ARRAY['s.school_year', 's.level', 's.ordinal'], 'controles', '{voldoende,onvoldoende,geweigerd}', '{}'),
    ('stats_verklaring', ARRAY['s.school_year', 's.kind', 's.level'], 'verklaringen', '{}', '{}'),
    ('stats_poah', ARRAY['s.school_year', 's.kind', 's.level', 's.province', 's.type'], 'aanvragen',
     '{goedgekeurd,afgewezen,uitgesteld}', '{with_mfc,with_prior_toah}'),
    ('stats_vlp', ARRAY['s.school_year', 's.kind'], 'aanvragen', '{}', '{granted}'),
    ('stats_toah', ARRAY['s.school_year', 's.reason'], 'meldingen', '{}', '{}'),
    ('stats_melding', ARRAY['s.school_year', 's.level', 's.category'], 'meldingen', '{}', '{}'),
    ('stats_melding_total', ARRAY['s.school_year'], 'meldingen', '{}', '{leerlingenbegeleiding,multiple}')
) AS s (stats, keys, whole, parts, others); END $$;
DROP FUNCTION teldag_data.make_public_stats(name, text[], name, name[], name[]);

-- ---- no plan tells of other rows ----

-- PostgreSQL asks conditions it knows to be leakproof (=, <, LIKE on a column) before a policy or a barrier, and below a GROUP BY;
-- EXPLAIN ANALYZE then shows how many hidden rows met them. So what a role sees is computed first, the same whatever it asks, and
-- its conditions meet these rows only. Every view of both schemas.
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN SELECT c.oid, c.relname, c.relnamespace::regnamespace AS schema, array_to_string(c.reloptions, ', ') AS options
             FROM pg_class c WHERE c.relnamespace IN ('teldag_own'::regnamespace, 'teldag_public'::regnamespace) AND c.relkind = 'v' LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s.%I %s AS WITH own AS MATERIALIZED (%s) SELECT own.* FROM own', v.schema, v.relname,
                       'WITH (' || v.options || ')', rtrim(pg_get_viewdef(v.oid), ';'));
    END LOOP;
END $$;

-- ---- rights ----

ALTER TABLE teldag_data.count_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teldag_data.count_closed ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teldag_data.allocation_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teldag_data.alert_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE teldag_data.alert_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- Policies name the owner, since row level security is forced on it too: a table whose policy was forgotten shows nothing to
-- anybody. Of those of the readers one expression each, asked once a query.
CREATE FUNCTION teldag_data.set_policies() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    who name;
BEGIN
    FOR t IN SELECT c.relname, pg_get_userbyid(c.relowner) AS owner, p.polname
             FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
             WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relrowsecurity AND p.polname IS NOT NULL LOOP
        EXECUTE format('DROP POLICY %I ON teldag_data.%I', t.polname, t.relname);
    END LOOP;
    FOR t IN SELECT c.relname, pg_get_userbyid(c.relowner) AS owner, a.atttypid = 'text'::regtype AS is_text
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'school_id'
             WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relrowsecurity LOOP
        EXECUTE format('CREATE POLICY owner ON teldag_data.%I TO %I USING (true) WITH CHECK (true)', t.relname, t.owner);
        FOR who IN SELECT r.rolname FROM pg_roles r
                   WHERE r.rolname IN ('teldag_writer', 'teldag_board_reader', 'teldag_school_reader') LOOP
            IF who = 'teldag_writer' THEN
                EXECUTE format('CREATE POLICY writer ON teldag_data.%I TO teldag_writer USING (true) WITH CHECK (true)', t.relname);
            ELSE
                EXECUTE format('CREATE POLICY %I ON teldag_data.%I FOR SELECT TO %I USING (school_id = ANY ((SELECT teldag_data.%I(current_user))::%s[]))',
                               CASE who WHEN 'teldag_board_reader' THEN 'board' ELSE 'school' END, t.relname, who,
                               CASE WHEN t.is_text THEN 'own_school_names' ELSE 'own_schools' END, CASE WHEN t.is_text THEN 'text' ELSE 'int' END);
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- Gives a role SELECT on views of a schema, by name.
CREATE FUNCTION teldag_data.grant_views(reader name, schema name, views name[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name name;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, reader);
    FOREACH name IN ARRAY views LOOP
        EXECUTE format('GRANT SELECT ON %I.%I TO %I', schema, name, reader);
    END LOOP;
END $$;

-- What the roles that exist may do. First everything is taken away: what a list no longer names is gone.
CREATE OR REPLACE FUNCTION teldag_data.grant_roles() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who     name;
    target  text;
    readers constant name[] := ARRAY['teldag_reader', 'teldag_inspection_reader', 'teldag_board_reader', 'teldag_school_reader',
                                     'teldag_public_reader'];
    -- figures of all schools: no view of these names a pupil
    figures constant name[] := ARRAY['school', 'count', 'oki', 'allocation', 'allocation_known', 'allocation_difference', 'working_budget',
        'working_budget_total', 'evaluation', 'sanction', 'inspection', 'melding', 'risk_indicator', 'risk_ranking', 'risk_reference',
        'alert', 'alert_log', 'alert_epoch', 'feed_progress', 'streams', 'best_effort', 'rules', 'clock', 'schema_version', 'stats_doorlichting',
        'stats_bezoek', 'stats_gok', 'stats_leerlingenbegeleiding', 'stats_huisonderwijs', 'stats_verklaring', 'stats_poah', 'stats_vlp',
        'stats_toah', 'toah_poah_per_school', 'stats_melding', 'stats_melding_total'];
    inspectorate constant name[] := ARRAY['school', 'evaluation', 'sanction', 'inspection', 'melding', 'risk_indicator', 'risk_ranking',
        'risk_reference', 'alert', 'alert_log', 'rules', 'clock', 'huisonderwijs_verklaring', 'huisonderwijs_controle', 'stats_doorlichting',
        'stats_bezoek', 'stats_gok', 'stats_leerlingenbegeleiding', 'stats_huisonderwijs', 'stats_verklaring', 'stats_melding',
        'stats_melding_total'];
    own     constant name[] := ARRAY['school', 'count', 'oki', 'allocation', 'allocation_known', 'allocation_difference', 'working_budget',
        'evaluation', 'sanction', 'inspection', 'melding', 'alert', 'alert_log', 'rules', 'clock'];
    open    constant name[] := ARRAY['school', 'count', 'oki', 'allocation', 'stats_doorlichting', 'stats_bezoek', 'stats_gok',
        'stats_leerlingenbegeleiding', 'stats_huisonderwijs', 'stats_verklaring', 'stats_poah', 'stats_vlp', 'stats_toah', 'stats_melding',
        'stats_melding_total'];
BEGIN
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA teldag_data, teldag_check FROM PUBLIC;
    FOR who IN SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY (readers || 'teldag_writer'::name) LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA teldag_data, teldag, teldag_check, teldag_own, teldag_public FROM %I', who);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA teldag_data, teldag_check FROM %I', who);
        EXECUTE format('REVOKE ALL ON SCHEMA teldag_data, teldag, teldag_check, teldag_own, teldag_public FROM %I', who);
        -- Functions within views run with the rights of who asks, so the small pure ones are everybody's; without the right to the
        -- schema nobody can name them.
        FOR target IN SELECT p.oid::regprocedure FROM pg_proc p
                      WHERE p.pronamespace = 'teldag_data'::regnamespace AND NOT p.prosecdef AND p.provolatile = 'i' LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', target, who);
        END LOOP;
        EXECUTE format('GRANT EXECUTE ON FUNCTION teldag_data.sees_pupils(), teldag_data.retained_before() TO %I', who);
        IF who = 'teldag_writer' THEN
            GRANT USAGE ON SCHEMA teldag_data, teldag, teldag_check TO teldag_writer;
            GRANT SELECT ON ALL TABLES IN SCHEMA teldag, teldag_check TO teldag_writer;
            GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA teldag_check TO teldag_writer;
            GRANT EXECUTE ON FUNCTION teldag_data.ensure_year(smallint), teldag_data.renew_alert_epoch(int, bigint, bigint, text, text),
                teldag_data.server_id(),
                teldag_data.retain(smallint, boolean), teldag_data.retain_alerts(smallint), teldag_data.retain_plan(smallint),
                teldag_data.retain_refusals(smallint, boolean), teldag_data.retained_keys(int), teldag_data.retained_letters(int),
                teldag_data.kept_files(int), teldag_data.retained_alerts(int),
                teldag_data.retained_digest() TO teldag_writer;
            GRANT SELECT, INSERT ON teldag_data.stream, teldag_data.stream_epoch, teldag_data.dead_letter, teldag_data.rules_set,
                teldag_data.rule TO teldag_writer;
            FOR target IN SELECT c.relname FROM pg_class c
                          WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                            AND c.relname LIKE '%\_log' LOOP
                EXECUTE format('GRANT SELECT, INSERT ON teldag_data.%I TO teldag_writer', target);
            END LOOP;
            GRANT SELECT, INSERT, UPDATE ON teldag_data.feed_progress, teldag_data.shard_progress TO teldag_writer;
            GRANT UPDATE (state, resolved_at) ON teldag_data.dead_letter TO teldag_writer;
            GRANT SELECT, INSERT, UPDATE, DELETE ON teldag_data.count_state, teldag_data.count_closed, teldag_data.allocation_state,
                teldag_data.alert_state, teldag_data.budget_value, teldag_data.risk_reference, teldag_data.risk_state TO teldag_writer;
            GRANT SELECT ON teldag_data.schema_migration, teldag_data.school_year TO teldag_writer;
            FOR target IN SELECT c.relname FROM pg_class c
                          WHERE c.relnamespace = 'teldag_data'::regnamespace AND (c.relkind = 'v' OR (c.relname LIKE 'retained\_%' OR c.relname = 'retention') AND c.relkind = 'r') LOOP
                EXECUTE format('GRANT SELECT ON teldag_data.%I TO teldag_writer', target);
            END LOOP;
        ELSIF who = 'teldag_reader' THEN
            PERFORM teldag_data.grant_views(who, 'teldag', figures);
        ELSIF who = 'teldag_inspection_reader' THEN
            PERFORM teldag_data.grant_views(who, 'teldag', inspectorate);
        ELSIF who = 'teldag_public_reader' THEN
            PERFORM teldag_data.grant_views(who, 'teldag_public', open);
            GRANT EXECUTE ON FUNCTION teldag_data.years_ended() TO teldag_public_reader;
        ELSE
            PERFORM teldag_data.grant_views(who, 'teldag_own', own);
            EXECUTE format('GRANT SELECT ON teldag_data.count_state, teldag_data.count_closed, teldag_data.allocation_state,
                            teldag_data.alert_state, teldag_data.alert_log TO %I', who);
            EXECUTE format('GRANT EXECUTE ON FUNCTION teldag_data.own_schools(name), teldag_data.own_school_names(name) TO %I', who);
        END IF;
    END LOOP;
    PERFORM teldag_data.set_policies();
END $$;

-- Grants again after a migration made something, to the roles that are there.
CREATE OR REPLACE FUNCTION teldag_data.grant_again() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT teldag_data.grant_roles() $$;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['teldag_inspection_reader', 'teldag_board_reader', 'teldag_school_reader', 'teldag_public_reader'] LOOP
        BEGIN
            IF to_regrole(wanted) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- another database's migration made it just now
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % was not made: % may not create roles', wanted, current_user
                    USING HINT = format('As a superuser: CREATE ROLE %I NOLOGIN; then as %s: SELECT teldag_data.grant_roles();', wanted, current_user);
        END;
    END LOOP;
    PERFORM teldag_data.grant_roles();
END $$;
