"""Checks of settings whose effect shows in the database.

Values that no process of a profile accepts are errors of `Settings` already.
"""

from holdfast.doctor.check import Check, Evidence, Verdict, fine, refuse, warn, warn_in_production
from holdfast.engine.profiles import SqlLog
from holdfast.errors.database import EnvironmentMismatch


def _synchronized(evidence: Evidence) -> Verdict | None:
    stamp = evidence.stamp
    if stamp is None:
        return None
    if stamp.synchronized_at is None:
        return fine("the schema was made by migrations alone")
    return warn_in_production(
        evidence,
        f"the schema was made from the models on {stamp.synchronized_at:%Y-%m-%d}",
        "See what no migration knows: holdfast drift",
    )


def _environment(evidence: Evidence) -> Verdict:
    stamp, profile = evidence.stamp, evidence.settings.profile
    if stamp is None:
        if evidence.settings.url is None:  # migrations alone, which stamp nothing
            return fine("not stamped: no application has started with holdfast.Database")
        return warn_in_production(
            evidence,
            "the database is not stamped",
            "The first start of an application with holdfast.Database stamps it.",
        )
    if stamp.fits(profile):
        return fine(f"the database is stamped {stamp.profile}")
    what, _, way_out = EnvironmentMismatch(
        process=profile, stamped=stamp.profile, database=stamp.database
    ).parts()
    return refuse(what, way_out)


def _profile(evidence: Evidence) -> Verdict:
    said = "profile" in evidence.settings.model_fields_set
    return fine(f"{evidence.settings.profile}{'' if said else ', the default'}")


def _sql_log(evidence: Evidence) -> Verdict:
    server = evidence.application.server
    if server.logs_statements and server.logs_parameters:
        return warn_in_production(
            evidence,
            "the server's log holds statements with the values of their parameters",
            "ALTER SYSTEM SET log_parameter_max_length = 0; SELECT pg_reload_conf();",
        )
    if evidence.settings.log_sql is not SqlLog.OFF:
        return warn_in_production(
            evidence, "every statement is logged by this process", "Unset HOLDFAST_LOG_SQL."
        )
    return fine("no values of users in a log")


def _application_name(evidence: Evidence) -> Verdict | None:
    if evidence.settings.url is None:
        return None  # not a connection of the application
    name = evidence.application.server.application_name
    if name in ("", "holdfast"):
        return warn(
            f"the server knows our sessions as '{name}'",
            "Name them: HOLDFAST_APPLICATION_NAME=shop-api",
        )
    return fine(f"the server knows our sessions as '{name}'")


CHECKS = (
    Check(number=1, name="synchronized", title="migrations alone", judge=_synchronized),
    Check(
        number=2, name="environment", title="the environment of the database", judge=_environment
    ),
    Check(number=3, name="profile", title="the profile of this process", judge=_profile),
    Check(number=24, name="sql-log", title="what is logged of statements", judge=_sql_log),
    Check(number=27, name="application-name", title="application_name", judge=_application_name),
)
