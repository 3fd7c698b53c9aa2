"""Deferred DDL: statements before the first long one that lock a table wait until the function has returned.

A lock is held until its transaction ends, and the queue is planned behind the first long statement: some milliseconds
for each that follows. So a first call of the function that would open the queue under a lock is rolled back. The
second call defers the same statements; they are executed when the function has returned, right before their commit
together with the queue, or as soon as the function does anything else than it did in the first call.
"""

from dataclasses import dataclass

from holdfast.execute.session import MigrationSession
from holdfast.intercept.open_transaction import OpenTransaction
from holdfast.rewrite.locks import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredStatement:
    """One statement, with what it locks."""

    texts: tuple[str, ...]
    locks: tuple[Lock, ...]


class CallAgainDeferring(Exception):  # no error: the function is called again
    """The queue would be opened under a lock; this is what took it, and what came before."""

    def __init__(self, statements: tuple[DeferredStatement, ...]) -> None:
        super().__init__("the function is called again, with its first DDL deferred")
        self.statements = statements


class DeferredDdl:
    """In one call of the function: which of its first statements are deferred."""

    def __init__(
        self, deferred: tuple[DeferredStatement, ...], transaction: OpenTransaction
    ) -> None:
        self.transaction = transaction
        self._expected = list(deferred)
        self._waiting: list[DeferredStatement] = []
        self._executed: list[DeferredStatement] | None = [] if not deferred else None

    def defers(self, texts: tuple[str, ...]) -> bool:
        """Whether this is the next statement that the first call executed; it is executed later."""
        if not self._expected or self._expected[0].texts != texts:
            return False
        self._waiting.append(self._expected.pop(0))
        return True

    def catch_up(self, session: MigrationSession) -> None:
        """Execute what is deferred: the function needs it, or is about to be committed."""
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
            self._executed.append(DeferredStatement(texts=texts, locks=locks))

    def cannot_be_deferred(self) -> None:
        """Something else than DDL was done in between."""
        self._executed = None

    def start_deferring(self) -> None:
        """The queue is about to be opened: not under a lock, where that can be avoided."""
        if self._executed and self.transaction.holds:
            raise CallAgainDeferring(tuple(self._executed))

    def forget(self) -> None:
        """The author rolls back."""
        self._expected.clear()
        self._waiting.clear()
        self._executed = None
