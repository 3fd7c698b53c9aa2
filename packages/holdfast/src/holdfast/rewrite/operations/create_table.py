"""CREATE TABLE with foreign keys to tables in use: the table first, then key by key."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, hazard_of_default_partition
from holdfast.rewrite.inline_constraints import take_out
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_name
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.new_relations import new_after_create
from holdfast.rewrite.partitions.foreign_key import NOT_VALID_ON_PARTITIONED
from holdfast.rewrite.rewriting import (
    StatementOperation,
    add_constraint,
    alter_table,
    not_valid,
    transaction,
    validate,
)
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import copy, qualify


def create_table(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the table and then the keys; nothing to do without a foreign key to a table in use."""
    node = statement.node
    if not isinstance(node, pb.CreateStmt) or node.relation.relpersistence == "t":
        return None
    partitioned = node.HasField("partspec") or node.HasField("partbound")
    if partitioned and facts.server_major < NOT_VALID_ON_PARTITIONED:
        return None
    name = QualifiedName(
        schema=node.relation.schemaname or facts.current_schema, name=node.relation.relname
    )
    if (name.schema, name.name) in facts.relations:
        return None
    if not any(facts.in_use(key.pktable) for key in _foreign_keys(node)):
        return None
    table, keys = _take_out_foreign_keys(node, facts=facts)
    qualify(table.relation, name)
    steps: list[Step] = [transaction(table, facts=facts, locks=locks(table, facts))]
    for key in keys:
        steps += _add(key, table=name, facts=facts)
    return tuple(steps)


def _foreign_keys(node: pb.CreateStmt) -> Iterator[pb.Constraint]:
    for element in node.table_elts:
        of_column = element.column_def.constraints if element.HasField("column_def") else (element,)
        for item in of_column:
            if item.HasField("constraint") and item.constraint.contype == pb.CONSTR_FOREIGN:
                yield item.constraint


def _take_out_foreign_keys(
    node: pb.CreateStmt, *, facts: Facts
) -> tuple[pb.CreateStmt, list[pb.Constraint]]:
    """Give the table without the foreign keys that lock a table in use, and these in order."""

    def wanted(constraint: pb.Constraint) -> bool:
        is_key = constraint.contype == pb.CONSTR_FOREIGN
        return is_key and facts.in_use(constraint.pktable) is not None

    rest = copy(node)
    del rest.table_elts[:]
    keys: list[pb.Constraint] = []
    for element in node.table_elts:
        if element.HasField("column_def"):
            column, taken = take_out(element.column_def, wanted=wanted)
            rest.table_elts.add().column_def.CopyFrom(column)
            keys += taken
        elif element.HasField("constraint") and wanted(element.constraint):
            keys.append(element.constraint)
        else:
            rest.table_elts.add().CopyFrom(element)
    return rest, keys


def _add(constraint: pb.Constraint, *, table: QualifiedName, facts: Facts) -> Iterator[Step]:
    key = not_valid(constraint)
    referenced = facts.relation(constraint.pktable)
    if referenced is not None:
        qualify(key.pktable, referenced.name)
    yield transaction(
        alter_table(table, add_constraint(key)),
        facts=facts,
        captures_constraint_on=None if key.conname else table,
    )
    if constraint.is_enforced:
        yield validate(None, table=table, constraint=key.conname)


def locks(node: pb.CreateStmt, facts: Facts) -> Iterator[Lock]:
    """Give the locks: a foreign key locks the referenced table, a partition its parent."""
    is_partition = node.HasField("partbound")
    mode = LockMode.ACCESS_EXCLUSIVE if is_partition else LockMode.SHARE_UPDATE_EXCLUSIVE
    for parent in node.inh_relations:
        relation = facts.in_use(parent.range_var)
        yield from lock(relation, mode=mode)
        if is_partition and relation and relation.default_partition:
            yield from lock_name(relation.default_partition.name, mode=mode, facts=facts)
    for key in _foreign_keys(node):
        yield from lock(facts.in_use(key.pktable), mode=LockMode.SHARE_ROW_EXCLUSIVE)


def hazards(node: pb.CreateStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of a default partition.

    Without one, a partition's ACCESS EXCLUSIVE on its parent lasts a moment: no row is read.
    """
    if node.HasField("partbound") and not node.partbound.is_default:
        parent = facts.relation(node.inh_relations[0].range_var)
        name = node.relation.relname
        if parent is None or facts.bound_of(parent, partition=name) is None:
            yield from hazard_of_default_partition(parent, facts=facts)


OPERATION = StatementOperation(
    name="create_table",
    rows=(13, 37),
    statements=(pb.CreateStmt,),
    apply=create_table,
    locks=locks,
    hazards=hazards,
    new_after=new_after_create,
)
OF_A_QUERY = StatementOperation(
    name="create_table",
    statements=(pb.CreateTableAsStmt, pb.SelectStmt),  # SELECT INTO
    new_after=new_after_create,
)
