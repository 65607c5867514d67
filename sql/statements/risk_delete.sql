DELETE FROM teldag_data.risk_state r
 USING unnest($1::smallint[], $2::int[], $3::text[]) AS u (y, s, i)
 WHERE r.school_year = u.y AND r.school_id = u.s AND r.indicator = u.i
