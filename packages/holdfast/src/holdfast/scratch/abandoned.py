"""Names scratch databases on a team's server after their owners, and drops those that a killed process has left.

A name tells when its owner began, and who that is: a number under which the owner holds an advisory lock as long as
it lives. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg import sql

log = logging.getLogger(__name__)

PREFIX = "holdfast_scratch"
NAME = re.compile(PREFIX + r"_(?P<began>[0-9a-f]{8})_(?P<owner>[0-9a-f]{8})_.*")
# How long an owner that has lost its connection, and so its lock, may take to end.
OLD = timedelta(hours=1)
LOCK_CLASS = 0x686F6C64  # "hold"
HOLD = "SELECT pg_advisory_lock(%s, %s)"
# Of every database of the server: a lock is held in the one that its owner's URL names.
OWNERS = "SELECT objid::int8 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"
DATABASES = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY datname"


@contextmanager
def owned_prefix(url: str) -> Iterator[str]:
    """Give the prefix of this process's databases on the server at `url` (libpq's), while it lives."""
    owner = secrets.randbits(31)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(HOLD, [LOCK_CLASS, owner])
        yield f"{PREFIX}_{int(time.time()):08x}_{owner:08x}"


def drop_abandoned(url: str, *, older_than: timedelta = OLD) -> list[str]:
    """Drop the databases that nobody owns any more and nobody is connected to; give their names."""
    with psycopg.connect(url, autocommit=True) as connection:
        owners = {owner for (owner,) in connection.execute(OWNERS, [LOCK_CLASS])}
        names = [name for (name,) in connection.execute(DATABASES, [f"{PREFIX}_"])]
        left = [name for name in names if _is_left(name, owners, older_than=older_than)]
        return [name for name in left if _dropped(connection, name)]


def _is_left(name: str, owners: set[int], *, older_than: timedelta) -> bool:
    found = NAME.fullmatch(name)
    if found is None or int(found["owner"], base=16) in owners:
        return False
    return time.time() - int(found["began"], base=16) >= older_than.total_seconds()


def _dropped(connection: psycopg.Connection, name: str) -> bool:
    try:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:  # in use, another's, or dropped by somebody else a moment ago
        log.debug("%s stays: %s", name, error)
        return False
    log.info("dropped %s, which a killed process had left", name)
    return True
