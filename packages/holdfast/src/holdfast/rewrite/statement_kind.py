"""What a statement is to the run of a revision: may it wait, does Python see its result?"""

from enum import Enum

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.tree import find, has_option


class StatementKind(Enum):
    """The kinds that a run of a revision tells apart."""

    DDL = "DDL"
    READ = "read"
    CATALOG_READ = "catalog read"
    HARMLESS = "harmless"  # reads nothing that a statement before it may have changed
    WRITE = "write"  # gives nothing back that Python could see
    WRITE_WITH_RESULT = "write with a result"
    SET = "SET"
    SET_LOCAL = "SET LOCAL"
    TRANSACTION_CONTROL = "transaction control"
    NEVER_SPLIT = "never split"  # what it takes lives as long as its transaction
    TEMP = "temporary table"


HARMLESS_FUNCTIONS = frozenset(
    [
        "current_database",
        "current_schema",
        "current_schemas",
        "current_setting",
        "now",
        "pg_backend_pid",
        "txid_current",
        "version",
    ]
)
CATALOG_FUNCTION_BEGINNINGS = (
    "to_reg",
    "has_",
    "pg_get_",
    "obj_description",
    "col_description",
    "format_type",
)
WRITING_FUNCTIONS = frozenset(["setval", "nextval"])
CATALOG_SCHEMAS = frozenset(["pg_catalog", "information_schema"])

KIND_OF_NODE: dict[type[Message], StatementKind] = {
    pb.TransactionStmt: StatementKind.TRANSACTION_CONTROL,
    pb.VariableShowStmt: StatementKind.HARMLESS,
    pb.CheckPointStmt: StatementKind.HARMLESS,
    pb.LockStmt: StatementKind.NEVER_SPLIT,
    pb.ConstraintsSetStmt: StatementKind.NEVER_SPLIT,
    pb.DeclareCursorStmt: StatementKind.NEVER_SPLIT,
    pb.FetchStmt: StatementKind.NEVER_SPLIT,
    pb.ClosePortalStmt: StatementKind.NEVER_SPLIT,
    pb.ExecuteStmt: StatementKind.WRITE_WITH_RESULT,
    pb.CallStmt: StatementKind.WRITE,
    pb.DoStmt: StatementKind.WRITE,
    pb.NotifyStmt: StatementKind.WRITE,
}


# Scripts of extensions, queries that call functions, everything that a role owns.
OPAQUE_DDL = (
    pb.AlterExtensionContentsStmt,
    pb.AlterExtensionStmt,
    pb.CreateExtensionStmt,
    pb.CreateTableAsStmt,
    pb.DropOwnedStmt,
    pb.ImportForeignSchemaStmt,
    pb.ReassignOwnedStmt,
)


def kind_of(node: Message) -> StatementKind:
    """The kind of the statement with this tree."""
    if isinstance(node, pb.SelectStmt):
        return _kind_of_select(node)
    if isinstance(node, pb.VariableSetStmt):
        return _kind_of_set(node)
    if isinstance(node, pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt | pb.MergeStmt):
        return StatementKind.WRITE_WITH_RESULT if _returns_rows(node) else StatementKind.WRITE
    if isinstance(node, pb.CopyStmt):
        return StatementKind.WRITE if node.is_from else StatementKind.READ
    if isinstance(node, pb.ExplainStmt):
        return _kind_of_explain(node)
    if isinstance(node, pb.CreateStmt):
        return _kind_of_new_table(node.relation, on_commit=node.oncommit)
    if isinstance(node, pb.CreateTableAsStmt):
        return _kind_of_new_table(node.into.rel, on_commit=node.into.on_commit)
    return KIND_OF_NODE.get(type(node), StatementKind.DDL)


def function_names(node: Message) -> frozenset[str]:
    """The functions that are called anywhere in it, without their schemas."""
    return frozenset(call.funcname[-1].string.sval for call in find(node, pb.FuncCall))


def is_opaque_ddl(node: Message) -> bool:
    """DDL that executes what nobody can look into, or reaches objects that it does not name."""
    if isinstance(node, pb.DropStmt):
        is_extension = node.remove_type == pb.OBJECT_EXTENSION
        return bool(is_extension or node.behavior == pb.DROP_CASCADE)
    if isinstance(node, pb.SelectStmt):
        return bool(node.HasField("into_clause"))
    return isinstance(node, OPAQUE_DDL)


