"""What the environment and a file `.env` say, read once for the settings and for the quick look."""

from pathlib import Path

import pytest

from holdfast.engine.settings import Settings
from holdfast.engine.target import target_of
from holdfast.engine.variables import first_line, read_variables, url_variable

Variables = dict[str, str]
CASES: dict[str, tuple[Variables, str, Variables]] = {
    "no file": ({"A": "1"}, "", {"A": "1"}),
    "the environment comes first": ({"A": "1"}, "A=2\nB=2", {"A": "1", "B": "2"}),
    "an empty one is not set": ({"A": ""}, "A=2", {"A": "2"}),
    "small letters are capitals": ({"a": "1"}, "b='2'\nexport c=3", {"A": "1", "B": "2", "C": "3"}),
    "no value is an empty one": ({}, "A\nB=", {"A": "", "B": ""}),
    "one URL of the environment, whatever its name, comes before all of the file": (
        {"DATABASE_URL": "x"},
        "HOLDFAST_URL=y\nDATABASE_URL=z\nA=1",
        {"DATABASE_URL": "x", "A": "1"},
    ),
    "an empty URL is none": (
        {"HOLDFAST_URL": ""},
        "DATABASE_URL=z",
        {"HOLDFAST_URL": "", "DATABASE_URL": "z"},
    ),
}


@pytest.mark.parametrize(("environment", "text", "expected"), CASES.values(), ids=CASES)
def test_variables(environment: Variables, text: str, expected: Variables, tmp_path: Path) -> None:
    """By their names in capitals."""
    file = tmp_path / ".env"
    if text:
        file.write_text(text)
    assert read_variables(environment, file=file) == expected


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"DATABASE_URL": "postgresql:///a"}, "HOLDFAST_URL=postgresql:///b"),
        ({"database_url": "postgresql:///a"}, ""),
        ({}, "HOLDFAST_URL=postgresql:///a\nDATABASE_URL=postgresql:///b"),
        ({"HOLDFAST_URL": "postgresql:///a", "DATABASE_URL": "postgresql:///b"}, ""),
        ({"DATABASE_URL": ""}, "database_url=postgresql:///a"),
    ],
)
def test_both_readers_find_the_same_database(
    environment: Variables, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is said and whatever else is: the quick look and the settings go to one place."""
    for name in ("DATABASE_URL", "HOLDFAST_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text(text)
    monkeypatch.chdir(tmp_path)
    url, target = Settings(profile="test").url, target_of(environment, directory=tmp_path)
    assert (url and url.database, target and target.parameters["dbname"]) == ("a", "a")


def test_the_first_url_counts() -> None:
    """Ours before the one that every platform sets; none is None."""
    both = {"DATABASE_URL": "x", "HOLDFAST_URL": "y"}
    assert [url_variable(each) for each in (both, {"DATABASE_URL": "x"}, {"HOLDFAST_URL": ""})] == [
        "HOLDFAST_URL",
        "DATABASE_URL",
        None,
    ]


def test_the_first_line_of_a_secret(tmp_path: Path) -> None:
    """Without the end that an editor adds."""
    (tmp_path / "secret").write_text("one\ntwo\n")
    assert first_line(tmp_path / "secret") == "one"
