-- What the recorded act says, and nothing else.
INSERT INTO teldag_data.risk_reference (school_year, level, indicator, events, pupils, rate)
SELECT $1::smallint, v.level, v.indicator, v.events, v.half_pupils, v.rate
  FROM jsonb_to_recordset($2::jsonb -> 'values')
       AS v (level text, indicator text, events bigint, half_pupils bigint, rate numeric)
