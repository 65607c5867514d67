-- Tables of teldagd (schema teldag_data) and the schema of the public views (teldag).
-- Readers see schema teldag only. Counts are kept in half units (a pupil of weight 0.5 is 1); school years by their first
-- year (2024 = 2024-2025); a pupil as uuid (16 bytes of its pseudonym).

CREATE SCHEMA teldag_data;
CREATE SCHEMA teldag;

-- Which migrations this database has seen: a row each, written in the migration's own transaction by teldagctl migrate.
CREATE TABLE teldag_data.schema_migration (
    version     text        PRIMARY KEY,   -- the file's name without .sql, "0001_tables"
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- The school years that have partitions, with their name. ensure_year() writes it; the views read years from it, so that a
-- reader's "school_year = '2024-2025'" touches that year's partition only.
CREATE TABLE teldag_data.school_year (
    school_year smallint    PRIMARY KEY,
    name        text        COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE teldag_data.stream (
    stream_id   int  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE
);

-- Where each stream stands: all events before next_seq of this epoch are applied or dead-lettered.
CREATE TABLE teldag_data.feed_progress (
    stream_id   int         PRIMARY KEY,
    shard       int         NOT NULL,
    epoch       bigint      NOT NULL DEFAULT 0,   -- 0: nothing received yet
    next_seq    bigint      NOT NULL DEFAULT 1,
    head_seq    bigint      NOT NULL DEFAULT 1,   -- next to be written at the publisher, as last heard
    best_effort boolean     NOT NULL DEFAULT false,
    paused      boolean     NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- One row a shard: the writer moves it with every transaction (fence), batch by batch.
CREATE TABLE teldag_data.shard_progress (
    shard       int         PRIMARY KEY,
    shards      int         NOT NULL,
    batch       bigint      NOT NULL DEFAULT 0,
    alert_seq   bigint      NOT NULL DEFAULT 0,   -- last alert sequence given out
    token       bigint      NOT NULL DEFAULT 0,   -- random, of the last batch: resolves a COMMIT of unknown outcome
    alert_epoch bigint      NOT NULL DEFAULT 0,
    system_id   text        NOT NULL DEFAULT '',  -- system identifier and timeline the alert epoch belongs to
    rules_hash  text        NOT NULL DEFAULT '',
    today       date,                             -- clock.today
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- Every accepted epoch of a stream. resend: rows of older epochs are withdrawn at their school's next matching closed.
CREATE TABLE teldag_data.stream_epoch (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    resend      boolean     NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, epoch)
);

-- Append-only logs, keyed by stream position. op: u upsert, w withdraw, c closed.
CREATE TABLE teldag_data.school_log (
    stream_id     int         NOT NULL,
    epoch         bigint      NOT NULL,
    seq           bigint      NOT NULL,
    op            "char"      NOT NULL,
    school_id     int         NOT NULL,
    name          text,
    level         text,
    network       text,
    province      text,
    municipality  text,
    brussels      boolean,
    board_id      text,
    closed_on     date,
    successor_id  int,
    id            text        NOT NULL,
    source        text        NOT NULL,
    happened_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (stream_id, epoch, seq)
);

CREATE TABLE teldag_data.entitlement_log (
    stream_id     int         NOT NULL,
    epoch         bigint      NOT NULL,
    seq           bigint      NOT NULL,
    op            "char"      NOT NULL,
    school_id     int         NOT NULL,
    staffing      text        NOT NULL,
    grp           text        NOT NULL,
    school_year   smallint    NOT NULL,
    status        text,
    hours         int,
    id            text        NOT NULL,
    source        text        NOT NULL,
    happened_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (school_year, stream_id, epoch, seq)
) PARTITION BY LIST (school_year);

CREATE TABLE teldag_data.registration_log (
    stream_id     int         NOT NULL,
    epoch         bigint      NOT NULL,
    seq           bigint      NOT NULL,
    op            "char"      NOT NULL,
    school_id     int         NOT NULL,
    school_year   smallint    NOT NULL,
    pupil         uuid,                    -- null for closed
    grp           text,
    regular       boolean,
    half_weight   smallint,                -- 2 = weight 1, 1 = weight 0.5
    valid_from    date,
    valid_until   date,
    indicators    smallint,                -- bits of the list as sent: 0 thuistaal 1 schooltoelage 2 opleiding_moeder 3 thuisloos 4 trekkend 5 buurt; null: no list
    home_language smallint,                -- mother*9 + father*3 + siblings; 0 absent, 1 no, 2 yes; null: not declared
    pupils        int,                     -- closed: the number announced
    id            text        NOT NULL,
    source        text        NOT NULL,
    happened_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (school_year, stream_id, epoch, seq)
) PARTITION BY LIST (school_year);

-- Operator's acts, in order: rules, clock, accept, retry, drop. verify replays them.
CREATE TABLE teldag_data.local_log (
    shard       int         NOT NULL,
    seq         bigint      NOT NULL,
    act         text        NOT NULL,
    body        jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, seq)
);

CREATE TABLE teldag_data.dead_letter (
    stream_id   int         NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    reason      text        NOT NULL,
    raw         bytea       NOT NULL,      -- scrubbed of national numbers
    state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'superseded', 'dropped')),
    recorded_at timestamptz NOT NULL,
    resolved_at timestamptz,
    PRIMARY KEY (stream_id, epoch, seq)
);

