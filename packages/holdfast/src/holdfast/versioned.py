"""Optimistic locking: an entity whose stale edit raises `sqlalchemy.orm.exc.StaleDataError`.

Rests on SQLAlchemy's `version_id_col`: each UPDATE and DELETE of the unit of work says
`WHERE version = <the version that was read>` and raises where no row is left to match.
A bulk `update()` neither checks nor counts: there, write `version = version + 1` where it is meant.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column


class Versioned:
    """A mixin for declarative entities: the column `version`, checked and counted by each edit."""

    # The default is for rows that come without the ORM: COPY, or an INSERT in plain SQL.
    version: Mapped[int] = mapped_column(server_default=text("1"))

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  # SQLAlchemy gives the class
        return {"version_id_col": cls.version}
