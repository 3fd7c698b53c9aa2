"""Compares the live database with what its history makes: what somebody changed by hand, and what was left over.

The history is replayed on a scratch server up to the revision that the live database is at, so that what is
pending is no difference. The live database is only read.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass

from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, NullPool, create_engine, make_url

from holdfast.errors.doctor import InvalidIgnoreRules
from holdfast.errors.migration import DatabaseAhead
from holdfast.execute import tables, waiting
from holdfast.execute.journal import Journal
from holdfast.execute.progress import silent
from holdfast.execute.session import MigrationSession, second_session
from holdfast.migrate.finish import let_go
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection
from holdfast.migrate.project_connection import (
    ProjectConnection,
    each_database,
    on_project_connection,
)
from holdfast.migrate.run import upgrade
from holdfast.migrate.version_table import identify
from holdfast.observe.database import server_major
from holdfast.observe.schema_objects import SchemaObject, read_schema
from holdfast.preview.compare.schema_differences import (
    Difference,
    IgnoreRule,
    differences,
    without_ignored,
)
from holdfast.rewrite.waiting import Recorded
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.template import scratch_database, scratch_server

OPTION = "drift_ignore"
RULES = TypeAdapter(tuple[IgnoreRule, ...])
EMBEDDED_MAJORS = (16, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a live database differs from what its migrations make."""

    database: str
    revisions: tuple[str, ...]  # that the live database is at
    half_way: str | None  # a revision whose queue is not finished: what it has done is no drift
    differences: tuple[Difference, ...]
    ignored: tuple[Difference, ...]
    unused_rules: tuple[IgnoreRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    database: str
    heads: tuple[str, ...]
    major: int
    version_table: str
    half_way: str | None
    schema: dict[str, SchemaObject]
    waits: tuple[Recorded, ...]  # for `holdfast finish`: as it is meanwhile is no drift


def drifts(config: Config) -> tuple[Drift, ...]:
    """What `drift` finds in each database that env.py goes through."""
    return tuple(drift(each) for _, each in each_database(config))


def drift(config: Config) -> Drift:
    """Raises DatabaseAhead where the history is not known, InvalidIgnoreRules."""
    rules = ignore_rules(config)
    live = on_project_connection(config, _look_at_live)
    found = differences(_replayed(config, live), live.schema)
    left = without_ignored(found, rules)
    return Drift(
        database=live.database,
        revisions=live.heads,
        half_way=live.half_way,
        differences=left,
        ignored=tuple(each for each in found if each not in left),
        unused_rules=tuple(rule for rule in rules if not any(map(rule.covers, found))),
    )


def ignore_rules(config: Config) -> tuple[IgnoreRule, ...]:
    """The rules of [tool.holdfast] in pyproject.toml, or as JSON in alembic.ini."""
    written = config.get_main_option(OPTION)
    try:
        return RULES.validate_json(written) if written else ()
    except ValidationError as error:
        raise InvalidIgnoreRules(problem=str(error.errors()[0]["msg"])) from error


def _look_at_live(project: ProjectConnection) -> _Live:
    known = {revision.revision for revision in project.script.walk_revisions()}
    if unknown := tuple(head for head in project.heads if head not in known):
        raise DatabaseAhead(revisions=unknown)
    with closing(MigrationSession(project.connection)) as session:
        identify(session, project.context)
        unfinished = Journal(session).unfinished() if tables.exist(session) else None
        waits = waiting.recorded(session)
    with second_session(project.connection) as connection:
        return _Live(
            database=project.database.name,
            heads=project.heads,
            major=server_major(project.connection),
            version_table=project.context.version_table,
            half_way=None if unfinished is None else unfinished.revision,
            schema=_read(connection, project.context.version_table),
            waits=waits,
        )


def _replayed(config: Config, live: _Live) -> dict[str, SchemaObject]:
    """The schema that the history makes, on a server as old as the live one where there is a choice."""
    major = next((each for each in EMBEDDED_MAJORS if live.major <= each), EMBEDDED_MAJORS[-1])
    heads = _before_what_waits(config, live) or ("base",)
    with ExitStack() as lifetime:
        server = lifetime.enter_context(scratch_server(major=major))
        url = lifetime.enter_context(scratch_database(config, server=server, revision=heads))
        if live.waits:
            redirected = lifetime.enter_context(redirected_to(url, config))
            for head in live.heads:
                upgrade(redirected, head, expand=True)
            _let_go_what_is_gone(redirected, live.waits)
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool
        )
        with engine.connect() as connection:
            return _read(connection, live.version_table)


def _before_what_waits(config: Config, live: _Live) -> tuple[str, ...]:
    """The revisions below the first that has left something to wait: above, the history runs for two releases."""
    if not live.waits:
        return live.heads
    script = ScriptDirectory.from_config(config)
    left = {each.revision for each in live.waits}
    applied = list(script.iterate_revisions(live.heads, "base"))
    above: set[str] = set()
    for revision in reversed(applied):
        below = set(revision._all_down_revisions)  # noqa: SLF001  # depends_on included
        if revision.revision in left or below & above:
            above.add(revision.revision)
    kept = [revision for revision in applied if revision.revision not in above]
    needed = {each for revision in kept for each in revision._all_down_revisions}  # noqa: SLF001
    return tuple(each.revision for each in kept if each.revision not in needed)


def _let_go_what_is_gone(config: Config, waits: tuple[Recorded, ...]) -> None:
    """Delete on the scratch database what no longer waits on the live one."""
    left = {(each.revision, str(each.waiting)) for each in waits}

    def work(locked: LockedConnection) -> None:
        for entry in waiting.entries(locked.session):
            if (entry.recorded.revision, str(entry.waiting)) not in left:
                let_go(locked.session, entry, report=silent)

    on_locked_connection(config, work, report=silent)


def _read(connection: Connection, version_table: str) -> dict[str, SchemaObject]:
    """Read the schema in one snapshot, so that nothing can be written by accident."""
    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with connection.begin():
        return read_schema(connection, version_table=version_table)
