"""Names in holdfast: one class has one name, and the private words of its first version stay away."""

import ast
import re
from collections import Counter
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[1] / "src" / "holdfast").rglob("*.py"))
PRIVATE_WORDS = re.compile(
    r"\b(doorkeeper|undertaking|circumstances|put_?off|rehearsed|three_ways|foresight|at_rest|leading|looking)\b",
    re.IGNORECASE,
)


def test_a_class_name_is_given_once() -> None:
    """No name means two classes, wherever in holdfast they are."""
    names = Counter(
        node.name
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_words_that_nobody_can_guess_are_gone() -> None:
    """Code, docstrings and messages use the words of PostgreSQL, SQLAlchemy and Alembic."""
    found = [
        f"{file.name}: {word}"
        for file in SOURCES
        for word in PRIVATE_WORDS.findall(file.read_text())
    ]
    assert found == []
