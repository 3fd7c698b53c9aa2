"""Sees at a glance that nothing is pending, without SQLAlchemy, Alembic or pydantic."""
