"""Reads the condition that the rows of a new partition satisfy, in PostgreSQL's own words.

It is asked for on empty copies, in a subtransaction that is always rolled back: only a partition that exists has one.
"""

import json

import sqlalchemy as sa
from postgast import pg_query_pb2 as pb

from holdfast.observe.brief_wait import naming
from holdfast.rewrite.facts import PartitionBound, Relation
from holdfast.rewrite.partitions.bounds import added_partition
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import sql

COPIED_AT_MOST = (
    200  # a default partition takes what all others do not: each of them takes a lock and a copy
)
PARENT, PARTITION = "holdfast_parent", "holdfast_partition"

# One row: the condition; nothing where PostgreSQL would refuse the bound, or no temporary table may be made.
ASK = """
DO $holdfast$
DECLARE
  asked jsonb := current_setting('holdfast.question')::jsonb;
  answer text := '';
  lock_timeout_before CONSTANT text := current_setting('lock_timeout');
  other record;
BEGIN
  PERFORM set_config('lock_timeout', '500ms', true);  -- as brief_wait.py says
  BEGIN
    EXECUTE format('CREATE TEMP TABLE holdfast_parent (LIKE %s) PARTITION BY %s', asked ->> 'table',
      pg_catalog.pg_get_partkeydef((asked ->> 'oid')::oid));
    FOR other IN SELECT row_number() OVER () AS number, pg_get_expr(relpartbound, c.oid) AS bound
      FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class c ON c.oid = inhrelid
      WHERE (asked ->> 'is_default')::boolean AND inhparent = (asked ->> 'oid')::oid
    LOOP
      EXECUTE format('CREATE TEMP TABLE holdfast_other_%s PARTITION OF pg_temp.holdfast_parent %s',
        other.number, other.bound);
    END LOOP;
    EXECUTE asked ->> 'create';
    PERFORM set_config('search_path', '', true);
    answer := json_build_array(replace(
      coalesce(pg_catalog.pg_get_partition_constraintdef('pg_temp.holdfast_partition'::regclass), 'true'),
      format('%L::oid', 'pg_temp.holdfast_parent'::regclass::oid), format('%L::oid', asked ->> 'oid')),
      pg_catalog.pg_get_partition_constraintdef((asked ->> 'oid')::oid));
    RAISE EXCEPTION USING ERRCODE = 'HF001';
  EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE = '55P03' THEN RAISE; END IF;
    IF SQLSTATE <> 'HF001' THEN answer := ''; END IF;
  END;
  PERFORM set_config('lock_timeout', lock_timeout_before, true);
  PERFORM set_config('holdfast.answer', coalesce(answer, ''), false);
END
$holdfast$
"""
SET = sa.text("SELECT set_config('holdfast.question', :question, false)")
TAKE = sa.text(
    "SELECT current_setting('holdfast.answer'), set_config('holdfast.answer', '', false),"
    " set_config('holdfast.question', '', false)"
)


def partition_bound(
    connection: sa.Connection, statement: Statement, parent: Relation | None
) -> PartitionBound | None:
    """Give the bound of the partition that the statement adds to a table in use; None if nothing is to prove."""
    added = added_partition(statement.node)
    if added is None or parent is None or not parent.is_partitioned:
        return None
    is_default = added[2].is_default
    is_new = isinstance(statement.node, pb.CreateStmt)
    if is_default and (is_new or len(parent.partitions) > COPIED_AT_MOST):
        return None  # a new one has no rows
    create = pb.CreateStmt()
    create.relation.CopyFrom(pb.RangeVar(relname=PARTITION, relpersistence="t", inh=True))
    table = pb.RangeVar(schemaname="pg_temp", relname=PARENT, relpersistence="p", inh=True)
    create.inh_relations.add().range_var.CopyFrom(table)
    create.partbound.CopyFrom(added[2])
    question = {"table": str(parent.name), "oid": parent.oid, "create": sql(create)}
    question["is_default"] = is_default
    connection.execute(SET, {"question": json.dumps(question)})
    with naming((parent.name,)):
        connection.exec_driver_sql(ASK, execution_options={"no_parameters": True})
    answer = connection.execute(TAKE).one()[0]
    if not answer:
        return None
    condition, above = json.loads(answer)
    name = added[1].relname
    return PartitionBound(parent=parent.name, partition=name, condition=condition, above=above)
