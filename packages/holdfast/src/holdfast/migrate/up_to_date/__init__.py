"""Knows a database that has nothing pending at a glance, without SQLAlchemy, Alembic or pydantic."""
