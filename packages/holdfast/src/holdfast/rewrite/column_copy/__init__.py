"""ALTER COLUMN TYPE by a copy of the column: filled beside its users, then put in its place in one moment."""
