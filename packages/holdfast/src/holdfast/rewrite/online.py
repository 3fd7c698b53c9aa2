"""Decides how a statement is executed on a database in use: `duration()` and `rewrite()`, by operations' records.

A statement that is INSTANT is one short transaction, as it is written. Every other is LONG: it has
an online form of several steps, or is refused unless its author allows it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import Any

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import one_by_one, refuse_on_citus
from holdfast.rewrite.facts import Facts, NewRelations, Relation, Releases
from holdfast.rewrite.hazards import BreakingChange, Hazard
from holdfast.rewrite.locks import Lock, strongest
from holdfast.rewrite.operations import BY_ACTION, BY_STATEMENT, OF_NEW_TABLES
from holdfast.rewrite.operations.add_column import refuse_column_without_values
from holdfast.rewrite.queue.queued_changes import changes_ahead, is_conditional
from holdfast.rewrite.queue.units import QueueEntry, tables_of
from holdfast.rewrite.rewriting import (
    Action,
    NewObject,
    Refusal,
    Split,
    StatementOperation,
    alter_table,
    transaction,
)
from holdfast.rewrite.side_by_side.expand import expanded, expanded_action
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.side_by_side.taken_back import taken_back, taken_back_action
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import AutocommitStep, Step, TransactionStep
from holdfast.rewrite.tree import find
from holdfast.rewrite.type_change import without_copies


class Duration(Enum):
    """How long a statement, run as it is written, holds what others wait for."""

    INSTANT = "instant"
    LONG = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The steps of a statement, and why it is refused in spite of them."""

    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...] = ()


def duration(statement: Statement, *, facts: Facts) -> Duration:
    """Whether the statement can run inside the transaction of its revision.

    Raises what `moment_of` raises.
    """
    is_moment = moment_of(statement, facts=facts) is not None
    return Duration.INSTANT if is_moment else Duration.LONG


def moment_of(statement: Statement, *, facts: Facts) -> TransactionStep | None:
    """Give the step that runs the statement as written, if that is short; None if it takes long or does more.

    Raises ColumnWithoutValues, CitusRefuses: what must fail fails before anything else has run.
    """
    _refuse_what_must_fail(statement, facts=facts)
    draft = draft_of(statement, facts=facts)
    if draft.refusals or len(draft.steps) != 1:
        return None
    (step,) = draft.steps
    is_plain = step == TransactionStep(sql=(statement.sql,), locks=step.locks)
    if not is_plain or not needs_no_transaction_of_its_own(statement, facts=facts):
        return None
    assert isinstance(step, TransactionStep)  # noqa: S101  # it is equal to one
    return step


def _refuse_what_must_fail(statement: Statement, *, facts: Facts) -> None:
    if isinstance(statement.node, pb.AlterTableStmt):
        refuse_column_without_values(statement, facts=facts)
    if facts.is_on_citus:
        refuse_on_citus(statement, facts=facts)


def rewrite(
    statement: Statement, *, facts: Facts, today: date, ahead: Sequence[QueueEntry] = ()
) -> tuple[Step, ...]:
    """Give the steps of a statement; they hold as long as nothing changes the facts.

    Raises LongStatement where they would hold a lock for long, BreaksRunningCode where they take a
    name away, ColumnWithoutValues where they must fail; but not for a reason that the statements
    `ahead` of it in a queue may take away.
    """
    _refuse_what_must_fail(statement, facts=facts)
    excused = is_exempted(statement, today=today)
    draft = draft_of(statement, facts=without_copies(facts) if excused else facts)
    unless = excused or (ahead and is_conditional(statement))
    if draft.refusals and not unless:
        changes = changes_ahead(ahead, to=tables_of(facts))
        for refusal in draft.refusals:
            if not refusal.lifted_by & changes:
                raise refusal.error(statement)
    return draft.steps


def is_exempted(statement: Statement, *, today: date) -> bool:
    """Whether the author allows what would be refused."""
    return statement.exemption is not None and statement.exemption.holds(today=today)


def draft_of(statement: Statement, *, facts: Facts) -> Draft:
    """Give the steps of a statement, refused or not."""
    for_two = _of_two_releases(statement, facts=facts)
    if for_two is not None:
        of_two, refusal = for_two
        return Draft(
            steps=of_two or (as_written(statement, facts=facts),),
            refusals=(refusal,) if refusal is not None else (),
        )
    steps = _online_form(statement, facts=facts)
    if steps is not None:
        return Draft(steps=steps, refusals=_of_what_stays(statement, facts=facts))
    node = statement.node
    if isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        return _draft_of_alter_table(statement, node, facts=facts)
    return Draft(
        steps=(as_written(statement, facts=facts),),
        refusals=(
            *_hazards(statement, facts=facts),
            *_breaking_changes(statement, facts=facts),
        ),
    )


