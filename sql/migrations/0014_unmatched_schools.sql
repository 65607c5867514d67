-- Events that name a school that is not known wait for it in view unmatched, of whatever feed: a melding, TOAH, the school a pupil
-- left, the school of a request or of a decision, as a report and a registration did before.
-- The positions are those of 0011; a request and its decision wait each by themselves.

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
             bool_or(k.ordinal = 1) OVER (PARTITION BY k.pupil ORDER BY k.date, k.controle_id
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS has_first
      FROM teldag_data.controle_last k) c
WHERE c.ordinal = 2 AND c.has_first IS NOT TRUE
UNION ALL
SELECT b.stream, b.seq, b.request_id COLLATE "default", 'decision without a request'
FROM teldag_data.beslissing_last b
WHERE NOT EXISTS (SELECT FROM teldag_data.poah_last a WHERE a.request_id = b.request_id)
UNION ALL
SELECT a.stream, a.seq, a.melding_id COLLATE "default", 'answer without a melding'
FROM teldag_data.beantwoord_last a
WHERE NOT EXISTS (SELECT FROM teldag_data.melding_last m WHERE m.melding_id = a.melding_id);

COMMENT ON VIEW teldag.unmatched IS
    'What stands but does not fit yet: registrations and events of schools that are not known, and events without their partner. It counts where it can and allocates nothing.';
