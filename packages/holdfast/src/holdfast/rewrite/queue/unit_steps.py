"""The steps of a unit: what its statements need before, one transaction for all of them, what takes long after it.

Builds come first, under another name where the name is still taken; in the transaction they take their places.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from typing import Any

from postgast import pg_query_pb2 as pb

from holdfast.errors import HoldfastError
from holdfast.errors.statement import CannotWaitHere, TornApart
from holdfast.rewrite.facts import Facts, Releases
from holdfast.rewrite.locks import Lock, strongest
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.one_moment import TIMED, at_its_moment
from holdfast.rewrite.online import (
    as_written,
    draft_of,
    is_exempted,
    needs_no_transaction_of_its_own,
    rewrite,
)
from holdfast.rewrite.partitions.replaced import built_on_partitions, is_built_on_partitions
from holdfast.rewrite.queue.copy_of_unit import copy_of_unit
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.not_null_ahead import (
    is_as_before,
    is_needed_at_once,
    not_null_made_before,
    not_null_proved_before,
    was_not_null,
)
from holdfast.rewrite.queue.pairs import is_given_back, taken_by
from holdfast.rewrite.queue.parts_of_unit import (
    Parts,
    parts_of,
    under_another_name,
    with_names,
)
from holdfast.rewrite.queue.rules.copied_once import as_one
from holdfast.rewrite.queue.rules.gap_closed import gap_closed
from holdfast.rewrite.queue.rules.recreated_types import types_named, with_types_beside
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.side_by_side.expand import waiting_in
from holdfast.rewrite.single_transaction import is_small, refuse_undivided
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.steps import (
    AutocommitStep,
    BatchStep,
    BuildIndexStep,
    CopyRowsStep,
    CountedUnit,
    DropIndexStep,
    PartitionsStep,
    Step,
    TransactionStep,
    ValidateStep,
    do_block,
)
from holdfast.rewrite.tree import find
from holdfast.rewrite.type_change import may_write_rows, table_written_by_change


def steps_of_unit(
    statements: Sequence[Statement], *, facts: Facts, today: date
) -> tuple[Step, ...]:
    """Give the steps of the one statement, or of all together. Raises what `rewrite` raises."""
    statements = [
        at_its_moment(each, facts=facts, now=facts.now) if isinstance(each.node, TIMED) else each
        for each in statements
    ]
    if len(statements) == 1:
        return rewrite(statements[0], facts=facts, today=today)
    pairs = _paired(statements, facts=facts)
    copied = copy_of_unit(statements, facts=_of_copy(statements, pairs, facts), today=today)
    if copied is not None:
        return copied
    _refuse_a_change_of_rows(statements, facts=facts, today=today)
    written = [table_written_by_change(statement, facts=facts) for statement in statements]
    rewritten = {table.name for table in written if table is not None}
    ahead: list[Step] = []
    parts: list[Parts] = []
    before = facts
    for place, (statement, is_paired) in enumerate(zip(statements, pairs, strict=True)):
        # What is replaced in the same moment exists for both releases.
        known = _of_one_release(facts) if is_paired else facts
        built = [each.index for each in _builds(ahead, parts)]
        apart = built_on_partitions(statement, facts=known, at_first=before, built=built)
        must_be_valid = is_needed_at_once(statement, statements[place + 1 :])
        if apart is None and was_not_null(statement, before):
            apart = not_null_proved_before(statement, facts=known)
        elif (
            apart is None and must_be_valid and is_as_before(statement, statements[:place], before)
        ):
            apart = not_null_made_before(statement, facts=known)
        if apart is not None:
            steps = rewrite(statement, facts=known, today=today)
            ahead += apart.before
            after = tuple(step for step in steps if isinstance(step, AutocommitStep))
            parts.append(Parts(moment=apart.moment, after=after))
            facts = expected(facts, [QueueEntry(statement=statement, facts=facts)])
            continue
        found = _parts(statement, facts=known, today=today)
        if must_be_valid:
            refuse_undivided(statement, facts=known, today=today)
            found = Parts(moment=(as_written(statement, facts=known),))
        if rewritten and (found.before or found.after) and _is_of(statement, rewritten, facts):
            # A small table whose rows are rewritten: nothing can be built before that.
            found = Parts(moment=(as_written(statement, facts=known),))
        named = with_names(found, facts=known)
        parts.append(under_another_name(named, facts=before, built=built))
        facts = expected(facts, [QueueEntry(statement=statement, facts=facts)])
    moment = [step for part in parts for step in part.moment]
    together = TransactionStep(
        sql=tuple(text for step in moment for text in step.sql),
        locks=_strongest_first(tuple(lock for step in moment for lock in step.locks)),
        waits=tuple(waiting for step in moment for waiting in step.waits),
        ends=tuple(number for step in moment for number in step.ends),
    )
    return (
        *ahead,
        *(step for part in parts for step in part.before),
        *((together,) if together.sql or together.waits or together.ends else ()),
        *(step for part in parts for step in part.after),
    )


def _builds(ahead: Sequence[Step], parts: Sequence[Parts]) -> Iterator[BuildIndexStep]:
    yield from (step for step in ahead if isinstance(step, BuildIndexStep))
    yield from (step for part in parts for step in part.before)


def _is_of(statement: Statement, tables: Collection[QualifiedName], facts: Facts) -> bool:
    """Whether it is about one of the tables."""
    found = (facts.relation(each) for each in find(statement.node, pb.RangeVar))
    return any(relation is not None and relation.name in tables for relation in found)


def _refuse_a_change_of_rows(statements: Sequence[Statement], *, facts: Facts, today: date) -> None:
    """Raise TornApart if a column of a large table cannot be copied with what stands around its change."""
    for statement in statements:
        table = table_written_by_change(statement, facts=facts)
        if table is None or is_small(table) or is_exempted(statement, today=today):
            continue
        raise TornApart(
            statement=shortened(statements[0].sql),
            until=shortened(statements[-1].sql),
            between=shortened(statement.sql),
            relation=str(table.name),
            rows=table.rows,
            taken="constraint",
        )


def _paired(statements: Sequence[Statement], *, facts: Facts) -> tuple[bool, ...]:
    """Say of each statement whether a later one in the unit replaces what it takes away."""
    entries = [QueueEntry(statement=statement, facts=facts) for statement in statements]
    return tuple(
        any(
            is_given_back(taken, later)
            for taken in taken_by(entry)
            for later in entries[place + 1 :]
        )
        for place, entry in enumerate(entries)
    )


def _of_copy(statements: Sequence[Statement], pairs: Sequence[bool], facts: Facts) -> Facts:
    """Give the facts for a column copy: as for one release, unless a statement leaves something waiting."""
    waits = any(
        not is_paired and waiting_in(draft_of(statement, facts=facts).steps)
        for statement, is_paired in zip(statements, pairs, strict=True)
    )
    return facts if waits else _of_one_release(facts)


def _of_one_release(facts: Facts) -> Facts:
    return replace(facts, side_by_side=replace(facts.side_by_side, releases=Releases.ONE))


def is_momentary(statement: Statement, *, facts: Facts) -> bool:
    """Whether it is over in a moment, apart from what can be done before or after the unit's transaction."""
    if may_write_rows(statement, facts=facts):
        return False
    if is_built_on_partitions(statement, facts=facts):
        return True
    steps = draft_of(statement, facts=facts).steps
    if parts_of(steps) is not None:
        return needs_no_transaction_of_its_own(statement, facts=facts)
    return all(isinstance(step, DropIndexStep | TransactionStep) for step in steps)


