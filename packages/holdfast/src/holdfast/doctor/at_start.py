"""The checks that a production process runs before it serves: those of the doctor that cost one round trip."""

import logging

from sqlalchemy import Connection

from holdfast.doctor.check import Evidence, Severity
from holdfast.doctor.checks import CHECKS
from holdfast.doctor.examine import judge
from holdfast.engine.profiles import MigrateOnStart, Profile
from holdfast.engine.settings import Settings
from holdfast.errors.doctor import UnsafeToStart
from holdfast.observe.server import look_at_connection

logger = logging.getLogger(__name__)

AT_START = tuple(check for check in CHECKS if check.at_start)
WHEN_MIGRATING = tuple(check for check in CHECKS if check.name == "migrations-writable")


def require_safe_start(connection: Connection, settings: Settings) -> None:
    """Raise UnsafeToStart in production; what HOLDFAST_ALLOW names is logged instead."""
    if settings.profile is not Profile.PRODUCTION:
        return
    evidence = Evidence(settings=settings, application=look_at_connection(connection), stamp=None)
    migrates = settings.migrate_on_start in (MigrateOnStart.RUN, MigrateOnStart.EXPAND)
    found = [
        finding
        for finding in judge(evidence, AT_START + (WHEN_MIGRATING if migrates else ()))
        if finding.verdict.severity is Severity.REFUSE
    ]
    for finding in found:
        if finding.check.name in settings.allow:
            logger.warning("allowed: %s: %s", finding.check.name, finding.verdict.says)
    refused = [finding for finding in found if finding.check.name not in settings.allow]
    if refused:
        raise UnsafeToStart(
            found=tuple(f"{each.check.name}: {each.verdict.says}" for each in refused),
            remedies=tuple(each.verdict.remedy for each in refused),
            allow=",".join((*settings.allow, *(each.check.name for each in refused))),
        )