def locks_of(statement: Statement, *, facts: Facts) -> tuple[Lock, ...]:
    """Give the locks that it takes as written: the strongest per relation in use, in the order of taking.

    Only modes from SHARE UPDATE EXCLUSIVE up: every query takes the weaker ones.
    """
    return strongest(tuple(_locks(statement.node, facts=facts)))


def as_written(statement: Statement, *, facts: Facts) -> TransactionStep:
    """Give the step that runs the statement itself, in a transaction of its own."""
    return TransactionStep(sql=(statement.sql,), locks=locks_of(statement, facts=facts))


def is_refused_inside(statement: Statement) -> bool:
    """Whether PostgreSQL refuses it inside a transaction."""
    return any(
        each.is_outside(statement.node)
        for each in _records(statement.node)
        if each.is_outside is not None
    )


def looks_at_partitions(statement: Statement) -> bool:
    """Whether its steps on a partitioned table depend on each of the partitions."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt):
        asked = (each.looks_at_partitions for each in _records(node))
        return any(looks(node) for looks in asked if looks is not None)
    subtypes = (item.alter_table_cmd.subtype for item in node.cmds)
    return any(each.looks_at_partitions for kind in subtypes for each in BY_ACTION.get(kind, ()))


def new_after(new: NewRelations, statement: Statement, *, facts: Facts) -> NewRelations:
    """Give what the revision itself has made once the statement has run."""
    for each in _records(statement.node):
        if each.new_after is not None:
            new = each.new_after(new, statement.node, facts)
    return new


def names_to_choose_from(statement: Statement, *, tables: Iterable[Relation] = ()) -> Iterator[str]:
    """Give each name that may be chosen for what the statement makes, on its table and each partition.

    The catalog is asked which of them are taken, and about no other name.
    """
    known = tuple(tables)
    parts = {part.name.name for table in known if table.is_partitioned for part in table.partitions}
    node: Any = statement.node  # what has names to be chosen is about a relation
    if isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        for item in node.cmds:
            command = item.alter_table_cmd
            asked = [each.names for each in BY_ACTION.get(command.subtype, ())]
            yield from _names(command, node.relation.relname, asked, known=known, parts=parts)
    elif asked := [each.names for each in _records(node) if each.names is not None]:
        yield from _names(node, node.relation.relname, asked, known=known, parts=parts)


def _names(
    node: Message,
    table: str,
    asked: Sequence[Callable[[NewObject], Iterator[str]] | None],
    *,
    known: tuple[Relation, ...],
    parts: Collection[str],
) -> Iterator[str]:
    for names in asked:
        if names is not None:
            yield from names(NewObject(node=node, table=table, relations=known))
            for part in parts:
                yield from names(NewObject(node=node, table=part, is_of_partition=True))


def _online_form(statement: Statement, *, facts: Facts) -> tuple[Step, ...] | None:
    """Give the steps of a statement that is no ALTER TABLE; None if it runs as it is written."""
    for each in _records(statement.node):
        steps = each.apply(statement, facts) if each.apply is not None else None
        if steps is not None:
            return steps
    if is_refused_inside(statement):
        return (AutocommitStep(sql=statement.sql, locks=locks_of(statement, facts=facts)),)
    return None


def _online_form_of_action(action: Action) -> Split | None:
    """Give what becomes of an action of ALTER TABLE; None if it is fine as it is."""
    known = BY_ACTION.get(action.command.subtype, ())
    operations = OF_NEW_TABLES if action.table.is_new else known
    splits = (each.apply(action) for each in operations if each.apply is not None)
    return next((split for split in splits if split is not None), None)


def _of_two_releases(
    statement: Statement, *, facts: Facts
) -> tuple[tuple[Step, ...], NeedsOneRelease | None] | None:
    match facts.side_by_side.releases:
        case Releases.ONE:
            return None
        case Releases.TWO:
            return expanded(statement, facts=facts)
        case Releases.BACK:
            return taken_back(statement, facts=facts)


def _hazards(statement: Statement, *, facts: Facts) -> tuple[Hazard, ...]:
    """Give the hazards of a statement that is run as it is written."""
    return tuple(
        hazard
        for each in _records(statement.node)
        if each.hazards is not None
        for hazard in each.hazards(statement.node, facts)
    )


def _breaking_changes(statement: Statement, *, facts: Facts) -> tuple[BreakingChange, ...]:
    """Give the names that the statement takes away."""
    return tuple(
        change
        for each in _records(statement.node)
        if each.breaks is not None
        for change in each.breaks(statement.node, facts)
    )


def _locks(node: Message, *, facts: Facts) -> Iterator[Lock]:
    for each in _records(node):
        if each.locks is not None:
            yield from each.locks(node, facts)


def _records(node: Message) -> tuple[StatementOperation, ...]:
    return BY_STATEMENT.get(type(node), ())


def _of_what_stays(statement: Statement, *, facts: Facts) -> tuple[Hazard, ...]:
    """Give the hazards of what runs as written: CREATE TABLE, and what refuses a transaction."""
    stays = isinstance(statement.node, pb.CreateStmt) or is_refused_inside(statement)
    return _hazards(statement, facts=facts) if stays else ()


def _draft_of_alter_table(statement: Statement, node: pb.AlterTableStmt, *, facts: Facts) -> Draft:
    """Run what takes long before or after; keep the rest together, as its actions may need each other."""
    table = facts.relation(node.relation)
    if table is None or (table.descendants and not node.relation.inh):
        # ONLY, and there are tables below: what it means for them is PostgreSQL's to say.
        hazards = _holds(node, table=table, facts=facts) if table else ()
        return Draft(steps=(as_written(statement, facts=facts),), refusals=hazards)
    splits, facts_then = _splits(node, facts=facts)
    before = tuple(step for split in splits for step in split.before)
    after = tuple(step for split in splits for step in split.after)
    stays = [command for split in splits for command in split.stays]
    rest = alter_table(table.name, *stays)
    rest.relation.inh, rest.missing_ok = node.relation.inh, node.missing_ok
    pieces = [rest]
    if len(groups := one_by_one(stays, table=table)) > 1:
        pieces = [alter_table(table.name, *group) for group in groups]
    holds: tuple[Refusal, ...] = (
        *_holds(rest, table=table, facts=facts),
        *(refusal for split in splits for refusal in split.refusals),
    )
    if not before and not after and len(pieces) == 1:
        return Draft(steps=(as_written(statement, facts=facts),), refusals=holds)
    also = [node for split in splits for node in split.also]
    locks = [lock for node in also for lock in _locks(node, facts=facts_then)]
    middle = (transaction(*pieces, *also, facts=facts_then, locks=locks),) if rest.cmds else ()
    # Two columns may share an index: it is dropped once.
    return Draft(steps=(*dict.fromkeys(before), *middle, *after), refusals=holds)


def _splits(node: pb.AlterTableStmt, *, facts: Facts) -> tuple[list[Split], Facts]:
    """Split each action, knowing what those before it have chosen and dropped."""
    splits: list[Split] = []
    for item in node.cmds:
        table = facts.relation(node.relation)
        if table is None:
            break
        action = Action(command=item.alter_table_cmd, statement=node, table=table, facts=facts)
        split = _split(action) or Split(stays=(action.command,))
        facts = _with_taken(facts, split.chosen_names, schema=table.name.schema)
        facts = facts.without_constraints(split.dropped_keys)
        splits.append(split)
    return splits, facts


def _holds(rest: pb.AlterTableStmt, *, table: Relation, facts: Facts) -> tuple[Hazard, ...]:
    actions = (
        Action(command=item.alter_table_cmd, statement=rest, table=table, facts=facts)
        for item in rest.cmds
    )
    return tuple(
        hazard
        for action in actions
        for each in BY_ACTION.get(action.command.subtype, ())
        if each.hazards is not None
        for hazard in each.hazards(action)
    )


def _split(action: Action) -> Split | None:
    for_two = expanded_action(action) or taken_back_action(action)
    return for_two if for_two is not None else _online_form_of_action(action)


def _with_taken(facts: Facts, names: frozenset[str], *, schema: str) -> Facts:
    if not names:
        return facts
    taken = {**facts.taken_names, schema: facts.taken_in(schema) | names}
    return replace(facts, taken_names=taken)


def needs_no_transaction_of_its_own(statement: Statement, *, facts: Facts) -> bool:
    """Whether it can share a transaction: it reads little, and is usable before its commit."""
    node = statement.node
    if isinstance(node, pb.AlterEnumStmt):
        return not node.new_val or bool(node.old_val)
    fills_a_table = isinstance(node, pb.CreateTableAsStmt) or (
        isinstance(node, pb.SelectStmt) and node.HasField("into_clause")
    )
    return not (fills_a_table and any(facts.in_use(read) for read in find(node, pb.RangeVar)))
