"""Plans a unit with a type change: the column is copied, and what stands around the change happens in its swap.

A view, policy or trigger that its author drops before and creates after stays while the rows are copied; users find
it replaced in the moment in which the column is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.copied import copied
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.online import as_written, needs_no_transaction_of_its_own, rewrite
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.parts_of_unit import (
    Parts,
    on_copies,
    parts_of,
    under_another_name,
    with_names,
)
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.rewriting import dropped_constraints
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import (
    BatchStep,
    CopiedPartitionsStep,
    CopyRowsStep,
    DropIndexStep,
    Step,
    TransactionStep,
)
from holdfast.rewrite.tree import strings
from holdfast.rewrite.type_change import may_write_rows

ON_RELATIONS = frozenset([pb.OBJECT_POLICY, pb.OBJECT_RULE, pb.OBJECT_TRIGGER])
CHANGING_THE_TABLE = frozenset([pb.AT_AddColumn, pb.AT_AddConstraint, pb.AT_DropColumn])
VIEWS = frozenset([pb.OBJECT_MATVIEW, pb.OBJECT_VIEW])


def copy_of_unit(
    statements: Sequence[Statement], *, facts: Facts, today: date
) -> tuple[Step, ...] | None:
    """Give the steps; None if no column is copied, or if what stands around the change takes long.

    The columns of several tables change places in one and the same batch. What a key or an index needs that is
    dropped before and added after the change is built on the copies.
    """
    changing = [s for s in statements if may_write_rows(s, facts=facts)]
    tables = [_table(statement, facts) for statement in changing]
    if not changing or len(set(tables)) < len(tables):
        return None
    filling: list[Step] = []
    around: list[Parts] = []
    moments: list[TransactionStep | BatchStep] = []
    copies: dict[QualifiedName, Mapping[str, str]] = {}
    known = facts
    for place, statement in enumerate(statements):
        before, known = known, expected(known, [QueueEntry(statement=statement, facts=known)])
        if isinstance(statement.node, pb.CreateEnumStmt):
            filling.append(_new_type(statement))
            continue
        if statement in changing:
            left = _without_dropped(facts, statements[:place])
            *steps, swap = rewrite(statement, facts=left, today=today)
            is_copy = any(isinstance(step, CopyRowsStep) for step in steps)
            # The swap of a partitioned table is planned again if a partition is new, so it stays a step of its own.
            is_copy = is_copy and not any(isinstance(s, CopiedPartitionsStep) for s in steps)
            if not is_copy or not isinstance(swap, BatchStep):
                return None
            filling += steps
            moments.append(swap)
            copies |= _copies(statement, left)
            continue
        parts = _around(statement, facts=before, today=today)
        if parts is None or _is_too_early(
            statement, parts, left=tables[len(copies) :], facts=facts
        ):
            return None
        built = [build.index for each in around for build in each.before]
        parts = on_copies(under_another_name(parts, facts=facts, built=built), copies)
        parts = with_names(parts, facts=before)
        around.append(parts)
        moments += parts.moment
    return (
        *filling,
        *(build for parts in around for build in parts.before),
        _together(moments),
        *(step for parts in around for step in parts.after),
    )


def _table(statement: Statement, facts: Facts) -> QualifiedName | None:
    """Give the table of an ALTER TABLE."""
    node = statement.node
    found = facts.relation(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    return found.name if found is not None else None


def _copies(statement: Statement, facts: Facts) -> dict[QualifiedName, Mapping[str, str]]:
    """Give the names of the copies of the statement's columns, until the swap."""
    table = _table(statement, facts)
    return {
        found.table: copied(found).copies for found in facts.type_changes if found.table == table
    }


def _around(statement: Statement, *, facts: Facts, today: date) -> Parts | None:
    """Give the parts of a statement that stands around a change; None if it takes long."""
    steps = rewrite(statement, facts=facts, today=today)
    if steps and all(isinstance(step, DropIndexStep) for step in steps):
        return Parts(moment=(as_written(statement, facts=facts),))
    parts = parts_of(steps)
    lasts = parts is None or not needs_no_transaction_of_its_own(statement, facts=facts)
    return None if lasts else parts