def _returns_rows(node: pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt | pb.MergeStmt) -> bool:
    return len(node.returning_clause.exprs) > 0


def _kind_of_new_table(relation: pb.RangeVar, *, on_commit: pb.OnCommitAction) -> StatementKind:
    if relation.relpersistence != "t" and relation.schemaname != "pg_temp":
        return StatementKind.DDL
    return StatementKind.NEVER_SPLIT if on_commit == pb.ONCOMMIT_DROP else StatementKind.TEMP


def _kind_of_set(node: pb.VariableSetStmt) -> StatementKind:
    # SET TRANSACTION holds for its transaction only, although it is not written with LOCAL.
    is_local = node.is_local or node.name == "TRANSACTION"
    return StatementKind.SET_LOCAL if is_local else StatementKind.SET


def _kind_of_explain(node: pb.ExplainStmt) -> StatementKind:
    runs_it = has_option(node.options, name="analyze")
    if runs_it and not isinstance(postgast.unwrap_node(node.query), pb.SelectStmt):
        return StatementKind.WRITE_WITH_RESULT
    return StatementKind.READ


def _kind_of_select(node: pb.SelectStmt) -> StatementKind:
    functions = function_names(node)
    if node.HasField("into_clause"):
        return _kind_of_new_table(node.into_clause.rel, on_commit=node.into_clause.on_commit)
    if "set_config" in functions:
        return _kind_of_set_config(node)
    if _writes(node) or functions & WRITING_FUNCTIONS:
        return StatementKind.WRITE_WITH_RESULT
    if any(find(node, pb.LockingClause)):
        return StatementKind.NEVER_SPLIT
    relations = _relations_read(node)
    if relations:
        in_catalog = all(_is_catalog(relation) for relation in relations)
        return StatementKind.CATALOG_READ if in_catalog else StatementKind.READ
    return _kind_of_select_without_tables(node, functions=functions - HARMLESS_FUNCTIONS)


def _kind_of_set_config(node: pb.SelectStmt) -> StatementKind:
    """`set_config(name, value, is_local)`: the third argument decides."""
    calls = [
        call for call in find(node, pb.FuncCall) if call.funcname[-1].string.sval == "set_config"
    ]
    is_local = all(call.args[-1].a_const.boolval.boolval for call in calls)
    return StatementKind.SET_LOCAL if is_local else StatementKind.SET


def _writes(node: pb.SelectStmt) -> bool:
    return any(
        any(find(node, kind))
        for kind in (pb.InsertStmt, pb.UpdateStmt, pb.DeleteStmt, pb.MergeStmt)
    )


def _relations_read(node: pb.SelectStmt) -> list[pb.RangeVar]:
    queries = {query.ctename for query in find(node, pb.CommonTableExpr)}
    relations = find(node, pb.RangeVar)
    return [
        relation for relation in relations if relation.schemaname or relation.relname not in queries
    ]


def _is_catalog(relation: pb.RangeVar) -> bool:
    if relation.schemaname:
        return str(relation.schemaname) in CATALOG_SCHEMAS
    return str(relation.relname).startswith("pg_")


def _kind_of_select_without_tables(
    node: pb.SelectStmt, *, functions: frozenset[str]
) -> StatementKind:
    """Any function that is not known to look only may do anything."""
    if not all(_looks_into_catalog(function) for function in functions):
        return StatementKind.WRITE_WITH_RESULT
    if functions or any(_is_catalog_type(cast) for cast in find(node, pb.TypeCast)):
        return StatementKind.CATALOG_READ
    return StatementKind.HARMLESS


def _looks_into_catalog(function: str) -> bool:
    return function.startswith(CATALOG_FUNCTION_BEGINNINGS) or function.endswith("_is_visible")


def _is_catalog_type(cast: pb.TypeCast) -> bool:
    """A cast to regclass and its sisters looks the name up."""
    return str(cast.type_name.names[-1].string.sval).startswith("reg")
