"""Makes a revision's function of a script: it sends the statements one by one, and places each error in its file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import op
from postgast import pg_query_pb2 as pb
from sqlalchemy import ClauseElement, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.util import immutabledict

from holdfast.errors import HoldfastError
from holdfast.migrate.sql.layout import ScriptText
from holdfast.migrate.sql.script import Script, ScriptStatement, read_script
from holdfast.rewrite.online import is_refused_inside
from holdfast.rewrite.statement import Statement, StatementKind
from holdfast.rewrite.tree import find


class WholeStatement(Executable, ClauseElement):
    """A statement sent as it is: no colon in it is a parameter, no percent sign is doubled."""

    inherit_cache = False
    _execution_options = immutabledict({"no_parameters": True})

    def __init__(self, sql: str) -> None:
        self.sql = sql


@compiles(WholeStatement)
def _as_it_is(element: WholeStatement, compiler: Any, **keywords: Any) -> str:
    return element.sql


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFunction:
    """A callable that runs one script. The script is read first, so a refused one has run nothing."""

    script: Script
    path: Path
    is_one_transaction: bool

    def __call__(self, **arguments: Any) -> None:
        """Run the script as the folder's own tool would: outside a transaction what refuses one."""
        self._send(commits=self._commits_by_itself)

    def in_steps(self, **arguments: Any) -> None:
        """Run the script for a planner: outside of transactions only what commits inside."""
        self._send(commits=self._commits_inside)

    def _send(self, *, commits: Callable[[Statement], bool]) -> None:
        for each in self.script.statements:
            alone = commits(each.statement)
            block = op.get_context().autocommit_block() if alone else nullcontext()
            with self._placed(each), block:
                op.execute(WholeStatement(each.sql))
        for sql in _resets(self.script):
            op.execute(WholeStatement(sql))

    def _commits_by_itself(self, statement: Statement) -> bool:
        return is_refused_inside(statement) or self._commits_inside(statement)

    def _commits_inside(self, statement: Statement) -> bool:
        """Whether another transaction has to see the statement's result before the script goes on."""
        if self.is_one_transaction:
            return False
        node = statement.node
        adds_value = isinstance(node, pb.AlterEnumStmt) and bool(node.new_val) and not node.old_val
        return adds_value or isinstance(node, pb.CallStmt)

    @contextmanager
    def _placed(self, statement: ScriptStatement) -> Iterator[None]:
        """Add to an error in the block which line of which file has raised it."""
        try:
            yield
        except (HoldfastError, DBAPIError) as error:
            place = f"{self.path}:{statement.line}"
            error.place = place  # type: ignore[union-attr]  # of SQLAlchemy's error: read where it is translated
            raise


def function_of(part: ScriptText, *, path: Path, is_one_transaction: bool) -> ScriptFunction:
    """Make the function for a script or part of a file. Raises what `read_script` raises."""
    script = read_script(part.text, file=path, first_line=part.first_line)
    return ScriptFunction(
        script=script, path=path, is_one_transaction=is_one_transaction or script.is_bracketed
    )


def _resets(script: Script) -> tuple[str, ...]:
    """RESET each setting that the script has changed, so that the next script runs as it would alone."""
    found: dict[str, None] = {}
    for each in script.statements:
        node = each.statement.node
        if each.statement.kind is not StatementKind.SET:
            continue
        if isinstance(node, pb.VariableSetStmt):
            found[_reset_of(node)] = None
        else:
            for call in find(node, pb.FuncCall):
                if call.funcname[-1].string.sval == "set_config" and call.args[0].HasField(
                    "a_const"
                ):
                    found[f'RESET "{call.args[0].a_const.sval.sval}"'] = None
    return tuple(found)


def _reset_of(node: pb.VariableSetStmt) -> str:
    if node.kind == pb.VAR_RESET_ALL:
        return "RESET ALL"
    return "RESET " + ".".join(f'"{part}"' for part in str(node.name).split("."))
