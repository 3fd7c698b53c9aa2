"""Rule: what is dropped and created again is replaced in one moment; what must be built is built before.

Not a key, an index or a constraint whose table is written in between: its author has dropped it for that. A CHECK has
something in its place meanwhile, which allows what the old or the new one allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind, Relation
from holdfast.rewrite.names import free_name
from holdfast.rewrite.not_null import NATIVE
from holdfast.rewrite.queue.independence import is_opaque, is_write
from holdfast.rewrite.queue.not_null_ahead import not_null_proved_before
from holdfast.rewrite.queue.pairs import (
    NOT_NULL,
    Taken,
    is_given_back,
    is_given_back_by_name,
    relation_name,
    taken_by,
)
from holdfast.rewrite.queue.unit_steps import is_momentary
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.rewriting import add_constraint, drop_constraint, not_valid
from holdfast.rewrite.tree import (
    column_of,
    constraint_of,
    copy,
    find,
    parsed_constraint,
    sql,
    strings,
)
from holdfast.rewrite.type_change import may_write_rows

ABOUT_ROWS = ("constraint", "index", "type", "unique key")


def is_replaced(taken: Taken, until: Sequence[QueueEntry]) -> bool:
    """Whether drop and creation are one: nothing was dropped for the sake of a write in between."""
    if taken.is_switched_off or taken.is_temporary or taken.what == "policy":
        return False
    if taken.what.startswith((*ABOUT_ROWS, "default")) and any(map(_writes, until)):
        return False
    return taken.what != NOT_NULL or _is_a_moment_again(taken, until)


def _is_a_moment_again(taken: Taken, until: Sequence[QueueEntry]) -> bool:
    """Whether NOT NULL can be restored in a moment, as it is proved before or after.

    Until PostgreSQL 17 not beside a copy of a column, nor in a statement that does something else, too.
    """
    for entry in until:
        facts = entry.facts
        if facts is None:
            return False
        if may_write_rows(entry.statement, facts=facts) and facts.server_major < NATIVE:
            return False
        if is_given_back(taken, entry) and not (
            is_momentary(entry.statement, facts=facts)
            or not_null_proved_before(entry.statement, facts=facts)
        ):
            return False
    return True


def first_build_on_new_columns(entries: Sequence[QueueEntry]) -> int | None:
    """Find the first entry that builds an index on a column which an earlier one adds or renames."""
    made: set[tuple[str, str]] = set()
    for place, entry in enumerate(entries):
        if made & set(_built_on(entry)):
            return place
        made |= set(_columns_made(entry))
    return None


def _built_on(entry: QueueEntry) -> Iterator[tuple[str, str]]:
    """Give the columns of the indexes that it needs, each with its table."""
    node = entry.statement.node
    if isinstance(node, pb.IndexStmt):
        table = relation_name(node.relation, entry)
        elements = [item.index_elem for item in (*node.index_params, *node.index_including_params)]
        yield from ((table, element.name) for element in elements if element.name)
        yield from ((table, strings(each.fields)[-1]) for each in find(node, pb.ColumnRef))
    elif isinstance(node, pb.AlterTableStmt):
        for item in node.cmds:
            if item.alter_table_cmd.subtype == pb.AT_AddConstraint:
                constraint = constraint_of(item.alter_table_cmd)
                keys = (*strings(constraint.keys), *strings(constraint.including))
                is_key = constraint.contype in (pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE)
                yield from ((relation_name(node.relation, entry), k) for k in keys if is_key)


def _columns_made(entry: QueueEntry) -> Iterator[tuple[str, str]]:
    node = entry.statement.node
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        yield relation_name(node.relation, entry), node.newname
    elif isinstance(node, pb.AlterTableStmt):
        for item in node.cmds:
            if item.alter_table_cmd.subtype == pb.AT_AddColumn:
                yield relation_name(node.relation, entry), column_of(item.alter_table_cmd).colname


def with_interim_checks(entries: Sequence[QueueEntry]) -> tuple[QueueEntry, ...]:
    """Put `(old) OR (new)` in the place of each CHECK that is dropped for a write and added again."""
    changed = list(entries)
    for place, given, taken in _replaced_checks(entries):
        if any(map(_writes, entries[place + 1 : given])):
            pair = _with_interim(
                entries[place], entries[given], name=taken.name, between=entries[place + 1 : given]
            )
            changed[place], changed[given] = pair or (changed[place], changed[given])
    return tuple(changed)


def _replaced_checks(entries: Sequence[QueueEntry]) -> Iterator[tuple[int, int, Taken]]:
    """Find each dropped CHECK and its successor: by name, else the next one on the same columns.

    Each is in the place of one only.
    """
    dropped = [
        (place, taken)
        for place, entry in enumerate(entries)
        for taken in taken_by(entry)
        if taken.what == f"constraint {ConstraintKind.CHECK.value}"
    ]
    used: set[int] = set()
    for is_pair in (is_given_back_by_name, is_given_back):
        for place, taken in list(dropped):
            given = next(
                (
                    later
                    for later in range(place + 1, len(entries))
                    if later not in used and is_pair(taken, entries[later])
                ),
                None,
            )
            if given is not None:
                used.add(given)
                dropped.remove((place, taken))
                yield place, given, taken


def _writes(entry: QueueEntry) -> bool:
    return is_write(entry) or is_opaque(entry)


def _with_interim(
    drops: QueueEntry, adds: QueueEntry, *, name: str, between: Sequence[QueueEntry]
) -> tuple[QueueEntry, QueueEntry] | None:
    """Give both statements with the interim CHECK, if each is an ALTER TABLE with this one action.

    None where the new one needs what is made in between: a column, a function, a type.
    """
    first, last = _only_action(drops), _only_action(adds)
    table = _table(drops)
    found = table.constraint(name) if table is not None else None
    if first is None or last is None or table is None or found is None:
        return None
    new = constraint_of(last)
    if new.skip_validation or not new.is_enforced:
        return None
    if _needs_what_is_made(new, table, between):
        return None
    interim = not_valid(new)
    taken = {each.name for each in table.constraints}
    interim.conname = free_name(name, label="interim", taken=taken)
    either = pb.BoolExpr(
        boolop=pb.OR_EXPR,
        args=[parsed_constraint(found.definition, name=name).raw_expr, new.raw_expr],
    )
    interim.raw_expr.CopyFrom(pb.Node(bool_expr=either))
    return (
        _with_actions(drops, first, add_constraint(interim)),
        _with_actions(adds, drop_constraint(interim.conname), last),
    )


MAKES = (
    pb.CreateFunctionStmt,
    pb.CreateDomainStmt,
    pb.CreateEnumStmt,
    pb.CompositeTypeStmt,
    pb.RenameStmt,
)


def _needs_what_is_made(
    check: pb.Constraint, table: Relation, between: Sequence[QueueEntry]
) -> bool:
    columns = {strings(each.fields)[-1] for each in find(check.raw_expr, pb.ColumnRef)}
    if not columns <= {column.name for column in table.columns}:
        return True
    is_made = any(isinstance(entry.statement.node, MAKES) for entry in between)
    names = (*find(check.raw_expr, pb.FuncCall), *find(check.raw_expr, pb.TypeName))
    return is_made and bool(names)


def _only_action(entry: QueueEntry) -> pb.AlterTableCmd | None:
    node = entry.statement.node
    if not isinstance(node, pb.AlterTableStmt) or len(node.cmds) != 1:
        return None
    return node.cmds[0].alter_table_cmd


def _table(entry: QueueEntry) -> Relation | None:
    node, facts = entry.statement.node, entry.facts
    if facts is None or not isinstance(node, pb.AlterTableStmt):
        return None
    return facts.in_use(node.relation)


def _with_actions(entry: QueueEntry, *commands: pb.AlterTableCmd) -> QueueEntry:
    node = copy(entry.statement.node)
    assert isinstance(node, pb.AlterTableStmt)  # noqa: S101  # see _only_action
    del node.cmds[:]
    for command in commands:
        node.cmds.add().alter_table_cmd.CopyFrom(command)
    statement = replace(entry.statement, node=node, sql=sql(node))
    return replace(entry, statement=statement)
