"""Makes scratch databases in which a project's history has been replayed.

The history is replayed once for each content of the revision files; what callers get are copies. A history that does
not begin with an empty database says with what: the option `scratch_start`, a file of SQL.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psycopg
from alembic.config import Config
from psycopg.sql import SQL, Identifier
from sqlalchemy.exc import DBAPIError

from holdfast.engine.settings import ScratchSettings
from holdfast.errors.scratch import HistoryNotReplayed, NoScratchStart, ScratchOutOfReach
from holdfast.errors.sqlstate import INVALID_SCHEMA_NAME, sqlstate
from holdfast.execute.progress import Event, RevisionStarted
from holdfast.migrate.baseline import baseline
from holdfast.migrate.databases import ONLY, only_pass
from holdfast.migrate.history_files import open_history
from holdfast.migrate.plain_alembic import upgrade_plainly
from holdfast.migrate.project_connection import on_every_pass
from holdfast.migrate.run import upgrade
from holdfast.migrate.sql.history import SqlSource
from holdfast.migrate.sql.project import database_of
from holdfast.migrate.sql.source import sql_source
from holdfast.scratch.abandoned import PREFIX, drop_abandoned, owned_prefix
from holdfast.scratch.databases import Postgres, libpq_url, postgres_at
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.schema_copy import copy_schema
from holdfast.scratch.server import temporary_server

START = "scratch_start"


@contextmanager
def scratch_server(*, major: int = 18) -> Iterator[Postgres]:
    """Give the server to try on: that of HOLDFAST_SCRATCH_URL, or an embedded one that ends with the block."""
    named = ScratchSettings().url
    with ExitStack() as lifetime:
        if named is None:
            url = lifetime.enter_context(temporary_server(major=major)).url()
            prefix = PREFIX
        else:
            url = libpq_url(named.get_secret_value())
            try:
                drop_abandoned(url)
                prefix = lifetime.enter_context(owned_prefix(url))
            except psycopg.Error as error:
                raise ScratchOutOfReach(said=str(error).strip()) from error
        server = lifetime.enter_context(postgres_at(url, prefix=prefix).in_one_session())
        lifetime.callback(server.drop_templates)
        yield server


@contextmanager
def scratch_database(
    config: Config,
    *,
    server: Postgres,
    revision: tuple[str, ...] = ("heads",),
    each_pass: tuple[tuple[str, ...], ...] = (),
) -> Iterator[str]:
    """Give the URL (libpq's) of a new database at `revision` (one or more; "base": empty), dropped after the block.

    `each_pass`: where env.py goes through several version tables, which are at different revisions: at which each is.
    To run the project's env.py on it: `holdfast.scratch.redirection.redirected_to(url, config)`.
    """
    key = (fingerprint(config), revision, each_pass, config.attributes.get(ONLY))
    template = server.template(key, lambda url: _replay(config, url, revision, each_pass))
    with server.database(template=template) as url:
        yield url


def fingerprint(config: Config) -> str:
    """Give the SHA-256 of env.py and of every revision file, by their names."""
    script = open_history(config)
    files = {Path(revision.path) for revision in script.walk_revisions()}
    content = hashlib.sha256()
    for file in sorted({*files, Path(script.env_py_location), *_start(config)}):
        if file.is_dir():  # of SQL files, which have no env.py
            continue
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()


def _replay(
    config: Config, url: str, revision: tuple[str, ...], each_pass: tuple[tuple[str, ...], ...]
) -> None:
    source = sql_source(config)
    if source is not None and source.is_without_history:
        _copy_of_its_database(config, source, url)
    started: list[RevisionStarted] = []

    def note(event: Event) -> None:
        if isinstance(event, RevisionStarted):
            started.append(event)

    with redirected_to(url, config) as redirected:
        for file in _start(config):
            _load(url, file)
            baseline(redirected, "base")
        # Where there were tables before, only plain Alembic takes every statement as it is written.
        apply = upgrade_plainly if _start(config) else partial(upgrade, report=note, expand=False)
        wanted = [(redirected, each) for each in revision if each != "base"]
        if each_pass:
            wanted = [
                (only_pass(redirected, number), each)
                for number, heads in enumerate(each_pass)
                for each in heads
            ]
        for restricted, each in wanted:
            try:
                _applied(restricted, each, url=url, apply=apply)
            except DBAPIError as error:
                failed = started[-1].revision if started else each
                said = str(error.orig).strip()
                raise HistoryNotReplayed(revision=failed, said=said) from error


def _applied(config: Config, revision: str, *, url: str, apply: Callable[..., None]) -> None:
    """Apply a revision; if schemas for its version tables are missing, as those of tenants, create them first."""
    try:
        apply(config, revision)
    except DBAPIError as error:
        if sqlstate(error) != INVALID_SCHEMA_NAME or not _make_schemas(config, url):
            raise
        apply(config, revision)


def _make_schemas(config: Config, url: str) -> bool:
    """Create the schemas that env.py names for its version tables, as no revision can; say if one was missing."""
    names = on_every_pass(config, lambda project: project.context.version_table_schema)
    made = False
    with psycopg.connect(url, autocommit=True) as connection:
        for name in dict.fromkeys(filter(None, names)):
            missing = connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", [name])
            if missing.fetchone() == (True,):
                connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
                made = True
    return made


def _copy_of_its_database(config: Config, source: SqlSource, url: str) -> None:
    """Give a database for a script that no history leads to: with its database's schema, or empty."""
    database = database_of(source)
    if database is not None:
        copy_schema(database, into=url)
    with redirected_to(url, config) as redirected:
        baseline(redirected, "base")  # makes what a try writes down


def has_start(config: Config) -> bool:
    """Whether there is something before the first revision."""
    return bool(_start(config))


def _start(config: Config) -> list[Path]:
    named = config.get_main_option(START)
    if named and not Path(named).is_file():
        raise NoScratchStart(file=named, said="there is no such file")
    return [Path(named)] if named else []


def _load(url: str, file: Path) -> None:
    """Execute a dump, without its lines that are for psql only."""
    try:
        lines = [line for line in file.read_text().splitlines() if not line.startswith("\\")]
        with psycopg.connect(url) as connection:
            connection.execute("\n".join(lines).encode())
    except psycopg.Error as error:
        raise NoScratchStart(file=str(file), said=str(error).strip()) from error
