DELETE FROM teldag_data.allocation_state a
 USING unnest($1::smallint[], $2::int[], $3::text[], $4::text[]) AS u (y, s, st, g)
 WHERE a.school_year = u.y AND a.school_id = u.s AND a.staffing = u.st AND a.grp = u.g
