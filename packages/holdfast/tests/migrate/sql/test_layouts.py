"""Each layout: which files there are, in which order, and what its version table says of them."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.errors.sql import (
    FailedInTool,
    FolderNotUnderstood,
    PlaceholderInScript,
    WrongMigrationFile,
)
from holdfast.migrate.sql import dbmate, drizzle, flyway, numbered, prisma
from holdfast.migrate.sql.find_layout import LAYOUTS, find_layout
from holdfast.migrate.sql.layout import RecordedFiles

UP_AND_DOWN = "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n"


def folder(path: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text.encode())
    return path


def journal(*tags: str) -> str:
    """The journal that drizzle-kit writes."""
    entries = [
        {"idx": n, "version": "7", "when": 1000 + n, "tag": tag, "breakpoints": True}
        for n, tag in enumerate(tags)
    ]
    return json.dumps({"version": "7", "dialect": "postgresql", "entries": entries})


PROJECTS = {
    "dbmate": {"2_b.sql": UP_AND_DOWN, "10_a.sql": UP_AND_DOWN, "schema.sql": "SELECT"},
    "flyway": {
        "V10__c.sql": "",
        "V2__b.sql": "",
        "V1_1__a b.sql": "",
        "more/R__views.sql": "",
        "README": "",
    },
    "prisma": {
        "20240102_b/migration.sql": "SELECT 1;",
        "20240101_a-first/migration.sql": "",
        "migration_lock.toml": "",
    },
    "drizzle": {
        "0000_a.sql": "SELECT 1;--> statement-breakpoint\nSELECT 2;",
        "0001_b.sql": "",
        "meta/_journal.json": journal("0000_a", "0001_b"),
    },
    "numbered": {"10_c.sql": "", "2-b.sql": "SELECT 1;", "001.sql": "", "notes.sql": "SELECT"},
}
ORDERS = {
    "dbmate": ["10", "2"],  # in the order of the names, as dbmate has it
    "flyway": ["1.1", "2", "10", "R__views"],
    "prisma": ["20240101_a-first", "20240102_b"],
    "drizzle": ["0000_a", "0001_b"],
    "numbered": ["001", "2-b", "10_c"],
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_layout_is_found_by_what_is_there(name: str, tmp_path: Path) -> None:
    """Each folder is known by its files, and its migrations come in the order of its tool."""
    path = folder(tmp_path, PROJECTS[name])
    found = find_layout(path)
    assert found is LAYOUTS[name]
    assert [file.version for file in found.files(path)] == ORDERS[name]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it is empty"),
        ({"a.sql": "", "b.txt": ""}, "it has a.sql, b.txt"),
        ({"migrations/1_a.sql": ""}, "but migrations in it is"),
        ({"V1__a.sql": "", "1_a.sql": ""}, "it looks like flyway and numbered at the same time"),
    ],
)
def test_what_is_not_understood_says_what_was_looked_for(
    files: dict[str, str], said: str, tmp_path: Path
) -> None:
    """No guess: the error names what is there and every layout."""
    with pytest.raises(FolderNotUnderstood) as raised:
        find_layout(folder(tmp_path, files))
    words = str(raised.value)
    assert said in words
    assert all(tool in words for tool in ("dbmate", "Flyway", "Prisma", "Drizzle"))


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("dbmate", {"1_a.sql": "SELECT 1;\n-- migrate:up\n-- migrate:down\n"}),
        ("dbmate", {"1_a.sql": "-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 2;\n"}),
        ("dbmate", {"1_a.sql": UP_AND_DOWN + UP_AND_DOWN}),
        ("dbmate", {"1_a.sql": UP_AND_DOWN, "2_b.sql": "SELECT 1;"}),
        ("flyway", {"V1__a.sql": "", "V1_0__b.sql": ""}),
        ("flyway", {"V1__a.sql": "", "U1__a.sql": ""}),
        ("flyway", {"V1__a.sql": "", "afterMigrate.sql": ""}),
        ("flyway", {"V1__a.sql": "", "Vone__a.sql": ""}),
        ("drizzle", {"meta/_journal.json": journal("0000_gone")}),
        ("drizzle", {"meta/_journal.json": "{"}),
        ("numbered", {"1_a.sql": "", "01_b.sql": ""}),
        ("numbered", {"1_a.up.sql": "", "1_a.down.sql": ""}),
        ("numbered", {"1_a.sql": "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;"}),
        ("numbered", {"1_a.sql": "-- Up Migration\nSELECT 1;\n-- Down Migration\nSELECT 2;"}),
        ("numbered", {"1_a.sql": "--changeset me:1\nSELECT 1;\n--rollback SELECT 2;"}),
        ("numbered", {"1_a.sql": "SELECT 1;\n--//@UNDO\nSELECT 2;"}),
    ],
)
def test_a_file_that_is_another_tool_s_is_refused(
    name: str, files: dict[str, str], tmp_path: Path
) -> None:
    """Whatever would be applied wrongly, or twice, or backwards by a guess is an error before anything has run."""
    with pytest.raises(WrongMigrationFile):
        LAYOUTS[name].files(folder(tmp_path, files))


def test_dbmate_parts(tmp_path: Path) -> None:
    """Each part with its lines, and whether its tool opens a transaction for it."""
    text = "-- why\n-- migrate:up transaction:false\nSELECT 1;\n\n-- migrate:down\nSELECT 2;\n"
    [file] = dbmate.Dbmate().files(folder(tmp_path, {"20240101_add_users.sql": text}))
    assert (file.version, file.description) == ("20240101", "add users")
    assert file.down is not None
    assert (file.up.first_line, file.down.first_line) == (2, 5)
    assert (file.is_one_transaction, file.is_back_one_transaction) == (False, True)
    assert (file.up.text.splitlines()[1], file.down.text.splitlines()[1]) == (
        "SELECT 1;",
        "SELECT 2;",
    )


def test_dbmate_rows(tmp_path: Path) -> None:
    """Rows without a file are of old migrations that are gone; a later one means that the database is ahead."""
    files = dbmate.Dbmate().files(
        folder(tmp_path, {"2_b.sql": UP_AND_DOWN, "3_c.sql": UP_AND_DOWN})
    )
    assert dbmate.standing(frozenset({"1", "2"}), files) == RecordedFiles(applied=frozenset({"2"}))
    assert dbmate.standing(frozenset({"2", "4"}), files) == RecordedFiles(
        applied=frozenset({"2"}), unknown=("4",)
    )


@pytest.mark.parametrize(
    ("content", "checksum"),
    [
        # By Flyway itself: FlywayTests below run it where its jars are at hand.
        ("", 0),
        ("CREATE TABLE a (id int);\n", -623083431),
        ("CREATE TABLE a (id int);", -623083431),
        ("CREATE TABLE a (id int);\r\n", -623083431),
    ],
)
def test_flyway_checksums(content: str, checksum: int) -> None:
    """The ends of lines do not count."""
    assert flyway.checksum_of(content) == checksum


def row(
    version: str | None, kind: str, script: str, checksum: int | None
) -> Any:  # as a result has it
    """A row of flyway_schema_history."""
    return SimpleNamespace(
        version=version, type=kind, script=script, checksum=checksum, success=True
    )


@pytest.mark.parametrize(
    ("rows", "recorded"),
    [
        ([], RecordedFiles()),
        ([row(None, "SCHEMA", '"shop"', None)], RecordedFiles()),
        ([row("1", "SQL", "V1__a.sql", 0)], RecordedFiles(applied=frozenset({"1"}))),
        ([row("1.0", "SQL", "V1__a.sql", 0)], RecordedFiles(applied=frozenset({"1"}))),
        (
            [row("1", "SQL", "V1__a.sql", 5)],
            RecordedFiles(applied=frozenset({"1"}), edited=("1",)),
        ),
        ([row("2", "BASELINE", "<<>>", None)], RecordedFiles(applied=frozenset({"1", "2"}))),
        (
            [row("1", "SQL", "V1__a.sql", 0), row("9", "SQL", "V9__x.sql", 1)],
            RecordedFiles(applied=frozenset({"1"}), unknown=("9",)),
        ),
        (
            [row("9", "SQL", "V9__x.sql", 1), row("9", "DELETE", "V9__x.sql", 1)],
            RecordedFiles(),
        ),
        (
            [row("1", "SQL", "V1__a.sql", 0), row("1", "UNDO_SQL", "U1__a.sql", 0)],
            RecordedFiles(),
        ),
        ([row(None, "SQL", "R__v.sql", 0)], RecordedFiles(applied=frozenset({"R__v"}))),
        (
            [row(None, "SQL", "R__v.sql", 0), row(None, "SQL", "R__v.sql", 8)],
            RecordedFiles(),
        ),
    ],
)
def test_flyway_rows(rows: list[Any], recorded: RecordedFiles, tmp_path: Path) -> None:
    """In the order of their ranks; a repeatable one is applied while its last row has its checksum."""
    files = flyway.Flyway().files(
        folder(tmp_path, {"V1__a.sql": "", "V2__b.sql": "", "R__v.sql": ""})
    )
    assert flyway.standing(rows, files) == recorded


def test_what_a_tool_has_failed_at_stops_everything(tmp_path: Path) -> None:
    """Nobody knows how much of it is there: with the command that settles it."""
    with pytest.raises(FailedInTool, match="flyway repair"):
        flyway.standing([SimpleNamespace(success=False, script="V1__a.sql")], ())  # type: ignore[list-item]  # as a result has it
    failed: Any = SimpleNamespace(migration_name="a", finished_at=None, checksum="")
    with pytest.raises(FailedInTool, match="prisma migrate resolve --rolled-back a"):
        prisma.standing([failed], ())


def test_flyway_placeholders(tmp_path: Path) -> None:
    """Their values are in a configuration that is not read."""
    [file] = flyway.Flyway().files(folder(tmp_path, {"V1__a.sql": "SELECT 1;\nSELECT '${owner}';"}))
    assert isinstance(file.problem, PlaceholderInScript)
    assert str(file.problem.place).endswith("V1__a.sql:2")


def test_prisma_checksums(tmp_path: Path) -> None:
    """A script with other ends of lines is the same script; any other text is an edited one."""
    files = prisma.Prisma().files(folder(tmp_path, {"1_a/migration.sql": "SELECT 1;\r\nSELECT 2;"}))
    for text, edited in (("SELECT 1;\nSELECT 2;", ()), ("SELECT 1;", ("1_a",))):
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found_row: Any = SimpleNamespace(
            migration_name="1_a", finished_at="2024-01-01", checksum=checksum
        )
        found = prisma.standing([found_row], files)
        assert found == RecordedFiles(applied=frozenset({"1_a"}), edited=edited)


def test_drizzle_goes_by_the_newest_row(tmp_path: Path) -> None:
    """What was generated before the newest applied one counts as applied, as for Drizzle itself."""
    files = drizzle.Drizzle().files(folder(tmp_path, PROJECTS["drizzle"]))
    assert drizzle.standing(None, files) == RecordedFiles()
    assert drizzle.standing(1000, files) == RecordedFiles(applied=frozenset({"0000_a"}))
    assert drizzle.standing(1001, files) == RecordedFiles(applied=frozenset({"0000_a", "0001_b"}))
    assert drizzle.standing(2000, files).unknown == ("created_at 2000",)


def test_numbered_rows(tmp_path: Path) -> None:
    """By name and checksum."""

    def recorded(version: str, checksum: str) -> Any:  # as a result has it
        return SimpleNamespace(version=version, checksum=checksum)

    files = numbered.Numbered().files(folder(tmp_path, {"1_a.sql": "", "2_b.sql": ""}))
    same = hashlib.sha256(b"").hexdigest()
    assert numbered.standing([recorded("1_a", same)], files) == RecordedFiles(
        applied=frozenset({"1_a"})
    )
    assert numbered.standing([recorded("1_a", "x"), recorded("3_c", same)], files) == RecordedFiles(
        applied=frozenset({"1_a"}), unknown=("3_c",), edited=("1_a",)
    )
