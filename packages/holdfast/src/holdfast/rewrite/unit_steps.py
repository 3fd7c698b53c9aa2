"""The steps of a unit: what its statements need beforehand, one transaction for all of them, what lasts behind it.

Builds come first, under another name where the name is still taken; in the transaction they take their places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

from postgast import pg_query_pb2 as pb

from holdfast.errors import HoldfastError
from holdfast.errors.statement import CannotWaitHere
from holdfast.rewrite.copy_of_unit import copy_of_unit
from holdfast.rewrite.even_values import written_at
from holdfast.rewrite.expected_facts import expected
from holdfast.rewrite.facts import Facts, Releases
from holdfast.rewrite.locks import Lock, strongest
from holdfast.rewrite.names import QualifiedName, free_name, quote
from holdfast.rewrite.online import as_written, draft_of, needs_no_transaction_of_its_own, rewrite
from holdfast.rewrite.pairs import is_given_back, taken_by
from holdfast.rewrite.queue_rules.copied_once import as_one
from holdfast.rewrite.queue_rules.gap_closed import gap_closed
from holdfast.rewrite.queue_rules.recreated_types import types_named, with_types_beside
from holdfast.rewrite.side_by_side.expand import waiting_in
from holdfast.rewrite.single_transaction import refuse_undivided
from holdfast.rewrite.statement import Statement, StatementKind, parse, shortened
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
from holdfast.rewrite.tree import constraint_of, copy, sql
from holdfast.rewrite.type_change import may_write_rows
from holdfast.rewrite.units import QueueEntry, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What becomes of one statement of a unit."""

    before: tuple[BuildIndexStep, ...] = ()
    moment: tuple[TransactionStep, ...] = ()
    after: tuple[ValidateStep | AutocommitStep, ...] = ()


def steps_of_unit(
    statements: Sequence[Statement], *, facts: Facts, today: date
) -> tuple[Step, ...]:
    """The steps of the one statement, or of all together. Raises what `rewrite` raises."""
    statements = [
        written_at(statement, now=facts.now) if statement.kind is StatementKind.WRITE else statement
        for statement in statements
    ]
    if len(statements) == 1:
        return rewrite(statements[0], facts=facts, today=today)
    pairs = _paired(statements, facts=facts)
    copied = copy_of_unit(statements, facts=_of_copy(statements, pairs, facts), today=today)
    if copied is not None:
        return copied
    parts: list[_Parts] = []
    before = facts
    for statement, is_paired in zip(statements, pairs, strict=True):
        # What is replaced in the same moment is there for both releases.
        known = _of_one_release(facts) if is_paired else facts
        found = _parts(statement, facts=known, today=today)
        built = [build.index for part in parts for build in part.before]
        parts.append(_under_another_name(found, facts=before, built=built))
        facts = expected(facts, [QueueEntry(statement=statement, facts=facts)])
    moment = [step for part in parts for step in part.moment]
    captures = [step.captures_constraint_on for step in moment if step.captures_constraint_on]
    together = TransactionStep(
        sql=tuple(text for step in moment for text in step.sql),
        locks=_strongest_first(tuple(lock for step in moment for lock in step.locks)),
        captures_constraint_on=captures[0] if captures else None,
        waits=tuple(waiting for step in moment for waiting in step.waits),
        ends=tuple(number for step in moment for number in step.ends),
    )
    return (
        *(step for part in parts for step in part.before),
        *((together,) if together.sql or together.waits or together.ends else ()),
        *(step for part in parts for step in part.after),
    )


def _paired(statements: Sequence[Statement], *, facts: Facts) -> tuple[bool, ...]:
    """Whether something takes the place of what a statement takes away, in the same unit."""
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
    """Of a unit in which nothing waits: what goes is replaced in the same moment."""
    waits = any(
        not is_paired and waiting_in(draft_of(statement, facts=facts).steps)
        for statement, is_paired in zip(statements, pairs, strict=True)
    )
    return facts if waits else _of_one_release(facts)


def _of_one_release(facts: Facts) -> Facts:
    return replace(facts, side_by_side=replace(facts.side_by_side, releases=Releases.ONE))


def is_momentary(statement: Statement, *, facts: Facts) -> bool:
    """Whether nothing of it lasts but what can be done before the unit's transaction, or behind it."""
    if may_write_rows(statement, facts=facts):
        return False
    steps = draft_of(statement, facts=facts).steps
    if _split(steps) is not None:
        return needs_no_transaction_of_its_own(statement, facts=facts)
    return all(isinstance(step, DropIndexStep | TransactionStep) for step in steps)


