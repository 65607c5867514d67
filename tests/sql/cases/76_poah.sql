-- POAH (7): every history of up to four events of one request - sent (r), sent otherwise (R), withdrawn (x), decision postponed (u),
-- approved (g), rejected (a), decision withdrawn (y) - against a loop that remembers the last word of each. Up to length three
-- also with the decisions on a stream of their own.
CREATE TABLE history AS
WITH RECURSIVE h (word) AS (
    SELECT '' UNION ALL SELECT h.word || a FROM h, regexp_split_to_table('rRxugay', '') AS a WHERE length(h.word) < 4
)
SELECT v.id || word AS id, v.id = 'two' AS two_streams, word FROM h, (VALUES ('one'), ('two')) AS v (id)
WHERE word <> '' AND (v.id = 'one' OR length(word) < 4);
SELECT t.is('histories', count(*), (2800 + 399)::bigint) FROM history;

DO $$
DECLARE
    h record;
    letter text;
    stream text;
BEGIN
    FOR h IN SELECT * FROM history ORDER BY md5(id) LOOP
        stream := CASE WHEN h.two_streams THEN 'aanhuis.1' ELSE 'aanhuis.0' END;
        FOREACH letter IN ARRAY regexp_split_to_array(h.word, '') LOOP
            CASE letter
            WHEN 'r' THEN PERFORM f.poah(h.id, 1, 2023);
            WHEN 'R' THEN PERFORM f.poah(h.id, 1, 2023, type => 6);
            WHEN 'x' THEN PERFORM f.poah(h.id, 1, 2023, op => 'w');
            WHEN 'u' THEN PERFORM f.beslissing(h.id, 'uitgesteld', '2023-11-01', stream => stream);
            WHEN 'g' THEN PERFORM f.beslissing(h.id, 'goedgekeurd', '2023-11-08', 5, stream => stream);
            WHEN 'a' THEN PERFORM f.beslissing(h.id, 'afgewezen', '2023-11-15', stream => stream);
            WHEN 'y' THEN PERFORM f.beslissing(h.id, NULL, op => 'w', stream => stream);
            END CASE;
        END LOOP;
    END LOOP;
END $$;

-- What stands in the end: the type asked for, or nothing; the decision, or nothing.
CREATE FUNCTION walk(word text, OUT type int, OUT decision text) LANGUAGE plpgsql AS $$
DECLARE
    letter text;
BEGIN
    FOREACH letter IN ARRAY regexp_split_to_array(word, '') LOOP
        CASE letter
        WHEN 'r' THEN type := 4;
        WHEN 'R' THEN type := 6;
        WHEN 'x' THEN type := NULL;
        WHEN 'u' THEN decision := 'uitgesteld';
        WHEN 'g' THEN decision := 'goedgekeurd';
        WHEN 'a' THEN decision := 'afgewezen';
        WHEN 'y' THEN decision := NULL;
        END CASE;
    END LOOP;
END $$;
CREATE TABLE wanted AS SELECT h.id, w.type, w.decision FROM history h CROSS JOIN walk(h.word) w;

SELECT t.is('requests that stand, with their decision', string_agg(x.id, ' '), NULL)
FROM (SELECT coalesce(w.id, p.request_id) AS id
      FROM (SELECT * FROM wanted WHERE type IS NOT NULL) w
      FULL JOIN teldag.poah_aanvraag p ON p.request_id = w.id
      WHERE (w.type, w.decision) IS DISTINCT FROM (p.type::int, p.decision)
      LIMIT 5) x;
SELECT t.is('decisions without request wait in unmatched', string_agg(x.id, ' '), NULL)
FROM (SELECT coalesce(w.id, u.key) AS id
      FROM (SELECT * FROM wanted WHERE type IS NULL AND decision IS NOT NULL) w
      FULL JOIN (SELECT * FROM teldag.unmatched WHERE reason LIKE '%without%request%') u ON u.key = w.id
      WHERE w.id IS NULL OR u.key IS NULL
      LIMIT 5) x;
SELECT t.is('statistics', (sum(aanvragen), sum(goedgekeurd), sum(afgewezen), sum(uitgesteld))::text,
            (SELECT (count(*), count(*) FILTER (WHERE decision = 'goedgekeurd'), count(*) FILTER (WHERE decision = 'afgewezen'),
                     count(*) FILTER (WHERE decision = 'uitgesteld'))::text FROM wanted WHERE type IS NOT NULL))
FROM teldag.stats_poah;
