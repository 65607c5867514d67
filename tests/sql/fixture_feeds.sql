-- As fixture.sql, a line an event, for all columns of the feeds inspection, huisonderwijs, aanhuis and melding. Schema f; never shipped.
CREATE SCHEMA f;

CREATE FUNCTION f.inspection(id text, school int, year int, day date, kind text DEFAULT 'doorlichting', gok text DEFAULT NULL,
                             advice text DEFAULT NULL, begeleiding text DEFAULT NULL, due date DEFAULT NULL, op "char" DEFAULT 'u',
                             stream text DEFAULT 'inspection.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.inspection_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, school, year, day, kind, advice, begeleiding, gok, due, '{"K1": "volgens"}', 'e', 's',
           n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.opschorting(id text, school int, day date, op "char" DEFAULT 'u', stream text DEFAULT 'inspection.0')
RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.opschorting_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, school, day, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.verklaring(id text, pupil int, year int, kind text DEFAULT 'individueel', level text DEFAULT 'basis',
                             last_school int DEFAULT NULL, op "char" DEFAULT 'u', stream text DEFAULT 'huisonderwijs.0')
RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.verklaring_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, t.pupil(pupil), year, kind, level, 'limburg', make_date(year, 9, 3), last_school, 'e', 's',
           n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.controle(id text, pupil int, year int, day date, ordinal int, verdict text, level text DEFAULT 'basis',
                           op "char" DEFAULT 'u', stream text DEFAULT 'huisonderwijs.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.controle_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, t.pupil(pupil), year, level, NULL, day, ordinal, verdict, '{"aanbod": null}', 'e', 's',
           n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.link(old int, new int, op "char" DEFAULT 'u', stream text DEFAULT 'huisonderwijs.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.pupil_link_log
    SELECT n.stream_id, n.epoch, n.seq, op, t.pupil(old), NULL, CASE WHEN op <> 'w' THEN t.pupil(new) END, NULL, 'e', 's', n.at, n.at
    FROM t.next(stream) n $$;
CREATE FUNCTION f.poah(id text, pupil int, year int, school int DEFAULT NULL, kind text DEFAULT 'eerste', level text DEFAULT 'bubao',
                       province text DEFAULT 'limburg', type int DEFAULT 4, mfc boolean DEFAULT false, prior boolean DEFAULT false,
                       op "char" DEFAULT 'u', stream text DEFAULT 'aanhuis.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.poah_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, t.pupil(pupil), year, kind, make_date(year, 10, 2), type, 2, 9, level, province, mfc,
           CASE WHEN mfc THEN 'antwerpen' END, NOT mfc, prior, false, school, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.beslissing(id text, decision text, day date DEFAULT NULL, school int DEFAULT NULL, op "char" DEFAULT 'u',
                             stream text DEFAULT 'aanhuis.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.beslissing_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, decision, day, day + 7, day + 100, school, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.vlp(id text, pupil int, year int, kind text, decision text DEFAULT NULL, granted text DEFAULT NULL,
                      op "char" DEFAULT 'u', stream text DEFAULT 'aanhuis.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.vlp_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, t.pupil(pupil), year, kind, decision, granted, NULL, 'e', 's', n.at, n.at
    FROM t.next(stream) n $$;
CREATE FUNCTION f.toah(id text, pupil int, school int, year int, reason text DEFAULT 'langdurig_ziek', op "char" DEFAULT 'u',
                       stream text DEFAULT 'aanhuis.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.toah_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, t.pupil(pupil), school, year, reason, make_date(year, 11, 6), NULL, 'e', 's', n.at, n.at
    FROM t.next(stream) n $$;
CREATE FUNCTION f.melding(id text, school int, day date, categories text[], level text DEFAULT 'bao', op "char" DEFAULT 'u',
                          stream text DEFAULT 'melding.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.melding_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, school, level, day, categories, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
CREATE FUNCTION f.beantwoord(id text, day date, op "char" DEFAULT 'u', stream text DEFAULT 'melding.0') RETURNS void LANGUAGE sql AS $$
    INSERT INTO teldag_data.beantwoord_log
    SELECT n.stream_id, n.epoch, n.seq, op, id, day, 'e', 's', n.at, n.at FROM t.next(stream) n $$;
