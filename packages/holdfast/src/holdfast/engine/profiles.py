"""Defaults and refusals of the profiles development, test and production, as one table."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from holdfast.errors.light_dataclass import light_dataclass


class Profile(StrEnum):
    """What a process is for; production if nothing is said."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Tls(StrEnum):
    """How the connection to the server is protected, the strongest way first."""

    REQUIRED = "required"  # always: by a CA when one is named, else by channel binding
    REMOTE = "remote"  # as required, but off on a socket and on loopback
    ENCRYPT_ONLY = "encrypt-only"  # against listeners, not against a man in the middle
    OFF = "off"


class SqlLog(StrEnum):
    """How much of each SQL statement is logged."""

    OFF = "off"
    STATEMENTS = "statements"
    PARAMETERS = "parameters"


class Pooler(StrEnum):
    """What is between this process and the server, and how much of a session it keeps."""

    OFF = "off"
    TRANSACTION = "transaction"  # PgBouncer and its like: nothing of a session lasts
    PREPARED = "prepared"  # the same, but it keeps prepared statements: PgBouncer from 1.21 on


class MigrateOnStart(StrEnum):
    """Who migrates when a process starts: the process itself, another one, or nobody."""

    RUN = "run"
    EXPAND = "expand"  # it, and what another release still uses waits for `holdfast finish`
    WAIT = "wait"
    OFF = "off"


@light_dataclass
class RefusedValue:
    """A value that some profiles do not accept."""

    setting: str
    value: object
    profiles: tuple[Profile, ...]
    danger: str
    instead: str


@light_dataclass
class Weakness:
    """A value that production accepts because it was named, with a warning in the log."""

    setting: str
    value: object
    danger: str


SECONDS = timedelta(seconds=1)
# Settings that are not named here have one default for all profiles: `holdfast.engine.settings.Settings`.
# fmt: off
DEFAULTS: tuple[tuple[str, object, object, object], ...] = (
    # setting            development           test                  production
    ("synchronize",      False,                False,                False),
    ("log_sql",          SqlLog.STATEMENTS,    SqlLog.OFF,           SqlLog.OFF),
    ("migrate_on_start", MigrateOnStart.RUN,   MigrateOnStart.RUN,   MigrateOnStart.RUN),
    ("tls",              Tls.REMOTE,           Tls.OFF,              Tls.REQUIRED),
    ("pool.max",         20,                   5,                    20),
    ("pool.min",         5,                    0,                    5),
    ("pool.idle",        30 * SECONDS,         5 * SECONDS,          30 * SECONDS),
    ("pool.timeout",     2 * SECONDS,          5 * SECONDS,          2 * SECONDS),
)
# fmt: on
REFUSALS = (
    RefusedValue(
        setting="synchronize",
        value=True,
        profiles=(Profile.TEST, Profile.PRODUCTION),
        danger="It makes the schema what the models say, past every migration and every review.",
        instead="Unset it. `holdfast generate` writes the migration, `holdfast run` applies it.",
    ),
    RefusedValue(
        setting="log_sql",
        value=SqlLog.PARAMETERS,
        profiles=(Profile.PRODUCTION,),
        danger="Parameters are the data of users, and logs are kept, copied and searched.",
        instead="Set HOLDFAST_LOG_SQL=statements.",
    ),
    RefusedValue(
        setting="tls",
        value=Tls.OFF,
        profiles=(Profile.PRODUCTION,),
        danger="Passwords and data would cross the network in the clear.",
        instead="Unset it, also sslmode in the URL: TLS is then required, and needs no CA.",
    ),
)
WEAKNESSES = (
    Weakness(
        setting="tls", value=Tls.REMOTE, danger="connections to loopback addresses are in the clear"
    ),
    Weakness(
        setting="tls",
        value=Tls.ENCRYPT_ONLY,
        danger="the server is not authenticated; a man in the middle reads and changes everything",
    ),
)


def defaults_of(profile: Profile) -> dict[str, Any]:
    """Give one profile's column of DEFAULTS, nested as pydantic's sources are."""
    column = 1 + list(Profile).index(profile)
    nested: dict[str, Any] = {}
    for row in DEFAULTS:
        *groups, name = row[0].split(".")
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
        target[name] = row[column]
    return nested
