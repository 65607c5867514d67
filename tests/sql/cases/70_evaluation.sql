-- Evaluation and sanction (3): every history of up to five reports, none among them, arriving in any order, against a loop that
-- walks them as an inspector would.
SELECT t.rules(2021);
CREATE TABLE history AS
WITH RECURSIVE h (verdicts) AS (
    SELECT ARRAY[]::text[]
    UNION ALL
    SELECT h.verdicts || v.verdict FROM h, (VALUES ('positief'), ('negatief'), ('none')) AS v (verdict) WHERE cardinality(h.verdicts) < 5
)
SELECT row_number() OVER (ORDER BY verdicts)::int AS school, verdicts FROM h WHERE verdicts <> '{}';
-- Reports a year apart from 2021-2022 on; of odd schools two fall in one school year. The second and the fourth by another kind.
CREATE TABLE report AS
SELECT school, n::int AS n, verdict, 2021 + CASE school % 2 WHEN 0 THEN n - 1 ELSE (n - 1) / 2 END::int AS year,
       CASE n % 2 WHEN 0 THEN 'opvolging' ELSE 'doorlichting' END AS kind
FROM history, unnest(verdicts) WITH ORDINALITY AS v (verdict, n);
SELECT f.inspection(format('R%s-%s', school, n), school, year, make_date(year, 10 + (n % 2 = 0)::int, 1), kind, verdict)
FROM report ORDER BY md5(school || ' ' || n);

CREATE FUNCTION walk(wanted int, OUT negatives int, OUT spans text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
    start int;
BEGIN
    negatives := 0;
    spans := '';
    FOR r IN SELECT * FROM report WHERE school = wanted ORDER BY n LOOP
        IF r.verdict = 'negatief' THEN
            negatives := negatives + 1;
            IF negatives = 2 THEN start := r.year + 1; END IF;
        ELSIF r.verdict = 'positief' THEN
            IF start IS NOT NULL AND start <= r.year THEN spans := spans || start || '-' || r.year || ' '; END IF;
            negatives := 0;
            start := NULL;
        END IF;
    END LOOP;
    IF start IS NOT NULL THEN spans := spans || start || '- '; END IF;
END $$;
SELECT t.is('history ' || h.verdicts::text || CASE h.school % 2 WHEN 1 THEN ' two a year' ELSE '' END, (e.negatives, coalesce(s.spans, ''))::text, (w.negatives::numeric, w.spans)::text)
FROM history h CROSS JOIN walk(h.school) w
LEFT JOIN teldag.evaluation e ON e.school_id = h.school::text
LEFT JOIN (SELECT school_id, string_agg(left(first_year, 4) || '-' || coalesce(left(last_year, 4), '') || ' ', '' ORDER BY first_year) AS spans
           FROM teldag.sanction GROUP BY school_id) s ON s.school_id = h.school::text
WHERE EXISTS (SELECT FROM report r WHERE r.school = h.school AND r.verdict <> 'none');
SELECT t.is('schools whose reports give no verdict stand nowhere', count(*), 0::bigint)
FROM teldag.evaluation e WHERE NOT EXISTS (SELECT FROM report r WHERE r.school::text = e.school_id AND r.verdict <> 'none');
SELECT t.is('several spans there are', max(n) >= 2, true) FROM (SELECT count(*) AS n FROM teldag.sanction GROUP BY school_id) x;
SELECT t.is('a positive in the year of the second negative', count(*), 0::bigint)
FROM history h JOIN teldag.sanction s ON s.school_id = h.school::text
WHERE h.school % 2 = 1 AND h.verdicts = '{none,none,negatief,negatief,positief}';

-- By hand. One day: report_id decides, by bytes (B before a).
SELECT f.inspection('B', 9001, 2022, '2022-10-01', 'doorlichting', 'positief'), f.inspection('a', 9001, 2022, '2022-10-01', 'doorlichting', 'negatief');
SELECT t.is('a tie goes by report_id', negatives, 1::numeric) FROM teldag.evaluation WHERE school_id = '9001';
SELECT t.is('due a year after, without a date', followup_due, '2023-10-01'::date) FROM teldag.evaluation WHERE school_id = '9001';
SELECT t.rule('evaluation.followup_months', '6');
SELECT t.is('due by the rule', followup_due, '2023-04-01'::date) FROM teldag.evaluation WHERE school_id = '9001';
SELECT f.inspection('a', 9001, 2022, '2022-10-01', 'doorlichting', 'negatief', due => '2023-05-05');
SELECT t.is('due as stated', followup_due, '2023-05-05'::date) FROM teldag.evaluation WHERE school_id = '9001';
SELECT f.inspection('c', 9001, 2023, '2023-05-04', 'opvolging', 'negatief');
SELECT t.is('after a second negative no day follows by itself', (negatives, followup_due)::text, '(2,)') FROM teldag.evaluation WHERE school_id = '9001';
SELECT t.is('open span', (first_year, last_year)::text, '(2024-2025,)') FROM teldag.sanction WHERE school_id = '9001';
-- corrections and withdrawals
SELECT f.inspection('a', 9001, 2022, '2022-10-01', 'doorlichting', 'none');
SELECT t.is('a corrected first leaves one negative', (SELECT negatives FROM teldag.evaluation WHERE school_id = '9001')::text || (SELECT count(*) FROM teldag.sanction WHERE school_id = '9001'), '10');
SELECT f.inspection('c', NULL, NULL, NULL, NULL, op => 'w');
SELECT t.is('withdrawn: the positive is last', (negatives, followup_due)::text, '(0,)') FROM teldag.evaluation WHERE school_id = '9001';
SELECT f.inspection('c', 9002, 2023, '2023-05-04', 'opvolging', 'negatief');
SELECT t.is('a report may move to another school', negatives, 1::numeric) FROM teldag.evaluation WHERE school_id = '9002';
