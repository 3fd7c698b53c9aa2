"""A SQLAlchemy pool with a true minimum, a hard maximum and one deadline for a connection."""
