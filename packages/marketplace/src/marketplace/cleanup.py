"""`marketplace cleanup`: deletes what nobody needs any more in small batches, daily.

Each batch is one statement and one transaction; rows that somebody else has locked wait for the next
run. Two runs at once share the work. By the database's clock, as everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection, Engine, text
from sqlalchemy.sql.expression import TextClause

from marketplace.placement import Placement
from marketplace.settings import Settings

BATCH = 1000
DEAD_LETTERS_KEPT = timedelta(days=30)
# A session stays until the end that it could have reached, and the retention after that: the index
# is on that column, which never changes. One that was never revoked is put on record as expired.
SESSIONS = text("""
    WITH due AS (
        SELECT id FROM sessions WHERE absolute_expires_at < now() - :kept
        ORDER BY absolute_expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM sessions USING due WHERE sessions.id = due.id
        RETURNING sessions.id, user_id, is_revoked
    ), recorded AS (
        INSERT INTO audit_events (action, user_id, session_id)
        SELECT 'session.expired_cleanup', user_id, id FROM gone WHERE NOT is_revoked
    )
    SELECT count(*) FROM gone
""")
# Of sessions that ended a while ago: where they came from.
CLIENTS = text("""
    WITH due AS (
        SELECT id FROM sessions
        WHERE coalesce(revoked_at, expires_at) < now() - :kept
          AND (ip_address IS NOT NULL OR user_agent IS NOT NULL)
        LIMIT :batch FOR UPDATE SKIP LOCKED
    ), forgotten AS (
        UPDATE sessions SET ip_address = NULL, user_agent = NULL
        FROM due WHERE sessions.id = due.id RETURNING 1
    )
    SELECT count(*) FROM forgotten
""")
# With a token that nobody has used in time ends an account that nobody has verified: the address is free again.
VERIFICATIONS = text("""
    WITH due AS (
        SELECT user_id FROM email_verifications WHERE expires_at < now() - :kept
        LIMIT :batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM email_verifications USING due
        WHERE email_verifications.user_id = due.user_id RETURNING email_verifications.user_id
    ), unverified AS (
        DELETE FROM users USING gone
        WHERE users.id = gone.user_id AND NOT users.is_verified
          AND NOT EXISTS (SELECT FROM orders WHERE ordered_by_id = users.id)
    )
    SELECT count(*) FROM gone
""")


def _delete_due(table: str, *, key: str, since: str) -> TextClause:
    """Write the DELETE for rows on which nothing else depends, a batch at a time."""
    return text(f"""
    WITH due AS (
        SELECT {key} FROM {table} WHERE {since} < now() - :kept
        LIMIT :batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {table} USING due WHERE {table}.{key} = due.{key} RETURNING 1
    )
    SELECT count(*) FROM gone
    """)  # noqa: S608  # names of ours


EMAIL_CHANGES = _delete_due("email_changes", key="user_id", since="expires_at")
DEAD_LETTERS = _delete_due("letters", key="id", since="gave_up_at")
RATE_COUNTS = _delete_due("rate_counts", key="key", since="expires_at")
AUDIT_EVENTS = _delete_due("audit_events", key="id", since="occurred_at")

IDEMPOTENCY_KEYS = text("""
    WITH due AS (
        SELECT user_id, key FROM idempotency_keys WHERE expires_at < now() - :kept
        ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM idempotency_keys AS known USING due
        WHERE known.user_id = due.user_id AND known.key = due.key RETURNING 1
    )
    SELECT count(*) FROM gone
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class EachByItself:
    """A job where rows are divided by user: `find` asks every server for a batch, `end` deletes one on its server.

    Nothing is locked that is found, so `end` asks once more. What goes with it on every server goes by `then`, unless
    there is a row of `kept_by`.
    """

    find: TextClause
    end: TextClause
    kept_by: TextClause | None = None
    then: TextClause | None = None


def _each(table: str, *key: str, since: str, order_by: str = "1") -> EachByItself:
    """Make the job for rows on which nothing else depends."""
    this = " AND ".join(f"{column} = :{column}" for column in key)
    due = f"{since} < now() - :kept"
    found = f"SELECT {', '.join(key)} FROM {table} WHERE {due} ORDER BY {order_by} LIMIT :batch"  # noqa: S608
    return EachByItself(
        find=text(found),
        end=text(f"DELETE FROM {table} WHERE {this} AND {due}"),  # noqa: S608
    )


