"""Runs one revision on a database in use: its function once, its queue, its history; or resumes after a kill."""

import logging
from collections.abc import Callable, Collection
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from holdfast.errors import HoldfastError
from holdfast.errors.finish import NotTakenBack
from holdfast.errors.light_dataclass import light_dataclass
from holdfast.errors.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, QUERY_CANCELED
from holdfast.errors.standing import COMMAND, half_way, rolled_back
from holdfast.errors.statement import RefusedStatement
from holdfast.errors.steps import LeftBehind
from holdfast.errors.unfinished import FunctionWasInterrupted, UnfinishedRevision
from holdfast.execute import history, waiting
from holdfast.execute.executor import Executor
from holdfast.execute.guard import Guard
from holdfast.execute.journal import Journal, Queued, Unfinished
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, lock_version_rows
from holdfast.execute.progress import RevisionResumed
from holdfast.execute.session import MigrationSession
from holdfast.execute.standbys import StandbyWatch
from holdfast.execute.verdict import EndedByGuard
from holdfast.intercept.interceptor import intercepting, line_in
from holdfast.intercept.revision_context import InterruptedCall, RevisionContext
from holdfast.intercept.revision_interceptor import RevisionInterceptor
from holdfast.migrate import refusals
from holdfast.migrate.final_look import left_behind
from holdfast.migrate.one_revision import OneRevision
from holdfast.migrate.pause import Pausing
from holdfast.migrate.run_options import RunOptions
from holdfast.observe.catalog import facts_for
from holdfast.observe.free_disk import free_disk
from holdfast.rewrite.disk_space import DiskNeed, disk_needs, needs_of_rest, refuse_more_than_fits
from holdfast.rewrite.facts import Releases
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.rules.copied_once import as_one
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import (
    may_grow,
    next_step,
    total,
)
from holdfast.rewrite.waiting import Recorded

log = logging.getLogger(__name__)

TRY_AGAIN = (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, QUERY_CANCELED)
OF_SESSION = text(
    """
    SELECT extract(epoch FROM current_setting('lock_timeout')::interval)::float8 AS lock_timeout,
           to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus
    """
)


def look_after_users(
    session: MigrationSession, options: RunOptions, *, known: Collection[str]
) -> None:
    """Give a session the guard, standbys and pooler handling that users need. The caller commits.

    What the first layout of the journal has left half-way of a known revision becomes ours.
    """
    beside_users = options.beside_users()
    guard = None if session.is_pooled else Guard(session, has_users=beside_users.has_users)
    session.guard = guard
    session.console = beside_users.console
    session.standbys = StandbyWatch(beside_users.standbys, report=options.report)
    Journal(session).claim_first_layout(known)


