"""Checks of the roles: what an intruder could do with the application's role, and who owns the tables."""

from holdfast.doctor.check import (
    Check,
    Evidence,
    Verdict,
    fine,
    refuse,
    refuse_in_production,
    warn_in_production,
)
from holdfast.errors.sizes import counted


def _superuser(evidence: Evidence) -> Verdict:
    server = evidence.application.server
    if not server.superuser:
        return fine(f"{server.role} is no superuser")
    return refuse_in_production(
        evidence,
        f"the application connects as the superuser {server.role}: one injected statement owns the server",
        "CREATE ROLE app LOGIN PASSWORD '...'; grant it what it needs, and put it into DATABASE_URL.",
    )


def _rights(evidence: Evidence) -> Verdict | None:
    server = evidence.application.server
    if server.superuser:
        return None
    too_much = [
        *server.attributes,
        *(
            [f"owns {counted(server.owned_tables, 'table', 'tables')}"]
            if server.owned_tables
            else []
        ),
        *(["may create in the schema"] if server.creates_in_schema else []),
        *(["may create temporary tables"] if server.creates_temporary else []),
    ]
    if not too_much:
        return fine(f"{server.role} has no more than it needs")
    schemas = ", ".join(server.owned_schemas) or server.schema or "public"
    return warn_in_production(
        evidence,
        f"{server.role}: {', '.join(too_much)}",
        "Let another role own the tables and migrate; for the application: "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schemas} TO {server.role};",
    )


def _owner(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    server = evidence.history.connected.server
    if not server.other_owners:
        return fine(f"{server.role} may change every table")
    owners = ", ".join(server.other_owners)
    return refuse(
        f"migrations run as {server.role}, and tables belong to {owners}",
        f"Migrate as the owner: GRANT {owners} TO {server.role}; and SET ROLE in env.py.",
    )


CHECKS = (
    Check(number=12, name="superuser", title="no superuser", judge=_superuser, at_start=True),
    Check(number=12, name="rights", title="no more rights than needed", judge=_rights),
    Check(number=13, name="owner", title="migrations run as the owner", judge=_owner),
)
