"""Plans the build of an index, for CREATE INDEX and constraints: its name, and the step that builds it beside users.

Where its author has not named it, it gets the name that PostgreSQL would choose: after ChooseIndexName() in
src/backend/commands/indexcmds.c and FigureColname() in src/backend/parser/parse_target.c.
"""

from collections.abc import Collection, Iterable, Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode, lock_with_descendants
from holdfast.rewrite.names import MAX_BYTES, QualifiedName, clip, free_name, quote
from holdfast.rewrite.rewriting import Action
from holdfast.rewrite.steps import BuildIndexStep
from holdfast.rewrite.tree import copy, expression_sql, qualify, sql, strings

SQL_VALUES: dict[int, str] = {
    pb.SVFOP_CURRENT_DATE: "current_date",
    pb.SVFOP_CURRENT_TIME: "current_time",
    pb.SVFOP_CURRENT_TIME_N: "current_time",
    pb.SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
    pb.SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
    pb.SVFOP_LOCALTIME: "localtime",
    pb.SVFOP_LOCALTIME_N: "localtime",
    pb.SVFOP_LOCALTIMESTAMP: "localtimestamp",
    pb.SVFOP_LOCALTIMESTAMP_N: "localtimestamp",
}


def build_index(node: pb.IndexStmt, *, table: Relation) -> BuildIndexStep:
    """Give the step that builds a named index. IF NOT EXISTS is left out: an invalid index would satisfy it."""
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
    """Give the locks of CREATE INDEX as it is written."""
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if node.concurrent else LockMode.SHARE
    yield from lock_with_descendants(node.relation, mode=mode, facts=facts)


def index_of_constraint(action: Action, constraint: pb.Constraint, *, name: str) -> pb.IndexStmt:
    """Give the unique index that a UNIQUE or PRIMARY KEY constraint would make."""
    return index_of(constraint, relation=action.statement.relation, name=name)


def index_of(constraint: pb.Constraint, *, relation: pb.RangeVar, name: str) -> pb.IndexStmt:
    """Give the unique index of a constraint, on a relation as it is written."""
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
    """Give the same constraint, made from an existing index."""
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


def index_name(node: pb.IndexStmt, *, taken: Collection[str]) -> str:
    """Choose the name: TABLE_COLUMNS_idx, or the first such name with a number that is free."""
    columns = joined(column_names(node))
    return free_name(node.relation.relname, second=columns, label="idx", taken=taken)


def column_names(node: pb.IndexStmt) -> list[str]:
    """Give what each column or expression of the index adds to its name."""
    elements = [*node.index_params, *node.index_including_params]
    return [element.index_elem.name or column_name(element.index_elem.expr) for element in elements]


def joined(columns: Iterable[str]) -> str:
    """Join the columns for a name: equal ones are numbered, and what is too long is left out."""
    text = ""
    seen: list[str] = []
    for column in columns:
        seen.append(_numbered(column, seen=seen))
        if len(text.encode()) < MAX_BYTES + 1:
            text += ("_" if text else "") + seen[-1]
    return text


def _numbered(column: str, *, seen: Collection[str]) -> str:
    name, number = column, 0
    while name in seen:
        number += 1
        name = clip(column, to=MAX_BYTES - len(str(number))) + str(number)
    return name


def column_name(expression: pb.Node) -> str:
    """Give the name that a query's result column would have."""
    kind = expression.WhichOneof("node")
    if kind == "func_call":
        return str(expression.func_call.funcname[-1].string.sval)
    if kind == "column_ref":
        return str(expression.column_ref.fields[-1].string.sval)
    if kind == "type_cast":
        inner = column_name(expression.type_cast.arg)
        kind = expression.type_cast.type_name.names[-1].string.sval
        return str(kind) if inner == "expr" else inner
    if kind == "collate_clause":
        return column_name(expression.collate_clause.arg)
    if kind == "sqlvalue_function":
        return SQL_VALUES.get(expression.sqlvalue_function.op, "expr")
    if kind == "coalesce_expr":
        return "coalesce"
    if kind == "case_expr":
        inner = column_name(expression.case_expr.defresult)
        return "case" if inner == "expr" else inner
    return "expr"
