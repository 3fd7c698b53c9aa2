"""What the author of a revision has SET, and allows in comments: both hold for a statement that is queued, too."""

import ast
import sys
import traceback
from functools import lru_cache
from pathlib import Path

from postgast import pg_query_pb2 as pb
from sqlalchemy import text

from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.rewrite.statement import EXCUSE, Exemption, Statement, excuse_in


class AuthorSettings:
    """The names that SET and set_config() have named in one call of a revision's function."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.names: set[str] = set()

    def note(self, statement: Statement) -> None:
        """A SET is on its way to the server."""
        self.names |= _names_set(statement)

    def in_force(self) -> tuple[LocalSetting, ...]:
        """The settings of the author with the values that they have now."""
        current = text("SELECT current_setting(:name)")
        return tuple(
            LocalSetting(
                name=name, setting=self.session.execute(current, {"name": name}).scalar_one()
            )
            for name in sorted(self.names)
        )

    def keep(self, settings: tuple[LocalSetting, ...]) -> None:
        """They hold in the later transactions of the session too, in place of what env.py has set."""
        names = {setting.name for setting in settings}
        others = (before for before in self.session.local_settings if before.name not in names)
        self.session.local_settings = (*others, *settings)


UNREADABLE = {"seed"}  # it can be set, but nobody can ask for it
# SET TRANSACTION and SET SESSION CHARACTERISTICS name no setting, but set these. The isolation level of a transaction
# can be set only before its first statement: each of ours has its own.
MODES = {
    "TRANSACTION": {"transaction_read_only": "transaction_read_only"},
    "SESSION CHARACTERISTICS": {
        "transaction_deferrable": "default_transaction_deferrable",
        "transaction_isolation": "default_transaction_isolation",
        "transaction_read_only": "default_transaction_read_only",
    },
}


def _names_set(statement: Statement) -> set[str]:
    node = statement.node
    if isinstance(node, pb.VariableSetStmt):
        if node.kind == pb.VAR_SET_MULTI:
            modes = MODES.get(node.name, {})
            return {modes[o.def_elem.defname] for o in node.args if o.def_elem.defname in modes}
        return {node.name} - UNREADABLE if node.name else set()
    # SELECT set_config('search_path', ..): its first argument
    values = [
        call.args[0].a_const.sval.sval
        for target in getattr(node, "target_list", ())
        if (call := target.res_target.val.func_call).funcname
        and call.funcname[-1].string.sval == "set_config"
    ]
    return {value for value in values if value}


def excuse_at_call(file: Path) -> Exemption | None:
    """The exemption in the source of the statement of `file` that is being executed right now."""
    source = file.read_text()
    if EXCUSE.search(source) is None:
        return None  # nothing is allowed anywhere in the file
    frame = sys._getframe()  # noqa: SLF001  # documented, and the only way to the caller's line
    while frame is not None and Path(frame.f_code.co_filename) != file:
        frame = frame.f_back  # type: ignore[assignment]  # ends in None
    if frame is None:
        return None
    return excuse_in(_source_of_statement(source, frame.f_lineno))


def line_in(file: Path, error: BaseException) -> str | None:
    """The line of `file` that an error comes from, as FILE:LINE: a helper may have sent what the author never wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    return f"{file.name}:{lines[-1]}" if lines else None


# One revision after the other, and the file may be edited between two runs of one process.
_tree = lru_cache(maxsize=1)(ast.parse)


def _source_of_statement(source: str, line: int) -> str:
    """The lines of the innermost statement that covers `line`, and of a comment just above it."""
    tree, lines = _tree(source), source.splitlines()
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not spans:
        return ""
    first, last = min(spans, key=lambda span: span[1] - span[0])
    above = lines[first - 2].strip() if first > 1 else ""
    return "\n".join([above if above.startswith("#") else "", *lines[first - 1 : last]])
