"""Checks of the role that migrates: whether it may do all that a run needs, and what a limited one goes without."""

from holdfast.doctor.check import Check, Evidence, Verdict, fine, refuse, warn
from holdfast.doctor.pool import MIGRATION, MIGRATION_AT_LEAST


def _rights(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    server = evidence.history.connected.server
    if not server.creates_in_schema:
        return warn(
            f"{server.role} may create nothing in schema {server.schema}: no table, and no index on its own ones",
            f"As the owner of the schema: GRANT CREATE ON SCHEMA {server.schema} TO {server.role};",
        )
    if server.superuser:
        return fine(f"{server.role} may do everything")
    if not server.keeps_journal:
        return refuse(
            f"{server.role} may not make or write the tables in schema holdfast, in which a run keeps its journal",
            "As an administrator of the database: CREATE SCHEMA IF NOT EXISTS holdfast; GRANT USAGE, CREATE ON SCHEMA"
            f" holdfast TO {server.role}; GRANT ALL ON ALL TABLES IN SCHEMA holdfast TO {server.role};",
        )
    return fine(
        f"{server.role} may migrate. Without pg_monitor it sees neither what others' sessions execute nor a standby's"
        " lag; without SET on deadlock_timeout an autovacuum that is in the way is waited for a little longer;"
        " pg_signal_backend is not needed"
    )


def _connections(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    server = evidence.history.connected.server
    if server.superuser or server.connection_limit is None:
        return fine(f"{server.role} has no limit of its own")
    if server.connection_limit >= MIGRATION:
        return fine(
            f"{server.connection_limit} for the role or the database, a run has up to {MIGRATION}"
        )
    remedy = (
        f"ALTER ROLE {server.role} CONNECTION LIMIT {MIGRATION + 1}; or ALTER DATABASE likewise."
    )
    limit = f"{server.role} or its database may have {server.connection_limit}"
    if server.connection_limit < MIGRATION_AT_LEAST:
        return refuse(f"a run needs {MIGRATION_AT_LEAST} connections, {limit}", remedy)
    return warn(
        f"a run has up to {MIGRATION} connections, {limit}: with fewer, a guard that does not respond"
        " goes unnoticed, the sessions that a run waits for are not named, or a second Ctrl-C cancels nothing",
        remedy,
    )


def _limits(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    server = evidence.history.connected.server
    if not server.set_limits:
        return fine(
            "no timeout of the server, the database or the role ends a statement of a migration"
        )
    return warn(
        f"in force for migrations: {', '.join(server.set_limits)}. Builds, validation and batches lift it; for what"
        " a revision executes itself it holds",
        f"ALTER ROLE {server.role} SET statement_timeout = 0;",
    )


CHECKS = (
    Check(number=13, name="migration-rights", title="what migrations may do", judge=_rights),
    Check(
        number=16,
        name="migration-connections",
        title="connections for a migration",
        judge=_connections,
    ),
    Check(number=18, name="migration-limits", title="timeouts for migrations", judge=_limits),
)
