-- What must hold of counts and allocations whatever the rules: parts within wholes, cells adding up, nothing granted below.
SELECT 'count is impossible' AS what, teldag_data.year_name(c.school_year) || ' ' || c.school_id || ' ' || c.grp AS key,
       ROW(c.pupils, c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend, c.buurt)::text AS stored,
       'parts between 0 and the whole, 64 cells that add up to it' AS computed
FROM teldag_data.count_state c
WHERE c.pupils <= 0
   OR least(c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend, c.buurt) < 0
   OR greatest(c.gok_pupils, c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend, c.buurt) > c.pupils
   OR greatest(c.thuistaal, c.schooltoelage, c.opleiding_moeder, c.thuisloos, c.trekkend) > c.gok_pupils
   OR greatest(c.thuisloos, c.trekkend) > c.buurt
   OR cardinality(c.cells) <> 64
   OR (SELECT sum(k) FROM unnest(c.cells) AS k) <> c.pupils
   OR 0 > ANY (c.cells)
UNION ALL
SELECT 'allocation is impossible', teldag_data.year_name(a.school_year) || ' ' || a.school_id || ' ' || a.staffing || ' ' || a.grp,
       ROW(a.status, a.hours, a.granted, a.minimum, a.margin_hours, a.sanction_factor)::text,
       'granted within hours, 0 when below, margin = hours - minimum'
FROM teldag_data.allocation_state a
WHERE a.hours < 0 OR a.granted NOT BETWEEN 0 AND a.hours
   OR a.status NOT IN ('granted', 'grace', 'below_threshold', 'below_minimum')
   OR (a.status LIKE 'below%' AND a.granted <> 0)
   OR (a.status NOT LIKE 'below%' AND a.sanction_factor = 1 AND a.granted <> a.hours)
   OR a.sanction_factor NOT IN (1, 0.5)
   OR a.margin_hours IS DISTINCT FROM a.hours - a.minimum
   OR (a.margin_pupils IS NULL) <> (a.threshold IS NULL)
   OR (a.staffing = 'ses_lestijden' AND (a.status <> 'granted' OR a.threshold IS NOT NULL OR a.minimum IS NOT NULL))
   OR a.gok_pupils NOT BETWEEN 0 AND a.pupils;
