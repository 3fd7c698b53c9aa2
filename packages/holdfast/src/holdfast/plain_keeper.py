"""Keeps the door of a database that nobody uses yet: every statement as it is, as fast as it goes."""

import logging

from holdfast.alembic_door import Arrival

log = logging.getLogger(__name__)


class PlainKeeper:
    """Lets everything pass."""

    def arrives(self, arrival: Arrival) -> bool:
        """Leave it to the driver."""
        log.debug("statement: %s", arrival.sql)
        return False

    def commits(self) -> None:
        """Nothing to do."""

    def rolls_back(self) -> None:
        """Nothing to do."""

    def sets_savepoint(self) -> None:
        """Nothing to do."""

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Nothing to do."""

    def fails(self, error: BaseException) -> None:
        """Nothing to do."""
