INSERT INTO teldag_data.rule
SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::boolean[])
ON CONFLICT DO NOTHING
