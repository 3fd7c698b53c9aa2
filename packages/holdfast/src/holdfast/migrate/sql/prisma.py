"""Prisma: NAME/migration.sql, in the order of the names; rows in _prisma_migrations.

https://github.com/prisma/prisma-engines: the checksum is SHA-256 of the script; one with other line ends is the same
script. A row without finished_at and rolled_back_at is a migration that has failed, and stops everything.
"""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.schema import CreateTable

from holdfast.errors.sql import FailedInTool, NoWayBack
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    by_version,
    read_text,
)

NAME = "_prisma_migrations"
SCRIPT = "migration.sql"


class Prisma:
    """The folder `migrations` of Prisma."""

    name = "Prisma"
    table = VersionTable(name=NAME, schema=None)
    in_any_order = True

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give the scripts, one in each subfolder, in the order of the subfolders' names."""
        scripts = (
            each / SCRIPT
            for each in sorted(path.iterdir(), key=lambda e: e.name)
            if each.is_dir() and (each / SCRIPT).is_file()
        )
        return tuple(_read(script) for script in scripts)

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Give the recorded scripts; a row that was rolled back does not count."""
        table = _table(schema)
        rows = connection.execute(select(table).where(table.c.rolled_back_at.is_(None))).all()
        return standing(rows, files)

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table as Prisma itself does."""
        connection.execute(CreateTable(_table(schema), if_not_exists=True))

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of an applied script, as one that Prisma has finished."""
        connection.execute(
            insert(_table(schema)).values(
                id=str(uuid.uuid4()),
                checksum=file.checksum,
                migration_name=file.version,
                started_at=func.clock_timestamp() - took,
                finished_at=func.clock_timestamp(),
                applied_steps_count=1,
            )
        )

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Raise NoWayBack: Prisma has none."""
        raise NoWayBack(revision=file.version, layout=self.name)


def standing(rows: Sequence[Row[tuple[object, ...]]], files: Sequence[ScriptFile]) -> RecordedFiles:
    """Say what the rows mean for the files. Raises FailedInTool."""
    known = by_version(files)
    for row in rows:
        if row.finished_at is None:
            name = row.migration_name
            raise FailedInTool(
                version=name,
                table=NAME,
                way_out=f"prisma migrate resolve --rolled-back {name} (or --applied)",
            )
    names = frozenset(row.migration_name for row in rows)
    edited = {
        row.migration_name
        for row in rows
        if row.migration_name in known and not _is_same(known[row.migration_name], row.checksum)
    }
    return RecordedFiles(
        applied=names & known.keys(),
        unknown=tuple(sorted(names - known.keys())),
        edited=tuple(sorted(edited)),
    )


def _is_same(file: ScriptFile, checksum: str) -> bool:
    unix = file.path.read_bytes().replace(b"\r\n", b"\n")
    return checksum in (file.checksum, _sha256(unix), _sha256(unix.replace(b"\n", b"\r\n")))


def _read(path: Path) -> ScriptFile:
    name = path.parent.name
    return ScriptFile(
        version=name,
        description=name.partition("_")[2].replace("_", " "),
        path=path,
        up=ScriptText(text=read_text(path)),
        checksum=_sha256(path.read_bytes()),
        name=name,
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _table(schema: str) -> Table:
    moment = DateTime(timezone=True)
    return Table(
        NAME,
        MetaData(),
        Column("id", String(36), primary_key=True),
        Column("checksum", String(64), nullable=False),
        Column("finished_at", moment),
        Column("migration_name", String(255), nullable=False),
        Column("logs", Text),
        Column("rolled_back_at", moment),
        Column("started_at", moment, nullable=False, server_default=text("now()")),
        Column("applied_steps_count", Integer, nullable=False, server_default="0"),
        schema=schema,
    )
