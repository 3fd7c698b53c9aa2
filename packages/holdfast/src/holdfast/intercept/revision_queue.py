"""What a revision's function has sent so far: what waits, what was executed, and the record of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from postgast import pg_query_pb2 as pb
from sqlalchemy import text

from holdfast.errors.finish import NotTakenBack
from holdfast.errors.statement import NeedsFinish, RefusedStatement
from holdfast.execute.journal import NOW, Queued, Unfinished
from holdfast.execute.progress import StatementPlanned, StatementsUndone
from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.intercept.interceptor import exemption_at_call, line_at_call
from holdfast.intercept.replay import Replay
from holdfast.intercept.revision_context import InterruptedCall, RevisionContext
from holdfast.observe.catalog import KnownCatalog
from holdfast.rewrite.facts import Facts, NewRelations, Releases, SideBySide
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.online import as_written, draft_of, new_after
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.pairs import is_given_back, taken_by
from holdfast.rewrite.queue.queued_changes import is_conditional, may_delete_rows
from holdfast.rewrite.queue.rules.replaced_together import is_replaced
from holdfast.rewrite.queue.unit_steps import expected_count
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.side_by_side.expand import ended_by, waiting_in
from holdfast.rewrite.side_by_side.later import needs
from holdfast.rewrite.side_by_side.taken_back import taken_back, takes_back
from holdfast.rewrite.statement import Statement, exemption_in, relations_in, shortened
from holdfast.rewrite.steps import Step, TransactionStep
from holdfast.rewrite.waiting import HOLDS_ROWS, Recorded, Waiting

CURRENT = text("SELECT current_setting(:name)")
UNREADABLE = {"seed"}  # it can be set, but nobody can ask for it
# SET TRANSACTION and SET SESSION CHARACTERISTICS name no setting, but set these. The isolation level of a transaction
# can be set only before its first statement: each of ours has its own.
MODES = {
    "TRANSACTION": {"transaction_read_only": "transaction_read_only"},
    "SESSION CHARACTERISTICS": {
        "transaction_deferrable": "default_transaction_deferrable",
        "transaction_isolation": "default_transaction_isolation",
        "transaction_read_only": "default_transaction_read_only",
    },
}


class AuthorSettings:
    """The settings that the author has changed by SET and set_config() in one call of the function."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.names: set[str] = set()

    def note(self, statement: Statement) -> None:
        """Note the names that a SET, which is on its way to the server, changes."""
        self.names |= _names_set(statement)

    def in_force(self) -> tuple[LocalSetting, ...]:
        """Give the author's settings with the values that they have now."""
        return tuple(
            LocalSetting(
                name=name, setting=self.session.execute(CURRENT, {"name": name}).scalar_one()
            )
            for name in sorted(self.names)
        )

    def keep(self, settings: tuple[LocalSetting, ...]) -> None:
        """Keep these settings for later transactions of the session, in place of what env.py has set."""
        names = {setting.name for setting in settings}
        others = (before for before in self.session.local_settings if before.name not in names)
        self.session.local_settings = (*others, *settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStatement:
    """A queue entry with what is needed to execute it, in the revision's transaction or from the journal."""

    entry: QueueEntry
    texts: tuple[str, ...]  # one execution each
    moment: TransactionStep | None  # None: it runs in steps, or writes rows
    settings: tuple[LocalSetting, ...]
    new: NewRelations  # before it
    call: int
    is_at_its_own_time: bool  # its author wants it committed by itself
    names: frozenset[str]  # of all relations that it is about, without their schemas
    place: str | None  # the line of the revision that has sent it, as FILE:LINE

    @property
    def is_long(self) -> bool:
        """Whether it cannot run in the revision's transaction."""
        return self.moment is None

    @property
    def locks(self) -> tuple[Lock, ...]:
        """The locks that it takes in the revision's transaction."""
        return self.moment.locks if self.moment is not None else ()


class RevisionQueue:
    """The statements of one call of a revision's function."""

    def __init__(self, work: RevisionContext, interrupted: InterruptedCall | None) -> None:
        self.work = work
        self.settings = AuthorSettings(work.session)
        self.replay = Replay(work.revision.revision, interrupted.calls if interrupted else ())
        self.new = interrupted.new if interrupted else NewRelations()
        self.now = interrupted.now if interrupted else ""  # of all units, as of one transaction
        # Part of the function's work is committed: it can be called again only with what is recorded.
        self.has_committed = interrupted is not None
        # Executed by the driver, as the function sent it:
        self.executed: list[str] = list(interrupted.committed) if interrupted else []
        # `new` and `executed`, as they are in the journal.
        self._recorded = (self.new, tuple(self.executed))
        self.waiting: list[WaitingStatement] = []
        # Executed in the transaction that is open; users see it when that is committed.
        self.open: list[QueueEntry] = []
        # The line of each unit's long statement, by the call that the unit stands for.
        self.places: dict[int, str | None] = {}
        # What is executed and not committed and counts as steps, by position.
        self.counted: list[tuple[int, str]] = []
        self.uncounted = 0  # such steps that are committed, with no unit behind them yet
        self.catalog = KnownCatalog(
            side_by_side=SideBySide(releases=work.releases, recorded=work.recorded)
        )
        self.will_wait: list[tuple[int, Waiting]] = []  # for `finish`, by the entry that leaves it
        self._positions = 0

    @cached_property
    def _source(self) -> str:
        return self.work.file.read_text()

    @property
    def entries(self) -> list[QueueEntry]:
        """The statements that wait, in the form that the queue's rules take."""
        return [each.entry for each in self.waiting]

    def statements_of(self, unit: Unit) -> list[WaitingStatement]:
        """Give the waiting statements of a unit, in the unit's order."""
        by_position = {each.entry.position: each for each in self.waiting}
        return [by_position[entry.position] for entry in unit.entries]

    def facts(self, statement: Statement) -> Facts:
        """Give the facts as they will be after what waits; of rows only what that cannot change."""
        facts = self.catalog.facts_for(self.work.session.connection, statement, new=self.new)
        if self.waiting:
            facts = expected(facts, self._about(statement, facts))
        facts = replace(facts, side_by_side=replace(facts.side_by_side, ahead=self._ahead))
        if not self.waiting or not facts.with_rows:
            return facts
        uncertain = is_conditional(statement) or any(
            may_delete_rows(entry.statement) for entry in self.entries
        )
        return replace(facts, with_rows=frozenset()) if uncertain else facts

    @property
    def _ahead(self) -> tuple[Waiting, ...]:
        return tuple(waiting for _, waiting in self.will_wait)

    def place_of(self, refused: str) -> str | None:
        """Give the line that has sent a waiting statement, found by its text in an error."""
        places = (e.place for e in self.waiting if shortened(e.entry.statement.sql) == refused)
        return next(places, None)

    def refuse_what_waits(self, entry: QueueEntry) -> None:
        """Raise NeedsFinish, before anything has run, if the statement touches what waits for `finish`."""
        facts = entry.facts
        if facts is None:
            return
        taking_back = self.work.releases is Releases.BACK
        if taking_back and takes_back(
            entry.statement, facts=facts, revision=self.work.revision.revision
        ):
            return
        recorded = [r for r in self.work.recorded if not (taking_back and _is_of(r, self.work))]
        recorded += self.work.recorded_by_others
        ahead = [
            waiting
            for place, waiting in self.will_wait
            if waiting.what in HOLDS_ROWS or not self._is_replaced(place, entry)
        ]
        known = replace(facts.side_by_side, recorded=tuple(recorded), ahead=tuple(ahead))
        waiting = needs(entry.statement, facts=replace(facts, side_by_side=known))
        if waiting is not None:
            of = {found.waiting: found.revision for found in recorded}
            raise NeedsFinish(
                statement=shortened(entry.statement.sql),
                waiting=str(waiting),
                revision=of.get(waiting, ""),
            )

    def require_all_taken_back(self) -> None:
        """Raise NotTakenBack if a revert, which has done nothing yet, would leave something waiting."""
        if self.work.releases is not Releases.BACK or self.has_committed:
            return
        ended = {
            number
            for entry in self.entries
            if entry.facts is not None
            for number in ended_by(draft_of(entry.statement, facts=entry.facts).steps)
        }
        left = [r for r in self.work.recorded if _is_of(r, self.work) and r.id not in ended]
        if left:
            raise NotTakenBack(
                revision=self.work.revision.revision,
                waiting=tuple(str(each.waiting) for each in left),
            )

    def _is_replaced(self, place: int, entry: QueueEntry) -> bool:
        """Whether the statement replaces what an earlier entry takes away: then both run as one."""
        found = next((e for e in self.entries if e.position == place), None)
        if found is None:
            return False
        between = [e for e in self.entries if e.position > place]
        return any(
            is_given_back(taken, entry) and is_replaced(taken, between) for taken in taken_by(found)
        )

    def _about(self, statement: Statement, facts: Facts) -> list[QueueEntry]:
        """Give the waiting statements that share a name with this one: a revision may make hundreds of tables."""
        if facts.type_changes:
            return self.entries
        names = _names(statement, facts)
        return [each.entry for each in self.waiting if each.names & names]

    def exempted(self, statement: Statement) -> Statement:
        """Give the statement with what its author allows in a comment of the revision's file."""
        if statement.exemption is not None:
            return statement
        return replace(statement, exemption=exemption_at_call(self.work.file, self._source))

    def note(self, statement: Statement, facts: Facts) -> None:
        """Note the relations that a statement, executed or queued, makes new."""
        is_revert = facts.side_by_side.releases is Releases.BACK
        if not is_revert or taken_back(statement, facts=facts) is None:  # else it is there already
            self.new = new_after(self.new, statement, facts=facts)

    def counts(self, step: Step, statement: Statement, *, position: int, is_allowed: bool) -> None:
        """Report a statement that is about to be executed at once, and count it as a step."""
        self.counted.append((position, step.describe()))
        self.work.executor.report(
            StatementPlanned(
                revision=self.work.revision.revision,
                sql=shortened(statement.sql),
                steps=(step,),
                is_queued=False,
                is_allowed=is_allowed,
            )
        )

    def _undo_count(self, positions: set[int]) -> None:
        left = [each for each in self.counted if each[0] not in positions]
        if len(left) < len(self.counted):
            self.work.executor.report(
                StatementsUndone(
                    revision=self.work.revision.revision, statements=len(self.counted) - len(left)
                )
            )
        self.counted = left

    def executes(self, texts: tuple[str, ...]) -> None:
        """Note statements that are executed in the author's transaction."""
        self.executed += (shortened(text) for text in texts)

    def entry_of(self, statement: Statement, facts: Facts) -> QueueEntry:
        """Give the statement as a queue entry, with a position behind all that came before."""
        self._positions += 1
        return QueueEntry(statement=statement, facts=facts, position=self._positions)

    def add(
        self,
        texts: tuple[str, ...],
        entry: QueueEntry,
        *,
        moment: TransactionStep | None,
    ) -> None:
        """Queue one execution of the statement, or several with their parameters."""
        waiting = WaitingStatement(
            entry=entry,
            texts=texts,
            moment=moment,
            settings=self.settings.in_force(),
            new=self.new,
            call=self.replay.number,
            is_at_its_own_time=self.work.session.in_autocommit(),
            names=_names(entry.statement, entry.facts),
            place=line_at_call(self.work.file),
        )
        self.waiting.append(waiting)
        if entry.facts is not None and self.work.releases is Releases.TWO:
            steps = draft_of(entry.statement, facts=entry.facts).steps
            self.will_wait += [(entry.position, each) for each in waiting_in(steps)]
        self.replay.add(";\n".join(texts), None)

    def wait_again(self, executed: Sequence[WaitingStatement]) -> None:
        """Queue what was executed and then undone in front of what waits, with the catalog's facts as they are now."""
        later, self.waiting = self.waiting, []
        undone = {each.entry.position for each in executed}
        self._undo_count(undone)
        self.open = [entry for entry in self.open if entry.position not in undone]
        del self.executed[len(self.executed) - sum(len(each.texts) for each in executed) :]
        self.catalog.forget()
        connection = self.work.session.connection
        for each in (*executed, *later):
            statement = each.entry.statement
            facts = self.catalog.facts_for(connection, statement, new=each.new)
            facts = expected(facts, self._about(statement, facts))
            entry = replace(each.entry, facts=facts)
            moment = as_written(statement, facts=facts) if each.moment is not None else None
            names = _names(statement, facts)
            self.waiting.append(replace(each, entry=entry, moment=moment, names=names))

    def queued(self, sql: str, statement: Statement) -> Queued:
        """Give the statement in the form that the journal keeps, which is text."""
        return Queued(
            sql=_with_exemption(sql, statement),
            new=self.new,
            settings=self.settings.in_force(),
            today=self.work.today.isoformat(),
            call=self.replay.number,
            releases=self.work.releases,
        )

    def forget(self) -> None:
        """Forget what the author rolls back: nothing of it is committed since the last record."""
        self._undo_count({position for position, _ in self.counted})
        self.clear()
        self.will_wait.clear()
        self.new, self.executed = self._recorded[0], list(self._recorded[1])
        self.replay.forget()

    def clear(self) -> None:
        """Forget what waits, what is open, and what is known of the catalog, which has changed."""
        self.waiting.clear()
        self.open.clear()
        self.catalog.forget()

    def run(
        self,
        units: tuple[Unit, ...],
        *,
        function_ended: bool,
        keeping: Sequence[WaitingStatement] = (),
    ) -> None:
        """Commit what was done, with the record of these units; then run them. `keeping` goes on waiting."""
        settings = self.settings.in_force()
        executed, uncounted = [words for _, words in self.counted], self.uncounted
        with self.work.session.transactional():
            self._record(units, function_ended=function_ended, keeping=keeping)
            self.work.session.commit()
        self.has_committed = True
        self.uncounted = 0 if units else uncounted + len(executed)
        self.counted.clear()
        self.clear()
        try:
            self.work.executor.run_all(
                executed=executed, uncounted=uncounted, may_be_more=not function_ended
            )
        except RefusedStatement as refused:
            refused.place = refused.place or self.places.get(refused.call)
            raise
        self.waiting.extend(keeping)
        self.settings.keep(settings)

    def record_progress(self) -> None:
        """Record progress in the transaction of a statement that its author wants committed by itself."""
        self._record((), function_ended=False)
        self.has_committed = True

    def mark(self) -> None:
        """Put a mark in the open transaction: whoever finds it knows that the author has committed that."""
        self.work.journal.open(self._revision(self.new, function_ended=False), ())

    def _revision(self, new: NewRelations, *, function_ended: bool) -> Unfinished:
        return replace(
            self.work.revision,
            function_ended=function_ended,
            committed=tuple(self.executed),
            new=new,
            unrepeatable=self.replay.unrepeatable,
        )

    def _record(
        self,
        units: tuple[Unit, ...],
        *,
        function_ended: bool,
        keeping: Sequence[WaitingStatement] = (),
    ) -> None:
        new = self._new_without(keeping)
        revision = self._revision(new, function_ended=function_ended)
        counted = self._with_counts([each for unit in units for each in self._queued(unit, units)])
        queued = self._in_order(counted, units)
        self.work.journal.open(revision, queued)
        self.replay.record(self.work.journal, pending=[each.call for each in keeping])
        self._recorded = (new, tuple(self.executed))

    def _with_counts(self, queued: list[Queued]) -> list[Queued]:
        """Note in the first unit how many steps the function itself has executed before it."""
        if queued:
            before = self.uncounted + len(self.counted)
            queued[0] = replace(queued[0], counted=replace(queued[0].counted, before=before))
        return queued

    def _new_without(self, keeping: Sequence[WaitingStatement]) -> NewRelations:
        """Give the new relations except those that these statements make, which a kill would prevent."""
        names, columns = self.new.names, self.new.columns
        for each in keeping:
            after = new_after(each.new, each.entry.statement, facts=_known(each.entry))
            names -= after.names - each.new.names
            columns -= after.columns - each.new.columns
        return NewRelations(names=names, columns=columns)

    def _time(self, first: WaitingStatement) -> tuple[LocalSetting, ...]:
        """Give the time of the transaction in which the function sent the first waiting statement."""
        if first.is_at_its_own_time:
            return ()
        self.now = self.now or _known(first.entry).now
        return (LocalSetting(name=NOW, setting=self.now),)

    def _in_order(self, queued: list[Queued], units: tuple[Unit, ...]) -> list[Queued]:
        """Give reordered units the same call number, so that none is taken back without the others."""
        positions = [entry.position for unit in units for entry in unit.entries]
        if positions == sorted(positions):
            return queued
        first = min(each.call for each in queued)
        return [replace(each, call=first) for each in queued]

    def _queued(self, unit: Unit, units: tuple[Unit, ...]) -> Iterator[Queued]:
        """Give what the journal keeps of a unit; each execution of a single statement is a unit of its own."""
        parts = list(zip(self.statements_of(unit), unit.entries, strict=True))
        texts = [
            [_with_exemption(text, entry.statement) for text in _texts(waiting, entry)]
            for waiting, entry in parts
        ]
        first = parts[0][0]
        self.places[first.call] = next(
            (each.place for each, _ in parts if each.is_long), first.place
        )
        queued = Queued(
            sql="",
            new=first.new,
            settings=(*first.settings, *self._time(first)),
            today=self.work.today.isoformat(),
            call=first.call,
            releases=self.work.releases,
            counted=expected_count(unit, units, today=self.work.today),
        )
        if len(parts) == 1 and not unit.is_whole:
            yield from (replace(queued, sql=text) for text in texts[0])
        else:
            yield replace(queued, sql="\n;\n".join(text for each in texts for text in each))


def _is_of(recorded: Recorded, work: RevisionContext) -> bool:
    return recorded.revision == work.revision.revision


def _known(entry: QueueEntry) -> Facts:
    assert entry.facts is not None  # noqa: S101  # entry_of() was given them
    return entry.facts


def _texts(waiting: WaitingStatement, entry: QueueEntry) -> tuple[str, ...]:
    """Give the texts as they came, unless a rule has put something else in their place."""
    return waiting.texts if entry == waiting.entry else (entry.statement.sql,)


def _with_exemption(sql: str, statement: Statement) -> str:
    """Turn an exemption from a Python comment into an SQL comment."""
    exemption = statement.exemption
    if exemption is None or exemption_in(sql) == exemption:
        return sql
    return f"{sql}\n-- holdfast: allow {exemption.reason} until {exemption.until}"


def _names(statement: Statement, facts: Facts | None) -> frozenset[str]:
    """Give the names in a statement: relations, the tables of its indexes, and a new name."""
    known = facts.relations.values() if facts is not None else ()
    new_name = {statement.node.newname} if isinstance(statement.node, pb.RenameStmt) else set()
    named = {name for _, name in relations_in(statement)}
    return frozenset(named | {relation.name.name for relation in known} | new_name)


def _names_set(statement: Statement) -> set[str]:
    node = statement.node
    if isinstance(node, pb.VariableSetStmt):
        if node.kind == pb.VAR_SET_MULTI:
            modes = MODES.get(node.name, {})
            return {modes[o.def_elem.defname] for o in node.args if o.def_elem.defname in modes}
        return {node.name} - UNREADABLE if node.name else set()
    # SELECT set_config('search_path', ..): its first argument
    values = [
        call.args[0].a_const.sval.sval
        for target in getattr(node, "target_list", ())
        if (call := target.res_target.val.func_call).funcname
        and call.funcname[-1].string.sval == "set_config"
    ]
    return {value for value in values if value}
