"""Decides whether two statements may change places: same result, and the same view for users on the way."""

import re
from collections.abc import Iterator

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.filled_column import is_serial
from holdfast.rewrite.queue.pairs import relation_name
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import StatementKind, relations_in
from holdfast.rewrite.tree import column_of, find, strings
from holdfast.rewrite.type_names import renamed_type

# Statements whose effect cannot be known, or that change the meaning of others.
OPAQUE = (
    pb.AlterExtensionStmt,
    pb.CallStmt,
    pb.CreateExtensionStmt,
    pb.CreateSchemaStmt,
    pb.DoStmt,
    pb.ExecuteStmt,
    pb.PrepareStmt,
    pb.SelectStmt,
    pb.VariableSetStmt,
)
# How each names what it makes: the name of a function, of a type.
NAMING = (
    pb.AlterDomainStmt,
    pb.AlterEnumStmt,
    pb.AlterFunctionStmt,
    pb.CompositeTypeStmt,
    pb.CreateDomainStmt,
    pb.CreateEnumStmt,
    pb.CreateFunctionStmt,
)
# Statements that change who sees a table or what happens to its rows, but not its columns.
AROUND_A_TABLE = (
    pb.AlterPolicyStmt,
    pb.CommentStmt,
    pb.CreatePolicyStmt,
    pb.CreateTrigStmt,
    pb.GrantStmt,
    pb.RuleStmt,
    pb.ViewStmt,
)
AROUND_ACTIONS = frozenset(
    [
        pb.AT_ColumnDefault,
        pb.AT_DisableRowSecurity,
        pb.AT_DisableTrig,
        pb.AT_DisableTrigAll,
        pb.AT_DisableTrigUser,
        pb.AT_DropNotNull,
        pb.AT_EnableAlwaysTrig,
        pb.AT_EnableReplicaTrig,
        pb.AT_EnableRowSecurity,
        pb.AT_EnableTrig,
        pb.AT_EnableTrigAll,
        pb.AT_EnableTrigUser,
        pb.AT_ForceRowSecurity,
        pb.AT_NoForceRowSecurity,
        pb.AT_SetNotNull,
    ]
)
AROUND_DROPS = frozenset([pb.OBJECT_POLICY, pb.OBJECT_RULE, pb.OBJECT_TRIGGER, pb.OBJECT_VIEW])
USED_BY_OTHERS = frozenset(
    [
        pb.OBJECT_DOMAIN,
        pb.OBJECT_FUNCTION,
        pb.OBJECT_MATVIEW,
        pb.OBJECT_TABLE,
        pb.OBJECT_TYPE,
        pb.OBJECT_VIEW,
    ]
)
PLAIN = frozenset([pb.CONSTR_DEFAULT, pb.CONSTR_NOTNULL, pb.CONSTR_NULL])  # of a column
WRITES = (pb.CopyStmt, pb.DeleteStmt, pb.InsertStmt, pb.MergeStmt, pb.UpdateStmt)
WORD = re.compile(r"\w+")


def are_independent(one: QueueEntry, other: QueueEntry) -> bool:
    """Whether it does not matter which of the two runs first."""
    if is_opaque(one) or is_opaque(other):
        return False
    if _drops_what_others_use(one) and _drops_what_others_use(other):
        return False  # what depends goes first, and the statements do not say what does
    if _mentions(other, _names_made(one)) or _mentions(one, _names_made(other)):
        return False
    if not relations_of(one) & relations_of(other):
        return True
    if _only_adds_columns_beside(one, other) or _only_adds_columns_beside(other, one):
        return True
    if _is_build(one) or _is_build(other):
        rest = other if _is_build(one) else one
        return _is_around(rest)
    if is_write(one) or is_write(other):
        return _is_view(one) or _is_view(other)
    return False


def _drops_what_others_use(entry: QueueEntry) -> bool:
    """Whether it drops a view, table, function or type that another statement may use."""
    node = entry.statement.node
    return isinstance(node, pb.DropStmt) and node.remove_type in USED_BY_OTHERS


def is_write(entry: QueueEntry) -> bool:
    """Whether it only writes rows."""
    return isinstance(entry.statement.node, WRITES)


def is_opaque(entry: QueueEntry) -> bool:
    """Whether its effect cannot be known."""
    statement = entry.statement
    return isinstance(statement.node, OPAQUE) or statement.kind is StatementKind.TEMP


def relations_of(entry: QueueEntry) -> frozenset[str]:
    """Give the relations that it names, and the tables of its indexes."""
    named = (
        relation_name(pb.RangeVar(schemaname=schema, relname=name), entry)
        for schema, name in relations_in(entry.statement)
    )
    tables = frozenset(str(name) for name in entry.tables)
    return frozenset(named) | tables | _views_on(entry) | frozenset(_freed_by(entry))


def _views_on(entry: QueueEntry) -> frozenset[str]:
    """Give the views on a column that changes its type: they stand in its way, dropped or not."""
    changes = entry.facts.type_changes if entry.facts is not None else ()
    return frozenset(
        found.identity.partition(" on ")[2] for change in changes for found in change.dependents
    )


