-- Events and pupils of all known schools with a count, per level and indicator of a school year.
SELECT k.level, i.indicator, coalesce(sum(e.observed), 0), k.halves
  FROM (SELECT s.level, sum(c.pupils) AS halves
          FROM teldag_data.count_state c JOIN teldag.school s ON s.school_id = c.school_id::text COLLATE "C"
         WHERE c.school_year = $1::int
         GROUP BY s.level) k
 CROSS JOIN (VALUES ('meldingen'), ('toah'), ('poah'), ('huisonderwijs')) AS i (indicator)
  LEFT JOIN (SELECT s.level, x.indicator, count(*) AS observed
               FROM teldag_data.incident x JOIN teldag.school s ON s.school_id = x.school_id::text COLLATE "C"
              WHERE x.school_year = $1::int
              GROUP BY s.level, x.indicator) e USING (level, indicator)
 GROUP BY k.level, i.indicator, k.halves
 ORDER BY k.level, i.indicator
