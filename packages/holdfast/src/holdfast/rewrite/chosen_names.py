"""The names that a statement may have to choose, for an index, a constraint or a sequence that has none.

The catalog is asked which of them are taken, and about no other name.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Relation
from holdfast.rewrite.filled_column import is_serial
from holdfast.rewrite.index_names import column_names, joined
from holdfast.rewrite.names import candidates
from holdfast.rewrite.partitions.bounds import LABEL, added_partition
from holdfast.rewrite.partitions.same_index import parsed_index
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, constraint_of, copy, strings

STAND_INS = 5  # that are asked for, of each name that may be chosen


def names_to_choose_from(statement: Statement, *, tables: Iterable[Relation] = ()) -> Iterator[str]:
    """Each name that could be chosen, and the first ones with a number behind it."""
    node = statement.node
    if isinstance(node, pb.IndexStmt):
        table = node.relation.relname
        if node.idxname:
            yield from candidates(node.idxname, label="new")
        else:
            yield from candidates(table, second=joined(column_names(node)), label="idx")
    elif isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        for item in node.cmds:
            yield from _of_action(node.relation.relname, item.alter_table_cmd)

    if (added := added_partition(node)) is not None:
        yield from _of_added_partition(added[1].relname, tables)
        return
    for table in tables:
        if table.is_partitioned:
            for partition in table.partitions:
                yield from _on_partition(node, partition.name.name)


def _of_added_partition(partition: str, tables: Iterable[Relation]) -> Iterator[str]:
    """Of its CHECK and of that of the default partition; and of what it must have that the table has."""
    yield from candidates(partition, label=LABEL)
    tables = tuple(tables)
    for table in tables:
        if table.default_partition is not None:
            yield from candidates(table.default_partition.name.name, label=LABEL)
        below = [
            part.name.name
            for each in tables
            for part in each.partitions
            if each.name.name == partition
        ]
        for name in (partition, *below):
            yield from candidates(name, label="pkey")
            for index in (known for known in table.indexes if known.definition):
                second = joined(column_names(parsed_index(index)))
                for label in ("idx", "key"):
                    yield from candidates(name, second=second, label=label)
            for key in table.foreign_keys():
                yield from candidates(name, second=joined(key.columns), label="fkey")


def _on_partition(node: Message, partition: str) -> Iterator[str]:
    """Of what an index or a key of the whole table adds to each of its partitions."""
    if isinstance(node, pb.IndexStmt):
        yield from candidates(partition, second=joined(column_names(node)), label="idx")
    elif isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        for item in node.cmds:
            yield from _of_keys(partition, item.alter_table_cmd)


def _of_keys(table: str, command: pb.AlterTableCmd) -> Iterator[str]:
    if command.subtype == pb.AT_AddConstraint:
        constraint = copy(constraint_of(command))
        constraint.conname = ""
        yield from _of_constraint(table, constraint)
    elif command.subtype == pb.AT_AddColumn:
        column = column_of(command)
        for label in ("key", "fkey"):
            yield from candidates(table, second=column.colname, label=label)


def _of_action(table: str, command: pb.AlterTableCmd) -> Iterator[str]:
    if command.subtype == pb.AT_SetNotNull:
        yield from candidates(table, second=command.name, label="not_null")
    elif command.subtype == pb.AT_AddConstraint:
        yield from _of_constraint(table, constraint_of(command))
    elif command.subtype == pb.AT_AddColumn:
        column = column_of(command)
        for label in _labels(column):
            yield from candidates(table, second=column.colname, label=label)


def _of_constraint(table: str, constraint: pb.Constraint) -> Iterator[str]:
    columns = strings(constraint.keys)
    if constraint.conname:
        yield from candidates(constraint.conname, label="new")
    elif constraint.contype == pb.CONSTR_UNIQUE:
        second = joined([*columns, *strings(constraint.including)])
        yield from _with_stand_ins(candidates(table, second=second, label="key"))
    elif constraint.contype == pb.CONSTR_FOREIGN:
        second = joined(strings(constraint.fk_attrs))
        yield from candidates(table, second=second, label="fkey")
    elif constraint.contype == pb.CONSTR_PRIMARY:
        yield from _with_stand_ins(candidates(table, label="pkey"))
    if constraint.contype in (pb.CONSTR_PRIMARY, pb.CONSTR_NOTNULL):
        for column in columns:
            yield from candidates(table, second=column, label="not_null")


def _with_stand_ins(names: Iterator[str]) -> Iterator[str]:
    """While what it replaces still has the name, an index is built under another one."""
    for name in names:
        yield from (name, *islice(candidates(name, label="new"), STAND_INS))


def _labels(column: pb.ColumnDef) -> Iterator[str]:
    """Of what stands at a new column: its key, its sequences, the proof that it is not NULL."""
    kinds = {item.constraint.contype for item in column.constraints}
    if pb.CONSTR_UNIQUE in kinds:
        yield "key"
    if pb.CONSTR_FOREIGN in kinds:
        yield "fkey"
    if is_serial(column):
        yield "seq"
    if pb.CONSTR_IDENTITY in kinds:
        yield "filling"
    if is_serial(column) or kinds & {pb.CONSTR_IDENTITY, pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY}:
        yield "not_null"
