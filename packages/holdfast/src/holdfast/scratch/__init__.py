"""Tries: the embedded PostgreSQL and what is observed on it."""
