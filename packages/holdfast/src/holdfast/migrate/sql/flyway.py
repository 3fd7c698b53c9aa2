"""Flyway: V1__name.sql in the order of the versions, then R__name.sql whenever it has changed; flyway_schema_history.

https://github.com/flyway/flyway: the checksum is CRC-32 over the lines without their ends; a version 1.0 is 1. After a
baseline the versions up to it count as applied. Placeholders (${name}) are refused: their values are not read.
"""

import re
import zlib
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    String,
    Table,
    func,
    insert,
    select,
    text,
)

from holdfast.errors.sql import (
    FailedInTool,
    NoWayBack,
    PlaceholderInScript,
    WrongMigrationFile,
)
from holdfast.migrate.sql.layout import (
    RecordedFiles,
    ScriptFile,
    ScriptText,
    VersionTable,
    by_version,
    read_text,
)

NAME = "flyway_schema_history"
VERSIONED = re.compile(r"V(\d+(?:[._]\d+)*)__(.*)\.sql", re.IGNORECASE)
REPEATABLE = re.compile(r"R__(.+)\.sql")
OTHER = re.compile(r"[VRUB].*__.*\.sql|(before|after)[A-Z]\w*\.sql")
PLACEHOLDER = re.compile(r"\$\{[^}\n]+\}")
NO_DESCRIPTION = "<< no description >>"
BASELINE = "BASELINE"
UNDONE = ("UNDO_SQL", "UNDO_JDBC", "DELETE")


class Flyway:
    """A location of Flyway in the file system."""

    name = "Flyway"
    table = VersionTable(name=NAME, schema=None)
    in_any_order = False

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """Give versioned files first, then repeatable ones by description."""
        found = sorted(each for each in path.rglob("*.sql") if each.is_file())
        versioned = [_versioned(each, path) for each in found if VERSIONED.fullmatch(each.name)]
        repeatable = [_repeatable(each, path) for each in found if REPEATABLE.fullmatch(each.name)]
        for each in found:
            if OTHER.fullmatch(each.name) and not _is_read(each):
                said = "only V1__name.sql and R__name.sql are read"
                raise WrongMigrationFile(place=str(each), layout=self.name, said=said)
        by_order = sorted(versioned, key=lambda file: ordering(file.version))
        for one, other in pairwise(by_order):
            if ordering(one.version) == ordering(other.version):
                said = f"{one.path.name} has the same version"
                raise WrongMigrationFile(place=str(other.path), layout=self.name, said=said)
        return (*by_order, *sorted(repeatable, key=lambda file: file.description))

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """Give the recorded files, in the order in which they were installed."""
        table = _table(schema)
        rows = connection.execute(select(table).order_by(table.c.installed_rank)).all()
        return standing(rows, files)

    def create(self, connection: Connection, schema: str) -> None:
        """Create the version table as Flyway itself does."""
        table = _table(schema)
        table.create(connection, checkfirst=True)

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Insert the row of an applied file, with the next rank."""
        table = _table(schema)
        rank = select(func.coalesce(func.max(table.c.installed_rank), 0) + 1)
        connection.execute(
            insert(table).values(
                installed_rank=rank.scalar_subquery(),
                version=None if _is_repeatable(file) else file.version,
                description=file.description or NO_DESCRIPTION,
                type="SQL",
                script=file.name,
                checksum=int(file.checksum),
                installed_by=func.current_user(),
                execution_time=int(took.total_seconds() * 1000),
                success=True,
            )
        )

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Raise NoWayBack: only Flyway's paid editions have one."""
        raise NoWayBack(revision=file.version, layout=self.name)


def ordering(version: str) -> tuple[int, ...]:
    """Give the parts of a version for sorting; zeros at its end do not count."""
    parts = [int(part) for part in version.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def checksum_of(content: str) -> int:
    """Give the CRC-32 of the lines, as a signed number of 32 bits."""
    found = 0
    for line in re.split(r"\r\n|\r|\n", content):
        found = zlib.crc32(line.encode(), found)
    return found - 2**32 if found >= 2**31 else found


def standing(rows: Sequence[Row[tuple[object, ...]]], files: Sequence[ScriptFile]) -> RecordedFiles:
    """Say what the rows mean for the files. Raises FailedInTool."""
    known = by_version(files)
    versions = {ordering(file.version): file for file in files if not _is_repeatable(file)}
    applied: set[str] = set()
    unknown: set[str] = set()
    edited: set[str] = set()
    for row in rows:
        if not row.success:
            raise FailedInTool(version=row.script, table=NAME, way_out="flyway repair")
        if row.version is None:
            file = known.get(row.script.rpartition("/")[2].removesuffix(".sql"))
            if file is not None:  # the last row of a file counts
                is_same = row.checksum == int(file.checksum)
                applied = applied | {file.version} if is_same else applied - {file.version}
            continue
        place = ordering(row.version)
        if row.type == BASELINE:
            applied |= {file.version for each, file in versions.items() if each <= place}
            continue
        file = versions.get(place)
        if row.type in UNDONE:
            applied -= {file.version} if file is not None else set()
            unknown.discard(row.version)
        elif file is None:
            unknown.add(row.version)
        else:
            applied.add(file.version)
            is_same = row.checksum is None or row.checksum == int(file.checksum)
            edited = edited - {file.version} if is_same else edited | {file.version}
    return RecordedFiles(
        applied=frozenset(applied),
        unknown=tuple(sorted(unknown, key=ordering)),
        edited=tuple(sorted(edited & applied)),
    )


def _is_read(path: Path) -> bool:
    return bool(VERSIONED.fullmatch(path.name) or REPEATABLE.fullmatch(path.name))


def _is_repeatable(file: ScriptFile) -> bool:
    return file.version.startswith("R__")


def _versioned(path: Path, folder: Path) -> ScriptFile:
    found = VERSIONED.fullmatch(path.name)
    assert found is not None  # noqa: S101  # it was chosen by that
    return _read(path, folder, version=found[1].replace("_", "."), description=found[2])


def _repeatable(path: Path, folder: Path) -> ScriptFile:
    return _read(path, folder, version=path.stem, description=path.stem.removeprefix("R__"))


def _read(path: Path, folder: Path, *, version: str, description: str) -> ScriptFile:
    content = read_text(path)
    found = PLACEHOLDER.search(content)
    line = 0 if found is None else content.count("\n", 0, found.start()) + 1
    return ScriptFile(
        version=version,
        description=description.replace("_", " "),
        path=path,
        up=ScriptText(text=content),
        checksum=str(checksum_of(content)),
        is_one_transaction=False,  # Flyway itself looks which statements refuse one
        name=path.relative_to(folder).as_posix(),
        problem=None
        if found is None
        else PlaceholderInScript(place=f"{path}:{line}", placeholder=found[0]),
    )


def _table(schema: str) -> Table:
    table = Table(
        NAME,
        MetaData(),
        Column("installed_rank", Integer, nullable=False),
        Column("version", String(50)),
        Column("description", String(200), nullable=False),
        Column("type", String(20), nullable=False),
        Column("script", String(1000), nullable=False),
        Column("checksum", Integer),
        Column("installed_by", String(100), nullable=False),
        Column("installed_on", DateTime, nullable=False, server_default=text("now()")),
        Column("execution_time", Integer, nullable=False),
        Column("success", Boolean, nullable=False),
        PrimaryKeyConstraint("installed_rank", name=f"{NAME}_pk"),
        schema=schema,
    )
    Index(f"{NAME}_s_idx", table.c.success)
    return table
