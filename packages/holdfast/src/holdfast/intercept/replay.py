"""Records what a revision's function has sent, and gives the results back when it is called again after a crash.

A statement is known by its text with parameters and by which occurrence of it this is. Whatever does not fit stops the
run: a journal by position or by text alone was measured to lose foreign keys and indexes silently.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from holdfast.errors.unfinished import ReplayMismatch
from holdfast.execute.journal import Journal
from holdfast.execute.result_json import Call, CannotBeRecorded, Result, to_json
from holdfast.rewrite.statement import shortened


class Replay:
    """The recorded calls of an interrupted function, to be given back one by one, and its new calls."""

    def __init__(self, revision: str, known: tuple[Call, ...]) -> None:
        self.revision = revision
        self.known = {(call.sql, call.occurrence): call for call in known}
        self.seen: Counter[str] = Counter()
        self.new: list[Call] = []  # not in the journal yet
        self.count = len(known)  # of the calls that are recorded or will be
        self.unrepeatable: str | None = None  # why there will be no replay
        # Recorded calls whose effect is not committed, by their number: they are executed again.
        self.pending = {n: call for n, call in enumerate(known, start=1) if call.is_pending}
        self._number_sent_again: int | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether the function has not yet reached the point where it was interrupted."""
        return bool(self.known)

    @property
    def number(self) -> int:
        """The number of the current statement among the function's calls, from 1."""
        return self._number_sent_again or self.count + 1

    def given_back(self, sql: str, *, is_beside: bool = False) -> Call | None:
        """Give the recorded call of this statement; None if the statement has to be executed now.

        So it has from the point of the crash on, and before where its effect was not committed, as that of what is
        sent beside, on another connection, may not have been.
        Raises ReplayMismatch where the function sends something else than it did before.
        """
        self.seen[sql] += 1
        call = self.known.pop((sql, self.seen[sql]), None)
        if is_beside:
            return call
        if call is None and self.known:
            raise self._mismatch(sent=shortened(sql))
        again = [number for number, pending in self.pending.items() if pending == call]
        self._number_sent_again = again[0] if again else None
        return None if again else call

    def require_end(self) -> None:
        """Raise ReplayMismatch if the function has returned without sending all that is recorded."""
        if self.known:
            raise self._mismatch(sent="nothing more")

    def _mismatch(self, *, sent: str) -> ReplayMismatch:
        expected = shortened(next(iter(self.known))[0])
        return ReplayMismatch(revision=self.revision, sent=sent, expected=expected)

    def forget(self) -> None:
        """Forget the calls that are not recorded yet: they were rolled back."""
        self.count -= len(self.new)
        self.new.clear()

    def add(self, sql: str, result: Result | None) -> None:
        """Note that the current statement was executed or queued, with its result."""
        if self._number_sent_again is None:  # otherwise it is in the record
            self.add_call(self.call(sql, result))

    def call(self, sql: str, result: Result | None) -> Call:
        """Give the current statement, with its result, in the form of the record."""
        return Call(sql=sql, occurrence=self.seen[sql], result=result)

    def add_call(self, call: Call) -> None:
        """Note a call that took effect, or will."""
        try:
            if call.result is not None:
                to_json(call.result)
        except CannotBeRecorded as error:
            self.unrepeatable = f"a result cannot be recorded: {error}"
        else:
            self.new.append(call)
            self.count += 1

    def record(self, journal: Journal, *, pending: Collection[int]) -> None:
        """Write new calls to the journal, in the transaction that commits the effect of all but the `pending` ones."""
        numbered = enumerate(self.new, start=self.count - len(self.new) + 1)
        new = [(n, replace(call, is_pending=n in pending)) for n, call in numbered]
        journal.add_calls(call for _, call in new)
        journal.settle_calls(call for n, call in self.pending.items() if n not in pending)
        left = {n: call for n, call in self.pending.items() if n in pending}
        self.pending = left | {n: call for n, call in new if call.is_pending}
        self.new.clear()
