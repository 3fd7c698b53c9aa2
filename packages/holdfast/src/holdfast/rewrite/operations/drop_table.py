"""DROP TABLE: each foreign key is dropped in its own transaction first, then table by table."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import is_dropped_alone
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_each
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.new_relations import new_after_drop
from holdfast.rewrite.rewriting import StatementOperation, drop_foreign_keys, transaction
from holdfast.rewrite.statement import PARTS_OF_RELATIONS, Statement, object_relation
from holdfast.rewrite.steps import Step, TransactionStep
from holdfast.rewrite.tree import add_strings, strings


def drop_table(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the steps; as written if one table is dropped alone, or if PostgreSQL will refuse."""
    node = statement.node
    if not isinstance(node, pb.DropStmt) or node.remove_type != pb.OBJECT_TABLE:
        return None
    named = [facts.relation_named(strings(item.list.items)) for item in node.objects]
    tables = sorted((table for table in named if table is not None), key=lambda table: table.name)
    if len(tables) < len(named) and not node.missing_ok:
        return None
    if all(table.is_new for table in tables) or any(_is_entangled(table) for table in tables):
        return None
    if any(is_dropped_alone(table) for table in tables):
        return None
    keys = _foreign_keys(tables)
    if node.behavior != pb.DROP_CASCADE and _are_needed(tables):
        return None
    if len(tables) == 1 and not keys:
        return None
    left = facts.without_constraints(keys)
    return (
        *drop_foreign_keys(keys, facts=facts),
        *(_step(table, behavior=node.behavior, facts=left) for table in tables),
    )


def _is_entangled(table: Relation) -> bool:
    """Whether it must be dropped with others in one statement: partitions and inheriting tables."""
    return bool(table.descendants) or table.partition_of is not None


def _are_needed(tables: list[Relation]) -> bool:
    """Whether something that is not dropped with them depends on one of the tables."""
    dropped = {table.name for table in tables}
    return any(
        table.dependent_views or {reference.table for reference in table.referenced_by} - dropped
        for table in tables
    )


def _foreign_keys(tables: list[Relation]) -> list[tuple[QualifiedName, str]]:
    """Give the tables' foreign keys and those that reference them, except from a table to itself."""
    own = [
        (table.name, key.name)
        for table in tables
        for key in table.foreign_keys()
        if key.references not in (None, table.name)
    ]
    pointing = [
        (reference.table, reference.constraint)
        for table in tables
        for reference in table.referenced_by
        if reference.table != table.name
    ]
    return list(dict.fromkeys(own + pointing))


def _step(table: Relation, *, behavior: int, facts: Facts) -> TransactionStep:
    node = pb.DropStmt(remove_type=pb.OBJECT_TABLE, behavior=behavior)
    add_strings(node.objects.add().list.items, (table.name.schema, table.name.name))
    return transaction(node, facts=facts, locks=locks(node, facts))


def locks(node: pb.DropStmt, facts: Facts) -> Iterator[Lock]:
    """Give the locks of every relation but an index, and of parts of one: a trigger, a policy, a rule."""
    for item in node.objects:
        parts = strings(item.list.items)
        if node.remove_type in PARTS_OF_RELATIONS:
            yield from lock(facts.in_use_named(parts[:-1]), mode=LockMode.ACCESS_EXCLUSIVE)
        elif node.remove_type != pb.OBJECT_INDEX and object_relation(node.remove_type, parts):
            is_cascade = node.behavior == pb.DROP_CASCADE
            yield from _of_relation(facts.in_use_named(parts), is_cascade=is_cascade, facts=facts)


def _of_relation(relation: Relation | None, *, is_cascade: bool, facts: Facts) -> Iterator[Lock]:
    """Give the locks of dropping it: its foreign keys have triggers on the referenced tables."""
    if relation is None:
        return
    touched = [key.references for key in relation.foreign_keys() if key.references]
    touched += relation.descendants
    if relation.partition_of:
        touched.append(relation.partition_of)
    if is_cascade:
        touched += [reference.table for reference in relation.referenced_by]
        touched += [view.name for view in relation.dependent_views]
    yield from lock(relation, mode=LockMode.ACCESS_EXCLUSIVE)
    yield from lock_each(touched, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)


OPERATION = StatementOperation(
    name="drop_table",
    rows=(30, 43),
    statements=(pb.DropStmt,),
    apply=drop_table,
    locks=locks,
    new_after=new_after_drop,
)