def _parts(statement: Statement, *, facts: Facts, today: date) -> Parts:
    """Divide a statement; as written, if its steps are not builds, short transactions and scans in this order."""
    steps = rewrite(statement, facts=facts, today=today)
    if waiting := waiting_in(steps):
        if not all(isinstance(step, BatchStep) for step in steps):
            raise CannotWaitHere(statement=shortened(statement.sql), waiting=str(waiting[0]))
        return Parts(moment=tuple(_as_transaction(s) for s in steps if isinstance(s, BatchStep)))
    if any(isinstance(step, CopyRowsStep | PartitionsStep) for step in steps):
        refuse_undivided(statement, facts=facts, today=today)
    return parts_of(steps) or Parts(moment=(as_written(statement, facts=facts),))


def _as_transaction(step: BatchStep) -> TransactionStep:
    return TransactionStep(
        sql=(do_block(step.sql),) if step.sql else (),
        locks=step.locks,
        waits=step.waits,
        ends=step.ends,
    )


def _strongest_first(locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
    """Give one lock per relation, the strongest first; a stable order prevents deadlocks."""
    return tuple(sorted(strongest(locks), key=lambda lock: -lock.mode.strength))


def expected_count(unit: Unit, queue: Sequence[Unit], *, today: date) -> CountedUnit:
    """Count the unit's steps, if nothing changes until its turn; a guess if that cannot be told."""
    facts = _facts_of(unit)
    if facts is None:
        return CountedUnit()
    statements = tuple(entry.statement for entry in unit.entries)
    if len(statements) > 1:
        statements = as_one(statements)
        if types_named(statements):
            statements = with_types_beside(statements, taken=frozenset()) or statements
    try:
        steps = steps_of_unit(statements, facts=facts, today=today)
    except HoldfastError:  # it is refused in its turn, if it still is one then
        return CountedUnit()
    if any(isinstance(step, ValidateStep) for step in steps):
        everything = [entry.statement for each in queue for entry in each.entries]
        steps = gap_closed(steps, unit=statements, queue=everything, facts=facts)
    # After the earlier statements, what PostgreSQL said of a type change no longer counts.
    is_guess = any(change.is_stale for change in facts.type_changes)
    return CountedUnit(steps=len(steps), is_guess=is_guess)


def _facts_of(unit: Unit) -> Facts | None:
    """Give the facts of all its statements: of each relation what the last one that names it knew."""
    known = [entry.facts for entry in unit.entries if entry.facts is not None]
    if len(known) < len(unit.entries) or not known:
        return None
    together = known[0]
    for facts in known[1:]:
        together = replace(together, **_both(together, facts))
    return together


def _both(one: Facts, other: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(Facts):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Mapping):
            found[field.name] = {**a, **b}
        elif isinstance(a, frozenset):
            found[field.name] = a | b
        elif isinstance(a, tuple):
            found[field.name] = (*a, *(each for each in b if each not in a))
    return found
