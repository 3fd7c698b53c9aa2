"""Puts the excuse for a refused statement into a copy of its revision, as its author would."""

import ast
from pathlib import Path

EXCUSE = "# holdfast: allow history until 2999-01-01"


class HasItsExcuse(Exception):
    """The statement is excused already, and refused all the same."""


def excuse_line(file: Path, line: int) -> None:
    """Insert the comment above the innermost statement that covers the line."""
    source = file.read_text()
    lines = source.splitlines(keepends=True)
    first = max(
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    )
    if first > 1 and EXCUSE in lines[first - 2]:
        raise HasItsExcuse(f"{file}:{first}")
    indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
    lines.insert(first - 1, f"{indent}{EXCUSE}\n")
    file.write_text("".join(lines))
