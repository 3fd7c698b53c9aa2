"""Stamps a database with its environment at the first start, and compares the stamp at every later one.

A development process on a production database does damage that no permission prevents, and the reverse
shows test data to customers. The stamp is a row in the schema `holdfast`, readable by every role.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from psycopg import errors
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from holdfast.engine.profiles import Profile
from holdfast.errors.database import EnvironmentMismatch
from holdfast.errors.sqlstate import INSUFFICIENT_PRIVILEGE, sqlstate

logger = logging.getLogger(__name__)

# Not to_regclass(): it is an error where migrations have made the schema, and nobody the stamp that opens it.
IS_STAMPED = text(
    """
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'holdfast' AND c.relname = 'environment')
    """
)
STAMP = text(
    "SELECT profile, synchronized_at, current_database() AS database FROM holdfast.environment"
)
HAS_SCHEMA = text("SELECT to_regnamespace('holdfast') IS NOT NULL")
CREATE = (
    """
    CREATE TABLE IF NOT EXISTS holdfast.environment (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        profile text NOT NULL CHECK (profile IN ('development', 'test', 'production')),
        stamped_at timestamptz NOT NULL DEFAULT now(),
        synchronized_at timestamptz
    )
    """,
    "GRANT USAGE ON SCHEMA holdfast TO PUBLIC",
    "GRANT SELECT ON holdfast.environment TO PUBLIC",
)
INSERT = text("INSERT INTO holdfast.environment (profile) VALUES (:profile) ON CONFLICT DO NOTHING")
MARK_SYNCHRONIZED = text("UPDATE holdfast.environment SET synchronized_at = now()")
# Another process created the same at the same time: unique_violation in the catalogue, or duplicate_*. And
# two GRANTs on one schema at once: "tuple concurrently updated" is an internal_error.
LOST_RACE = frozenset(
    {
        error.sqlstate
        for error in (
            errors.UniqueViolation,
            errors.DuplicateSchema,
            errors.DuplicateTable,
            errors.InternalError_,
        )
    }
)
ATTEMPTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The stamp in a database: which profile it belongs to, and when it was last synchronised."""

    profile: Profile
    database: str
    synchronized_at: datetime | None  # when its schema was last made from the models

    def fits(self, profile: Profile) -> bool:
        """Whether a process of this profile may work here: production and the others never mix."""
        return profile == self.profile or Profile.PRODUCTION not in (profile, self.profile)


def read_stamp(connection: Connection) -> Stamp | None:
    """Read the stamp; None for a database that no process has stamped yet. Writes nothing."""
    if not connection.scalar(IS_STAMPED):
        return None
    found = connection.execute(STAMP).one()
    return Stamp(
        profile=Profile(found.profile),
        database=str(found.database),
        synchronized_at=found.synchronized_at,
    )


def require_same_environment(connection: Connection, *, profile: Profile) -> None:
    """Refuse a production process on another profile's database, and any other on production's. Writes nothing."""
    found = read_stamp(connection)
    if found is not None and not found.fits(profile):
        raise EnvironmentMismatch(process=profile, stamped=found.profile, database=found.database)


def stamp(engine: Engine, *, profile: Profile) -> None:
    """Stamp a database that has no stamp, also while other processes do the same."""
    with engine.connect() as connection:
        if not connection.scalar(IS_STAMPED):
            _create(engine, profile)
        require_same_environment(connection, profile=profile)


def stamp_in(connection: Connection, *, profile: Profile) -> None:
    """Stamp a database in the caller's transaction, where nobody else stamps it."""
    if not connection.scalar(HAS_SCHEMA):
        connection.execute(text("CREATE SCHEMA holdfast"))
    for statement in CREATE:
        connection.execute(text(statement))
    connection.execute(INSERT, {"profile": profile})


def mark_synchronized(connection: Connection) -> None:
    """Record that the schema was made by synchronisation, not by migrations alone."""
    connection.execute(MARK_SYNCHRONIZED)


def _create(engine: Engine, profile: Profile) -> None:
    for attempt in range(ATTEMPTS):
        try:
            with engine.begin() as connection:
                stamp_in(connection, profile=profile)
        except DBAPIError as error:
            state = sqlstate(error)
            if state == INSUFFICIENT_PRIVILEGE:
                logger.warning("the database is not stamped: %s", error.orig)
                return
            if state not in LOST_RACE or attempt + 1 == ATTEMPTS:
                raise
        else:
            return