@light_dataclass
class RevisionRun(OneRevision):
    """One revision of a database that somebody uses."""

    def apply(
        self, function: Callable[..., None], arguments: dict[str, Any], begun: history.Begun
    ) -> None:
        """Run it in units, each committed with its record in the journal."""
        session = self.context.session
        unfinished = self._unfinished()
        entry = history.begin(session, begun)
        session.commit()
        try:
            if unfinished is None or self._is_edited(unfinished):
                self._run_online(function, arguments)
            else:
                self._refuse_what_does_not_fit()
                self._go_on(may_be_more=not unfinished.function_ended)
                if not unfinished.function_ended:
                    self._run_online(function, arguments)
            self._look_behind()
            self._require_all_taken_back()
            Journal(session).close()
            history.finish(session, entry)
        except BaseException as error:
            self._record_failure(entry, error)
            if isinstance(error, RefusedStatement) and error.place is None:
                error.place = line_in(Path(self.step.revision.path), error)
            raise

    @property
    def _version_table(self) -> QualifiedName:
        return QualifiedName(
            schema=self.context.version_schema, name=self.context.alembic.version_table
        )

    def committed(self) -> None:
        """Notify the applications' pools, which may keep old prepared statements, and make the commit durable."""
        self.context.session.tell_applications()
        self.context.session.make_durable()

    def _recorded(self) -> Unfinished:
        return Unfinished(
            revision=self.name,
            direction=self.direction,
            checksum=history.checksum_of(Path(self.step.revision.path)),
            function_ended=False,
        )

    def _unfinished(self) -> Unfinished | None:
        """Give what an earlier run left of this revision. Raises if it cannot be continued."""
        found = Journal(self.context.session).unfinished()
        self.context.session.commit()
        if found is None:
            return None
        if (found.revision, found.direction) != (self.name, self.direction):
            raise UnfinishedRevision(
                revision=found.revision, direction=found.direction, finish=COMMAND[found.direction]
            )
        if refusal := refusals.refusal_of_rest(
            Journal(self.context.session), found, self.step.revision
        ):
            raise refusal
        self.context.session.commit()
        return found

    def _is_edited(self, unfinished: Unfinished) -> bool:
        return unfinished.checksum != self._recorded().checksum

    def _go_on(self, *, may_be_more: bool) -> None:
        counts = [unit.count for unit in Journal(self.context.session).every()]
        self.context.options.report(
            RevisionResumed(
                revision=self.name,
                number=next_step(counts),
                steps=total(counts),
                may_be_more=may_be_more or may_grow(counts),
            )
        )
        self._executor().run_all(may_be_more=may_be_more)

    def _refuse_what_does_not_fit(self) -> None:
        """Measure again what is left: the disk may have filled up since the revision began."""
        session = self.context.session
        queued = Journal(session).queued()
        needs = self._patience().run(
            lambda _: [need for unit in queued for need in self._needs(unit)],
            what="a look at the tables of what is left",
            locks=lambda: (),
        )
        if needs:
            free = free_disk(session.connection, told=self.context.options.beside_users().free_disk)
            refuse_more_than_fits(needs, free=free)
        session.commit()

    def _needs(self, unit: Queued) -> tuple[DiskNeed, ...]:
        statements, today = as_one(parse(unit.sql)), date.fromisoformat(unit.today)
        facts = facts_for(self.context.session.connection, *statements, new=unit.new)
        if unit.steps is not None:
            left = unit.steps[unit.steps_done :]
            return needs_of_rest(
                statements, left=left, facts=facts, today=today, reached=unit.reached
            )
        entries = [QueueEntry(statement=statement, facts=facts) for statement in statements]
        return disk_needs(entries, today=today)

    def _look_behind(self) -> None:
        session = self.context.session
        found = left_behind(session.connection, Journal(session).every())
        if found:
            raise LeftBehind(
                revision=self.name,
                found=tuple(map(str, found)),
                ways_out=tuple(each.way_out for each in found),
            )

    def _require_all_taken_back(self) -> None:
        """Raise if a reverted revision would leave something of its own waiting."""
        if self.direction == "up":
            return
        left = [r for r in waiting.recorded(self.context.session) if r.revision == self.name]
        if left:
            raise NotTakenBack(
                revision=self.name, waiting=tuple(str(each.waiting) for each in left)
            )

    def _run_online(self, function: Callable[..., None], arguments: dict[str, Any]) -> None:
        """Call the function until its locks are free; then run what it has queued."""
        # A script can run as its tool would run it, or in steps.
        function = getattr(function, "in_steps", function)
        context = self._revision_context()
        memo = dict(self.context.impl.memo)  # Alembic keeps there what the function has created
        wanted: list[Lock] = []
        tries = count()

        def once(timeouts: LockTimeouts) -> RevisionInterceptor:
            _begin_where_commit_failed(self.context.alembic)
            self.context.impl.memo.clear()
            self.context.impl.memo.update(memo)
            interceptor = RevisionInterceptor(
                context,
                timeouts,
                self._interrupted(),
                tries=next(tries),
            )
            self.context.session.restore_local_settings()
            try:
                with intercepting(self.context.session, interceptor, self.context.impl):
                    function(**arguments)
                if interceptor.failure is not None:
                    raise interceptor.failure  # noqa: TRY301  # joins the errors below
                interceptor.returns()
                if interceptor.state.holds:
                    wanted_last = Lock(mode=LockMode.EXCLUSIVE, relation=self._version_table)
                    interceptor.lock_waits.wanted += (wanted_last,)
                    lock_version_rows(self.context.session, self._version_table)
            except BaseException as error:
                wanted[:] = interceptor.lock_waits.wanted
                self._refuse_repetition(interceptor)
                raise interceptor.failure or error from error
            finally:
                interceptor.close()
            return interceptor

        words = f"revision {self.name}"
        interceptor = self._patience().run(once, what=words, locks=lambda: tuple(wanted))
        interceptor.finish()

    def _interrupted(self) -> InterruptedCall | None:
        """Give what the function has committed, by a run that was killed or a try that lacked a lock.

        Where the file was edited since, what has not begun comes from the file as it is now.
        """
        journal = Journal(self.context.session)
        found = journal.unfinished()
        if found is not None and self._is_edited(found):
            journal.take_back(checksum=self._recorded().checksum)
            found = journal.unfinished()
        if found is None:
            return None
        if found.unrepeatable is not None:  # committed by its author, by the driver
            raise FunctionWasInterrupted(revision=self.name, reason=found.unrepeatable)
        return InterruptedCall(
            new=found.new, now=journal.now(), committed=found.committed, calls=journal.calls()
        )

    def _refuse_repetition(self, interceptor: RevisionInterceptor) -> None:
        """Refuse to call the function again, after a lock or the guard, if it cannot be replayed."""
        reason = interceptor.queue.replay.unrepeatable
        failure = interceptor.failure or OSError()
        state = self.context.session.state_of(failure)
        is_tried_again = isinstance(failure, EndedByGuard) or state in TRY_AGAIN
        if interceptor.queue.has_committed and reason and is_tried_again:
            raise FunctionWasInterrupted(revision=self.name, reason=reason) from interceptor.failure

    def _revision_context(self) -> RevisionContext:
        session = self.context.session
        last = self.context.entries.get(self.name)
        recorded = waiting.recorded(session)
        own = session.execute(OF_SESSION).one()
        session.notice_citus(own.is_citus)
        return RevisionContext(
            session=session,
            journal=Journal(session),
            executor=self._executor(),
            revision=self._recorded(),
            file=Path(self.step.revision.path),
            today=date.today(),  # noqa: DTZ011  # an exemption ends with the day of whoever runs it
            tried_before=last is not None and last.outcome in ("interrupted", "failed"),
            free_disk=self.context.options.beside_users().free_disk,
            lock_timeout_of_rows=timedelta(seconds=own.lock_timeout),
            releases=self._releases(recorded),
            recorded=recorded,
            recorded_by_others=waiting.recorded_by_others(session),
        )

    def _releases(self, recorded: tuple[Recorded, ...]) -> Releases:
        if self.direction == "up":
            return Releases.TWO if self.context.options.expand else Releases.ONE
        waits = any(each.revision == self.name for each in recorded)
        return Releases.BACK if waits else Releases.ONE

    def _executor(self) -> Executor:
        beside_users = self.context.options.beside_users()
        return Executor(
            session=self.context.session,
            journal=Journal(self.context.session),
            patience=self._patience(),
            report=self.context.options.report,
            revision=self.name,
            should_stop=self.context.options.should_stop,
            wait_while_paused=Pausing(
                session=self.context.session,
                report=self.context.options.report,
                is_asked=self.context.options.should_pause,
                should_stop=self.context.options.should_stop,
            ).wait,
            rows_per_second=beside_users.rows_per_second,
            build_workers=beside_users.build_workers,
            slot_wal=beside_users.slot_wal,
        )

    def _patience(self) -> LockPatience:
        return LockPatience(
            session=self.context.session,
            report=self.context.options.report,
            budget=self.context.options.lock_budget,
        )

    def _record_failure(self, entry: int, error: BaseException) -> None:
        if isinstance(error, EndedByGuard):
            return  # no failure: it is tried again
        guard = self.context.session.guard
        try:
            self.context.session.rollback()
            if guard is not None and guard.verdict is not None:
                return
            is_half_way = Journal(self.context.session).unfinished() is not None
            if isinstance(error, RefusedStatement):
                error.is_half_way = is_half_way
            elif not isinstance(error, HoldfastError):
                standing = half_way if is_half_way else rolled_back
                for words in standing(self.name, self.direction):
                    error.add_note(words)
            history.fail(self.context.session, entry, error)
            self.context.session.commit()
        except Exception:  # the error on its way is the one to see, not this one
            if (
                guard is None or guard.verdict is None
            ):  # otherwise it is tried again, on a new connection
                log.warning("the failure could not be recorded in holdfast.history")
            log.debug("why it could not be recorded", exc_info=True)


def _begin_where_commit_failed(context: MigrationContext) -> None:
    """Begin a transaction for the next try: after a failed COMMIT SQLAlchemy refuses the old one.

    As autocommit_block() leaves it, which commits first, and the author's own commit().
    """
    connection = context.connection
    over = connection.get_transaction() if connection is not None else None
    if connection is None or over is None or over.is_active:
        return
    over.rollback()
    begun = connection.begin()
    if context._transaction is over:  # noqa: SLF001  # autocommit_block() commits this one again
        context._transaction = begun  # noqa: SLF001
