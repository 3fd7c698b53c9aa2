"""The guard's verdict on a transaction of the migration: what was done to it, and why."""

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from holdfast.errors.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from holdfast.rewrite.locks import Lock


class Reason(Enum):
    """Why a transaction was ended."""

    LOCK = "lock"  # it has waited for a lock on a relation
    USERS = "users"  # a user has waited for it
    SILENCE = "silence"  # the guard itself did not answer


@light_dataclass
class GuardVerdict:
    """What the guard has done to a transaction, and why."""

    reason: Reason
    is_terminated: bool = False  # it was idle: its connection is gone
    who: str = "nobody"
    waited: timedelta = timedelta()
    held: str = "no lock on a table"
    wanted: "Lock | None" = None  # by us, or by who; None: a row


class EndedByGuard(Exception):  # no error of anybody: the unit is tried again
    """The transaction must not be committed: the guard has ended it, or was not there."""

    def __init__(self, verdict: GuardVerdict) -> None:
        super().__init__(f"the guard has ended the transaction: {verdict.reason.value}")
        self.verdict = verdict
