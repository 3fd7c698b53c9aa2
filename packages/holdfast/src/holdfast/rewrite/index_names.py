"""The name that PostgreSQL chooses for an index that its author has not named.

After ChooseIndexName() in src/backend/commands/indexcmds.c and FigureColname() in
src/backend/parser/parse_target.c.
"""

from collections.abc import Collection, Iterable

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import MAX_BYTES, clip, free_name

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


def index_name(node: pb.IndexStmt, *, taken: Collection[str]) -> str:
    """TABLE_COLUMNS_idx, or the first such name with a number that is free."""
    columns = joined(column_names(node))
    return free_name(node.relation.relname, second=columns, label="idx", taken=taken)


def column_names(node: pb.IndexStmt) -> list[str]:
    """What each column or expression of the index adds to its name."""
    elements = [*node.index_params, *node.index_including_params]
    return [element.index_elem.name or column_name(element.index_elem.expr) for element in elements]


def joined(columns: Iterable[str]) -> str:
    """The columns as part of a name: equal ones are numbered, and what is too long is left out."""
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
    """What a query would call the column."""
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
