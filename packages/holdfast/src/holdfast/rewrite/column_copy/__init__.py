"""ALTER COLUMN TYPE by a copy of the column, which is filled beside users and then takes the column's place."""
