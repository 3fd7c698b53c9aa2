"""Executes one step after the other: done already? → lock → run → record. The order is visible in this file."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from time import monotonic, sleep
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.connection import EndedByTimeout
from holdfast.errors.locks import BuildDeadlocks, StillBuilding
from holdfast.errors.sqlstate import (
    CHECK_VIOLATION,
    DEADLOCK_DETECTED,
    DUPLICATE_TABLE,
    FOREIGN_KEY_VIOLATION,
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    INSUFFICIENT_PRIVILEGE,
    NOT_NULL_VIOLATION,
    UNIQUE_VIOLATION,
    sqlstate,
)
from holdfast.errors.statement import RefusedStatement
from holdfast.errors.steps import CopyDisturbed, DataInTheWay, LeftUnfinished, PartitionsNotCopied
from holdfast.errors.unfinished import StoppedBetweenSteps
from holdfast.execute import waiting
from holdfast.execute.backfill import Batches
from holdfast.execute.backfill_pace import SLOT_WAL, Pace
from holdfast.execute.block_batches import BlockBatches
from holdfast.execute.journal import CREATED_CONSTRAINT, Queued
from holdfast.execute.leader import MARK
from holdfast.execute.lock_patience import (
    LockPatience,
    LockTimeouts,
    watch_anything,
)
from holdfast.execute.progress import (
    Report,
    StatementPlanned,
    StatementsDone,
    StepDone,
    StepsRecounted,
    StepStarted,
    StepWatched,
)
from holdfast.execute.rows_against_change import find_rows_in_the_way
from holdfast.execute.session import IDLE_UNDER_LOCK, MigrationSession
from holdfast.execute.watcher import watching
from holdfast.observe.catalog import facts_for
from holdfast.observe.changed_table import with_partitions_now
from holdfast.observe.indexes import (
    FoundIndex,
    ReindexLeftover,
    find_index,
    is_valid_on_nodes,
    leftovers_of_reindex,
    leftovers_on_nodes,
)
from holdfast.observe.types_in_use import unit_with_types_beside
from holdfast.observe.violations import Violations, duplicate_keys, rows_against
from holdfast.observe.watched_step import Watched
from holdfast.rewrite.column_copy.partitions import DISTURBED, OTHER_PARTITIONS
from holdfast.rewrite.column_copy.plan import planned_at_look
from holdfast.rewrite.column_copy.refusals import refusals
from holdfast.rewrite.facts import Releases, SideBySide
from holdfast.rewrite.locks import Lock, LockMode, locking
from holdfast.rewrite.names import quote
from holdfast.rewrite.online import is_exempted
from holdfast.rewrite.partitions.lacking import is_there, lacking, planned_anew
from holdfast.rewrite.queue.rules.copied_once import as_one
from holdfast.rewrite.queue.rules.gap_closed import gap_closed
from holdfast.rewrite.queue.unit_steps import steps_of_unit
from holdfast.rewrite.statement import DDL, is_opaque_ddl, parse, shortened
from holdfast.rewrite.steps import (
    ALONE,
    Around,
    AutocommitStep,
    BackfillStep,
    BatchStep,
    BuildIndexStep,
    CopiedPartitionsStep,
    CopyRowsStep,
    CountedUnit,
    DetachStep,
    DropIndexStep,
    FillRowsStep,
    LookStep,
    PartitionOf,
    PartitionsStep,
    ReindexStep,
    Step,
    TransactionStep,
    ValidateStep,
    around,
    may_grow,
    next_step,
    total,
)

log = logging.getLogger(__name__)

POLL = timedelta(milliseconds=200)
DEADLOCKS = 5  # of one build, until it is given up

# Settings of a session whose statement may take as long as it needs, and must die with its client.
UNHURRIED = {
    "lock_timeout": "0",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "client_connection_check_interval": "2s",
}

# The kinds of steps that may be for one partition.
OF_PARTITIONS = (
    BatchStep,
    BuildIndexStep,
    CopyRowsStep,
    LookStep,
    TransactionStep,
    ValidateStep,
)

# The places of those that can be locked before the statement itself, which may need fewer rights (REFERENCES for a
# foreign key).
CAN_BE_LOCKED = text("""
SELECT place FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS asked (name, place)
JOIN pg_class ON oid = to_regclass(name)
WHERE relkind IN ('r', 'p') AND (has_table_privilege(oid, 'UPDATE')
  OR has_table_privilege(oid, 'DELETE') OR has_table_privilege(oid, 'TRUNCATE'))
