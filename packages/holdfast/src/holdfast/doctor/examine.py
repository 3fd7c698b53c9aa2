"""Gathers the evidence on real connections and asks every check. Reads only."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg
from alembic.config import Config
from sqlalchemy import Connection, NullPool

from holdfast.doctor.check import Check, Evidence, History, NamedStandby, Severity, Verdict
from holdfast.doctor.checks import CHECKS, OF_A_DATABASE, OF_A_PASS
from holdfast.engine.connection.reach import Reach
from holdfast.engine.create_engine import connect_arguments, create_engine, database_url
from holdfast.engine.environment import read_stamp
from holdfast.engine.settings import Settings, StandbySettings
from holdfast.execute.progress import silent
from holdfast.execute.standbys import Standby
from holdfast.migrate.databases import ConfiguredDatabase
from holdfast.migrate.history_files import surplus_heads
from holdfast.migrate.project_connection import (
    ProjectConnection,
    on_every_pass,
    on_project_connection,
)
from holdfast.migrate.status import status_of
from holdfast.observe.citus import look_at_cluster
from holdfast.observe.database import count_user_relations
from holdfast.observe.keys import Keys, keys, narrow_models
from holdfast.observe.leftovers import Leftover, leftovers
from holdfast.observe.server import look_at_connection

# A certificate whose key was never kept: no server can show anything that it signed.
UNKNOWN_AUTHORITY = Path(__file__).with_name("unknown_authority.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check with its verdict."""

    check: Check
    verdict: Verdict
    of: str = (
        ""  # the database and version table that it is about, where env.py goes through several
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """What was found about one version table that env.py goes through, and about its database."""

    database: ConfiguredDatabase
    history: History
    # None: an earlier version table was in the same database.
    leftovers: tuple[Leftover, ...] | None
    keys: Keys | None

    @property
    def name(self) -> str:
        return f"{self.database.name}, {self.history.status.version_table}"


def examine(
    settings: Settings, config: Config | None, *, prove_tls: bool = False
) -> tuple[Finding, ...]:
    """Examine the database of the settings and the one that env.py connects to, and give every verdict.

    Without a URL in the settings the connection of env.py stands for both.
    """
    seen: set[int] = set()
    passes = () if config is None else on_every_pass(config, partial(_pass, seen=seen))
    if settings.url is None and config is not None:
        evidence = on_project_connection(
            config, lambda project: gather(settings, project.connection)
        )
    else:
        with create_engine(settings, poolclass=NullPool).connect() as connection:
            evidence = gather(settings, connection)
    if prove_tls and evidence.application.way is not Reach.SOCKET:
        evidence = replace(evidence, unknown_root_refused=_refuses_unknown_root(settings))
    if not passes:
        return judge(evidence, CHECKS)
    found = judge(replace(evidence, history=passes[0].history), CHECKS)
    if len(passes) == 1:
        return found
    of_first = [replace(f, of=passes[0].name) if f.check in OF_A_PASS else f for f in found]
    rest = [each for one in passes[1:] for each in _of_another(evidence, one)]
    places = {check.name: place for place, check in enumerate(CHECKS)}
    return tuple(sorted([*of_first, *rest], key=lambda each: places[each.check.name]))


def _of_another(evidence: Evidence, found: _Pass) -> Iterator[Finding]:
    """Give the verdicts on a further version table, and on its database if no earlier table was in it."""
    own, checks = replace(evidence, history=found.history), OF_A_PASS
    if found.leftovers is not None and found.keys is not None:
        own = replace(own, leftovers=found.leftovers, keys=found.keys)
        checks = (*OF_A_PASS, *OF_A_DATABASE)
    yield from (replace(each, of=found.name) for each in judge(own, checks))


def gather(settings: Settings, connection: Connection) -> Evidence:
    """Gather what one connection shows: server, role, history, database."""
    application = look_at_connection(connection)
    return Evidence(
        settings=settings,
        application=application,
        stamp=read_stamp(connection),
        leftovers=leftovers(connection),
        keys=keys(connection),
        cluster=look_at_cluster(connection) if application.server.is_citus else None,
        standbys=tuple(map(_asked, StandbySettings().urls())),
    )


def _asked(url: str) -> NamedStandby:
    with closing(Standby(url, report=silent)) as standby:
        try:
            return NamedStandby(name=standby.name, said=standby.look())
        except psycopg.Error as error:
            problem = str(error).strip().partition("\n")[0]
            return NamedStandby(name=standby.name, said=None, problem=problem)


def judge(evidence: Evidence, checks: tuple[Check, ...]) -> tuple[Finding, ...]:
    """Give the verdict of each check that has something to judge."""
    return tuple(
        Finding(check=check, verdict=verdict)
        for check in checks
        if (verdict := check.judge(evidence)) is not None
    )


def worst(findings: tuple[Finding, ...]) -> Severity:
    """The worst severity of all verdicts, which decides the exit status."""
    found = {finding.verdict.severity for finding in findings}
    return next(each for each in reversed(Severity) if each in {*found, Severity.OK})


def _history(project: ProjectConnection) -> History:
    return History(
        connected=look_at_connection(project.connection),
        heads=tuple(project.script.get_heads()),
        surplus_heads=surplus_heads(project.script, project.context.config),
        relations=count_user_relations(
            project.connection, version_table=project.context.version_table
        ),
        status=status_of(project),
        narrow_models=narrow_models(
            project.connection, project.context.opts.get("target_metadata")
        ),
    )


def _pass(project: ProjectConnection, *, seen: set[int]) -> _Pass:
    """Find out the history of a version table, and about its database what is asked once per database."""
    is_new = bool(seen) and project.database.number not in seen
    seen.add(project.database.number)
    return _Pass(
        database=project.database,
        history=_history(project),
        leftovers=leftovers(project.connection) if is_new else None,
        keys=keys(project.connection) if is_new else None,
    )


def _refuses_unknown_root(settings: Settings) -> bool | None:
    """Whether connecting fails when an unknown authority is trusted alone; None: no authority is asked."""
    url = database_url(settings)
    arguments = connect_arguments(settings, url)
    if arguments.get("channel_binding") == "require":
        return None
    if str(arguments.get("sslmode", "")).startswith("verify"):
        arguments["sslrootcert"] = str(UNKNOWN_AUTHORITY)
    engine = create_engine(settings, poolclass=NullPool, connect_args=arguments)
    try:
        with closing(engine.raw_connection()):
            return False
    except psycopg.OperationalError:
        return True
