"""Is this database, and the way to it, fit for production: many small checks that ask the server, not the settings."""
