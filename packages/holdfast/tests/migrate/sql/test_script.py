"""A script is read as PostgreSQL reads it, whole, before its first statement runs."""

from pathlib import Path

import pytest

from holdfast.errors import HoldfastError
from holdfast.errors.sql import (
    CopyDataInScript,
    PsqlCommandInScript,
    TransactionInScript,
    UnparsableScript,
)
from holdfast.migrate.sql.script import Script, read_script

FILE = Path("fix.sql")


def read(text: str, first_line: int = 1) -> Script:
    """The script of a text."""
    return read_script(text, file=FILE, first_line=first_line)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- nothing\n/* at all; */\n;;\n", []),
        ("SELECT 1", [(1, "SELECT 1")]),
        ("\n\nSELECT 1;\n\n  SELECT 2;", [(3, "SELECT 1"), (5, "SELECT 2")]),
        ("SELECT ';';SELECT $$;$$;", [(1, "SELECT ';'"), (1, "SELECT $$;$$")]),
        ("SELECT 'ü\nö'; SELECT 2;", [(1, "SELECT 'ü\nö'"), (2, "SELECT 2")]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3;",
            [
                (1, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END"),
                (1, "SELECT 3"),
            ],
        ),
        ("SELECT 1;\r\nSELECT 2;\r\n", [(1, "SELECT 1"), (2, "SELECT 2")]),
        ("SAVEPOINT a;\nRELEASE a;", [(1, "SAVEPOINT a"), (2, "RELEASE a")]),
        ("BEGIN;\nSELECT 1;\nCOMMIT;", [(2, "SELECT 1")]),
        ("START TRANSACTION;\nSELECT 1;\nEND", [(2, "SELECT 1")]),
        ("COPY t FROM '/srv/t.csv';", [(1, "COPY t FROM '/srv/t.csv'")]),
    ],
)
def test_statements_and_their_lines(text: str, statements: list[tuple[int, str]]) -> None:
    """Semicolons in texts, bodies and comments end nothing, whatever stands around them."""
    assert [(each.line, each.sql) for each in read(text).statements] == statements


def test_lines_are_those_of_the_file() -> None:
    """A script may be a part of a file: its lines are counted from there."""
    assert [each.line for each in read("SELECT 1;\nSELECT 2;", first_line=7).statements] == [7, 8]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t RENAME a TO b; -- holdfast: allow nobody reads it until 2030-01-01\nSELECT 1;",
        "-- holdfast: allow nobody reads it until 2030-01-01\nALTER TABLE t RENAME a TO b;\nSELECT 1;",
        "ALTER TABLE t -- holdfast: allow nobody reads it until 2030-01-01\nRENAME a TO b;\nSELECT 1;",
    ],
)
def test_an_exemption_belongs_to_one_statement(text: str) -> None:
    """Behind the semicolon, above or inside: it allows that statement, and no other."""
    first, second = read(text).statements
    assert "holdfast: allow nobody reads it until 2030-01-01" in first.sql
    assert second.sql == "SELECT 1"


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("SELECT 1;\n\\i more.sql\n", PsqlCommandInScript, "fix.sql:2"),
        ("\\set ON_ERROR_STOP on\nSELECT 1;", PsqlCommandInScript, "fix.sql:1"),
        ("SELECT 'ü';\n\nSELECT 1 \\gexec\n", PsqlCommandInScript, "fix.sql:3"),
        ("SELECT 1;\nBEGIN;\nSELECT 2;\nCOMMIT;\n", TransactionInScript, "fix.sql:2"),
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;\n", TransactionInScript, "fix.sql:1"),
        (
            "BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;",
            TransactionInScript,
            "fix.sql:3",
        ),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;",
            TransactionInScript,
            "fix.sql:1",
        ),
        ("SELECT 1;\nROLLBACK;", TransactionInScript, "fix.sql:2"),
        ("SELECT 1;\nPREPARE TRANSACTION 'x';", TransactionInScript, "fix.sql:2"),
        ("SELECT 1;\nCOPY t FROM STDIN;\n1\ta;b\n\\.\nSELECT 2;", CopyDataInScript, "fix.sql:2"),
        (
            "COPY t (a) FROM stdin WITH (FORMAT csv);\nselect;1\n\\.\n",
            CopyDataInScript,
            "fix.sql:1",
        ),
        ("COPY t FROM STDIN;", CopyDataInScript, "fix.sql:1"),
        ("SELECT 1;\nSELCT 2;\n", UnparsableScript, "fix.sql:2"),
        ("SELECT 'ü', 'ö';\nSELECT 'never closed;\n", UnparsableScript, "fix.sql:2"),
        ("SELECT 1;\nSELECT :name;\n", UnparsableScript, "fix.sql:2"),
    ],
)
def test_what_is_no_statement_is_refused_with_its_line(
    text: str, error: type[HoldfastError], place: str
) -> None:
    """Commands of psql, transactions, rows for COPY, what does not parse: whichever, and wherever it stands."""
    with pytest.raises(error) as raised:
        read(text)
    assert type(raised.value) is error
    assert raised.value.place == place
    assert str(raised.value).startswith(f"{place}: ")
