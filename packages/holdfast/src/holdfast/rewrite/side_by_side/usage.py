"""Decides from a statement's syntax tree, not its text, whether it uses a name that waits to go."""

from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.statement import parse
from holdfast.rewrite.tree import find, strings
from holdfast.rewrite.waiting import Waiting

READS_AND_WRITES = (
    pb.CopyStmt,
    pb.DeleteStmt,
    pb.InsertStmt,
    pb.MergeStmt,
    pb.SelectStmt,
    pb.UpdateStmt,
)
OURS = "record_image_eq"  # of the statements that fill and compare a second name


def uses(sql: str, waiting: Waiting) -> bool:
    """Whether a call of this statement comes from the release that needs what waits."""
    if OURS in sql or "holdfast." in sql:
        return False
    try:
        statements = parse(sql)
    except UnparsableStatement:
        return False  # cut off by the server, or not SQL
    return any(
        isinstance(statement.node, READS_AND_WRITES) and _names(statement.node, waiting)
        for statement in statements
    )


def _names(node: object, waiting: Waiting) -> bool:
    assert isinstance(node, READS_AND_WRITES)  # noqa: S101  # see uses()
    relations = {(r.schemaname, r.relname) for r in find(node, pb.RangeVar)}
    if waiting.what == "object":
        name = waiting.name.split("(")[0].split(".")[-1]
        called = {strings(call.funcname)[-1] for call in find(node, pb.FuncCall)}
        return name in called | {name for _, name in relations}
    if waiting.relation is None:
        return False
    table = waiting.name if waiting.what == "table name" else waiting.relation.name
    if not {("", table), (waiting.relation.schema, table)} & relations:
        return False
    if waiting.what in ("table", "table name"):
        return True
    if waiting.what not in ("column", "column name"):
        return False
    columns = {strings(c.fields[-1:])[-1] for c in find(node, pb.ColumnRef) if _is_named(c)}
    written = {target.name for target in find(node, pb.ResTarget)}
    inferred = {element.name for element in find(node, pb.IndexElem)}
    copied = set(strings(node.attlist)) if isinstance(node, pb.CopyStmt) else set()
    return waiting.name in columns | written | inferred | copied


def _is_named(reference: pb.ColumnRef) -> bool:
    return bool(reference.fields) and reference.fields[-1].HasField("string")
