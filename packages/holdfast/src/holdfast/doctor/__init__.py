"""Checks whether a database, and the way to it, are fit for production: small checks that ask the server itself."""
