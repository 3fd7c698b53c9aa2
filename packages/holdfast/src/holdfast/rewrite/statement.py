"""SQL text as statements: each with its syntax tree, its kind, and what its author allows.

Takes any text that one `execute()` may receive, several statements included; gives no statement for
a text of comments.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.statement_kind import StatementKind, kind_of

EXCUSE = re.compile(r"holdfast:\s*allow\s+(?P<reason>.+?)\s+until\s+(?P<until>\d{4}-\d{2}-\d{2})")
COMMENTS = (pb.SQL_COMMENT, pb.C_COMMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Why a statement may run although it is long, and the last day on which it may."""

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
    """The statements of a text, in order. Raises UnparsableStatement in the parser's words."""
    try:
        tree = postgast.parse(sql)
        text = sql.encode()
        spans = [_span(statement, text=text) for statement in tree.stmts]
        exemptions = dict(_excuses(sql, spans=spans)) if EXCUSE.search(sql) else {}
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


def excuse_in(text: str) -> Exemption | None:
    """The exemption in a comment, of SQL or of Python: `holdfast: allow REASON until YYYY-MM-DD`."""
    found = EXCUSE.search(text)
    if found is None:
        return None
    try:
        return Exemption(reason=found["reason"], until=date.fromisoformat(found["until"]))
    except (
        ValueError
    ):  # no such day: what it was to allow is refused, with the form of an exemption
        return None


def shortened(sql: str, *, to: int = 200) -> str:
    """The statement on one line, cut, for a message."""
    line = " ".join(sql.split())
    return line if len(line) <= to else line[: to - 3] + "..."


def without_values(sql: str) -> str:
    """The statement with $1, $2, .. for its values, which may be a user's data; a cut one up to its first text."""
    try:
        return postgast.normalize(sql)
    except postgast.PgQueryError:
        return re.sub(r"\d+", "?", re.split(r"['$]", sql, maxsplit=1)[0]) + "..."


def _span(statement: pb.RawStmt, *, text: bytes) -> _Span:
    """Where the statement stands, in bytes; the parser's length of 0 means: to the end."""
    start = statement.stmt_location
    return _Span(start=start, end=start + statement.stmt_len if statement.stmt_len else len(text))


def _excuses(sql: str, *, spans: list[_Span]) -> Iterator[tuple[int, Exemption]]:
    """Each exemption with the number of its statement: it stands inside, behind, or above."""
    text = sql.encode()
    for token in postgast.scan(sql).tokens:
        exemption = excuse_in(text[token.start : token.end].decode())
        if token.token in COMMENTS and exemption:
            yield _statement_at(token.start, text=text, spans=spans), exemption


def _statement_at(position: int, *, text: bytes, spans: list[_Span]) -> int:
    started = sum(span.start <= position for span in spans)
    on_the_line = started and b"\n" not in text[spans[started - 1].end : position]
    # Below the last statement there is no other that it could mean.
    return started - 1 if on_the_line or started == len(spans) else started
