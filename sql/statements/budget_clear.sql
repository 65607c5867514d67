DELETE FROM teldag_data.budget_value WHERE school_year = $1::smallint
