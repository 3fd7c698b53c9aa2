"""Drizzle: the files that meta/_journal.json names, in its order; rows in drizzle.__drizzle_migrations.

https://github.com/drizzle-team/drizzle-orm: a file is applied when its `when` is not above that of the newest row; the
hash (SHA-256) is recorded and never compared. What the breakpoints separate are statements, which the parser finds too.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy.schema import CreateSchema, CreateTable

from holdfast.errors.sql import NoWayBack, WrongMigrationFile
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    read_text,
)

JOURNAL = Path("meta") / "_journal.json"
NAME = "__drizzle_migrations"


class Drizzle:
    """The folder that drizzle-kit writes."""

    name = "Drizzle"
    table = VersionTable(name=NAME, schema="drizzle")
    in_any_order = True  # what stands before an applied one counts as applied

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give the files that Drizzle's journal lists, in its order."""
        journal = path / JOURNAL
        try:
            entries = json.loads(journal.read_text(encoding="utf-8"))["entries"]
            return tuple(_read(path, str(each["tag"]), int(each["when"])) for each in entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = f"it cannot be read: {error}"
            raise WrongMigrationFile(place=str(journal), layout=self.name, said=said) from error

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Give the recorded files, by the newest row alone, as Drizzle itself does."""
        newest = connection.scalar(select(func.max(_table(schema).c.created_at)))
        return standing(newest, files)

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table as Drizzle itself does."""
        connection.execute(CreateSchema(schema, if_not_exists=True))
        connection.execute(CreateTable(_table(schema), if_not_exists=True))

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of an applied file: its hash, and when it was generated."""
        row = {"hash": file.checksum, "created_at": file.created}
        connection.execute(insert(_table(schema)).values(**row))

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Raise NoWayBack: Drizzle has none."""
        raise NoWayBack(revision=file.version, layout=self.name)


def standing(newest: int | None, files: Sequence[ScriptFile]) -> RecordedFiles:
    """Say what the newest row means for the files."""
    if newest is None:
        return RecordedFiles()
    last = max((file.created for file in files), default=0)
    unknown = (f"created_at {newest}",) if newest > last else ()
    return RecordedFiles(
        applied=frozenset(file.version for file in files if file.created <= newest),
        unknown=unknown,
    )


def _read(folder: Path, tag: str, when: int) -> ScriptFile:
    path = folder / f"{tag}.sql"
    return ScriptFile(
        version=tag,
        description=tag.partition("_")[2].replace("_", " "),
        path=path,
        up=ScriptText(text=read_text(path)),
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        name=tag,
        created=when,
    )


def _table(schema: str) -> Table:
    return Table(
        NAME,
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("hash", Text, nullable=False),
        Column("created_at", BigInteger),
        schema=schema,
    )
