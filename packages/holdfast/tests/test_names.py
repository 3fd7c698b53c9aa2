"""Names in holdfast: one class has one name, and the private words of its first version stay away."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[1] / "src" / "holdfast").rglob("*.py"))
ROOT = Path(__file__).parents[3]
# What no test runs: a module or a function that is renamed is missed there only when somebody runs it.
PROGRAMS = sorted(
    file
    for folder in ("bench", "examples", "prove", "tools")
    for file in (ROOT / folder).rglob("*.py")
    if not {".cache", "__pycache__"} & set(file.parts)
)
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


def test_what_proofs_and_benches_import_exists() -> None:
    """Whichever name of holdfast is moved: the programs beside the packages import it from where it is."""
    assert PROGRAMS
    assert [name for file in PROGRAMS for name in imported(file) if not is_there(name)] == []


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """The names of holdfast that a file imports, each with its module."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "holdfast":
            yield from ((str(node.module), each.name) for each in node.names)


def is_there(name: tuple[str, str]) -> bool:
    """Whether a module has such a name, or is a package with such a module."""
    module, attribute = name
    return find_spec(module) is not None and (
        hasattr(import_module(module), attribute) or find_spec(f"{module}.{attribute}") is not None
    )
