INSERT INTO teldag_data.count_closed
SELECT * FROM unnest($1::smallint[], $2::int[], $3::boolean[], $4::int[], $5::int[])
ON CONFLICT (school_year, school_id) DO UPDATE
   SET closed = excluded.closed, held = excluded.held, announced = excluded.announced
