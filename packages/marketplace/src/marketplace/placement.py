"""Says whether the database's rows are on one server, or divided among several by user: `docs/scale.md`."""

from enum import StrEnum


class Placement(StrEnum):
    """Where the rows are: on one server, or divided by user."""

    ONE_SERVER = "one_server"
    BY_USER = "by_user"  # `marketplace place` has divided them
