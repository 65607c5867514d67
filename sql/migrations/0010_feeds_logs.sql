-- Logs of the feeds inspection, huisonderwijs, aanhuis and melding: a log an entity, append-only as those of 0001, its key in the
-- first column of its own. A withdrawal carries the key only and a correction may name another school year, so an event's place
-- cannot depend on the school year: these logs are not partitioned. They grow by thousands of rows a year, not by millions.
-- Of a withdrawal all columns but the key are null. Keys compare by bytes, as the daemon does.

-- Inspection reports, the last of a report_id stands.
CREATE TABLE teldag_data.inspection_log (
    stream_id             int         NOT NULL,
    epoch                 bigint      NOT NULL,
    seq                   bigint      NOT NULL,
    op                    "char"      NOT NULL,
    report_id             text COLLATE "C" NOT NULL,
    school_id             int,
    school_year           smallint,
    date                  date,
    kind                  text,             -- doorlichting, opvolging, tussentijds_bezoek
    advice                text,
    leerlingenbegeleiding text,             -- positief, werkpunten, negatief
    gok                   text,             -- positief, negatief; none: no GOK means to judge; null: not looked at
    followup_due          date,
    scales                jsonb,            -- {"K1": "volgens", ...}
    id                    text        NOT NULL,
    source                text        NOT NULL,
    happened_at           timestamptz NOT NULL,
    recorded_at           timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- A board asks for suspension after a report with advice ongunstig.
CREATE TABLE teldag_data.opschorting_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    report_id   text COLLATE "C" NOT NULL,
    school_id   int,
    asked_on    date,
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Verklaringen huisonderwijs.
CREATE TABLE teldag_data.verklaring_log (
    stream_id      int         NOT NULL,
    epoch          bigint      NOT NULL,
    seq            bigint      NOT NULL,
    op             "char"      NOT NULL,
    verklaring_id  text COLLATE "C" NOT NULL,
    pupil          uuid,
    school_year    smallint,
    kind           text,                    -- individueel, collectief
    level          text,                    -- basis, secundair
    province       text,
    declared_on    date,
    last_school_id int,
    id             text        NOT NULL,
    source         text        NOT NULL,
    happened_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Controls of huisonderwijs.
CREATE TABLE teldag_data.controle_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    controle_id text COLLATE "C" NOT NULL,
    pupil       uuid,
    school_year smallint,
    level       text,                       -- basis, secundair
    province    text,
    date        date,
    ordinal     int,                        -- 1 or 2
    verdict     text,                       -- voldoende, onvoldoende, geweigerd
    criteria    jsonb,                      -- {"leermiddelen": "...", ...}
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Requests for permanent onderwijs aan huis.
CREATE TABLE teldag_data.poah_log (
    stream_id      int         NOT NULL,
    epoch          bigint      NOT NULL,
    seq            bigint      NOT NULL,
    op             "char"      NOT NULL,
    request_id     text COLLATE "C" NOT NULL,
    pupil          uuid,
    school_year    smallint,
    kind           text,                    -- eerste, verlenging
    received_on    date,
    type           int,                     -- 1 to 9
    opleidingsvorm int,                     -- 1 to 4
    age            int,
    level          text,                    -- bubao, buso
    province       text,
    mfc            boolean,
    mfc_province   text,
    at_home        boolean,
    prior_toah     boolean,
    newcomer       boolean,
    school_id      int,
    id             text        NOT NULL,
    source         text        NOT NULL,
    happened_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Decisions on these requests.
CREATE TABLE teldag_data.beslissing_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    request_id  text COLLATE "C" NOT NULL,
    decision    text,                       -- goedgekeurd, afgewezen, uitgesteld
    decided_on  date,
    valid_from  date,
    valid_to    date,
    school_id   int,                        -- the school responsible
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Requests for exemption from compulsory education (VLP).
CREATE TABLE teldag_data.vlp_log (
    stream_id    int         NOT NULL,
    epoch        bigint      NOT NULL,
    seq          bigint      NOT NULL,
    op           "char"      NOT NULL,
    request_id   text COLLATE "C" NOT NULL,
    pupil        uuid,
    school_year  smallint,
    kind         text,                      -- tijdelijk, definitief
    decision     text,                      -- goedgekeurd, afgewezen, uitgesteld
    granted_kind text,                      -- tijdelijk, definitief
    decided_on   date,
    id           text        NOT NULL,
    source       text        NOT NULL,
    happened_at  timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Notifications of temporary onderwijs aan huis.
CREATE TABLE teldag_data.toah_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    request_id  text COLLATE "C" NOT NULL,
    pupil       uuid,
    school_id   int,
    school_year smallint,
    reason      text,                       -- langdurig_ziek, chronisch_ziek, moederschapsverlof
    starts_on   date,                       -- start of the event
    ends_on     date,                       -- end of the event
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Meldingen on schools.
CREATE TABLE teldag_data.melding_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    melding_id  text COLLATE "C" NOT NULL,
    school_id   int,
    level       text,
    received_on date,
    categories  text[],                     -- at least one
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Answers to meldingen.
CREATE TABLE teldag_data.beantwoord_log (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    op          "char"      NOT NULL,
    melding_id  text COLLATE "C" NOT NULL,
    answered_on date,
    id          text        NOT NULL,
    source      text        NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- What the roles may do, by the kind of table, so that a further log needs no line of its own: logs are added to and never
-- changed, state is kept current, views are read.
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
        teldag_data.alert_state TO teldag_writer;
    GRANT SELECT ON teldag_data.schema_migration, teldag_data.school_year TO teldag_writer;
    FOR log IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'teldag_data'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON teldag_data.%I TO teldag_writer', log);
    END LOOP;
    GRANT EXECUTE ON FUNCTION teldag_data.ensure_year(smallint) TO teldag_writer;

    GRANT USAGE ON SCHEMA teldag TO teldag_reader;
    GRANT SELECT ON ALL TABLES IN SCHEMA teldag TO teldag_reader;
END $$;

-- Grants again after a migration made something; without the roles 0004 has said what to do.
CREATE FUNCTION teldag_data.grant_again() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM pg_roles WHERE rolname IN ('teldag_writer', 'teldag_reader')) = 2 THEN
        PERFORM teldag_data.grant_roles();
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION teldag_data.grant_roles(), teldag_data.grant_again() FROM PUBLIC;
DO $$ BEGIN PERFORM teldag_data.grant_again(); END $$;
