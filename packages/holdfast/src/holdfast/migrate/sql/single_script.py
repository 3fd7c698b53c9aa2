"""One SQL script by itself: known by the checksum of its text; rows in holdfast.applied_scripts."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Column, Connection, DateTime, MetaData, Table, Text, insert, select, text
from sqlalchemy.schema import CreateSchema, CreateTable

from holdfast.errors.sql import NoWayBack
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    read_text,
)
from holdfast.observe.schema_constants import SCHEMA

NAME = "applied_scripts"


class SingleScript:
    """A script that belongs to no folder."""

    name = "a single script"
    table = VersionTable(name=NAME, schema=SCHEMA)
    in_any_order = True

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give the one file, as the only revision."""
        return (
            ScriptFile(
                version=path.name,
                description="",
                path=path,
                up=ScriptText(text=read_text(path)),
                checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
                is_one_transaction=False,  # psql would commit each statement
            ),
        )

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Say whether this very text was applied, under whatever name."""
        table = _table(schema)
        known = {file.checksum: file.version for file in files}
        rows = select(table.c.checksum).where(table.c.checksum.in_(known))
        return RecordedFiles(applied=frozenset(known[each] for each in connection.scalars(rows)))

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table, in the schema holdfast."""
        connection.execute(CreateSchema(schema, if_not_exists=True))
        connection.execute(CreateTable(_table(schema), if_not_exists=True))

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of the script: its checksum, and its name for people."""
        row = {"checksum": file.checksum, "name": file.path.name}
        connection.execute(insert(_table(schema)).values(**row))

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Raise NoWayBack: there is no script for it."""
        raise NoWayBack(revision=file.version, layout=self.name)


def _table(schema: str) -> Table:
    return Table(
        NAME,
        MetaData(),
        Column("checksum", Text, primary_key=True, comment="SHA-256 of the script"),
        Column("name", Text, nullable=False),
        Column("applied_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        schema=schema,
    )
