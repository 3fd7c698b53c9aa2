"""The journal of a revision that runs in steps: what is queued and which step is done. It survives a kill.

A step that runs in a transaction is recorded in that transaction, so it is done exactly when the journal says so.
For the others the catalog is asked first; the journal only knows that they were started.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    text,
    update,
)

from holdfast.execute import result_json as recorded
from holdfast.execute.progress import Direction
from holdfast.execute.result_json import Call
from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.execute.tables import calls, queue, unfinished
from holdfast.rewrite.facts import NewRelations, Releases
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.steps import (
    SETTING,
    CopyRowsStep,
    CountedUnit,
    LookStep,
    Step,
    from_json,
    from_setting,
    to_json,
    to_setting,
)

# For which releases a unit is; older layouts have no such column.
RELEASES: ColumnElement[str] = literal_column(
    "coalesce(to_jsonb(queue) ->> 'releases', 'ONE')"
).label("releases")
SETTINGS = TypeAdapter(tuple[LocalSetting, ...])
TEXTS = TypeAdapter(tuple[str, ...])
NOW = "holdfast.now"  # a setting of the units, which observe/catalog.py looks at
PENDING = '"pending"'  # in the place of the result of such a call


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A revision whose function has committed something, but whose version row is not written yet."""

    revision: str
    direction: Direction
    checksum: str
    function_ended: bool  # otherwise the rest of the function exists in its source only
    committed: tuple[str, ...] = ()  # the statements that the function itself has executed
    new: NewRelations = field(default_factory=NewRelations)
    unrepeatable: str | None = None  # why the function cannot be called again


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One unit that waits or is being executed: one statement, or several that belong together."""

    sql: str  # of all its statements; a comment with an exemption stands before its semicolon
    new: NewRelations
    settings: tuple[LocalSetting, ...]
    today: str  # of the run that queued it: an exemption must hold on that day
    call: int  # which one of the function's calls, from 1
    releases: Releases = Releases.ONE
    counted: CountedUnit = field(default_factory=CountedUnit)  # when it was queued
    id: int = 0
    steps: tuple[Step, ...] | None = None  # planned when its turn comes
    steps_done: int = 0
    is_started: bool = False  # of the step under way, where it runs outside a transaction
    captured: str | None = None  # the name of a constraint that PostgreSQL chose
    reached: tuple[str, ...] | None = (
        None  # of a backfill under way: the key of the last row written
    )

    @property
    def count(self) -> CountedUnit:
        """How many steps it has: those planned, or else those expected when it was queued."""
        steps = self.counted.steps if self.steps is None else len(self.steps)
        is_guess = self.counted.is_guess and self.steps is None
        return replace(self.counted, steps=steps, done=self.steps_done, is_guess=is_guess)

    @property
    def is_done(self) -> bool:
        """Whether it is planned and all its steps are done."""
        return self.steps is not None and self.steps_done >= len(self.steps)

    @property
    def has_begun(self) -> bool:
        """Whether part of it may be done."""
        done = (self.steps or ())[: self.steps_done]
        has_done = any(not isinstance(step, LookStep) for step in done)
        return has_done or self.is_started or self.reached is not None

    @property
    def is_half_copied(self) -> bool:
        """Whether it is a column copy that has begun and not ended; all of it can be undone."""
        steps = self.steps or ()
        is_copy = any(isinstance(step, CopyRowsStep) for step in steps)
        return is_copy and self.has_begun and self.steps_done < len(steps)

    @property
    def is_whole_copy(self) -> bool:
        """Whether it is a column copy that has ended: the copy has taken the column's place."""
        steps = self.steps or ()
        return self.steps_done == len(steps) and any(isinstance(s, CopyRowsStep) for s in steps)