def _parts(statement: Statement, *, facts: Facts, today: date) -> _Parts:
    """As written, where its online form is neither a build nor a validation nor a moment."""
    steps = rewrite(statement, facts=facts, today=today)
    if waiting := waiting_in(steps):
        if not all(isinstance(step, BatchStep) for step in steps):
            raise CannotWaitHere(statement=shortened(statement.sql), waiting=str(waiting[0]))
        return _Parts(moment=tuple(_as_transaction(s) for s in steps if isinstance(s, BatchStep)))
    if any(isinstance(step, CopyRowsStep | PartitionsStep) for step in steps):
        refuse_undivided(statement, facts=facts, today=today)
    return _split(steps) or _Parts(moment=(as_written(statement, facts=facts),))


def _as_transaction(step: BatchStep) -> TransactionStep:
    return TransactionStep(
        sql=(do_block(step.sql),) if step.sql else (),
        locks=step.locks,
        waits=step.waits,
        ends=step.ends,
    )


def _split(steps: Sequence[Step]) -> _Parts | None:
    """Builds, then moments, then what reads the tables; None where the steps have another order."""
    before: list[BuildIndexStep] = []
    moment: list[TransactionStep] = []
    after: list[ValidateStep | AutocommitStep] = []
    for step in steps:
        match step:
            case BuildIndexStep() if not moment and step.only_for is None:
                before.append(step)
            case TransactionStep() if not after and step.only_for is None:
                moment.append(step)
            case ValidateStep() | AutocommitStep() if moment or before:
                after.append(step)
            case _:
                return None
    return _Parts(before=tuple(before), moment=tuple(moment), after=tuple(after))


def _under_another_name(parts: _Parts, *, facts: Facts, built: Sequence[str]) -> _Parts:
    """A build whose name its forerunner still has gets one that is free, until the transaction."""
    indexes = _names(facts)
    for build in parts.before:
        name = QualifiedName(schema=build.schema, name=build.index)
        if name in indexes:
            of_indexes = {each.name for each in indexes if each.schema == build.schema}
            taken = facts.taken_in(build.schema) | of_indexes | set(built)
            other = free_name(build.index, label="new", taken=taken)
            parts = replace(
                parts,
                before=tuple(_renamed(b, to=other) if b == build else b for b in parts.before),
                moment=_taking_over(parts.moment, name, built_as=other),
            )
    return parts


def _renamed(build: BuildIndexStep, *, to: str) -> BuildIndexStep:
    (statement,) = parse(build.sql)
    node = copy(statement.node)
    assert isinstance(node, pb.IndexStmt)  # noqa: S101  # it is made by build_index()
    node.idxname = to
    undo = f"DROP INDEX CONCURRENTLY IF EXISTS {QualifiedName(schema=build.schema, name=to)}"
    return replace(build, index=to, sql=sql(node), undo=(undo,))


def _taking_over(
    moment: tuple[TransactionStep, ...], name: QualifiedName, *, built_as: str
) -> tuple[TransactionStep, ...]:
    """A constraint gives the index its own name; an index that stands alone is renamed."""
    if not moment:
        built = QualifiedName(schema=name.schema, name=built_as)
        return (TransactionStep(sql=(f"ALTER INDEX {built} RENAME TO {quote(name.name)}",)),)
    return tuple(
        replace(step, sql=tuple(_using(text, name.name, built_as) for text in step.sql))
        for step in moment
    )


def _using(text: str, name: str, built_as: str) -> str:
    (statement,) = parse(text)
    node = copy(statement.node)
    if not isinstance(node, pb.AlterTableStmt):
        return text
    for item in node.cmds:
        constraint = constraint_of(item.alter_table_cmd)
        if constraint.indexname == name:
            constraint.indexname = built_as
    return sql(node)


def _names(facts: Facts) -> frozenset[QualifiedName]:
    """The indexes that are there before the unit."""
    return frozenset(
        index.name for relation in facts.relations.values() for index in relation.indexes
    )


def _strongest_first(locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
    """One lock per relation; a stable order, so that no relation waits for a weaker lock first."""
    return tuple(sorted(strongest(locks), key=lambda lock: -lock.mode.strength))


def expected_count(unit: Unit, queue: Sequence[Unit], *, today: date) -> CountedUnit:
    """The count of the unit's steps, if nothing changes until its turn; a guess where that cannot be told."""
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
    return CountedUnit(steps=len(steps), is_guess=False)


def _facts_of(unit: Unit) -> Facts | None:
    """What was known of all its statements: of each relation what the last one knew that names it."""
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
