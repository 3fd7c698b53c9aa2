"""What a message names exists: whichever verb, option or variable, in an error, a help text or a verdict."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

import holdfast
from holdfast.cli import VERBS
from holdfast.cli import holdfast as group
from holdfast.engine import settings
from holdfast.engine.settings import EnvironmentSettings

SOURCES = Path(holdfast.__file__).parent
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# Words behind `holdfast` that begin no command: plain English, and names of sessions and layouts.
ENGLISH = {"acts", "executes", "guard", "has", "in", "is", "keeps", "layout", "lease", "made"}
ENGLISH |= {"path", "runs", "step", "that", "the"}
# Options of other programs, which the same text has to name.
OF_OTHERS = {
    "--data-dir": "./dev up",
    "--diff-filter": "git log",
    "--system": "useradd",
    "--schema-only": "pg_dump",
    "--no-owner": "pg_dump",
    "--no-privileges": "pg_dump",
    "--tablespace": "pg_repack",
    "--rolled-back": "prisma migrate",
    "--applied": "(or ",
}
RUNS_OTHERS = ("scratch/dump.py", "scratch/server.py")  # with options that nobody reads
PREFIX = re.compile(r"HOLDFAST_([A-Z]+_)?")


@pytest.fixture(scope="module")
def texts() -> tuple[tuple[str, str], ...]:
    """All of them; read by who runs these tests, not by every worker that collects them."""
    return tuple(all_texts())


def all_texts() -> Iterator[tuple[str, str]]:
    """Each text of the sources that somebody may read, and where it stands; docstrings of verbs are help texts."""
    for file in sorted(SOURCES.rglob("*.py")):
        place = file.relative_to(SOURCES).as_posix()
        if place in RUNS_OTHERS:
            continue
        tree = ast.parse(file.read_text())
        documented = [node.body[0] for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
        docstrings = {id(first.value) for first in documented if isinstance(first, ast.Expr)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if place.startswith("cli/") or id(node) not in docstrings:
                yield f"{place}:{node.lineno}", node.value


def options(verb: str | None = None) -> set[str]:
    """The options of a verb, or those in front of every verb."""
    command = group if verb is None else group.get_command(click.Context(group), verb)
    assert command is not None
    found = (name for each in command.params for name in (*each.opts, *each.secondary_opts))
    return {*found, "--help", "-h"}


OPTIONS = {verb: options(verb) for verb in VERBS}


def variables() -> set[str]:
    """The variables that settings are read from."""
    classes = (each for each in vars(settings).values() if isinstance(each, type))
    known = [each for each in classes if issubclass(each, EnvironmentSettings)]
    return {name for each in known for name in (*each.variables(), *each.other_variables)}


def unknown_commands(text: str) -> list[str]:
    named = re.findall(r"\bholdfast(?: -[a-z] \S+)* ([a-z][a-z-]*)", text)
    return [word for word in named if word not in VERBS and word not in ENGLISH]


def unknown_options(text: str) -> list[str]:
    known = set().union(options(), *OPTIONS.values())
    named = re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
    of_others = {name for name, program in OF_OTHERS.items() if program in text}
    return [name for name in named if name not in known | of_others]


def options_of_another_verb(text: str) -> list[str]:
    """Of each command in full, the options that its verb has not."""
    command = r"\bholdfast ({verbs})((?: (?:--?[a-z][a-z-]*|[A-Z]+|\{{\w+\}}))+)"
    return [
        f"{verb} {name}"
        for verb, words in re.findall(command.format(verbs="|".join(VERBS)), text)
        for name in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words)
        if name not in OPTIONS[verb]
    ]


def unknown_variables(text: str) -> list[str]:
    named = re.findall(r"\bHOLDFAST_[A-Z_]*", text)
    return [name for name in named if name not in variables() and not PREFIX.fullmatch(name)]


@pytest.mark.parametrize(
    "unknown", [unknown_commands, unknown_options, options_of_another_verb, unknown_variables]
)
def test_what_a_message_names_exists(
    unknown: Callable[[str], list[str]], texts: tuple[tuple[str, str], ...]
) -> None:
    """Nobody is sent to a command, an option or a variable that is not there, or that another verb has."""
    assert [(place, found) for place, text in texts if (found := unknown(text))] == []


def test_the_search_finds_what_it_is_for() -> None:
    """A verb, an option and a variable that do not exist are found in a text."""
    assert unknown_commands("See holdfast statuses, and holdfast -c alembic.ini runn") == [
        "statuses",
        "runn",
    ]
    assert unknown_options("holdfast run --too REV, or pg_dump --schema-only") == ["--too"]
    assert options_of_another_verb("holdfast status --to REV; holdfast run --to REV") == [
        "status --to"
    ]
    assert unknown_variables("set HOLDFAST_STANDBIES, as HOLDFAST_STANDBYS") == [
        "HOLDFAST_STANDBIES"
    ]
