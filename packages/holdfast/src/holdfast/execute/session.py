"""The session that a migration runs in, under a handle of our own; and a second session beside it.

The user's env.py owns the connection: its driver, its settings, its SQLAlchemy transaction. Our own statements
must join that session without passing the listeners on the user's engine and without telling SQLAlchemy
of a
commit, which would end the transaction object that env.py or Alembic still holds. So the handle is a
second SQLAlchemy connection over the same DBAPI connection, and commits go to the driver directly.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Executable, text
from sqlalchemy.pool import StaticPool

# SET LOCAL of env.py (search_path, role) ends with its transaction; to find it, look before and after.
SETTINGS = text(
    """
    SELECT name, setting FROM pg_settings WHERE source = 'session'
    UNION ALL SELECT 'role', current_setting('role')
    """
)
SET_LOCAL = text("SELECT set_config(:name, :setting, true)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSetting:
    """What env.py set for its transaction."""

    name: str
    setting: str


class OwnEngine(Engine):
    """An engine of ours over the user's dialect, which has the listeners: tells our statements apart."""


class MigrationSession:
    """The migration's session: its statements take part in the migration's own transaction.

    `keep_local_settings` makes SET LOCAL of env.py hold in every later transaction of the session.
    """

    def __init__(self, migration: Connection) -> None:
        self.migration = migration
        self.dialect = migration.dialect
        self.dbapi_connection: Any = migration.connection.dbapi_connection
        pool = StaticPool(self._the_connection, dialect=self.dialect, reset_on_return=None)
        self._connection = OwnEngine(pool, self.dialect, migration.engine.url).connect()
        self.local_settings: tuple[LocalSetting, ...] = ()
        self._settings_hold = True

    def _the_connection(self) -> Any:
        return self.dbapi_connection

    @property
    def connection(self) -> Connection:
        """For what asks or tells the server something, under the settings that hold for the migration."""
        self.restore_local_settings()
        return self._connection

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement of SQLAlchemy in the session's transaction, or at once in autocommit."""
        return self.connection.execute(statement, parameters)

    def execute_sql(self, sql: str) -> CursorResult[Any]:
        """Execute a finished text: no placeholder in it is looked for, no percent sign doubled."""
        # As an option of the connection it would stay, and text() doubles percent signs for parameters.
        once = {"no_parameters": True}
        result = self.connection.exec_driver_sql(sql, execution_options=once)
        # asyncpg keeps prepared statements; after DDL by another cursor they must be forgotten.
        if forget := getattr(self.dialect, "_invalidate_schema_cache", None):
            forget()
        return result

    def commit(self) -> None:
        """Commit what the session has done, the user's statements included."""
        self.dbapi_connection.commit()
        self._settings_hold = False

    def close(self) -> None:
        """Let go of our handle, and undo what is not committed. The user's own handle stays.

        Left to the garbage collector, SQLAlchemy would end an async connection under its owner.
        """
        self.connection.close()

    def rollback(self) -> None:
        """Undo everything since the last commit, the user's statements included."""
        self.dbapi_connection.rollback()
        self._settings_hold = False

    def keep_local_settings(self) -> None:
        """Commit, and remember which settings ended with the transaction."""
        before = self.execute(SETTINGS).all()
        self.commit()
        after = self.execute(SETTINGS).all()
        self.commit()
        self.local_settings = tuple(
            LocalSetting(name=row.name, setting=row.setting) for row in before if row not in after
        )

    @contextmanager
    def more_local_settings(self, settings: tuple[LocalSetting, ...]) -> Iterator[None]:
        """Besides those of env.py, for a while: what the author had SET before a statement."""
        before = self.local_settings
        self.local_settings = (*before, *settings)
        self._settings_hold = False
        try:
            yield
        finally:
            self.local_settings = before

    def restore_local_settings(self) -> None:
        """Set them again, once in each transaction; our own statements do this by themselves."""
        if self._settings_hold or self.in_autocommit():
            return
        self._settings_hold = True
        for local in self.local_settings:
            self._connection.execute(SET_LOCAL, {"name": local.name, "setting": local.setting})

    def set_locally(self, settings: tuple[LocalSetting, ...]) -> None:
        """These, for the rest of the transaction that is open."""
        for local in settings:
            self.connection.execute(SET_LOCAL, {"name": local.name, "setting": local.setting})

    def in_autocommit(self) -> bool:
        """Whether each statement commits itself (the author's autocommit_block, or env.py's wish)."""
        return bool(self.dbapi_connection.autocommit)

    @contextmanager
    def autocommit(self) -> Iterator[None]:
        """Outside of a transaction, for statements that refuse one. Nothing may be uncommitted before."""
        if self.in_autocommit():
            yield
            return
        level = self.dialect.get_isolation_level(self.dbapi_connection)
        self.commit()  # asking for the level has opened a transaction
        self.dialect.set_isolation_level(self.dbapi_connection, "AUTOCOMMIT")
        try:
            yield
        finally:
            self.dialect.set_isolation_level(self.dbapi_connection, level)

    @contextmanager
    def transactional(self) -> Iterator[None]:
        """In transactions, also where the author has switched to autocommit."""
        if not self.in_autocommit():
            yield
            return
        self.dialect.set_isolation_level(self.dbapi_connection, "READ COMMITTED")
        self._settings_hold = False
        try:
            yield
        finally:
            self.commit()
            self.dialect.set_isolation_level(self.dbapi_connection, "AUTOCOMMIT")

    @contextmanager
    def session_settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Settings for statements outside a transaction, those of SET LOCAL included; then as before."""
        wanted = {local.name: local.setting for local in self.local_settings} | dict(settings)
        before = {
            name: self.connection.execute(
                text("SELECT current_setting(:name)"), {"name": name}
            ).scalar_one()
            for name in wanted
        }
        self._set_for_session(wanted)
        try:
            yield
        finally:
            self._set_for_session(before)

    def _set_for_session(self, settings: Mapping[str, str]) -> None:
        for name, setting in settings.items():
            self.connection.execute(
                text("SELECT set_config(:name, :setting, false)"),
                {"name": name, "setting": setting},
            )


@contextmanager
def second_session(migration: Connection) -> Iterator[Connection]:
    """A connection of its own in AUTOCOMMIT: made as the user's engine does, not from its pool."""
    engine = migration.engine
    own = OwnEngine(engine.pool.recreate(), engine.dialect, engine.url)
    try:
        with own.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    finally:
        own.dispose()