PLACED = {
    "sessions": EachByItself(
        find=text("""
            SELECT user_id, id FROM sessions WHERE absolute_expires_at < now() - :kept
            ORDER BY absolute_expires_at LIMIT :batch
        """),
        end=text("""
            WITH gone AS (
                DELETE FROM sessions
                WHERE user_id = :user_id AND id = :id AND absolute_expires_at < now() - :kept
                RETURNING id, user_id, is_revoked
            ), recorded AS (
                INSERT INTO audit_events (action, user_id, session_id)
                SELECT 'session.expired_cleanup', user_id, id FROM gone WHERE NOT is_revoked
            )
            SELECT FROM gone
        """),
    ),
    "addresses and user agents": EachByItself(
        find=text("""
            SELECT user_id, id FROM sessions
            WHERE coalesce(revoked_at, expires_at) < now() - :kept
              AND (ip_address IS NOT NULL OR user_agent IS NOT NULL)
            LIMIT :batch
        """),
        end=text("""
            UPDATE sessions SET ip_address = NULL, user_agent = NULL
            WHERE user_id = :user_id AND id = :id AND coalesce(revoked_at, expires_at) < now() - :kept
              AND (ip_address IS NOT NULL OR user_agent IS NOT NULL)
        """),
    ),
    "e-mail verifications": replace(
        _each("email_verifications", "user_id", since="expires_at"),
        kept_by=text("SELECT 1 FROM orders WHERE ordered_by_id = :user_id LIMIT 1"),
        then=text("DELETE FROM users WHERE id = :user_id AND NOT is_verified"),
    ),
    "e-mail changes": _each("email_changes", "user_id", since="expires_at"),
    "idempotency keys": _each(
        "idempotency_keys", "user_id", "key", since="expires_at", order_by="expires_at"
    ),
    "audit events": _each("audit_events", "user_id", "id", since="occurred_at"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job: `statement` deletes a batch of at most `:batch` rows that are past `:kept`, and counts them."""

    name: str
    statement: TextClause
    kept: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What a job has deleted, in all its batches."""

    name: str
    rows: int


def jobs(settings: Settings) -> tuple[Job, ...]:
    """Give all jobs, in the order in which they run."""
    session = settings.session
    return (
        Job(name="sessions", statement=SESSIONS, kept=session.retention),
        Job(name="addresses and user agents", statement=CLIENTS, kept=session.client_retention),
        Job(name="e-mail verifications", statement=VERIFICATIONS, kept=timedelta()),
        Job(name="e-mail changes", statement=EMAIL_CHANGES, kept=timedelta()),
        Job(name="dead letters", statement=DEAD_LETTERS, kept=DEAD_LETTERS_KEPT),
        Job(name="idempotency keys", statement=IDEMPOTENCY_KEYS, kept=timedelta()),
        Job(name="rate counts", statement=RATE_COUNTS, kept=timedelta()),
        Job(name="audit events", statement=AUDIT_EVENTS, kept=session.audit_retention),
    )


def clean_up(engine: Engine, settings: Settings, *, batch: int = BATCH) -> Iterator[Cleaned]:
    """Run the jobs, and give each result as it is done."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    for job in jobs(settings):
        placed = PLACED.get(job.name) if settings.placement is Placement.BY_USER else None
        with autocommit.connect() as connection:
            if placed is not None:
                rows = _end_each(connection, placed, {"kept": job.kept, "batch": batch})
            else:
                rows = _end_batches(connection, job, {"kept": job.kept, "batch": batch})
        yield Cleaned(name=job.name, rows=rows)


def _end_batches(connection: Connection, job: Job, parameters: dict[str, object]) -> int:
    rows = 0
    while done := connection.scalar(job.statement, parameters) or 0:
        rows += done
    return rows


def _end_each(connection: Connection, job: EachByItself, parameters: dict[str, object]) -> int:
    rows = 0
    while found := connection.execute(job.find, parameters).mappings().all():
        for key in found:
            ended = connection.execute(job.end, {**parameters, **key})
            rows += max(ended.rowcount, 0)
            is_kept = job.kept_by is not None and connection.scalar(job.kept_by, dict(key))
            if job.then is not None and not is_kept:
                connection.execute(job.then, dict(key))
    return rows
