"""Parses SQL text into statements: each with its syntax tree, its kind, its exemption, and the objects it names.

Takes any text that one `execute()` may receive, several statements included; gives no statement for
a text of comments.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import cast

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.tree import Node, every, find, has_option, strings

EXEMPTION = re.compile(
    r"holdfast:\s*allow\s+(?P<reason>.+?)\s+until\s+(?P<until>\d{4}-\d{2}-\d{2})"
)
COMMENTS = (pb.SQL_COMMENT, pb.C_COMMENT)

WrittenName = tuple[str, str]  # the schema, or nothing, and the name

RELATIONS = frozenset(
    [
        pb.OBJECT_FOREIGN_TABLE,
        pb.OBJECT_INDEX,
        pb.OBJECT_MATVIEW,
        pb.OBJECT_SEQUENCE,
        pb.OBJECT_TABLE,
        pb.OBJECT_VIEW,
    ]
)
# Named by their table's name and their own.
PARTS_OF_RELATIONS = frozenset(
    [pb.OBJECT_COLUMN, pb.OBJECT_POLICY, pb.OBJECT_RULE, pb.OBJECT_TABCONSTRAINT, pb.OBJECT_TRIGGER]
)


class StatementKind(Enum):
    """The kinds of statement that a run of a revision tells apart."""

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


DDL = (StatementKind.DDL, StatementKind.TEMP)
WRITES = (StatementKind.WRITE, StatementKind.WRITE_WITH_RESULT)
# These act only on their session or transaction, so a replay sends them again.
UNRECORDED = (StatementKind.SET, StatementKind.SET_LOCAL, StatementKind.TRANSACTION_CONTROL)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """The author's reason why a statement may run although it is long, and the last day on which it may."""

    reason: str
    until: date

    def holds(self, *, today: date) -> bool:
        """Whether the last day has not passed."""
        return today <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement: its text without the semicolon, its tree (pb.IndexStmt, ..), its kind."""

    sql: str
    node: Message
    kind: StatementKind
    exemption: Exemption | None = None
    # The nodes of the tree by their kind, once it has been looked through.
    _nodes: dict[type[Message], list[Message]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def nodes(self, kind: type[Node]) -> Sequence[Node]:
        """Give every node of one kind, in the order of the text. Never change the tree: change a copy."""
        if not self._nodes:
            for node in every(self.node):
                self._nodes.setdefault(type(node), []).append(node)
        return cast("Sequence[Node]", self._nodes.get(kind, ()))

    @property
    def whole_table_write(self) -> pb.RangeVar | None:
        """The table of an UPDATE or DELETE, which may touch as many rows as the table has."""
        if isinstance(self.node, pb.UpdateStmt | pb.DeleteStmt):
            return self.node.relation
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    start: int
    end: int


def parse(sql: str) -> tuple[Statement, ...]:
    """Give the statements of a text, in order. Raises UnparsableStatement in the parser's words."""
    try:
        tree = postgast.parse(sql)
        text = sql.encode()
        spans = [_span(statement, text=text) for statement in tree.stmts]
        exemptions = dict(_exemptions(sql, spans=spans)) if EXEMPTION.search(sql) else {}
    except postgast.PgQueryError as error:
        raise UnparsableStatement(
            statement=shortened(sql), message=error.message, position=error.cursorpos
        ) from error
    nodes = [postgast.unwrap_node(statement.stmt) for statement in tree.stmts]
    return tuple(
        Statement(
            sql=text[span.start : span.end].decode().strip(),
            node=node,
            kind=kind_of(node),
            exemption=exemptions.get(index),
        )
        for index, (node, span) in enumerate(zip(nodes, spans, strict=True))
    )


def exemption_in(text: str) -> Exemption | None:
    """Find the exemption in a comment, of SQL or of Python: `holdfast: allow REASON until YYYY-MM-DD`."""
    found = EXEMPTION.search(text)
    if found is None:
        return None
    try:
        return Exemption(reason=found["reason"], until=date.fromisoformat(found["until"]))
    except (
        ValueError
    ):  # no such day: what it was to allow is refused, with the form of an exemption
        return None


def on_one_line(sql: str) -> str:
    """Write statements on one line, ready to execute: without their author's comments and line ends."""
    try:
        return postgast.deparse(postgast.parse(sql)) if "\n" in sql.strip() else sql.strip()
    except postgast.PgQueryError:
        return sql.strip()


def shortened(sql: str, *, to: int = 200) -> str:
    """Give the statement on one line, cut, for a message."""
    line = " ".join(sql.split())
    return line if len(line) <= to else line[: to - 3] + "..."


def without_values(sql: str) -> str:
    """Put $1, $2, .. for the values, which may be a user's data; a truncated one ends at its first text."""
    try:
        return postgast.normalize(sql)
    except postgast.PgQueryError:
        return re.sub(r"\d+", "?", re.split(r"['$]", sql, maxsplit=1)[0]) + "..."


def _span(statement: pb.RawStmt, *, text: bytes) -> _Span:
    """Give the statement's place in bytes; the parser's length of 0 means: to the end."""
    start = statement.stmt_location
    return _Span(start=start, end=start + statement.stmt_len if statement.stmt_len else len(text))


def _exemptions(sql: str, *, spans: list[_Span]) -> Iterator[tuple[int, Exemption]]:
    """Give each exemption with the number of its statement: it stands inside, after, or above it."""
    text = sql.encode()
    for token in postgast.scan(sql).tokens:
        exemption = exemption_in(text[token.start : token.end].decode())
        if token.token in COMMENTS and exemption:
            yield _statement_at(token.start, text=text, spans=spans), exemption


