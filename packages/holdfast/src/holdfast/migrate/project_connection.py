"""Examines a project's database on the connection that its env.py makes. Takes no lock, writes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from holdfast.errors.project import NothingMigrated
from holdfast.execute.watcher import naming_blockers
from holdfast.migrate.databases import ConfiguredDatabase, only, passes_of
from holdfast.migrate.history_files import open_history
from holdfast.migrate.timed_out import naming_timeouts

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConnection:
    """The connection of a project, its history, and the revision of its database."""

    script: ScriptDirectory
    database: ConfiguredDatabase
    heads: tuple[str, ...]  # the revisions that the database is at
    context: MigrationContext
    connection: Connection


def on_project_connection(config: Config, look: Callable[[ProjectConnection], Seen]) -> Seen:
    """Call `look` where env.py would run migrations, and give the result of the first call."""
    return on_every_pass(config, look)[0]


def on_every_pass(config: Config, look: Callable[[ProjectConnection], Seen]) -> tuple[Seen, ...]:
    """Call `look` for each call of run_migrations in env.py: one per database, or per tenant."""
    script = open_history(config)
    seen: list[Seen] = []
    connections: list[Connection] = []
    passes = passes_of(config)

    def call(heads: tuple[str, ...], context: MigrationContext) -> tuple[()]:
        database = passes.next(context)
        if database is None:
            return ()
        assert context.connection is not None  # noqa: S101  # only None in offline mode
        connections.append(context.connection)
        project = ProjectConnection(
            script=script,
            database=database,
            heads=heads,
            context=context,
            connection=context.connection,
        )
        seen.append(look(project))
        return ()

    with (
        EnvironmentContext(config, script, fn=call, dont_mutate=True),
        naming_blockers() as statements,
        naming_timeouts(connections, statements, standing="Nothing was changed: it only looked."),
    ):
        script.run_env()
    if not seen:
        raise NothingMigrated(env=str(script.env_py_location))
    return tuple(seen)


def databases_of(config: Config) -> tuple[ConfiguredDatabase, ...]:
    """Name the databases that env.py goes through; one with several version tables is named once."""
    found = on_every_pass(config, lambda project: project.database)
    first = {each.number: each for each in reversed(found)}
    return tuple(first[number] for number in sorted(first))


def each_database(config: Config) -> tuple[tuple[ConfiguredDatabase, Config], ...]:
    """Give the databases that env.py goes through, each with the project restricted to it."""
    databases = databases_of(config)
    if len(databases) == 1:
        return ((databases[0], config),)
    return tuple((database, only(config, database)) for database in databases)
