"""What all layouts of SQL files share: their files in order, and what their version table says of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from holdfast.errors import HoldfastError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptText:
    """A script, or the part of a file that is one."""

    text: str
    first_line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFile:
    """One migration of a folder."""

    version: str  # the revision's identifier
    description: str
    path: Path
    up: ScriptText
    checksum: str  # as its tool computes it; "" where it does not
    down: ScriptText | None = None
    # Whether its tool executes it in one transaction, so that nothing in it commits by itself.
    is_one_transaction: bool = True
    is_back_one_transaction: bool = True
    name: str = ""  # what its tool records besides the version
    problem: HoldfastError | None = None  # why it cannot be applied, as far as its layout sees it
    created: int = 0  # milliseconds since 1970, where its tool goes by that


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFiles:
    """What the version table says of the files of a folder."""

    applied: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()  # recorded, and there is no file: the database is ahead
    edited: tuple[str, ...] = ()  # the file is not the one that was applied


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTable:
    """The table in which a layout keeps its records."""

    name: str
    schema: str | None  # None: the one in which the session finds it, or would create it


class Layout(Protocol):
    """One way to keep migrations as SQL files. Its table is read and written as its tool does it."""

    @property
    def name(self) -> str:
        """The name by which a person knows the layout."""

    @property
    def table(self) -> VersionTable:
        """The table in which its tool keeps its records."""

    @property
    def in_any_order(self) -> bool:
        """Whether a file may be applied that comes before an applied one."""

    def files(self, path: Path) -> tuple[ScriptFile, ...]:
        """The migrations at a path, in their order. Raises WrongMigrationFile."""
        ...

    def recorded(
        self, connection: Connection, schema: str, files: Sequence[ScriptFile]
    ) -> RecordedFiles:
        """The files that the table, which exists, has recorded. Raises FailedInTool."""
        ...

    def create(self, connection: Connection, schema: str) -> None:
        """Create the table, and its schema, where they are not there."""
        ...

    def record(
        self, connection: Connection, schema: str, file: ScriptFile, *, took: timedelta
    ) -> None:
        """Record that a migration is applied."""
        ...

    def forget(self, connection: Connection, schema: str, file: ScriptFile) -> None:
        """Record that a migration is no longer applied. Raises NoWayBack where the tool has no way back."""
        ...


def read_text(path: Path) -> str:
    """Read a file as the server should get it: UTF-8, without a byte order mark."""
    return path.read_bytes().decode("utf-8-sig")


def by_version(files: Iterable[ScriptFile]) -> dict[str, ScriptFile]:
    """Give the files by their version."""
    return {file.version: file for file in files}
