DELETE FROM teldag_data.risk_reference WHERE school_year = $1::smallint