class Journal:
    """Reads and writes the journal of the session's version table. Commits are the caller's."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session

    def now(self) -> str:
        """The one value of now() in all units of the revision; '' if none has one."""
        settings = (setting for unit in self.every() for setting in unit.settings)
        return next((each.setting for each in settings if each.name == NOW), "")

    def unfinished(self) -> Unfinished | None:
        """Give the revision that is half-way; there is at most one for each version table."""
        row = self.session.execute(self._select(unfinished)).one_or_none()
        if row is None:
            return None
        return Unfinished(
            revision=row.revision,
            direction=row.direction,
            checksum=row.checksum,
            function_ended=row.function_ended,
            committed=TEXTS.validate_json(row.committed),
            new=new_relations_from_json(row.new_relations),
            unrepeatable=row.unrepeatable,
        )

    def open(self, revision: Unfinished, statements: Iterable[Queued]) -> None:
        """Record what is still to do, together with the work that the function has done so far."""
        self.session.execute(delete(unfinished).where(self._mine(unfinished)))
        self.session.execute(
            insert(unfinished).values(
                version_table=self.session.version_table,
                revision=revision.revision,
                direction=revision.direction,
                checksum=revision.checksum,
                function_ended=revision.function_ended,
                committed=TEXTS.dump_json(revision.committed).decode(),
                new_relations=new_relations_to_json(revision.new),
                unrepeatable=revision.unrepeatable,
            )
        )
        for statement in statements:
            self.session.execute(
                insert(queue).values(
                    version_table=self.session.version_table,
                    sql=statement.sql,
                    new_relations=new_relations_to_json(statement.new),
                    settings=SETTINGS.dump_json(_with_count(statement)).decode(),
                    queued_on=statement.today,
                    call=statement.call,
                    **_of_two(statement),
                )
            )

    def queued(self) -> tuple[Queued, ...]:
        """Give the units that are still to be executed, in order."""
        return self._rows(self._select(queue).where(~queue.c.done))

    def every(self) -> tuple[Queued, ...]:
        """Give the whole queue in order, what is done included."""
        return self._rows(self._select(queue))

    def _rows(self, which: Select[Any]) -> tuple[Queued, ...]:
        return tuple(
            Queued(
                id=row.id,
                sql=row.sql,
                new=new_relations_from_json(row.new_relations),
                settings=(kept := _settings_and_count(row.settings))[0],
                counted=kept[1],
                today=row.queued_on,
                call=row.call,
                releases=Releases[row.releases],
                steps=None if row.steps is None else from_json(row.steps),
                steps_done=row.steps_done,
                is_started=row.is_started,
                captured=row.captured,
                reached=None if row.reached is None else TEXTS.validate_json(row.reached),
            )
            for row in self.session.execute(which.order_by(queue.c.id))
        )

    def plan(self, statement: Queued, steps: tuple[Step, ...]) -> Queued:
        """Record the steps of a statement whose turn has come."""
        self._update(statement, steps=to_json(steps), done=not steps)
        return replace(statement, steps=steps)

    def start(self, statement: Queued) -> Queued:
        """Record that a step outside a transaction begins."""
        self._update(statement, is_started=True)
        return replace(statement, is_started=True)

    def forget(self, statement: Queued) -> None:
        """Record that a step outside a transaction has failed and left nothing."""
        self._update(statement, is_started=False)

    def reach(self, statement: Queued, key: tuple[str, ...]) -> Queued:
        """Record how far a backfill is: in the transaction of its batch."""
        self._update(statement, reached=TEXTS.dump_json(key).decode())
        return replace(statement, reached=key)

    def advance(self, statement: Queued, *, captured: str | None = None) -> Queued:
        """Record that the current step is done."""
        steps_done = statement.steps_done + 1
        captured = captured or statement.captured
        self._update(
            statement,
            steps_done=steps_done,
            is_started=False,
            captured=captured,
            reached=None,
            done=steps_done == len(statement.steps or ()),
        )
        return replace(
            statement, steps_done=steps_done, is_started=False, captured=captured, reached=None
        )

    def add_calls(self, new: Iterable[Call]) -> None:
        """Record what the function has sent and got back, with the effect of it."""
        for call in new:
            result = None if call.result is None else recorded.to_json(call.result)
            self.session.execute(
                insert(calls).values(
                    version_table=self.session.version_table,
                    sql=call.sql,
                    occurrence=call.occurrence,
                    result=PENDING if call.is_pending else result,
                )
            )

    def settle_calls(self, pending: Iterable[Call]) -> None:
        """Record that the effect of these calls is committed with this transaction."""
        for call in pending:
            is_it = (calls.c.sql == call.sql) & (calls.c.occurrence == call.occurrence)
            settled = update(calls).where(is_it, self._mine(calls)).values(result=None)
            self.session.execute(settled)

    def calls(self) -> tuple[Call, ...]:
        """Give what the function has sent and got back, in order."""
        return tuple(
            Call(
                sql=row.sql,
                occurrence=row.occurrence,
                result=None if row.result in (None, PENDING) else recorded.from_json(row.result),
                is_pending=row.result == PENDING,
            )
            for row in self.session.execute(self._select(calls).order_by(calls.c.id))
        )

    def can_be_taken_back(self) -> bool:
        """Whether everything up to one call is done, and nothing after it."""
        revision, left = self.unfinished(), self.queued()
        if revision is None or revision.unrepeatable is not None:
            return False
        if any(call.is_pending for call in self.calls()):
            return False
        if not left:
            return not revision.function_ended
        waiting = {statement.id for statement in left}
        done = [statement.call for statement in self.every() if statement.id not in waiting]
        return not left[0].has_begun and all(call < left[0].call for call in done)

    def take_back(self, *, checksum: str) -> None:
        """Forget units that have not begun, and the calls that sent them: they will be sent again."""
        changed: dict[str, object] = {"function_ended": False, "checksum": checksum}
        left = self.queued()
        if left:
            changed["new_relations"] = new_relations_to_json(left[0].new)
            mine = select(calls.c.id).where(self._mine(calls))
            sent = mine.order_by(calls.c.id).offset(left[0].call - 1)
            self.session.execute(delete(calls).where(calls.c.id.in_(sent)))
            self.session.execute(delete(queue).where(~queue.c.done, self._mine(queue)))
        self.session.execute(update(unfinished).where(self._mine(unfinished)).values(**changed))

    def begin_to_abandon(self) -> None:
        """Record that no run may continue the revision: what it has built is being removed."""
        reason = "it was being abandoned"
        changed = {"function_ended": False, "unrepeatable": reason}
        self.session.execute(update(unfinished).where(self._mine(unfinished)).values(**changed))

    def close(self) -> None:
        """Forget the revision: the caller's transaction also writes its version row."""
        for table in (queue, calls, unfinished):
            self.session.execute(delete(table).where(self._mine(table)))

    def claim_first_layout(self, revisions: Collection[str]) -> None:
        """Take over what the first layout has left of one of these revisions: it names no version table."""
        of_nobody = [of_version_table(table, "") for table in (unfinished, queue, calls)]
        found = self.session.execute(select(unfinished.c.revision).where(of_nobody[0])).scalar()
        if found not in revisions:
            return
        for table, is_of_nobody in zip((unfinished, queue, calls), of_nobody, strict=True):
            claimed = {"version_table": self.session.version_table}
            self.session.execute(update(table).where(is_of_nobody).values(**claimed))

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return of_version_table(table, self.session.version_table)

    def _select(self, table: Table) -> Select[Any]:
        columns = [c for c in table.c if c.name not in ("version_table", "releases")]
        of_queue = [RELEASES] if table is queue else []
        return select(*columns, *of_queue).where(self._mine(table))

    def _update(self, statement: Queued, **values: object) -> None:
        self.session.execute(update(queue).where(queue.c.id == statement.id).values(**values))


