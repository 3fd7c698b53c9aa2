"""Puts the exemptions for refused statements into a copy of their revisions, as their authors would."""

import ast
from collections.abc import Iterable
from pathlib import Path

EXEMPTION = "# holdfast: allow history until 2999-01-01"


def excuse_lines(places: Iterable[tuple[str, int]]) -> int:
    """Insert the comment above the innermost statement at each file and line; give how many."""
    statements = {(Path(file), _first_line(Path(file), line)) for file, line in places}
    # From the end of each file, so that the numbers of the lines before stay what they are.
    for file, first in sorted(statements, reverse=True):
        lines = file.read_text().splitlines(keepends=True)
        if first > 1 and EXEMPTION in lines[first - 2]:
            raise ValueError(f"exempted, and refused all the same: {file}:{first}")
        indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
        lines.insert(first - 1, f"{indent}{EXEMPTION}\n")
        file.write_text("".join(lines))
    return len(statements)


def _first_line(file: Path, line: int) -> int:
    return max(
        node.lineno
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    )
