-- Every allocation is computed under the set in force.
UPDATE teldag_data.allocation_state SET rules = $1::text WHERE rules <> $1::text
