"""Plain numbered files: 001_name.sql, 2_name.sql, in the order of the numbers; rows in our own holdfast_migrations."""

import hashlib
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    MetaData,
    Row,
    Table,
    Text,
    insert,
    select,
    text,
)
from sqlalchemy.schema import CreateTable

from holdfast.errors.sql import NoWayBack, WrongMigrationFile
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    by_version,
    read_text,
)

NAME = "holdfast_migrations"
FILE = re.compile(r"(\d+)(?:[._-].*)?\.sql")
# Both directions in one file, or in two that look alike: applied as a whole, the second undoes the first.
OF_TWO_WAYS = re.compile(
    r"^\s*--+\s*[/+@!]*\s*"
    r"(goose|migrate|micrate|dbmate|migrate:up|migrate:down|liquibase|changeset|rollback|undo|(up|down)(\s+migration)?)"
    r"\b.{0,20}$",
    re.IGNORECASE | re.MULTILINE,
)


class Numbered:
    """A folder of numbered files that belongs to no tool."""

    name = "numbered files"
    table = VersionTable(name=NAME, schema=None)
    in_any_order = False

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give the files of the folder, in the order of their numbers."""
        named = (each for each in path.iterdir() if each.is_file())
        found = [_read(each, m[1]) for each in named if (m := FILE.fullmatch(each.name))]
        found.sort(key=lambda file: (int(file.name), file.version))
        for one, other in pairwise(found):
            if int(one.name) == int(other.name):
                raise _wrong(other.path, f"{one.path.name} has the same number")
        return tuple(found)

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Give the recorded files, by their names."""
        return standing(connection.execute(select(_table(schema))).all(), files)

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table, which has one row for each applied file."""
        connection.execute(CreateTable(_table(schema), if_not_exists=True))

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of an applied file, with the checksum of its text."""
        connection.execute(
            insert(_table(schema)).values(
                version=file.version,
                checksum=file.checksum,
                execution_time_ms=int(took.total_seconds() * 1000),
            )
        )

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Raise NoWayBack: there is no script for it."""
        raise NoWayBack(revision=file.version, layout=self.name)


def standing(rows: Sequence[Row[tuple[object, ...]]], files: Sequence[ScriptFile]) -> RecordedFiles:
    """Say what the rows mean for the files."""
    known = by_version(files)
    names = frozenset(row.version for row in rows)
    edited = {
        row.version
        for row in rows
        if row.version in known and row.checksum != known[row.version].checksum
    }
    return RecordedFiles(
        applied=names & known.keys(),
        unknown=tuple(sorted(names - known.keys())),
        edited=tuple(sorted(edited)),
    )


def _read(path: Path, number: str) -> ScriptFile:
    content = read_text(path)
    if re.search(r"\.(up|down|undo|rollback)\.sql$", path.name, re.IGNORECASE):
        raise _wrong(path, "a file for each direction is the layout of another tool")
    if found := OF_TWO_WAYS.search(content):
        words = found[0].strip()
        raise _wrong(
            path, f"the line {words!r} is that of another tool, whose sections are not known"
        )
    return ScriptFile(
        version=path.stem,
        description=path.stem.removeprefix(number).strip("_-. ").replace("_", " "),
        path=path,
        up=ScriptText(text=content),
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        is_one_transaction=False,  # psql would commit each statement
        name=number,
    )


def _wrong(path: Path, said: str) -> WrongMigrationFile:
    return WrongMigrationFile(place=str(path), layout="numbered files", said=said)


def _table(schema: str) -> Table:
    return Table(
        NAME,
        MetaData(),
        Column("version", Text, primary_key=True),
        Column("checksum", Text, nullable=False),
        Column("applied_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Column("execution_time_ms", BigInteger, nullable=False),
        schema=schema,
    )
