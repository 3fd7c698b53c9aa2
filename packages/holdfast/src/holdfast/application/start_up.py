"""What happens to a database before an application serves: environment, doctor, migrations, stamp, synchronisation.

Runs on connections of its own, in the calling thread; an event loop calls it in a thread.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, NullPool
from sqlalchemy.exc import DBAPIError

from holdfast.development.synchronize import synchronize
from holdfast.doctor.at_start import require_safe_start
from holdfast.engine import environment
from holdfast.engine.connection.connect_failure import explain_by_settings
from holdfast.engine.connection.database_url import arguments_of
from holdfast.engine.create_engine import create_engine, create_migration_engine, migration_url
from holdfast.engine.profiles import MigrateOnStart
from holdfast.engine.settings import Settings
from holdfast.engine.target import Target
from holdfast.errors.database import MigrationsNotApplied, NoMigrationsFolder
from holdfast.errors.migration import DatabaseAhead
from holdfast.migrate.run import is_up_to_date, upgrade
from holdfast.migrate.up_to_date.alembic_project import GIVEN, TARGET

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# `alembic.context` and `alembic.op` are globals of the process; two runs at once take each other's away.
ONE_ALEMBIC_RUN = Lock()


def prepare(settings: Settings, *, metadata: MetaData | None, stop: Event) -> None:
    """Prepare a database; `stop` ends the wait for another migrator. Raises CannotConnect, UnsafeToStart, ..."""
    engine = create_engine(settings, poolclass=NullPool)
    with _connected(engine, settings) as connection:
        environment.require_same_environment(connection, profile=settings.profile)
        require_safe_start(connection, settings)
    _migrate(settings, engine, stop)
    environment.stamp(engine, profile=settings.profile)
    if settings.synchronize and metadata is not None:
        _synchronize(settings, engine, metadata)


@contextmanager
def _connected(engine: Engine, settings: Settings) -> Iterator[Connection]:
    """Open the first connection of a process; if that fails, say what was tried and which setting named it."""
    try:
        connection = engine.connect()
    except DBAPIError as error:
        explained = explain_by_settings(error, settings)
        if explained is None:
            raise
        raise explained from error
    with connection:
        yield connection


def alembic_config(settings: Settings) -> Config:
    """The Alembic project that the settings name, with the whole URL for its env.py."""
    if settings.migrations is None:
        raise NoMigrationsFolder(migrate_on_start=settings.migrate_on_start)
    config = Config()
    config.set_main_option("script_location", _escaped(settings.migrations))
    url = migration_url(settings).render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", _escaped(url))
    return config


def _migrate(settings: Settings, engine: Engine, stop: Event) -> None:
    match settings.migrate_on_start:
        case MigrateOnStart.RUN:
            _run_migrations(settings, expand=None)
        case MigrateOnStart.EXPAND:
            _run_migrations(settings, expand=True)
        case MigrateOnStart.WAIT:
            _wait_for_migrations(settings, engine, stop)
        case MigrateOnStart.OFF:
            return


def _run_migrations(settings: Settings, *, expand: bool | None) -> None:
    """Upgrade: an env.py that takes a connection, as in Alembic's cookbook, gets one; another gets the URL."""
    config = alembic_config(settings)
    config.attributes[TARGET] = _target_of(settings)
    if is_up_to_date(config):
        return
    with ONE_ALEMBIC_RUN, create_migration_engine(settings).connect() as connection:
        config.attributes["connection"] = connection
        upgrade(config, "heads", expand=expand)


def _target_of(settings: Settings) -> Target:
    """Give the database that the connection leads to, for a quick look that needs no engine."""
    parameters = arguments_of(migration_url(settings))
    return Target(parameters=parameters, named_by=GIVEN)


def _wait_for_migrations(settings: Settings, engine: Engine, stop: Event) -> None:
    script = ScriptDirectory.from_config(alembic_config(settings))
    expected = script.get_heads()
    limit = time.monotonic() + settings.migrate_wait.total_seconds()
    logger.info("waiting until another process has migrated to %s", ", ".join(expected))
    while (found := _heads(engine, script)) != set(expected) and not stop.is_set():
        if time.monotonic() > limit:
            raise MigrationsNotApplied(
                expected=", ".join(expected),
                found=", ".join(sorted(found)) or "no revision",
                waited=settings.migrate_wait,
            )
        stop.wait(POLL_SECONDS)


def _heads(engine: Engine, script: ScriptDirectory) -> set[str]:
    with engine.connect() as connection:
        found = set(MigrationContext.configure(connection).get_current_heads())
    unknown = found - {revision.revision for revision in script.walk_revisions()}
    if unknown:
        raise DatabaseAhead(revisions=tuple(sorted(unknown)))
    return found


def _synchronize(settings: Settings, engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:
        added = synchronize(connection, metadata, profile=settings.profile)
        environment.mark_synchronized(connection)
    for what in added:
        logger.info("synchronised: %s", what)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # configparser interpolates
