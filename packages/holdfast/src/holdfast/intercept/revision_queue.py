"""What a revision's function has done so far, what of it waits in the queue, and the record of both."""

from collections.abc import Iterator
from dataclasses import replace

from holdfast.execute.journal import Queued
from holdfast.intercept.author_settings import AuthorSettings
from holdfast.intercept.exemptions import excuse_at_call
from holdfast.intercept.replay import Replay
from holdfast.intercept.revision_context import InterruptedCall, RevisionContext
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.plan_queue import plan_queue
from holdfast.rewrite.queued_changes import is_conditional, may_delete_rows
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.units import QueueEntry, Unit


class RevisionQueue:
    """The statements that wait, in one call of a revision's function."""

    def __init__(self, work: RevisionContext, interrupted: InterruptedCall | None) -> None:
        self.work = work
        self.settings = AuthorSettings(work.session)
        self.replay = Replay(work.revision.revision, interrupted.calls if interrupted else ())
        self.new = interrupted.new if interrupted else NewRelations()
        # Part of the function's work: it can be called again only with what is recorded.
        self.has_committed = interrupted is not None
        # By the driver, as the function sent it:
        self.executed: list[str] = list(interrupted.committed) if interrupted else []
        # Both as they are in the record.
        self._recorded = (self.new, tuple(self.executed))
        self.ahead: list[QueueEntry] = []
        self._entries: list[tuple[Queued, ...]] = []  # one for each of those ahead

    def __bool__(self) -> bool:
        return bool(self.ahead)

    def facts(self, statement: Statement) -> Facts:
        """What is known now; of rows only what those ahead cannot change."""
        facts = facts_for(self.work.session.connection, statement, new=self.new)
        uncertain = is_conditional(statement) or any(
            may_delete_rows(a.statement) for a in self.ahead
        )
        return replace(facts, with_rows=frozenset()) if self.ahead and uncertain else facts

    def exempted(self, statement: Statement) -> Statement:
        """The statement with what its author allows in a comment of the revision's file."""
        if statement.exemption is not None:
            return statement
        return replace(statement, exemption=excuse_at_call(self.work.file))

    def note(self, statement: Statement, facts: Facts) -> None:
        """It is executed or queued: follow what is new."""
        existing = [relation.name for relation in facts.relations.values() if not relation.is_new]
        self.new = self.new.after(statement, current_schema=facts.current_schema, existing=existing)

    def executes(self, texts: tuple[str, ...]) -> None:
        """The driver does it, in the author's transaction."""
        self.executed += (shortened(text) for text in texts)

    def add(self, texts: tuple[str, ...], statement: Statement, facts: Facts | None) -> None:
        """One execution of the statement, or several with their parameters."""
        self.ahead.append(QueueEntry(statement=statement, facts=facts, position=len(self.ahead)))
        self._entries.append(tuple(self.entry(sql, statement) for sql in texts))
        self.replay.add(";\n".join(texts), None)

    def entry(self, sql: str, statement: Statement) -> Queued:
        """For the journal, which keeps text: an exemption from a Python comment becomes one of SQL."""
        if statement.exemption is not None:
            sql = f"{sql}\n-- holdfast: allow {statement.exemption.reason} until {statement.exemption.until}"
        return Queued(
            sql=sql,
            new=self.new,
            settings=self.settings.in_force(),
            today=self.work.today.isoformat(),
            call=self.replay.count + 1,
        )

    def forget(self) -> None:
        """Its author rolls back, and nothing is committed since the last record."""
        self._clear()
        self.new, self.executed = self._recorded[0], list(self._recorded[1])
        self.replay.forget()

    def run(self, *, function_ended: bool) -> None:
        """Commit what was done, with the record of what waits; then run that."""
        settings = self.settings.in_force()
        with self.work.session.transactional():
            self._record(function_ended=function_ended)
            self.work.session.commit()
        self.has_committed = True
        self._clear()
        for statement in self.work.journal.queued():
            self.work.executor.run(statement)
        self.settings.keep(settings)

    def record_progress(self) -> None:
        """In the transaction of a statement that its author wants committed by itself."""
        self._record(function_ended=False)
        self.has_committed = True

    def _record(self, *, function_ended: bool) -> None:
        revision = replace(
            self.work.revision,
            function_ended=function_ended,
            committed=tuple(self.executed),
            new=self.new,
            unrepeatable=self.replay.unrepeatable,
        )
        units = plan_queue(self.ahead)
        queued = [each for unit in units for each in self._queued(unit)]
        self.work.journal.open(revision, queued)
        self.work.journal.add_calls(self.replay.new)
        self.replay.new.clear()
        self._recorded = (self.new, tuple(self.executed))

    def _queued(self, unit: Unit) -> Iterator[Queued]:
        """What the journal keeps of a unit; executions of one statement alone are units of their own."""
        entries = [entry for position in unit.positions for entry in self._entries[position]]
        if len(unit.positions) == 1:
            yield from entries
        else:
            yield replace(entries[0], sql="\n;\n".join(entry.sql for entry in entries))

    def _clear(self) -> None:
        self.ahead.clear()
        self._entries.clear()
