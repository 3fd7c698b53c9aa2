"""Asks a database whether it is up to date: at the head of these very files, nothing half-way, nobody migrating.

Two round trips: the connection and one query. A full run leaves the record that the query finds, and whatever has
happened since makes it find nothing: then, and after any error, env.py and Alembic are asked in full.
"""

import logging
import os
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.migrate.up_to_date.files import (
    digest_of_files,
    digest_of_options,
    folder_of,
    options_at,
)
from holdfast.observe.schema_constants import KEY, LAYOUT

if TYPE_CHECKING:
    from holdfast.engine.target import Target

log = logging.getLogger(__name__)

# env.py takes its engine from holdfast's settings; the record of a full run says whether it really does.
BY_SETTINGS = b"create_migration_engine"
# At most one row: the head. `alembic_version` is the one that this session sees.
UP_TO_DATE = """
    SELECT r.head FROM holdfast.up_to_date r
    WHERE r.fingerprint = %s AND r.version_table = 'alembic_version'::regclass
      AND ARRAY(SELECT version_num::text FROM alembic_version) = ARRAY[r.head]
      AND r.history = (SELECT max(id) FROM holdfast.history)
      AND obj_description('holdfast.leader'::regclass, 'pg_class') = %s
      AND NOT EXISTS (SELECT FROM holdfast.history WHERE outcome = 'running')
      AND NOT EXISTS (SELECT FROM holdfast.unfinished) AND NOT EXISTS (SELECT FROM holdfast.queue)
      AND NOT EXISTS (SELECT FROM holdfast.calls) AND NOT EXISTS (SELECT FROM holdfast.waiting)
      AND NOT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE NOT convalidated)
      AND NOT EXISTS (SELECT FROM pg_locks
                      WHERE locktype = 'advisory' AND objsubid = 1
                        AND (classid::bigint << 32) + objid::bigint = %s
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


@light_dataclass
class Project:
    """An Alembic project, as its files are now, and the database that its env.py should connect to."""

    target: "Target"
    folder: Path
    files: str  # a digest, as the next
    options: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint of everything that decides which database this is and what is pending there."""
        return f"1 {self.options} {self.files} {self.target.named_by}"

    def head_if_up_to_date(self) -> str | None:
        """Give the revision that the database is at; None if there may be something to do."""
        try:
            with self.connect() as connection:
                row = connection.execute(UP_TO_DATE, (self.fingerprint, LAYOUT, KEY)).fetchone()
        except psycopg.Error as error:
            log.debug("not known to be up to date: %s", error)
            return None
        return None if row is None else str(row[0])

    def connect(self) -> psycopg.Connection:
        """Connect in autocommit: a BEGIN would be one more round trip."""
        return psycopg.connect(**self.target.parameters, autocommit=True)  # type: ignore[arg-type]  # libpq's words


def project_at(directory: Path, *, file: Path | None) -> Project | None:
    """Give the project that a command acts on, if holdfast's own settings name its database."""
    try:
        options = options_at(directory, file=file)
        return None if options is None else project_by_settings(options)
    except (OSError, ValueError, ConfigError) as error:  # said in full on the full way
        log.debug("not known to be up to date: %s", error)
        return None


def project_by_settings(options: ConfigParser) -> Project | None:
    """Give the project of these options, if its env.py takes its engine from holdfast's settings."""
    folder = folder_of(options)
    if folder is None or not _is_by_settings(folder / "env.py"):
        return None
    target = target_now()
    return None if target is None else project_in(folder, options, target)


def target_now() -> "Target | None":
    """Give the database that the environment leads to. Where env.py has a URL of its own, nobody asks."""
    from holdfast.engine.target import target_of

    return target_of(os.environ, directory=Path.cwd())


def project_in(folder: Path, options: ConfigParser, target: "Target") -> Project | None:
    """Give the project in a folder, for a known target."""
    files = digest_of_files(folder)
    if files is None:
        return None
    return Project(target=target, folder=folder, files=files, options=digest_of_options(options))


def _is_by_settings(env: Path) -> bool:
    return env.is_file() and BY_SETTINGS in env.read_bytes()
