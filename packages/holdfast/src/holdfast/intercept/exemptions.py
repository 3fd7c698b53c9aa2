"""What the author of a revision allows in a comment on the line of the `op.` call."""

import ast
import sys
import traceback
from functools import lru_cache
from pathlib import Path

from holdfast.rewrite.statement import Exemption, excuse_in


def excuse_at_call(file: Path) -> Exemption | None:
    """The exemption in the source of the statement of `file` that is being executed right now."""
    frame = sys._getframe()  # noqa: SLF001  # documented, and the only way to the caller's line
    while frame is not None and Path(frame.f_code.co_filename) != file:
        frame = frame.f_back  # type: ignore[assignment]  # ends in None
    if frame is None:
        return None
    return excuse_in(_source_of_statement(file.read_text(), frame.f_lineno))


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
