"""Finds who holds the migration lock of this database right now."""

from sqlalchemy import Connection, text

from holdfast.observe.schema_constants import KEY

HOLDER = text(
    """
    SELECT format('pid %s (%s, %s) since %s', a.pid, a.usename, a.application_name,
                  to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SSOF'))
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND (l.classid::bigint << 32) + l.objid::bigint = :key
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


def current_holder(connection: Connection, *, key: int = KEY) -> str | None:
    """Say who migrates this database right now; None if nobody does."""
    holder: str | None = connection.execute(HOLDER, {"key": key}).scalar()
    return holder
