-- Pupils a value of the working budget is divided among, per level and indicator of a school year of use.
SELECT p.level, p.indicator, sum(p.halves)
  FROM teldag_data.budget_pupils p
 WHERE p.school_year = $1::int
 GROUP BY p.level, p.indicator
 ORDER BY p.level, p.indicator