def _is_too_early(
    statement: Statement, parts: Parts, *, left: Sequence[QualifiedName | None], facts: Facts
) -> bool:
    """Whether it adds to a table, or drops a column of one, some of whose columns are still to be copied."""
    node = statement.node
    if isinstance(node, pb.IndexStmt):
        return _named(node.relation, facts) in left
    if not isinstance(node, pb.AlterTableStmt) or _named(node.relation, facts) not in left:
        return False
    kinds = {item.alter_table_cmd.subtype for item in node.cmds}
    return bool(parts.before or parts.after or kinds & CHANGING_THE_TABLE)


def _named(relation: pb.RangeVar, facts: Facts) -> QualifiedName | None:
    found = facts.relation(relation)
    return found.name if found is not None else None


def _together(moments: Sequence[TransactionStep | BatchStep]) -> BatchStep:
    swaps = [step for step in moments if isinstance(step, BatchStep)]
    locks = tuple(lock for step in (*swaps, *moments) for lock in step.locks)
    return BatchStep(
        what=" and ".join(swap.what for swap in swaps),
        sql=tuple(text for step in moments for text in step.sql),
        locks=tuple(sorted(strongest(locks), key=lambda lock: -lock.mode.strength)),
        notes=tuple(dict.fromkeys(note for swap in swaps for note in swap.notes)),
    )


def _new_type(statement: Statement) -> TransactionStep:
    """Give the steps that make a new type before the copy that has it; nobody knows it yet."""
    assert isinstance(statement.node, pb.CreateEnumStmt)  # noqa: S101  # its only caller has looked
    name = ".".join(map(quote, strings(statement.node.type_name)))
    return TransactionStep(sql=(statement.sql,), undo=(f"DROP TYPE IF EXISTS {name}",))


def _without_dropped(facts: Facts, before: Sequence[Statement]) -> Facts:
    """Give the facts without dependents that are dropped earlier in the same moment."""
    dropped = {name for statement in before for name in _dropped(statement, facts)}
    indexes = {name for statement in before for name in _dropped_indexes(statement, facts)}
    constraints = {name for statement in before for name in _dropped_constraints(statement, facts)}

    def left(table: ChangedTable) -> ChangedTable:
        own = {name for of, name in constraints if of == table.table}
        return replace(
            table,
            dependents=tuple(each for each in table.dependents if each.identity not in dropped),
            checks=tuple(each for each in table.checks if each.name not in own),
            indexes=tuple(
                each
                for each in table.indexes
                if each.constraint not in own and (table.table.schema, each.name) not in indexes
            ),
            foreign_keys=tuple(
                each for each in table.foreign_keys if (each.table, each.name) not in constraints
            ),
        )

    return replace(facts, type_changes=tuple(map(left, facts.type_changes)))


def _dropped_constraints(
    statement: Statement, facts: Facts
) -> Iterator[tuple[QualifiedName | None, str]]:
    if isinstance(statement.node, pb.AlterTableStmt):
        table = _table(statement, facts)
        yield from ((table, name) for name in dropped_constraints(statement.node))


def _dropped_indexes(statement: Statement, facts: Facts) -> Iterator[tuple[str, str]]:
    node = statement.node
    if isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_INDEX:
        for item in node.objects:
            index = facts.index_named(strings(item.list.items))
            if index is not None:
                yield index.name.schema, index.name.name


def _dropped(statement: Statement, facts: Facts) -> Iterator[str]:
    """Name what a DROP takes away, in the words of pg_identify_object()."""
    node = statement.node
    if not isinstance(node, pb.DropStmt):
        return
    for item in node.objects:
        parts = strings(item.list.items) if item.HasField("list") else ()
        if node.remove_type in VIEWS:
            yield f'"_RETURN" on {_qualified(parts, facts)}'
        elif node.remove_type in ON_RELATIONS:
            yield f"{quote(parts[-1])} on {_qualified(parts[:-1], facts)}"


def _qualified(parts: tuple[str, ...], facts: Facts) -> QualifiedName:
    found = facts.relation_named(parts)
    if found is not None:
        return found.name
    schema = parts[-2] if len(parts) > 1 else facts.current_schema
    return QualifiedName(schema=schema, name=parts[-1])
