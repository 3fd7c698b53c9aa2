"""Whether the rows of the database are on one server, or divided among several by user: `docs/scale.md`."""

from enum import StrEnum


class Placement(StrEnum):
    """Where the rows are."""

    ONE_SERVER = "one_server"
    BY_USER = "by_user"  # `marketplace place` has divided them
