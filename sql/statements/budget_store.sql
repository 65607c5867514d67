-- What the recorded act says, and nothing else.
INSERT INTO teldag_data.budget_value (school_year, level, indicator, pupils, envelope_cents, split, value_cents, rules)
SELECT $1::smallint, v.level, v.indicator, v.half_pupils, v.envelope_cents, v.split, v.value_cents, $2::jsonb ->> 'rules'
  FROM jsonb_to_recordset($2::jsonb -> 'values')
       AS v (level text, indicator text, half_pupils bigint, envelope_cents bigint, split numeric, value_cents numeric)
