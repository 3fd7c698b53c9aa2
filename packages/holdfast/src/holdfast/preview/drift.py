"""Compares the live database with what its history makes: changes by hand, and leftovers.

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
from holdfast.execute import layout, waiting
from holdfast.execute.journal import Journal
from holdfast.execute.progress import silent
from holdfast.execute.session import MigrationSession, second_session
from holdfast.migrate.databases import only_pass
from holdfast.migrate.finish import finish_one
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection
from holdfast.migrate.project_connection import (
    ProjectConnection,
    each_database,
    on_every_pass,
    on_project_connection,
)
from holdfast.migrate.run import upgrade
from holdfast.migrate.version_table import identify, version_table_of
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
class StandsAt:
    """The revisions in a version table."""

    version_table: str
    revisions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a live database differs from what its migrations make."""

    database: str
    revisions: tuple[str, ...]  # that the live database is at
    at: tuple[StandsAt, ...]  # the same, for each version table that env.py goes through
    half_way: str | None  # a revision whose queue is not finished: what it has done is no drift
    differences: tuple[Difference, ...]
    ignored: tuple[Difference, ...]
    unused_rules: tuple[IgnoreRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LivePass:
    """What was found for one version table: env.py may go through several, as for tenants."""

    database: str
    major: int
    version_table: str
    name: str  # of the table, without its schema
    heads: tuple[str, ...]
    half_way: str | None
    waits: tuple[Recorded, ...]  # for `holdfast finish`: as it is meanwhile is no drift


def drifts(config: Config) -> tuple[Drift, ...]:
    """Give the drift of each database that env.py goes through."""
    return tuple(drift(each) for _, each in each_database(config))


def drift(config: Config) -> Drift:
    """Give the drift of one database. Raises DatabaseAhead if the history is not known, InvalidIgnoreRules."""
    rules = ignore_rules(config)
    passes = on_every_pass(config, _look_at_pass)
    names = {each.name for each in passes}
    schema = on_project_connection(config, lambda project: _schema_of(project, names))
    found = differences(_replayed(config, passes), schema)
    left = without_ignored(found, rules)
    return Drift(
        database=passes[0].database,
        revisions=tuple(dict.fromkeys(head for each in passes for head in each.heads)),
        at=tuple(StandsAt(version_table=p.version_table, revisions=p.heads) for p in passes),
        half_way=", ".join(dict.fromkeys(p.half_way for p in passes if p.half_way)) or None,
        differences=left,
        ignored=tuple(each for each in found if each not in left),
        unused_rules=tuple(rule for rule in rules if not any(map(rule.covers, found))),
    )


def ignore_rules(config: Config) -> tuple[IgnoreRule, ...]:
    """Read the rules of [tool.holdfast] in pyproject.toml, or as JSON in alembic.ini."""
    written = config.get_main_option(OPTION)
    try:
        return RULES.validate_json(written) if written else ()
    except ValidationError as error:
        raise InvalidIgnoreRules(problem=str(error.errors()[0]["msg"])) from error


def _look_at_pass(project: ProjectConnection) -> _LivePass:
    known = {revision.revision for revision in project.script.walk_revisions()}
    if unknown := tuple(head for head in project.heads if head not in known):
        raise DatabaseAhead(revisions=unknown)
    with closing(MigrationSession(project.connection)) as session:
        identify(session, project.context)
        unfinished = Journal(session).unfinished() if layout.exist(session) else None
        return _LivePass(
            database=project.database.name,
            major=server_major(project.connection),
            version_table=version_table_of(session, project.context),
            name=project.context.version_table,
            heads=project.heads,
            half_way=None if unfinished is None else unfinished.revision,
            waits=waiting.recorded(session),
        )


def _schema_of(project: ProjectConnection, version_tables: set[str]) -> dict[str, SchemaObject]:
    with second_session(project.connection) as connection:
        return _read(connection, version_tables)


def _replayed(config: Config, passes: tuple[_LivePass, ...]) -> dict[str, SchemaObject]:
    """Give the schema that the history makes, on a server of the live one's version if there is a choice."""
    live = passes[0].major
    major = next((each for each in EMBEDDED_MAJORS if live <= each), EMBEDDED_MAJORS[-1])
    starts = tuple(_before_what_waits(config, each) for each in passes)
    is_one = len({frozenset(each) for each in starts}) == 1
    with ExitStack() as lifetime:
        server = lifetime.enter_context(scratch_server(major=major))
        scratch = scratch_database(
            config,
            server=server,
            revision=starts[0] or ("base",),
            each_pass=() if is_one else starts,
        )
        url = lifetime.enter_context(scratch)
        for number, each in enumerate(passes):
            if each.waits:
                redirected = lifetime.enter_context(redirected_to(url, only_pass(config, number)))
                _run_for_two_releases(redirected, each)
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool
        )
        with engine.connect() as connection:
            return _read(connection, {each.name for each in passes})


def _run_for_two_releases(redirected: Config, live: _LivePass) -> None:
    """Apply on the scratch database what has left something waiting, and finish there what is finished."""
    for head in live.heads:
        upgrade(redirected, head, expand=True)
    _let_go_what_is_gone(redirected, live.waits)


def _before_what_waits(config: Config, live: _LivePass) -> tuple[str, ...]:
    """Give the revisions before the first that left something waiting: later ones run for two releases."""
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
                finish_one(locked.session, entry, report=silent)

    on_locked_connection(config, work, report=silent)


def _read(connection: Connection, version_tables: set[str]) -> dict[str, SchemaObject]:
    """Read the schema in one read-only snapshot."""
    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with connection.begin():
        return read_schema(connection, version_tables=version_tables)
