"""The condition of a partition's rows as a CHECK: if PostgreSQL finds one, it does not read the rows.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind, Facts, Relation
from holdfast.rewrite.names import QualifiedName, free_name
from holdfast.rewrite.rewriting import (
    add_constraint,
    alter_table,
    drop_constraint,
    drop_constraint_if_exists,
    not_valid,
    transaction,
    validate,
)
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import parsed_expression, sql

LABEL = "bound"


def added_partition(node: object) -> tuple[pb.RangeVar, pb.RangeVar, pb.PartitionBoundSpec] | None:
    """Give the table, its new partition and the bound, of ATTACH PARTITION and CREATE TABLE .. PARTITION OF."""
    if isinstance(node, pb.CreateStmt) and node.HasField("partbound"):
        return node.inh_relations[0].range_var, node.relation, node.partbound
    if isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        for item in node.cmds:
            if item.alter_table_cmd.subtype == pb.AT_AttachPartition:
                command = getattr(item.alter_table_cmd, "def").partition_cmd
                return node.relation, command.name, command.bound
    return None


def check_steps(table: Relation, *, condition: str, facts: Facts) -> tuple[Step, ...]:
    """Add a CHECK in a moment, then validate it beside users."""
    name = check_name(table.name, facts=facts)
    check = not_valid(pb.Constraint(contype=pb.CONSTR_CHECK, conname=name, is_enforced=True))
    check.raw_expr.CopyFrom(parsed_expression(condition))
    add = transaction(
        alter_table(table.name, add_constraint(check)),
        facts=facts,
        undo=(drop_constraint_if_exists(table.name, name=name),),
    )
    return add, validate(table, table=table.name, constraint=name)


def has_check(table: Relation, *, condition: str) -> bool:
    """Whether a validated CHECK of the table already says it, in PostgreSQL's own words."""
    return any(
        found.kind is ConstraintKind.CHECK
        and found.is_validated
        and found.definition == f"CHECK ({condition})"
        for found in table.constraints
    )


def check_name(table: QualifiedName, *, facts: Facts) -> str:
    """Choose a free name for the temporary CHECK."""
    return free_name(table.name, label=LABEL, taken=facts.taken_in(table.schema))


def drop_check(table: Relation, *, facts: Facts) -> str:
    """Drop the CHECK in the transaction that needed it."""
    return sql(alter_table(table.name, drop_constraint(check_name(table.name, facts=facts))))


def default_partition(parent: Relation, *, facts: Facts) -> Relation | None:
    """Give the default partition, whose rows a new one could take, if others may be using it."""
    default = parent.default_partition
    if default is None or default.name in facts.new:
        return None
    return next((part for part in parent.partitions if part.name == default.name), None)


def is_refused(parent: Relation, partition: Relation) -> bool:
    """Whether PostgreSQL says at once that the tables do not match, so that nothing needs to be made."""
    if partition.is_new:
        return False  # of what the revision has made only the name is known
    own = {column.name: column for column in partition.columns}
    if own.keys() != {column.name for column in parent.columns}:
        return True
    pairs = [(column, own[column.name]) for column in parent.columns]
    if any(a.type != b.type or (a.not_null and not b.not_null) for a, b in pairs):
        return True
    checks = {found.name for found in partition.constraints if found.kind is ConstraintKind.CHECK}
    return any(
        found.name not in checks
        for found in parent.constraints
        if found.kind is ConstraintKind.CHECK
    )
