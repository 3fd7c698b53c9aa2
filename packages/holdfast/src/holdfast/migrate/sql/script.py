"""Splits an SQL script into statements with their lines, using PostgreSQL's own parser.

Refuses, with the line, what cannot be executed as statements: commands of psql, BEGIN and COMMIT, rows for COPY.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.sql import (
    CopyDataInScript,
    PsqlCommandInScript,
    TransactionInScript,
    UnparsableScript,
)
from holdfast.rewrite.statement import Statement, exemption_in, parse, shortened

SAVEPOINTS = (
    pb.TRANS_STMT_SAVEPOINT,
    pb.TRANS_STMT_RELEASE,
    pb.TRANS_STMT_ROLLBACK_TO,
)
BEGINS = (pb.TRANS_STMT_BEGIN, pb.TRANS_STMT_START)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStatement:
    """One statement with the line on which it begins."""

    sql: str
    line: int
    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The statements of a script, in their order."""

    statements: tuple[ScriptStatement, ...]
    is_bracketed: bool  # as a whole one BEGIN .. COMMIT, which are not among the statements


def read_script(text: str, *, file: Path, first_line: int = 1) -> Script:
    """Read the whole script. Raises UnparsableScript and the refusals of errors/sql.py, which name the line."""
    place = _Place(text=text, file=file, first_line=first_line)
    try:
        starts = [each.stmt_location for each in postgast.parse(text).stmts]
    except postgast.PgQueryError as error:
        raise _why_unparsable(error, place) from error
    statements = tuple(
        ScriptStatement(sql=_with_exemption(each), line=place.line_of(start), statement=each)
        for start, each in zip(starts, parse(text), strict=True)
    )
    inner = _without_bracket(statements)
    for each in inner or statements:
        _refuse(each, place)
    return Script(statements=statements if inner is None else inner, is_bracketed=inner is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Converts positions in a script to FILE:LINE."""

    text: str
    file: Path
    first_line: int

    def line_of(self, start: int) -> int:
        """Give the line of a position in bytes."""
        return self.first_line + self.text.encode()[:start].count(b"\n")

    def at(self, line: int) -> str:
        return f"{self.file}:{line}"


def _with_exemption(statement: Statement) -> str:
    """Move a comment with an exemption, after the semicolon or above, into its statement's text."""
    allowed = statement.exemption
    if allowed is None or exemption_in(statement.sql) == allowed:
        return statement.sql
    return f"{statement.sql}\n-- holdfast: allow {allowed.reason} until {allowed.until}"


def _without_bracket(statements: Sequence[ScriptStatement]) -> tuple[ScriptStatement, ...] | None:
    if len(statements) < 2:
        return None
    first, last = statements[0].statement.node, statements[-1].statement.node
    if not (_is_control(first, BEGINS) and _is_control(last, (pb.TRANS_STMT_COMMIT,))):
        return None
    return tuple(statements[1:-1])


def _is_control(node: Message, kinds: Sequence[int]) -> bool:
    """Whether a statement begins or ends a transaction, without options (ISOLATION LEVEL, AND CHAIN)."""
    return (
        isinstance(node, pb.TransactionStmt)
        and node.kind in kinds
        and not node.options
        and not node.chain
    )


def _refuse(each: ScriptStatement, place: _Place) -> None:
    node = each.statement.node
    if isinstance(node, pb.TransactionStmt) and node.kind not in SAVEPOINTS:
        words = shortened(each.statement.sql, to=60)
        raise TransactionInScript(place=place.at(each.line), statement=words)
    if isinstance(node, pb.CopyStmt) and _reads_client(node):
        raise _copy_data(node, place.at(each.line))


def _reads_client(node: pb.CopyStmt) -> bool:
    return bool(node.is_from) and not node.filename


def _copy_data(node: pb.CopyStmt, place: str) -> CopyDataInScript:
    return CopyDataInScript(place=place, relation=str(node.relation.relname))


def _why_unparsable(
    error: postgast.PgQueryError, place: _Place
) -> UnparsableScript | PsqlCommandInScript | CopyDataInScript:
    """Say why the parser has stopped: at a psql command, at a row for COPY, or at a mistake."""
    position = max(error.cursorpos - 1, 0)  # in characters
    before, rest = place.text[:position], place.text[position:]
    line = place.first_line + before.count("\n")
    for copy_line, node in _copies_before(before, place):
        return _copy_data(node, place.at(copy_line))
    if rest.startswith("\\"):
        command = rest.splitlines()[0]
        return PsqlCommandInScript(place=place.at(line), command=shortened(command, to=60))
    return UnparsableScript(place=place.at(line), message=error.message)


def _copies_before(before: str, place: _Place) -> Iterator[tuple[int, pb.CopyStmt]]:
    """Give the statement before the position if it is a COPY that reads what follows."""
    for end in [found.end() for found in re.finditer(r";[^\S\n]*\n", before)][::-1][:50]:
        try:
            parsed = postgast.parse(before[:end]).stmts
        except postgast.PgQueryError:
            continue  # this semicolon stands in a row, in a text or in a body
        node = postgast.unwrap_node(parsed[-1].stmt) if parsed else None
        if isinstance(node, pb.CopyStmt) and _reads_client(node):
            yield place.line_of(parsed[-1].stmt_location), node
        return
