"""dbmate: NUMBER_name.sql with `-- migrate:up` and `-- migrate:down`; versions in schema_migrations.

https://github.com/amacneil/dbmate: a version is the number in front of the name, kept as text, and files are in the
order of their names. It has no checksums, and what is recorded without a file does not trouble it.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, select
from sqlalchemy.schema import CreateTable

from holdfast.errors.sql import WrongMigrationFile
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    read_text,
)

FILE = re.compile(r"(\d+).*\.sql")
UP = re.compile(r"^--\s*migrate:up(\s*$|\s+\S+)", re.MULTILINE)
DOWN = re.compile(r"^--\s*migrate:down(\s*$|\s+\S+)", re.MULTILINE)


class Dbmate:
    """A folder of dbmate's files, and its table schema_migrations."""

    name = "dbmate"
    table = VersionTable(name="schema_migrations", schema=None)
    in_any_order = True

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give the files of the folder, in the order of their names."""
        named = sorted((each for each in path.iterdir() if each.is_file()), key=lambda e: e.name)
        return tuple(
            _read(each, found[1]) for each in named if (found := FILE.fullmatch(each.name))
        )

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Give the recorded files. A version without a file is an old one, unless it is later than every file."""
        table = _table(schema)
        versions = frozenset(connection.scalars(select(table.c.version)))
        return standing(versions, files)

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table as dbmate itself does."""
        connection.execute(CreateTable(_table(schema), if_not_exists=True))

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of an applied file: its version."""
        connection.execute(insert(_table(schema)).values(version=file.version))

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Delete the row of a file that was taken back."""
        table = _table(schema)
        connection.execute(delete(table).where(table.c.version == file.version))


def standing(versions: frozenset[str], files: Sequence[ScriptFile]) -> RecordedFiles:
    """Say what the recorded versions mean for the files."""
    known = {file.version for file in files}
    last = max(known, key=_as_number, default="")
    unknown = [
        each for each in versions - known if last == "" or _as_number(each) > _as_number(last)
    ]
    return RecordedFiles(applied=versions & known, unknown=tuple(sorted(unknown)))


def _as_number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)


def _table(schema: str) -> Table:
    return Table(
        "schema_migrations",
        MetaData(),
        Column("version", String, primary_key=True),
        schema=schema,
    )


def _read(path: Path, version: str) -> ScriptFile:
    text = read_text(path)
    ups, downs = list(UP.finditer(text)), list(DOWN.finditer(text))
    if len(ups) != 1:
        raise _wrong(path, f"it has {len(ups)} times -- migrate:up")
    if len(downs) > 1 or (downs and downs[0].start() < ups[0].start()):
        raise _wrong(path, "-- migrate:down does not stand once behind -- migrate:up")
    if not all(_is_blank(line) for line in text[: ups[0].start()].splitlines()):
        raise _wrong(path, "there are statements before -- migrate:up")
    end = downs[0].start() if downs else len(text)
    up, down = _part(text, ups[0].start(), end), _part(text, end, len(text))
    return ScriptFile(
        version=version,
        description=path.stem.removeprefix(version).strip("_-. ").replace("_", " "),
        path=path,
        up=up,
        down=down if downs else None,
        checksum="",
        is_one_transaction=_is_transaction(up),
        is_back_one_transaction=_is_transaction(down),
        name=path.name,
    )


def _part(text: str, start: int, end: int) -> ScriptText:
    return ScriptText(text=text[start:end], first_line=1 + text[:start].count("\n"))


def _is_transaction(part: ScriptText) -> bool:
    """Whether a part runs in a transaction: yes, unless its line says otherwise."""
    return "transaction:false" not in part.text.partition("\n")[0].split()


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("--")


def _wrong(path: Path, said: str) -> WrongMigrationFile:
    return WrongMigrationFile(place=str(path), layout="dbmate", said=said)
