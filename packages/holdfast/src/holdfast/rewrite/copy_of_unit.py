"""A unit with a change of a type in it: the column is copied, and what stands around the change is done in its swap.

A view, policy or trigger that its author drops before and creates after stays while the rows are copied; users find
it replaced in the moment in which the column is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.online import draft_of, rewrite
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import BatchStep, CopyRowsStep, Step, TransactionStep
from holdfast.rewrite.tree import strings
from holdfast.rewrite.type_change import may_write_rows

ON_RELATIONS = frozenset([pb.OBJECT_POLICY, pb.OBJECT_RULE, pb.OBJECT_TRIGGER])
VIEWS = frozenset([pb.OBJECT_MATVIEW, pb.OBJECT_VIEW])


def copy_of_unit(
    statements: Sequence[Statement], *, facts: Facts, today: date
) -> tuple[Step, ...] | None:
    """None where no column is copied, or where what stands around it is not over in a moment.

    The columns of several tables change places in one and the same batch.
    """
    changing = [s for s in statements if may_write_rows(s, facts=facts)]
    if not changing:
        return None
    before: list[Step] = []
    moments: list[TransactionStep | BatchStep] = []
    for place, statement in enumerate(statements):
        if isinstance(statement.node, pb.CreateEnumStmt):
            before.append(_new_type(statement))
            continue
        if statement not in changing:
            moment = _moment(statement, facts=facts)
            if moment is None:
                return None
            moments.append(moment)
            continue
        known = _without_dropped(facts, statements[:place])
        *filling, swap = rewrite(statement, facts=known, today=today)
        is_copy = any(isinstance(step, CopyRowsStep) for step in filling)
        if not is_copy or not isinstance(swap, BatchStep):
            return None
        before += filling
        moments.append(swap)
    return (*before, _together(moments))


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
    """Before the copy that is of it; nobody knows it yet."""
    assert isinstance(statement.node, pb.CreateEnumStmt)  # noqa: S101  # its only caller has looked
    name = ".".join(map(quote, strings(statement.node.type_name)))
    return TransactionStep(sql=(statement.sql,), undo=(f"DROP TYPE IF EXISTS {name}",))


def _moment(statement: Statement, *, facts: Facts) -> TransactionStep | None:
    draft = draft_of(statement, facts=facts)
    is_one = len(draft.steps) == 1 and not draft.refusals
    step = draft.steps[0] if is_one else None
    return step if isinstance(step, TransactionStep) else None


def _without_dropped(facts: Facts, before: Sequence[Statement]) -> Facts:
    """What depends on the columns, but for what is dropped before in the same moment."""
    dropped = {name for statement in before for name in _dropped(statement, facts)}

    def left(table: ChangedTable) -> ChangedTable:
        found = tuple(each for each in table.dependents if each.identity not in dropped)
        return replace(table, dependents=found)

    return replace(facts, type_changes=tuple(map(left, facts.type_changes)))


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
