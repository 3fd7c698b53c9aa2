"""The statements before the first long one: where they lock a table, they are put off until nothing else is left to do.

A lock is held until its transaction ends, and the queue is planned behind the first long statement: some milliseconds
for each that follows. So the first call of the function is a rehearsal, rolled back when it would open the queue
under a lock. The second one puts the same statements off; they are executed when the function has returned, right
before their commit together with the queue, or as soon as the function does anything else than it did before.
"""

from dataclasses import dataclass

from holdfast.plan.locks import Lock
from holdfast.revision.open_transaction import OpenTransaction
from holdfast.run.session import MigrationSession


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """One statement, with what it locks."""

    texts: tuple[str, ...]
    locks: tuple[Lock, ...]


class Rehearsed(Exception):  # no error: the function is called again
    """The queue would be opened under a lock; this is what took it, and what came before."""

    def __init__(self, prefix: tuple[PutOff, ...]) -> None:
        super().__init__("the first call was a rehearsal")
        self.prefix = prefix


class Prefix:
    """In one call of the function: what of its beginning is put off."""

    def __init__(self, rehearsed: tuple[PutOff, ...], transaction: OpenTransaction) -> None:
        self.transaction = transaction
        self._expected = list(rehearsed)
        self._waiting: list[PutOff] = []
        self._executed: list[PutOff] | None = [] if not rehearsed else None

    def puts_off(self, texts: tuple[str, ...]) -> bool:
        """Whether this is the next statement of the rehearsal; it is executed later."""
        if not self._expected or self._expected[0].texts != texts:
            return False
        self._waiting.append(self._expected.pop(0))
        return True

    def catch_up(self, session: MigrationSession) -> None:
        """Execute what is put off: the function needs it, or is about to be committed."""
        self._expected.clear()
        waiting, self._waiting = self._waiting, []
        for statement in waiting:
            self.transaction.wait_for(statement.locks)
            self.transaction.holds_now(statement.locks)
            for text in statement.texts:
                session.execute_sql(text)

    def executed(self, texts: tuple[str, ...], locks: tuple[Lock, ...]) -> None:
        """The driver does this one at once."""
        if self._executed is not None:
            self._executed.append(PutOff(texts=texts, locks=locks))

    def cannot_be_put_off(self) -> None:
        """Something else than DDL was done in between."""
        self._executed = None

    def end_rehearsal(self) -> None:
        """The queue is about to be opened: not under a lock, where that can be avoided."""
        if self._executed and self.transaction.holds:
            raise Rehearsed(tuple(self._executed))

    def forget(self) -> None:
        """The author rolls back."""
        self._expected.clear()
        self._waiting.clear()
        self._executed = None
