"""The step that builds an index beside its users, for CREATE INDEX and for constraints."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode, lock_with_descendants
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.rewriting import Action
from holdfast.rewrite.steps import BuildIndexStep
from holdfast.rewrite.tree import copy, expression_sql, qualify, sql, strings


def build_index(node: pb.IndexStmt, *, table: Relation) -> BuildIndexStep:
    """The build of an index that has a name; IF NOT EXISTS goes, an invalid index satisfies it."""
    in_use = not table.is_new
    build = copy(node)
    build.concurrent, build.if_not_exists = True, False
    qualify(build.relation, table.name)
    index = QualifiedName(schema=table.name.schema, name=node.idxname)
    return BuildIndexStep(
        schema=index.schema,
        index=index.name,
        table=table.name,
        sql=sql(build),
        unique=node.unique,
        keys=tuple(_key(item.index_elem) for item in node.index_params) if node.unique else (),
        where=expression_sql(node.where_clause) if node.HasField("where_clause") else None,
        nulls_not_distinct=node.nulls_not_distinct,
        locks=(Lock(mode=LockMode.SHARE_UPDATE_EXCLUSIVE, relation=table.name),)
        if not table.is_new
        else (),
        scans=(table.name,) if in_use else (),
        undo=(f"DROP INDEX CONCURRENTLY IF EXISTS {index}",),
    )


def locks_of_build(node: pb.IndexStmt, facts: Facts) -> Iterator[Lock]:
    """Of CREATE INDEX as it is written."""
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if node.concurrent else LockMode.SHARE
    yield from lock_with_descendants(node.relation, mode=mode, facts=facts)


def index_of_constraint(action: Action, constraint: pb.Constraint, *, name: str) -> pb.IndexStmt:
    """The unique index that a UNIQUE or PRIMARY KEY constraint would make for itself."""
    return index_of(constraint, relation=action.statement.relation, name=name)


def index_of(constraint: pb.Constraint, *, relation: pb.RangeVar, name: str) -> pb.IndexStmt:
    """The same, on a relation as it is written."""
    node = pb.IndexStmt(
        idxname=name,
        unique=True,
        access_method="btree",
        nulls_not_distinct=constraint.nulls_not_distinct,
        table_space=constraint.indexspace,
        options=constraint.options,
    )
    node.relation.CopyFrom(relation)
    for column in strings(constraint.keys):
        node.index_params.add().index_elem.CopyFrom(_element(column))
    for column in strings(constraint.including):
        node.index_including_params.add().index_elem.CopyFrom(_element(column))
    return node


def over_index(constraint: pb.Constraint, *, name: str, index: str) -> pb.Constraint:
    """The same constraint, made of an index that is there."""
    taking_over = copy(constraint)
    taking_over.conname, taking_over.indexname = name, index
    taking_over.nulls_not_distinct, taking_over.indexspace = False, ""
    for field in ("keys", "including", "options"):
        taking_over.ClearField(field)
    return taking_over


def _element(column: str) -> pb.IndexElem:
    return pb.IndexElem(
        name=column, ordering=pb.SORTBY_DEFAULT, nulls_ordering=pb.SORTBY_NULLS_DEFAULT
    )


def _key(element: pb.IndexElem) -> str:
    return quote(element.name) if element.name else expression_sql(element.expr)
