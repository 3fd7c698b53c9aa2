"""Alembic's MigrationContext, with the version table of another tool."""

from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from holdfast.migrate.sql.layout import Layout, RecordedFiles, ScriptFile

# The schema in which the session finds the table, or would create it.
SCHEMA = text(
    """
    SELECT coalesce((SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                     WHERE c.oid = to_regclass(quote_ident(:name))), current_schema(), 'public')::text
    """
)


class LayoutOwner(Protocol):
    """An object that knows how the files of a project are laid out."""

    @property
    def layout(self) -> Layout:
        """The layout of the files."""


class FileHistory(Protocol):
    """An object that knows the file of each revision."""

    files: tuple[ScriptFile, ...]
    source: LayoutOwner

    def heads_for(self, recorded: RecordedFiles) -> tuple[str, ...]:
        """Say where a database is whose version table says this."""
        ...

    def file(self, version: str) -> ScriptFile:
        """Give the file of a revision."""
        ...


class RecordedContext(MigrationContext):
    """Reads and writes what the folder's own tool reads and writes."""

    _found_schema: str | None = None

    def get_current_heads(self) -> tuple[str, ...]:
        """Give the revision of the database, in the order of the history."""
        return self._history.heads_for(self._recorded())

    def _ensure_version_table(self, purge: bool = False) -> None:
        if not self._has_version_table():
            self._layout.create(self._database, self._schema())

    def _has_version_table(self) -> bool:
        name, schema = self.version_table, self._schema()
        return self._database.dialect.has_table(self._database, name, schema=schema)

    def run_migrations(self, **kw: Any) -> None:
        """Run what the caller's function gives, one after the other, and record each."""
        self.impl.start_migrations()
        heads = self.get_current_heads()
        assert self._migrations_fn is not None  # noqa: S101  # every caller has one
        for step in self._migrations_fn(heads, self):
            begun = monotonic()
            with self.begin_transaction(_per_migration=True):
                step.migration_fn(**kw)
                self._record(step, took=timedelta(seconds=monotonic() - begun))

    def stamp(self, script: ScriptDirectory, revision: str) -> None:
        """Record everything up to `revision` as applied, and what follows as not applied; run nothing."""
        self._ensure_version_table()
        applied = self._recorded().applied
        names = [file.version for file in self._history.files]
        wanted = set() if revision == "base" else set(names[: self._last(revision, names) + 1])
        for file in self._history.files:
            if file.version in wanted and file.version not in applied:
                self._layout.record(self._database, self._schema(), file, took=timedelta(0))
            elif file.version in applied and file.version not in wanted:
                self._layout.forget(self._database, self._schema(), file)

    @staticmethod
    def _last(revision: str, names: list[str]) -> int:
        return len(names) - 1 if revision in ("head", "heads") else names.index(revision)

    def _record(self, step: Any, *, took: timedelta) -> None:
        file = self._history.file(step.revision.revision)
        if step.is_upgrade:
            self._layout.record(self._database, self._schema(), file, took=took)
        else:
            self._layout.forget(self._database, self._schema(), file)

    def _recorded(self) -> RecordedFiles:
        if not self._has_version_table():
            return RecordedFiles()
        return self._layout.recorded(self._database, self._schema(), self._history.files)

    def _schema(self) -> str:
        """The table's schema, asked once: later, the locks of a migration are still held."""
        if self._found_schema is None:
            self._found_schema = self.version_table_schema or str(
                self._database.execute(SCHEMA, {"name": self.version_table}).scalar_one()
            )
        return self._found_schema

    @property
    def _database(self) -> Connection:
        assert self.connection is not None  # noqa: S101  # only None in offline mode
        return self.connection

    @property
    def _history(self) -> "FileHistory":
        found: Any = self.script
        return found  # type: ignore[no-any-return]  # of our own kind: only that makes such a context

    @property
    def _layout(self) -> Layout:
        return self._history.source.layout
