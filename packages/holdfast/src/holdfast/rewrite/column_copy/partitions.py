"""Column copies on partitioned tables: guards against changes meanwhile, and index take-over in the swap.

An index that is made on the table finds those of the partitions and builds none; a partition that is not known yet
would be without, so the swap fails for it, and it is looked at before the next try.
"""

from collections.abc import Iterator

import postgast

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.literals import literal
from holdfast.rewrite.rewriting import add_constraint, alter_table
from holdfast.rewrite.tree import copy, parsed_constraint, qualify, sql

DISTURBED = "HF001"  # SQLSTATE: the triggers that keep the copies equal have been touched
OTHER_PARTITIONS = "HF003"  # SQLSTATE: there are others than those that were planned for


def partitions_guard(copied: Copied) -> Iterator[str]:
    """Write SQL that fails if one of the partitions is new, gone or renamed."""
    if not copied.facts.is_partitioned:
        return
    known = sorted((part.facts.oid, str(part.table)) for part in copied.partitions)
    expected = ", ".join(f"{oid} {name}" for oid, name in known)
    found = (
        "(SELECT string_agg(format('%s %I.%I', c.oid, nspname, relname), ', ' ORDER BY c.oid)"
        f" FROM {_tree(copied)} JOIN pg_catalog.pg_class c ON c.oid = relid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE level > 0)"
    )
    yield (
        f"IF coalesce({found}, '') <> {literal(expected)} THEN RAISE EXCEPTION"
        f" 'there are other partitions' USING ERRCODE = '{OTHER_PARTITIONS}'; END IF"
    )


def triggers_guard(copied: Copied) -> str:
    """Write SQL that fails unless the triggers of the table and of each partition are unchanged.

    Those of a partition are as old as it is one, where it is newer than those of the table.
    """
    names = ", ".join(map(literal, copied.triggers))
    tree = _tree(copied)
    of_partition = (
        "EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(tgrelid) a"
        " JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.relid WHERE i.xmin = g.xmin)"
    )
    ours = (
        f"(SELECT count(*) FROM pg_catalog.pg_trigger g JOIN {tree} ON relid = tgrelid"
        f" WHERE tgname IN ({names}) AND tgenabled = 'A'"
        f" AND (g.xmin::text = {stamp_of(copied)} OR {of_partition}))"
    )
    later = (
        f"EXISTS (SELECT FROM pg_catalog.pg_trigger JOIN {tree} ON relid = tgrelid WHERE NOT tgisinternal"
        f' AND tgtype & 2 <> 0 AND tgname::text COLLATE "C" > {literal(copied.triggers[1])})'
    )
    return disturbed(f"{ours} <> {2 * len(copied.with_partitions)} OR {later}")


def stamp_of(copied: Copied) -> str:
    """Write SQL that stamps the triggers, in the transaction that made them."""
    return f"obj_description({literal(copied.function)}::regprocedure, 'pg_proc')"


def disturbed(condition: str) -> str:
    """Write SQL that fails if the condition holds for the triggers."""
    return (
        f"IF {condition} THEN RAISE EXCEPTION"
        f" 'the triggers that keep the copy equal have been changed' USING ERRCODE = '{DISTURBED}'; END IF"
    )


def taking_over_indexes(copied: Copied) -> Iterator[str]:
    """Write SQL that makes the indexes and keys of a partitioned table from those of its partitions."""
    for index in copied.facts.indexes:
        (parsed,) = postgast.parse(index.definition).stmts
        node = copy(parsed.stmt.index_stmt)
        if index.constraint is not None:
            constraint = parsed_constraint(index.constraint_definition or "", name=index.constraint)
            constraint.options.extend(node.options)
            constraint.indexspace = index.tablespace or ""
            yield sql(alter_table(copied.table, add_constraint(constraint)))
            continue
        qualify(node.relation, copied.table)
        node.relation.inh = True
        node.table_space = index.tablespace or ""
        yield sql(node)


def _tree(copied: Copied) -> str:
    return f"pg_catalog.pg_partition_tree({literal(str(copied.table))})"
