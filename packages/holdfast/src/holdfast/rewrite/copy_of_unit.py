"""A unit with a change of a type in it: the column is copied, and what stands around the change is done in its swap.

A view, policy or trigger that its author drops before and creates after stays while the rows are copied; users find
it replaced in the moment in which the column is.
"""

from collections.abc import Iterable, Iterator, Sequence
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
    """None where no column is copied, or where what stands around it is not over in a moment."""
    changing = [s for s in statements if may_write_rows(s, facts=facts)]
    if len(changing) != 1:
        return None
    place = statements.index(changing[0])
    before, after = statements[:place], statements[place + 1 :]
    steps = rewrite(changing[0], facts=_without_dropped(facts, before), today=today)
    around = [_moment(s, facts=facts) for s in (*before, *after)]
    *filling, swap = steps
    is_copy = any(isinstance(step, CopyRowsStep) for step in filling)
    if not is_copy or not isinstance(swap, BatchStep) or None in around:
        return None
    moments = [step for step in around if step is not None]
    locks = [*swap.locks, *(lock for step in moments for lock in step.locks)]
    together = replace(
        swap,
        sql=(*_texts(moments[:place]), *swap.sql, *_texts(moments[place:])),
        locks=tuple(sorted(strongest(tuple(locks)), key=lambda lock: -lock.mode.strength)),
    )
    return (*filling, together)


def _moment(statement: Statement, *, facts: Facts) -> TransactionStep | None:
    draft = draft_of(statement, facts=facts)
    is_one = len(draft.steps) == 1 and not draft.refusals
    step = draft.steps[0] if is_one else None
    return step if isinstance(step, TransactionStep) else None


def _texts(moments: Iterable[TransactionStep]) -> Iterator[str]:
    for step in moments:
        yield from step.sql


def _without_dropped(facts: Facts, before: Sequence[Statement]) -> Facts:
    """What depends on the columns, but for what is dropped before in the same moment."""
    dropped = {name for statement in before for name in _dropped(statement, facts)}

    def left(table: ChangedTable) -> ChangedTable:
        found = tuple(each for each in table.dependents if each.identity not in dropped)
        return replace(table, dependents=found)

    return replace(facts, type_changes=tuple(map(left, facts.type_changes)))


def _dropped(statement: Statement, facts: Facts) -> Iterator[str]:
    """As pg_identify_object() calls them."""
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