def new_relations_to_json(new: NewRelations) -> str:
    """Write the relations that the revision itself has made as text: two parts each, three for a column."""
    relations = [[name.schema, name.name] for name in sorted(new.names)]
    columns = [[name.schema, name.name, column] for name, column in sorted(new.columns)]
    return json.dumps([*relations, *columns])


def new_relations_from_json(text: str) -> NewRelations:
    """Read what the revision itself has made from the text that the journal keeps."""
    found = [(QualifiedName(schema=item[0], name=item[1]), item) for item in json.loads(text)]
    return NewRelations(
        names=frozenset(name for name, item in found if len(item) == 2),
        columns=frozenset((name, item[2]) for name, item in found if len(item) > 2),
    )


def _of_two(statement: Queued) -> dict[str, str]:
    """Write a setting only if it differs from the default: a journal of an older layout has no such column."""
    return {} if statement.releases is Releases.ONE else {"releases": statement.releases.name}


def _with_count(statement: Queued) -> tuple[LocalSetting, ...]:
    """Keep the unit's step count as one more setting, so that no layout of the journal has to know it."""
    count = LocalSetting(name=SETTING, setting=to_setting(statement.counted))
    return (*statement.settings, count)


def _settings_and_count(text: str) -> tuple[tuple[LocalSetting, ...], CountedUnit]:
    kept = SETTINGS.validate_json(text)
    count = next((each.setting for each in kept if each.name == SETTING), None)
    settings = tuple(each for each in kept if each.name != SETTING)
    return settings, from_setting(count, steps=None, done=0)


# The constraint that this transaction has created NOT VALID on a table.
CREATED_CONSTRAINT = text(
    """
    SELECT conname FROM pg_constraint
    WHERE conrelid = CAST(:table AS regclass) AND NOT convalidated AND conparentid = 0
      AND xmin::text::bigint = pg_current_xact_id()::text::bigint % 4294967296
    """
)


def of_version_table(table: Table, version_table: str) -> ColumnElement[bool]:
    """Whether a row belongs to a version table; rows of the first layout, which do not say, belong to ''."""
    # All in the text: after a statement with parameters the session keeps a snapshot, which builds wait for.
    said: ColumnElement[str] = literal_column(
        f"coalesce(to_jsonb({table.name}) ->> 'version_table', '')"
    )
    return said == bindparam(None, version_table, unique=True, literal_execute=True)