""")


# Whether the detaching of a partition has begun and not ended; no row where it is none.
DETACH_IS_PENDING = text("""
SELECT inhdetachpending FROM pg_inherits
WHERE inhrelid = to_regclass(:partition) AND inhparent = to_regclass(:table)
""")

# Whether a table is a partition below another one, at any depth.
IS_PARTITION = text("""
SELECT coalesce(to_regclass(:table) = ANY (ARRAY(
  SELECT relid FROM pg_partition_ancestors(to_regclass(:partition)))), false)
  AND to_regclass(:table) <> to_regclass(:partition)
""")


class StepJournal(Protocol):
    """Where the executor records what it does: the journal, or nothing for what runs at once."""

    def every(self) -> tuple[Queued, ...]:
        """Give the whole queue in order, what is done included."""
        ...

    def plan(self, statement: Queued, steps: tuple[Step, ...]) -> Queued:
        """Record the steps of a statement whose turn has come."""
        ...

    def start(self, statement: Queued) -> Queued:
        """Record that a step outside a transaction begins."""
        ...

    def forget(self, statement: Queued) -> None:
        """Record that a step outside a transaction has failed and left nothing."""
        ...

    def reach(self, statement: Queued, key: tuple[str, ...]) -> Queued:
        """Record how far a backfill is."""
        ...

    def advance(self, statement: Queued, *, captured: str | None = None) -> Queued:
        """Record that the current step is done."""
        ...


class NullJournal:
    """The journal of a statement that its author wanted executed at once, outside a transaction."""

    def __init__(self, *, tried_before: bool) -> None:
        self.tried_before = tried_before

    def every(self) -> tuple[Queued, ...]:
        """Give nothing: only the current statement is known here."""
        return ()

    def plan(self, statement: Queued, steps: tuple[Step, ...]) -> Queued:
        """Keep the steps of a statement in memory."""
        return replace(statement, steps=steps, is_started=self.tried_before)

    def start(self, statement: Queued) -> Queued:
        """Record nothing: after a crash nobody goes on with this statement."""
        return statement

    def forget(self, statement: Queued) -> None:
        """Do nothing: nothing was recorded."""

    def reach(self, statement: Queued, key: tuple[str, ...]) -> Queued:
        """Keep in memory how far a backfill is, for its next batch."""
        return replace(statement, reached=key)

    def advance(self, statement: Queued, *, captured: str | None = None) -> Queued:
        """Count the step under way as done, in memory."""
        return replace(
            statement,
            steps_done=statement.steps_done + 1,
            reached=None,
            captured=captured or statement.captured,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs queued units in the migration's session."""

    session: MigrationSession
    journal: StepJournal
    patience: LockPatience
    report: Report
    revision: str
    should_stop: Callable[[], bool]
    wait_while_paused: Callable[[], None] | None = None  # between two steps, too
    rows_per_second: int | None = None  # of a backfill
    build_workers: int = 0
    slot_wal: int = SLOT_WAL  # bytes that a replication slot may keep before a backfill pauses

    def run_all(
        self, *, executed: Sequence[str] = (), uncounted: int = 0, may_be_more: bool = False
    ) -> None:
        """Run what is left of the queue, one unit after the other.

        `executed`: what the function has executed in front of them, and is committed now; `uncounted`, and before that.
        """
        units = list(self.journal.every())
        if executed:
            self._tell_done(executed, [unit.count for unit in units], uncounted, may_be_more)
        for place, unit in enumerate(units):
            if not unit.is_done:
                counts = [each.count for each in units]
                units[place] = self.run(unit, around(counts, place, may_be_more=may_be_more))

    def run(self, statement: Queued, among: Around = ALONE) -> Queued:
        """Run what is left of a unit. Nothing is uncommitted before, and nothing after."""
        with self.session.more_local_settings(statement.settings), self.session.read_committed():
            if statement.steps is None:
                expected = statement.count.steps
                try:
                    statement = self._planned(statement)
                except RefusedStatement as refused:
                    refused.call = statement.call
                    raise
                if not statement.counted.is_guess:
                    self._tell_recount(expected, statement, among)
            while statement.steps_done < len(steps := statement.steps or ()):
                self._stop_if_asked()
                statement = self._step(statement, steps[statement.steps_done], among)
                # A step that looks at partitions may have found more to do.
                self._tell_recount(len(steps), statement, among)
        return statement

    def _tell_done(
        self, executed: Sequence[str], units: Sequence[CountedUnit], uncounted: int, more: bool
    ) -> None:
        """Report what the function has executed, with the numbers after all that was done before."""
        is_left = any(not unit.is_done for unit in units)
        first = next_step(units) - len(executed) if is_left else total(units) + uncounted + 1
        self.report(
            StatementsDone(
                revision=self.revision,
                number=first,
                steps=total(units) + (0 if is_left else uncounted + len(executed)),
                statements=tuple(executed),
                may_be_more=more or may_grow(units),
            )
        )

    def _tell_recount(self, expected: int, statement: Queued, among: Around) -> None:
        steps = len(statement.steps or ())
        if steps != expected:
            others = among.ahead + among.behind
            self.report(
                StepsRecounted(
                    revision=self.revision, steps=others + steps, expected=others + expected
                )
            )

    def _planned(self, statement: Queued) -> Queued:
        parsed = parse(statement.sql)
        if len(parsed) > 1:
            parsed = unit_with_types_beside(self.session.connection, as_one(parsed))
        facts = self.patience.run(
            lambda _: facts_for(
                self.session.connection,
                *parsed,
                new=statement.new,
                side_by_side=self._side_by_side(statement),
            ),
            what=f"a look at the tables of {shortened(statement.sql)}",
            locks=lambda: (),
        )
        today = date.fromisoformat(statement.today)
        steps = steps_of_unit(parsed, facts=facts, today=today)
        if any(isinstance(step, ValidateStep) for step in steps):
            queue = [each for unit in self.journal.every() for each in parse(unit.sql)]
            steps = gap_closed(steps, unit=parsed, queue=queue, facts=facts)
        self.report(
            StatementPlanned(
                revision=self.revision,
                sql=shortened(statement.sql),
                steps=steps,
                is_queued=True,
                is_allowed=all(is_exempted(each, today=today) for each in parsed),
            )
        )
        statement = self.journal.plan(statement, steps)
        self.session.commit()
        return statement

    def _side_by_side(self, statement: Queued) -> SideBySide:
        if statement.releases is Releases.ONE:
            return SideBySide()
        recorded = waiting.recorded(self.session)
        return SideBySide(releases=statement.releases, recorded=recorded)

    def _step(self, statement: Queued, step: Step, among: Around) -> Queued:
        started = StepStarted(
            revision=self.revision,
            number=among.ahead + statement.steps_done + 1,
            steps=among.ahead + len(statement.steps or ()) + among.behind,
            step=step.describe(),
            may_be_more=among.may_be_more,
        )
        self.report(started)
        since = monotonic()
        statement = self._dispatch(statement, step)
        self.report(StepDone(started=started, took=timedelta(seconds=monotonic() - since)))
        return statement

    def _dispatch(self, statement: Queued, step: Step) -> Queued:
        """Run one step by its kind; a step for a partition is left out if that is none any more."""
        if not isinstance(step, OF_PARTITIONS):
            return self._perform(statement, step)
        only_for = step.only_for
        if only_for is None:
            return self._perform(statement, step)
        if not self._is_partition(only_for):
            return self._recorded(statement)
        try:
            return self._perform(statement, step)
        except (DBAPIError, DataInTheWay):
            if self._is_partition(only_for):
                raise
            return self._recorded(statement)

    def _is_partition(self, of: PartitionOf) -> bool:
        names = {"partition": str(of.partition), "table": str(of.table)}
        found = self.session.execute(IS_PARTITION, names).scalar_one()
        self.session.commit()
        return bool(found)

    def _perform(self, statement: Queued, step: Step) -> Queued:
        match step:
            case TransactionStep():
                return self._in_transaction(statement, step)
            case ValidateStep():
                return self._validate(statement, step)
            case BuildIndexStep():
                return self._build(statement, step)
            case DropIndexStep():
                return self._drop(statement, step)
            case BackfillStep() | CopyRowsStep() | FillRowsStep():
                return self._write_rows(statement, step)
            case AutocommitStep() | ReindexStep():
                return self._outside_transaction(statement, step)
            case BatchStep():
                return self._in_one_batch(statement, step)
            case LookStep():
                return self._look_at_rows(statement, step)
            case PartitionsStep() | CopiedPartitionsStep() | DetachStep():
                return self._with_partitions(statement, step)

    # In a transaction: the journal's row commits with the step, so it is never asked whether it is done.

    def _in_transaction(self, statement: Queued, step: TransactionStep) -> Queued:
        def unit(timeouts: LockTimeouts) -> Queued:
            users_may_wait = self._users_may_wait(statement)
            self.session.require_free_on_standbys(step.locks)
            if step.locks or self.session.has_event_triggers():
                timeouts.apply(self.session, users_may_wait=users_may_wait)
                self._take(step.locks, is_explicit=len(step.locks) > 1 or len(step.sql) > 1)
            for sql in step.sql:
                if not _is_ddl(sql):
                    watch_anything(self.session, users_may_wait=users_may_wait)
                self.session.execute_sql(sql)
            advanced = self.journal.advance(statement, captured=self._captured(step))
            self._note_what_waits(statement, step)
            self.session.commit()
            return advanced

        with self.session.transactional():
            done = self.patience.run(unit, what=step.describe(), locks=lambda: step.locks)
        self._tell_applications(step)
        return done

    def _users_may_wait(self, statement: Queued) -> bool:
        """Whether the author allows users to wait, in a comment that is still valid."""
        today = date.fromisoformat(statement.today)
        return any(is_exempted(each, today=today) for each in parse(statement.sql))

    def _in_one_batch(self, statement: Queued, step: BatchStep) -> Queued:
        def unit(timeouts: LockTimeouts) -> Queued:
            self.session.require_free_on_standbys(step.locks)
            timeouts.apply(self.session)
            # Before the locks: while they are held, round trips are most of what users wait for.
            advanced = self.journal.advance(statement)
            self._note_what_waits(statement, step)
            if (block := step.block(locks=self._lockable(step.locks))) is not None:
                self.session.execute_sql(block)
            self.session.commit()
            return advanced

        with self.session.transactional():
            try:
                done = self.patience.run(unit, what=step.describe(), locks=lambda: step.locks)
            except DBAPIError as error:
                if sqlstate(error) == DISTURBED:
                    raise CopyDisturbed(revision=self.revision) from error
                if sqlstate(error) != OTHER_PARTITIONS:
                    raise
                return self._look_again(statement)
        self._tell_applications(step)
        return done

    def _tell_applications(self, step: BatchStep | TransactionStep) -> None:
        """Notify applications of a change that may alter the rows which a prepared statement returns."""
        if any(lock.mode is LockMode.ACCESS_EXCLUSIVE for lock in step.locks):
            self.session.tell_applications()

    def _note_what_waits(self, statement: Queued, step: TransactionStep | BatchStep) -> None:
        """Record, in the step's transaction, what waits for `finish` from now on and what no longer does."""
        waiting.forget(self.session, step.ends)
        waiting.add(self.session, step.waits, revision=self.revision, settings=statement.settings)

    def _take(self, locks: tuple[Lock, ...], *, is_explicit: bool) -> None:
        """Take all locks of a step first, if it has several; the later ones with a shorter wait."""
        if not is_explicit:  # one lock is what the statement itself waits for
            return
        for sql in locking(self._lockable(locks)):
            self.session.execute_sql(sql)

    def _lockable(self, locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
        if not locks:
            return ()
        parameters = {"names": [str(lock.relation) for lock in locks]}
        places = set(self.session.execute(CAN_BE_LOCKED, parameters).scalars())
        return tuple(lock for place, lock in enumerate(locks, start=1) if place in places)

    def _captured(self, step: TransactionStep) -> str | None:
        """Give the name of the constraint that was just added, which the next step validates."""
        if step.captures_constraint_on is None:
            return None
        table = str(step.captures_constraint_on)
        name = self.session.execute(CREATED_CONSTRAINT, {"table": table}).scalar_one_or_none()
        if name is None:  # never go on without validating it
            raise LeftUnfinished(what_is=f"new constraint of {table}", step=step.describe())
        return str(name)

    def _validate(self, statement: Queued, step: ValidateStep) -> Queued:
        constraint = step.constraint or statement.captured
        assert constraint is not None  # noqa: S101  # the step before would have stopped

        def unit(_: LockTimeouts) -> Queued:
            self.session.lift_limits_for_transaction()
            self.session.execute_sql(
                f"ALTER TABLE {step.table} VALIDATE CONSTRAINT {quote(constraint)}"
            )
            advanced = self.journal.advance(statement)
            self.session.commit()
            return advanced

        with (
            self.session.transactional(),
            self._watching(step.describe()),
        ):
            try:
                return self.patience.run(unit, what=step.describe(), locks=lambda: step.locks)
            except DBAPIError as error:
                if sqlstate(error) not in (
                    CHECK_VIOLATION,
                    FOREIGN_KEY_VIOLATION,
                    NOT_NULL_VIOLATION,
                ):
                    raise
                raise self._rows_in_the_way(step, constraint) or error from error

    def _rows_in_the_way(self, step: ValidateStep, constraint: str) -> DataInTheWay | None:
        """Find the rows that break the constraint; None if the role may not read both tables."""
        try:
            self.session.lift_limits_for_transaction()
            found = rows_against(self.session.connection, table=step.table, constraint=constraint)
        except DBAPIError as error:
            self.session.rollback()
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            return None
        self.session.commit()
        return self._data_in_the_way(step, found)

    def _write_rows(
        self, statement: Queued, step: BackfillStep | CopyRowsStep | FillRowsStep
    ) -> Queued:
        """Write batch after batch, each committed with the key, or the block, that it has reached."""
        session, patience, pace = self.session, self.patience, self._pace(step)
        if not isinstance(step, BackfillStep):
            along = BlockBatches(session=session, patience=patience, pace=pace, step=step)
            return self._write_all(statement, along, step.describe())
        batches = Batches(session=session, patience=patience, pace=pace, step=step)
        return self._write_all(statement, batches, step.describe())

    def _write_all(self, statement: Queued, batches: Batches | BlockBatches, step: str) -> Queued:
        with self.session.transactional():
            while True:
                self._stop_if_asked()
                if batches.pace.wait_for_limit():
                    continue
                with _limit_is_ours(step):
                    reached = batches.write(
                        statement.reached, record=partial(self._reached, statement)
                    )
                if reached is None:
                    return self._recorded(statement)
                statement = replace(statement, reached=reached)

    def _pace(self, step: BackfillStep | CopyRowsStep | FillRowsStep) -> Pace:
        return Pace(
            session=self.session,
            report=self.report,
            table=str(step.table),
            step=step.describe(),
            rows_per_second=self.rows_per_second,
            slot_wal=self.slot_wal,
        )

    def _with_partitions(
        self, statement: Queued, step: PartitionsStep | CopiedPartitionsStep | DetachStep
    ) -> Queued:
        if isinstance(step, PartitionsStep):
            return self._look_at_partitions(statement, step)
        if isinstance(step, CopiedPartitionsStep):
            return self._look_at_copied(statement, step)
        return self._detach(statement, step)

    def _detach(self, statement: Queued, step: DetachStep) -> Queued:
        """Detach the partition; finalize it if an earlier DETACH was killed, as it cannot begin again."""
        names = {"partition": str(step.partition), "table": str(step.table)}
        is_pending = self.session.execute(DETACH_IS_PENDING, names).scalar()
        self.session.commit()
        if is_pending:
            finalize = TransactionStep(sql=(step.finalize,), locks=step.locks)
            return self._in_transaction(statement, finalize)
        if is_pending is not None or not statement.is_started:
            statement = self._started(statement)
            self._unhurried(step.sql, watched=step.describe())
        return self._recorded(statement)

    def _look_at_partitions(self, statement: Queued, step: PartitionsStep) -> Queued:
        """Replace the planned steps by those for partitions that still lack something; none in the end."""
        facts = facts_for(self.session.connection, *parse(step.sql), new=statement.new)
        left = lacking(step, facts=facts)
        steps, place = statement.steps or (), statement.steps_done
        if not left and step not in steps[place + 1 :] and not is_there(step, facts=facts):
            raise LeftUnfinished(what_is=f"index of {step.table}", step=step.describe())
        anew = planned_anew(steps, at=place, left=left)
        if anew != steps:
            statement = self.journal.plan(statement, anew)
        return self._recorded(statement)

    def _look_at_copied(self, statement: Queued, step: CopiedPartitionsStep) -> Queued:
        """Plan again what column copies need on new partitions, and the steps that depend on them."""
        now = self.patience.run(
            lambda _: with_partitions_now(self.session.connection, step.facts),
            what=step.describe(),
            locks=lambda: (),
        )
        self.session.commit()
        if reasons := refusals(now):
            raise PartitionsNotCopied(
                revision=self.revision, table=str(step.table), reasons=" ".join(reasons)
            )
        steps, next_place = statement.steps or (), statement.steps_done + 1
        anew = planned_at_look(step, now=now, behind=steps[next_place:])
        if anew != steps[next_place:]:
            statement = self.journal.plan(statement, (*steps[:next_place], *anew))
        return self._recorded(statement)

    def _look_again(self, statement: Queued) -> Queued:
        """Repeat the last look at the partitions: one was added or removed since."""
        steps, place = statement.steps or (), statement.steps_done
        looks = [step for step in steps[:place] if isinstance(step, CopiedPartitionsStep)]
        statement = self.journal.plan(statement, (*steps[:place], looks[-1], *steps[place:]))
        self.session.commit()
        return statement

    def _look_at_rows(self, statement: Queued, step: LookStep) -> Queued:
        with self.session.transactional(), self._watching(step.describe()):
            found = find_rows_in_the_way(self.session, step)
            if found is not None:
                raise self._data_in_the_way(step, found)
            return self._recorded(statement)

    def _reached(self, statement: Queued, key: tuple[str, ...]) -> None:
        self.journal.reach(statement, key)

    # Outside a transaction: ask the catalog first.

    def _build(self, statement: Queued, step: BuildIndexStep) -> Queued:
        limit = self._limit()
        while True:
            found = self._look(step)
            if found is None:
                statement = self._started(statement)
                break
            is_ours = statement.is_started and found.table_name == step.table.name
            if found.is_valid and not is_ours:
                break  # PostgreSQL says that the name is taken, as it would to anybody
            if found.is_valid:
                return self._recorded(statement)
            if found.builder is not None:  # a killed migrator's backend goes on: let it finish
                self._wait_for_builder(found.builder, step.describe(), limit=limit)
            elif (
                self._look(step) == found
            ):  # it may have ended between the catalog and its progress
                self._drop_leftover(step)
        self._build_once(statement, step)
        if (built := self._look(step)) is None or not built.is_valid:
            raise LeftUnfinished(what_is=f"index {step.index}", step=step.describe())
        return self._recorded(statement)

    def _limit(self) -> float:
        """Give the time, by the monotonic clock, until which a wait that begins now may last."""
        return monotonic() + self.patience.budget.total_seconds()

    def _wait_for_builder(self, builder: int, step: str, *, limit: float) -> None:
        """Wait a moment for another session's build, and report it. Raises StillBuilding after the limit."""
        self._stop_if_asked()
        if monotonic() > limit:
            raise StillBuilding(step=step, builder=builder, waited=self.patience.budget)
        seen = Watched(
            phase="waiting",
            done=None,
            waits_for=(f"process {builder}, which builds an index of this table",),
        )
        self.report(StepWatched(step=step, seen=seen))
        sleep(POLL.total_seconds())

    def _build_once(self, statement: Queued, step: BuildIndexStep) -> None:
        for tries in range(1, DEADLOCKS + 1):
            try:
                return self._unhurried(step.sql, watched=step.describe())
            except DBAPIError as error:
                if sqlstate(error) != DEADLOCK_DETECTED:
                    self._refused_build(statement, step, error)
                    raise
                self._drop_leftover(step)
                if tries == DEADLOCKS:
                    raise BuildDeadlocks(step=step.describe(), tries=tries) from error
        return None

    def _refused_build(self, statement: Queued, step: BuildIndexStep, error: DBAPIError) -> None:
        """Clean up after a build that the server has refused. Raises DataInTheWay if rows are the reason."""
        state = sqlstate(error)
        if state == DUPLICATE_TABLE:  # also of an index; the next run must not take it for ours
            self._forgotten(statement)
        if state != UNIQUE_VIOLATION:
            return
        self._drop_leftover(step)
        self._forgotten(statement)
        with self._watching(step.describe()):
            self.session.lift_limits_for_transaction()
            found = duplicate_keys(self.session.connection, step)
        self.session.commit()
        raise self._data_in_the_way(step, found) from error

    def _look(self, step: BuildIndexStep | DropIndexStep) -> FoundIndex | None:
        found = find_index(self.session.connection, schema=step.schema, name=step.index)
        if found is not None and found.is_valid and self.session.is_citus:
            is_valid = is_valid_on_nodes(
                self.session.connection, schema=step.schema, name=step.index
            )
            found = replace(found, is_valid=is_valid)
        self.session.commit()
        return found

    def _drop_leftover(self, step: BuildIndexStep | DropIndexStep) -> None:
        if self._look(step) is not None:
            name = f"{quote(step.schema)}.{quote(step.index)}"
            self._unhurried(
                f"DROP INDEX CONCURRENTLY IF EXISTS {name}", watched=f"clean up index {step.index}"
            )

    def _drop(self, statement: Queued, step: DropIndexStep) -> Queued:
        if not statement.is_started:
            statement = self._started(statement)
            self._unhurried(step.sql, watched=step.describe())
        elif self._look(step) is not None:
            self._drop_leftover(step)
        return self._recorded(statement)

    def _outside_transaction(self, statement: Queued, step: AutocommitStep | ReindexStep) -> Queued:
        if isinstance(step, ReindexStep):
            statement = self._after_a_reindex(statement, step)
        self._unhurried(step.sql, watched=step.describe())
        return self._recorded(statement)

    def _after_a_reindex(self, statement: Queued, step: ReindexStep) -> Queued:
        """Wait for a reindex that outlives its killed migrator, and drop what it has left."""
        limit = self._limit()
        while statement.is_started:
            found = self._leftovers(step)
            if not found:
                break
            if builders := [each.builder for each in found if each.builder is not None]:
                self._wait_for_builder(builders[0], step.describe(), limit=limit)
            elif self._leftovers(step) == found:  # as with a build, it may have ended in between
                for each in found:
                    self._unhurried(each.drop, watched=f"clean up index {each.name}")
        return self._started(statement)

    def _leftovers(self, step: ReindexStep) -> tuple[ReindexLeftover, ...]:
        found = leftovers_of_reindex(self.session.connection, step.tables)
        if self.session.is_citus:
            found += leftovers_on_nodes(self.session.connection, step.tables)
        self.session.commit()
        return found

    def _unhurried(self, sql: str, *, watched: str) -> None:
        with (
            self._watching(watched),
            self.session.autocommit(),
            self.session.session_settings(
                {**UNHURRIED, "max_parallel_maintenance_workers": str(self.build_workers)}
            ),
            self.session.step_outside_transaction(),
        ):
            self.session.execute_sql(f"{MARK} {sql}" if self.session.is_pooled else sql)

    def _watching(self, step: str) -> AbstractContextManager[None]:
        if (
            self.session.is_pooled
        ):  # the process that a watcher would end may serve a customer already
            return nullcontext()
        patience = self.patience.budget
        return watching(self.session, step=step, patience=patience, report=self.report)

    def _started(self, statement: Queued) -> Queued:
        statement = self.journal.start(statement)
        self.session.commit()
        return statement

    def _forgotten(self, statement: Queued) -> None:
        self.journal.forget(statement)
        self.session.commit()

    def _recorded(self, statement: Queued) -> Queued:
        statement = self.journal.advance(statement)
        self.session.commit()
        return statement

    def _stop_if_asked(self) -> None:
        if self.wait_while_paused is not None:
            self.wait_while_paused()
        if self.should_stop():
            raise StoppedBetweenSteps(revision=self.revision)

    def _data_in_the_way(self, step: Step, found: Violations) -> DataInTheWay:
        return DataInTheWay(
            revision=self.revision,
            step=step.describe(),
            found=found.what,
            count=found.count,
            examples=found.examples,
            query=found.query,
        )


@contextmanager
def _limit_is_ours(step: str) -> Iterator[None]:
    """Explain a session that our own limit has ended in the middle of a batch."""
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) != IDLE_IN_TRANSACTION_SESSION_TIMEOUT:
            raise
        raise EndedByTimeout(
            setting="idle_in_transaction_session_timeout",
            value=f"{IDLE_UNDER_LOCK.total_seconds():g}s",
            source="by holdfast, for each batch: users may wait for its rows until it is committed",
            ended="the session",
            statement=step,
            standing="The batches before it are done and recorded.",
            way_out="The process that migrates was stopped, or cut off from the server: see why.",
        ) from error


def _is_ddl(sql: str) -> bool:
    """Whether the statement is DDL, whose locks are known; others may call functions or fire triggers that take any."""
    return all(
        statement.kind in DDL and not is_opaque_ddl(statement.node) for statement in parse(sql)
    )
