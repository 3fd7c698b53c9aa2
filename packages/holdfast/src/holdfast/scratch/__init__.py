"""The embedded PostgreSQL on which changes are tried, and what is observed there."""
