"""Read-only questions to the server: catalog, blockers, indexes, violations, progress."""