def _freed_by(entry: QueueEntry) -> Iterator[str]:
    """Give the tables referenced by foreign keys that the statement drops: their unique keys can be dropped then."""
    node, facts = entry.statement.node, entry.facts
    if facts is None:
        return
    if isinstance(node, pb.AlterTableStmt):
        table = facts.relation(node.relation)
        gone = {item.alter_table_cmd.name for item in node.cmds if _drops(item.alter_table_cmd)}
        keys = table.foreign_keys() if table is not None else ()
        yield from (str(key.references) for key in keys if gone & {key.name, *key.columns})
    elif isinstance(node, pb.DropStmt):
        for table in facts.relations.values():
            yield from (str(key.references) for key in table.foreign_keys())
            yield from (str(key.table) for key in table.referenced_by)


def _drops(command: pb.AlterTableCmd) -> bool:
    return command.subtype in (pb.AT_DropConstraint, pb.AT_DropColumn)


def _names_made(entry: QueueEntry) -> frozenset[str]:
    """Give the names of functions, types and views that it makes, changes or drops."""
    return frozenset(_named(entry))


def _named(entry: QueueEntry) -> Iterator[str]:
    node = entry.statement.node
    match node:
        case pb.CreateFunctionStmt():
            yield strings(node.funcname)[-1]
        case pb.AlterFunctionStmt():
            yield strings(node.func.objname)[-1]
        case pb.CreateEnumStmt() | pb.AlterEnumStmt():
            yield strings(node.type_name)[-1]
        case pb.CreateDomainStmt():
            yield strings(node.domainname)[-1]
        case pb.AlterDomainStmt():
            yield strings(node.type_name)[-1]
        case pb.CompositeTypeStmt():
            yield node.typevar.relname
        case pb.ViewStmt():
            yield node.view.relname
        case pb.RenameStmt() if node.rename_type == pb.OBJECT_TYPE:
            yield from (renamed_type(node), node.newname)
        case pb.DropStmt():
            yield from _dropped(node)


def _dropped(node: pb.DropStmt) -> Iterator[str]:
    for item in node.objects:
        if item.HasField("object_with_args"):
            yield strings(item.object_with_args.objname)[-1]
        elif item.HasField("type_name"):
            yield strings(item.type_name.names)[-1]
        elif item.HasField("list") and node.remove_type not in AROUND_DROPS - {pb.OBJECT_VIEW}:
            yield strings(item.list.items)[-1]


def _mentions(entry: QueueEntry, names: frozenset[str]) -> bool:
    """Whether all words of one of the names are in the statement: a quoted name may have several."""
    words = _words(entry) if names else frozenset()
    return any(words.issuperset(WORD.findall(name)) for name in names)


def _words(entry: QueueEntry) -> frozenset[str]:
    return frozenset(WORD.findall(entry.statement.sql))


def _is_build(entry: QueueEntry) -> bool:
    """Whether it builds an index on plain columns, which little else on the table affects."""
    node = entry.statement.node
    if not isinstance(node, pb.IndexStmt):
        return False
    return not any(find(node, pb.FuncCall))


def _is_around(entry: QueueEntry) -> bool:
    node = entry.statement.node
    if isinstance(node, AROUND_A_TABLE):
        return True
    if isinstance(node, pb.DropStmt):
        return node.remove_type in AROUND_DROPS
    if isinstance(node, pb.AlterTableStmt):
        return all(item.alter_table_cmd.subtype in AROUND_ACTIONS for item in node.cmds)
    return False


def _only_adds_columns_beside(one: QueueEntry, other: QueueEntry) -> bool:
    """Whether `one` only adds plain columns and `other` only drops parts that do not involve them."""
    columns = _plain_columns(one.statement.node)
    return (
        bool(columns) and _only_drops_parts(other.statement.node) and not _mentions(other, columns)
    )


def _plain_columns(node: Message) -> frozenset[str]:
    """Give the columns that an ALTER TABLE adds without key, CHECK or sequence; none if it does more."""
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return frozenset()
    commands = [item.alter_table_cmd for item in node.cmds]
    columns = [column_of(c) for c in commands if c.subtype == pb.AT_AddColumn]
    kinds = {item.constraint.contype for column in columns for item in column.constraints}
    if len(columns) < len(commands) or not kinds <= PLAIN or any(map(is_serial, columns)):
        return frozenset()
    return frozenset(column.colname for column in columns)


def _only_drops_parts(node: Message) -> bool:
    if isinstance(node, pb.DropStmt):
        return bool(node.remove_type == pb.OBJECT_INDEX)
    return isinstance(node, pb.AlterTableStmt) and all(
        _drops(item.alter_table_cmd) for item in node.cmds
    )


def _is_view(entry: QueueEntry) -> bool:
    """Whether it makes or drops a view: a view reads the table, but a write to the table does not involve it."""
    node = entry.statement.node
    is_dropped = isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_VIEW
    return isinstance(node, pb.ViewStmt) or is_dropped
