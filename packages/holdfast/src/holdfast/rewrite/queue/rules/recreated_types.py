"""Rule: a type that is renamed, dropped or created for a change of columns changes its name in their swap.

So what users cast to the name of the type works all the time: until the swap it is the old type, as the columns are.
The new type is made under a free name, the columns are copied into it, and the names follow the columns.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import free_name
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.tree import add_strings, column_of, copy, find, sql, strings
from holdfast.rewrite.type_names import (
    created_type,
    is_about_types,
    renamed_type,
    types_dropped,
    without_limit,
)

LABEL = "holdfast"  # a type e that is made beside the old one is e_holdfast
OF_COPIES = frozenset([pb.AT_AlterColumnType, pb.AT_ColumnDefault])


def types_named(statements: Sequence[Statement]) -> frozenset[str]:
    """Give the types that the statements create, rename or drop."""
    return frozenset(name for each in statements for name in _names_in(each.node))


def can_be_beside(statements: Sequence[Statement]) -> bool:
    """Whether the new types can be made, and the columns copied, before any name changes."""
    return with_types_beside(statements, taken=()) is not None


def with_types_beside(
    statements: Sequence[Statement], *, taken: Collection[str]
) -> tuple[Statement, ...] | None:
    """Reorder: new types, one ALTER TABLE per table, then type names; None if that means something else.

    `taken`: the names of types that are in use.
    """
    places = [place for place, each in enumerate(statements) if _changes_a_type(each.node)]
    if not places:
        return None
    beside = _Beside(taken={*taken})
    try:
        for each in statements[: places[-1] + 1]:
            beside.takes(each)
    except _CannotBeBeside:
        return None
    return (*beside.in_order(), *statements[places[-1] + 1 :])


class _CannotBeBeside(Exception):  # never leaves this file
    """The statements mean something else in another order."""


@dataclass(kw_only=True)
class _Beside:
    """The statements up to the last change of a column, sorted; `names` is what a name stands for meanwhile."""

    taken: set[str]
    names: dict[str, str | None] = field(default_factory=dict)  # None: of nothing
    created: list[Statement] = field(default_factory=list)
    before: list[Statement] = field(default_factory=list)
    tables: dict[tuple[str, str], Statement] = field(default_factory=dict)
    naming: list[Statement] = field(default_factory=list)

    def in_order(self) -> tuple[Statement, ...]:
        """The sorted statements in the order in which they are executed."""
        return (*self.created, *self.before, *self.tables.values(), *self.naming)

    def takes(self, statement: Statement) -> None:
        """Sort one statement into the group in which it will be executed."""
        node = statement.node
        if isinstance(node, pb.CreateEnumStmt):
            self._creates(statement, node)
        elif is_about_types(node):
            self._names(statement)
        elif _is_of_copies(node):
            self._changes(self._meanwhile(statement))
        else:
            self.before.append(self._meanwhile(statement))

    def _creates(self, statement: Statement, node: pb.CreateEnumStmt) -> None:
        name = created_type(node)
        is_free = name not in self.taken and name not in self.names
        made = name if is_free else free_name(name, label=LABEL, taken=self.taken)
        self.taken.add(made)
        self.names[name] = made
        self.created.append(_with_node(statement, _called(node, made)))
        if not is_free:
            self.naming.append(_parsed(_renaming(node, made=made)))

    def _names(self, statement: Statement) -> None:
        node = statement.node
        if isinstance(node, pb.AlterObjectSchemaStmt | pb.AlterEnumStmt):
            raise _CannotBeBeside
        if isinstance(node, pb.RenameStmt):
            old = renamed_type(node)
            self.names[node.newname] = self.names.get(old, old)
            self.names[old] = None
        for name in types_dropped(node):
            self.names[name] = None
        self.naming.append(statement)

    def _changes(self, statement: Statement) -> None:
        """Add the change of a column to the one ALTER TABLE of its table."""
        node = statement.node
        assert isinstance(node, pb.AlterTableStmt)  # noqa: S101  # see _is_of_copies
        table = (node.relation.schemaname, node.relation.relname)
        first = self.tables.get(table)
        if first is None:
            self.tables[table] = statement
            return
        merged = copy(first.node)
        assert isinstance(merged, pb.AlterTableStmt)  # noqa: S101  # the same
        if first.exemption != statement.exemption:
            raise _CannotBeBeside
        for item in node.cmds:
            _add(merged, item.alter_table_cmd)
        self.tables[table] = _with_node(first, merged)

    def _meanwhile(self, statement: Statement) -> Statement:
        """Give the statement with the names that types have before any of them changes."""
        node = copy(statement.node)
        changed = False
        for written in find(node, pb.TypeName):
            if written.names and (name := strings(written.names)[-1]) in self.names:
                meanwhile = self.names[name]
                if meanwhile is None:
                    raise _CannotBeBeside
                written.names[-1].string.sval = meanwhile
                changed = True
        return _with_node(statement, node) if changed else statement


def _add(merged: pb.AlterTableStmt, command: pb.AlterTableCmd) -> None:
    """Add an action on a column that may have changed earlier in the same statement."""
    name = command.name
    earlier = [item.alter_table_cmd for item in merged.cmds]
    changed = [c for c in earlier if c.subtype == pb.AT_AlterColumnType]
    if command.subtype == pb.AT_AlterColumnType:
        read = {
            strings(found.fields)[-1]
            for found in find(column_of(command).raw_default, pb.ColumnRef)
            if found.fields
        }
        if (read - {name}) & {c.name for c in changed}:
            raise _CannotBeBeside
        first = next((c for c in changed if c.name == name), None)
        if first is not None:
            _without(merged, first)
            command = _composed(first, command)
    merged.cmds.add().alter_table_cmd.CopyFrom(command)


def _without(merged: pb.AlterTableStmt, first: pb.AlterTableCmd) -> None:
    """Remove an earlier change, with the default that the column was given for the type in between."""
    kept: list[pb.AlterTableCmd] = []
    is_behind = False
    for item in merged.cmds:
        command = item.alter_table_cmd
        is_behind = is_behind or command == first
        is_default = command.subtype == pb.AT_ColumnDefault and command.name == first.name
        if is_behind and is_default and command.HasField("def"):
            raise _CannotBeBeside  # it is converted with the column
        if command != first:
            kept.append(copy(command))
    del merged.cmds[:]
    for command in kept:
        merged.cmds.add().alter_table_cmd.CopyFrom(command)


def _composed(first: pb.AlterTableCmd, second: pb.AlterTableCmd) -> pb.AlterTableCmd:
    """Apply a second change of a column to the value that the first one makes."""
    between = without_limit(column_of(first).type_name)
    if between is None or column_of(first).HasField("coll_clause"):
        raise _CannotBeBeside
    own = pb.Node(column_ref=pb.ColumnRef())
    add_strings(own.column_ref.fields, (first.name,))
    using = column_of(first).raw_default
    value = pb.Node(type_cast=pb.TypeCast(type_name=between))
    value.type_cast.arg.CopyFrom(using if column_of(first).HasField("raw_default") else own)
    composed = copy(second)
    column = column_of(composed)
    if not column.HasField("raw_default"):
        column.raw_default.CopyFrom(value)
        return composed
    _replace(column, first.name, value)
    return composed


def _replace(root: Message, column: str, value: pb.Node) -> None:
    """Put the value in the place of each mention of the column below the node."""
    for described, found in root.ListFields():
        if described.message_type is None:
            continue
        for node in (found,) if isinstance(found, Message) else found:
            if not isinstance(node, pb.Node) or not node.HasField("column_ref"):
                _replace(node, column, value)
            elif strings(node.column_ref.fields)[-1] == column:
                node.CopyFrom(value)


def _names_in(node: Message) -> Iterator[str]:
    if isinstance(node, pb.CreateEnumStmt):
        yield created_type(node)
    elif isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_TYPE:
        yield from (renamed_type(node), node.newname)
    yield from types_dropped(node)


def _changes_a_type(node: Message) -> bool:
    return isinstance(node, pb.AlterTableStmt) and any(
        item.alter_table_cmd.subtype == pb.AT_AlterColumnType for item in node.cmds
    )


def _is_of_copies(node: Message) -> bool:
    return (
        isinstance(node, pb.AlterTableStmt)
        and node.objtype == pb.OBJECT_TABLE
        and {item.alter_table_cmd.subtype for item in node.cmds} <= OF_COPIES
    )


def _called(node: pb.CreateEnumStmt, name: str) -> pb.CreateEnumStmt:
    made = copy(node)
    made.type_name[-1].string.sval = name
    return made


def _renaming(node: pb.CreateEnumStmt, *, made: str) -> pb.RenameStmt:
    rename = pb.RenameStmt(
        rename_type=pb.OBJECT_TYPE,
        relation_type=pb.OBJECT_ACCESS_METHOD,
        newname=created_type(node),
        behavior=pb.DROP_RESTRICT,
    )
    add_strings(rename.object.list.items, (*strings(node.type_name)[:-1], made))
    return rename


def _with_node(statement: Statement, node: Message) -> Statement:
    return replace(statement, node=node, sql=sql(node))


def _parsed(node: Message) -> Statement:
    (statement,) = parse(sql(node))
    return statement
