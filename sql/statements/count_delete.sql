DELETE FROM teldag_data.count_state c
 USING unnest($1::smallint[], $2::int[], $3::text[]) AS u (y, s, g)
 WHERE c.school_year = u.y AND c.school_id = u.s AND c.grp = u.g
