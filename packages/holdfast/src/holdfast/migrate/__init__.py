"""Migrations of an Alembic project: run, revert, status, baseline, abandon."""
