"""DETACH PARTITION CONCURRENTLY runs as its author wrote it; after a kill it is finalized, as PostgreSQL requires.

Without CONCURRENTLY it is over in a moment, and leaves no CHECK on the partition.
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.alter_table_locks import locks_of_alter_table
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import DetachStep, Step
from holdfast.rewrite.tree import copy, definition, qualify, sql


def detach_partition(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the step; None without CONCURRENTLY, or if a table is missing: PostgreSQL says so itself."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or len(node.cmds) != 1:
        return None
    command = node.cmds[0].alter_table_cmd
    if command.subtype != pb.AT_DetachPartition:
        return None
    partition_cmd = definition(command).partition_cmd
    table, partition = facts.relation(node.relation), facts.relation(partition_cmd.name)
    if not partition_cmd.concurrent or table is None or partition is None:
        return None
    finalize = copy(node)
    qualify(finalize.relation, table.name)
    last = finalize.cmds[0].alter_table_cmd
    last.subtype = pb.AT_DetachPartitionFinalize
    qualify(definition(last).partition_cmd.name, partition.name)
    definition(last).partition_cmd.concurrent = False
    held = Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=partition.name)
    return (
        DetachStep(
            table=table.name,
            partition=partition.name,
            sql=statement.sql,
            finalize=sql(finalize),
            locks=tuple(
                dict.fromkeys((*strongest(tuple(locks_of_alter_table(node, facts))), held))
            ),
        ),
    )


def is_outside(node: pb.AlterTableStmt) -> bool:
    """Whether it must run outside a transaction: DETACH PARTITION CONCURRENTLY."""
    commands = [item.alter_table_cmd for item in node.cmds]
    return any(
        command.subtype == pb.AT_DetachPartition and definition(command).partition_cmd.concurrent
        for command in commands
    )


OPERATION = StatementOperation(
    name="detach_partition",
    rows=(38,),
    statements=(pb.AlterTableStmt,),
    apply=detach_partition,
    is_outside=is_outside,
)
