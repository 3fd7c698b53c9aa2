"""The pytest plugin: a PostgreSQL server for a test run, a database for a test."""