def _statement_at(position: int, *, text: bytes, spans: list[_Span]) -> int:
    started = sum(span.start <= position for span in spans)
    on_the_line = started and b"\n" not in text[spans[started - 1].end : position]
    # After the last statement there is no other that it could mean.
    return started - 1 if on_the_line or started == len(spans) else started


def after_comments(sql: str) -> str:
    """Give a text from its first word on, without comments before it; it may have a driver's parameters."""
    sql = sql.lstrip()
    if not sql.startswith(("--", "/*")):
        return sql
    text = sql.encode()
    try:
        tokens = postgast.scan(sql).tokens
    except postgast.PgQueryError:
        return sql
    start = next((token.start for token in tokens if token.token not in COMMENTS), len(text))
    return text[start:].decode()


def kind_of(node: Message) -> StatementKind:
    """Give the kind of the statement with this tree."""
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
    """Give the functions that are called anywhere in it, without their schemas."""
    return _names_of_calls(find(node, pb.FuncCall))


def _names_of_calls(calls: Iterable[pb.FuncCall]) -> frozenset[str]:
    return frozenset(call.funcname[-1].string.sval for call in calls)


def is_opaque_call(statement: Statement) -> bool:
    """Whether the statement runs a body that may do anything: DO, CALL, a function called for its effects."""
    is_call = statement.kind is StatementKind.WRITE_WITH_RESULT and not relations_in(statement)
    return is_call or isinstance(statement.node, pb.DoStmt | pb.CallStmt)


def is_opaque_ddl(node: Message) -> bool:
    """Whether DDL executes what cannot be examined, or reaches objects that it does not name."""
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
    """Give the kind of `set_config(name, value, is_local)`: the third argument decides."""
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
    if _calls_of_others(node) or not all(_looks_into_catalog(function) for function in functions):
        return StatementKind.WRITE_WITH_RESULT
    if functions or any(_is_catalog_type(cast) for cast in find(node, pb.TypeCast)):
        return StatementKind.CATALOG_READ
    return StatementKind.HARMLESS


def calls_unknown_functions(statement: Statement) -> bool:
    """Whether it calls a function that may do more than look at the session or set a setting."""
    known = HARMLESS_FUNCTIONS | {"set_config"}
    return bool(functions_in(statement) - known) or _calls_of_others(statement.node)


def _calls_of_others(node: Message) -> bool:
    """Whether it calls a function by the name of a schema, which is not PostgreSQL's whatever its own name is."""
    calls = find(node, pb.FuncCall)
    return any(
        len(c.funcname) > 1 and c.funcname[0].string.sval not in CATALOG_SCHEMAS for c in calls
    )


def _looks_into_catalog(function: str) -> bool:
    return function.startswith(CATALOG_FUNCTION_BEGINNINGS) or function.endswith("_is_visible")


def _is_catalog_type(cast: pb.TypeCast) -> bool:
    """Whether a cast to this type looks a name up in the catalog: regclass and its kin."""
    return str(cast.type_name.names[-1].string.sval).startswith("reg")


def relations_in(statement: Statement) -> frozenset[WrittenName]:
    """Give relations and indexes, each as it is written."""
    return frozenset([*_range_variables(statement), *_objects(statement), *_indexes(statement)])


def functions_in(statement: Statement) -> frozenset[str]:
    """Give functions that are called anywhere in it, without their schemas."""
    return _names_of_calls(statement.nodes(pb.FuncCall))


def types_in(statement: Statement) -> frozenset[str]:
    """Give types that are not built in, as SQL would quote them."""
    names = (strings(name.names) for name in statement.nodes(pb.TypeName))
    return frozenset(name[-1] for name in names if name and name[0] != "pg_catalog")


def operators_in(statement: Statement) -> frozenset[str]:
    """Give the operators of its expressions, without their schemas."""
    return frozenset(
        expression.name[-1].string.sval
        for expression in statement.nodes(pb.A_Expr)
        if expression.name
    )


def written_name(parts: tuple[str, ...]) -> WrittenName:
    """Read a name from its parts: the last is the name, the one before it the schema."""
    return (parts[-2] if len(parts) > 1 else "", parts[-1])


def object_relation(kind: int, parts: tuple[str, ...]) -> WrittenName | None:
    """Give the relation that DROP or COMMENT is about: the object, or what it is a part of."""
    if kind in RELATIONS:
        return written_name(parts)
    if kind in PARTS_OF_RELATIONS:
        return written_name(parts[:-1])
    return None


def _range_variables(statement: Statement) -> Iterator[WrittenName]:
    for relation in statement.nodes(pb.RangeVar):
        yield relation.schemaname, relation.relname


def _objects(statement: Statement) -> Iterator[WrittenName]:
    node = statement.node
    if isinstance(node, pb.DropStmt):
        found = [
            object_relation(node.remove_type, strings(item.list.items)) for item in node.objects
        ]
    elif isinstance(node, pb.CommentStmt):
        found = [object_relation(node.objtype, strings(node.object.list.items))]
    else:
        return
    yield from (name for name in found if name is not None)


def _indexes(statement: Statement) -> Iterator[WrittenName]:
    """Give the names of indexes; an index lives in the schema of its table."""
    node = statement.node
    if isinstance(node, pb.IndexStmt) and node.idxname:
        yield node.relation.schemaname, node.idxname
    if isinstance(node, pb.AlterTableStmt):
        for constraint in statement.nodes(pb.Constraint):
            if constraint.indexname:
                yield node.relation.schemaname, constraint.indexname
