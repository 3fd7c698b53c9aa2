"""Checks of the server: writable, of a known version, with limits for a session."""

from holdfast.doctor.check import (
    Check,
    Evidence,
    Verdict,
    fine,
    refuse,
    refuse_in_production,
    warn,
    warn_in_production,
)
from holdfast.observe.server import Connected

SUPPORTED = range(15, 19)


def _timeouts(evidence: Evidence) -> Verdict | None:
    if evidence.settings.url is None:
        return None  # the connection of migrations, which need none
    server = evidence.application.server
    if not server.unlimited:
        return fine("statements, locks and idle transactions have a limit")
    says = f"without a limit in our session: {', '.join(server.unlimited)}"
    settle = [f"ALTER ROLE {server.role} SET {name} = '30s'" for name in server.unlimited]
    if evidence.settings.is_pooled:  # which keeps no setting of a session: the role's own count
        return refuse_in_production(
            evidence, f"behind a pooler, {says}", "; ".join(settle) + "; RECONNECT on the pooler."
        )
    return warn(says, "; ".join(settle) + ";")


def _writable(evidence: Evidence) -> Verdict:
    if problem := _read_only(evidence.application):
        return warn(f"the application's connection is on {problem}", "Name the writer in the URL.")
    return fine("the application is on a writer")


def _writable_for_migrations(evidence: Evidence) -> Verdict:
    migrating = evidence.application if evidence.history is None else evidence.history.connected
    if problem := _read_only(migrating):
        return refuse(f"migrations would run on {problem}", "Name the writer in the URL of env.py.")
    return fine("migrations run on a writer")


def _read_only(found: Connected) -> str | None:
    if found.server.in_recovery:
        return "a standby"
    return "a server that is read-only" if found.server.read_only else None


def _version(evidence: Evidence) -> Verdict:
    major = evidence.application.server.major
    if major in SUPPORTED:
        return fine(f"PostgreSQL {major}")
    if major >= SUPPORTED.stop:
        return warn(
            f"PostgreSQL {major} is not measured yet: what is instant and what is locked may differ from 18",
            "Try the migrations on a copy first (holdfast plan); see docs/operations.md.",
        )
    return warn(f"PostgreSQL {major} is not one holdfast is tested on", "15, 16, 17 and 18 are.")


def _collation(evidence: Evidence) -> Verdict | None:
    server = evidence.application.server
    made, now = server.collation_version, server.collation_version_of_system
    if made is None or made == now:
        return fine("indexes on text were sorted as the system sorts now")
    return warn(
        f"indexes on text were sorted by version {made} of the collation, the system has {now}",
        f'REINDEX DATABASE "{server.database}"; '
        f'ALTER DATABASE "{server.database}" REFRESH COLLATION VERSION;',
    )


def _extensions(evidence: Evidence) -> Verdict:
    outdated = evidence.application.server.outdated_extensions
    if not outdated:
        return fine("as new as their files")
    return warn(
        f"older than their files: {', '.join(outdated)}",
        " ".join(f"ALTER EXTENSION {name} UPDATE;" for name in outdated),
    )


def _idle_sessions(evidence: Evidence) -> Verdict:
    server, pool = evidence.application.server, evidence.settings.pool
    limit = server.idle_session_timeout / 1000
    if not limit or limit > max(pool.idle, pool.max_lifetime).total_seconds():
        return fine("the server does not end sessions that our pool keeps")
    return warn_in_production(
        evidence,
        f"the server ends sessions after {limit:g} s of idleness, our pool keeps them longer",
        f"HOLDFAST_POOL_MAX_LIFETIME={limit / 2:g}s, or ALTER ROLE {server.role} SET "
        "idle_session_timeout = 0;",
    )


CHECKS = (
    Check(number=18, name="timeouts", title="limits of a session", judge=_timeouts, at_start=True),
    Check(number=22, name="writable", title="a writer for the application", judge=_writable),
    Check(
        number=23,
        name="migrations-writable",
        title="a writer for migrations",
        judge=_writable_for_migrations,
    ),
    Check(number=31, name="version", title="the version of the server", judge=_version),
    Check(number=31, name="collation", title="the version of the collation", judge=_collation),
    Check(number=31, name="extensions", title="the versions of extensions", judge=_extensions),
    Check(number=33, name="idle-sessions", title="who ends idle sessions", judge=_idle_sessions),
)
