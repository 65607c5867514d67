INSERT INTO teldag_data.risk_state
SELECT * FROM unnest($1::smallint[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::double precision[], $7::text[])
ON CONFLICT (school_year, school_id, indicator) DO UPDATE
   SET observed = excluded.observed, pupils = excluded.pupils, probability = excluded.probability, band = excluded.band