-- Rules sets, each stored once under its hash.
CREATE TABLE teldag_data.rules_set (
    hash        text        PRIMARY KEY,
    near_pupils int         NOT NULL,
    near_hours  int         NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE teldag_data.rule (
    hash        text        NOT NULL,
    school_year smallint    NOT NULL,      -- of use, of the file it stands in
    name        text        NOT NULL,
    value       text        NOT NULL,
    source      text        NOT NULL,
    verified    boolean     NOT NULL,
    PRIMARY KEY (hash, school_year, name)
);

-- What the writer keeps current.
CREATE TABLE teldag_data.count_state (
    school_year      smallint NOT NULL,
    school_id        int      NOT NULL,
    grp              text     NOT NULL,
    pupils           int      NOT NULL,    -- half units, as all that follow
    gok_pupils       int      NOT NULL,
    thuistaal        int      NOT NULL,
    schooltoelage    int      NOT NULL,
    opleiding_moeder int      NOT NULL,
    thuisloos        int      NOT NULL,
    trekkend         int      NOT NULL,
    buurt            int      NOT NULL,
    cells            int[]    NOT NULL,    -- 64: half units per exact combination of indicators (bit mask = index - 1)
    PRIMARY KEY (school_year, school_id, grp)
);
CREATE TABLE teldag_data.count_closed (
    school_year smallint NOT NULL,
    school_id   int      NOT NULL,
    closed      boolean  NOT NULL,
    held        int      NOT NULL,
    announced   int      NOT NULL,         -- -1: no closed event yet
    PRIMARY KEY (school_year, school_id)
);
CREATE TABLE teldag_data.allocation_state (
    school_year     smallint NOT NULL,     -- of use
    school_id       int      NOT NULL,
    staffing        text     NOT NULL,
    grp             text     NOT NULL,
    pupils          int      NOT NULL,     -- half units
    gok_pupils      int      NOT NULL,     -- half units
    threshold       numeric,
    points          numeric,
    hours_exact     numeric  NOT NULL,
    hours           int      NOT NULL,
    minimum         int,
    status          text     NOT NULL,
    sanction_factor numeric  NOT NULL,
    granted         int      NOT NULL,
    margin_pupils   int,
    margin_hours    int,
    rules           text     NOT NULL,     -- hash of the rules set
    PRIMARY KEY (school_year, school_id, staffing, grp)
);
CREATE TABLE teldag_data.alert_log (
    shard       int         NOT NULL,
    seq         bigint      NOT NULL,
    kind        text        NOT NULL,
    severity    text        NOT NULL,
    state       text        NOT NULL,
    school_id   text        NOT NULL DEFAULT '',
    school_year text        NOT NULL DEFAULT '',
    grp         text        NOT NULL DEFAULT '',
    stream      text        NOT NULL DEFAULT '',
    subject     text        NOT NULL DEFAULT '',
    summary     text        NOT NULL,
    detail      jsonb       NOT NULL,
    raised_at   timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    resolved_at timestamptz,
    PRIMARY KEY (shard, seq)
);
CREATE TABLE teldag_data.alert_state (
    shard       int         NOT NULL,
    seq         bigint      NOT NULL,      -- of its last change
    kind        text        NOT NULL,
    severity    text        NOT NULL,
    state       text        NOT NULL,
    school_id   text        NOT NULL DEFAULT '',
    school_year text        NOT NULL DEFAULT '',
    grp         text        NOT NULL DEFAULT '',
    stream      text        NOT NULL DEFAULT '',
    subject     text        NOT NULL DEFAULT '',
    summary     text        NOT NULL,
    detail      jsonb       NOT NULL,
    raised_at   timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    resolved_at timestamptz,
    PRIMARY KEY (kind, school_id, school_year, grp, stream, subject)
);

-- The writer makes a school year's partitions before its first event.
CREATE FUNCTION teldag_data.ensure_year(year smallint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log text;
BEGIN
    IF year NOT BETWEEN 1990 AND 2099 THEN
        RAISE EXCEPTION 'school year % is out of range', year USING ERRCODE = '22003';
    END IF;
    -- Two shards may meet the same new year at once: IF NOT EXISTS alone would let one of them fail.
    PERFORM pg_advisory_xact_lock(1952804204, -1);
    IF EXISTS (SELECT FROM teldag_data.school_year y WHERE y.school_year = year) THEN
        RETURN;
    END IF;
    FOREACH log IN ARRAY ARRAY['entitlement_log', 'registration_log'] LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS teldag_data.%I PARTITION OF teldag_data.%I FOR VALUES IN (%s)',
                       log || '_' || year, log, year);
    END LOOP;
    INSERT INTO teldag_data.school_year (school_year, name) VALUES (year, year || '-' || year + 1) ON CONFLICT DO NOTHING;
END $$;
