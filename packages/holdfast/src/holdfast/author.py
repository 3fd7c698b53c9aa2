"""What the author of a revision allows in a comment on the line of the `op.` call."""

import ast
import sys
from functools import cache
from pathlib import Path

from holdfast.plan.statement import Excuse, excuse_in


def excuse_at_call(file: Path) -> Excuse | None:
    """The excuse in the source of the statement of `file` that is being executed right now."""
    frame = sys._getframe()  # noqa: SLF001  # documented, and the only way to the caller's line
    while frame is not None and Path(frame.f_code.co_filename) != file:
        frame = frame.f_back  # type: ignore[assignment]  # ends in None
    if frame is None:
        return None
    return excuse_in(_source_of_statement(file, frame.f_lineno))


@cache
def _tree(file: Path) -> tuple[ast.Module, tuple[str, ...]]:
    source = file.read_text()
    return ast.parse(source), tuple(source.splitlines())


def _source_of_statement(file: Path, line: int) -> str:
    """The lines of the innermost statement that covers `line`, and of a comment just above it."""
    tree, lines = _tree(file)
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
