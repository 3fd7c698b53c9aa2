"""Finds the database that a process's variables lead to, without pydantic and SQLAlchemy.

Only what is written in the usual way: None wherever `holdfast.engine.settings` has more to say (a pooler, several
hosts, TLS in the URL). Nothing is judged here: that these very settings are allowed, the run that recorded them knows.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from holdfast.engine.connection.reach import reach_of
from holdfast.engine.connection.system_ca import ca_file
from holdfast.engine.connection.tls import tls_parameters
from holdfast.engine.profiles import Profile, Tls, defaults_of
from holdfast.engine.variables import (
    DOTENV,
    URL_VARIABLES,
    first_line,
    read_variables,
    url_variable,
)
from holdfast.errors.light_dataclass import light_dataclass

PREFIX = "HOLDFAST_"
MIGRATION_URL = "HOLDFAST_MIGRATION_URL"
POOLER = "HOLDFAST_POOLER"
SECRETS = ("HOLDFAST_PASSWORD", "PGPASSWORD")
SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
# A comma means several hosts; some readers take a plus for a space, others do not.
UNUSUAL = re.compile(r"[,+]|ssl|gss|channel_binding|require_auth", re.IGNORECASE)
CONNECT_TIMEOUT = 2  # seconds; after that the full run says what is wrong


@light_dataclass
class Target:
    """A database, and by which variable it was named."""

    parameters: Mapping[str, str | int]  # for psycopg
    named_by: str  # a digest without secrets

    def __repr__(self) -> str:
        return f"Target(named_by={self.named_by!r})"  # the parameters hold a password


def target_of(environment: Mapping[str, str], *, directory: Path) -> Target | None:
    """Give the database that is migrated, and how it is reached; None: ask the settings."""
    variables = read_variables(environment, file=directory / DOTENV)
    named = url_variable(variables)
    ours = {
        name: value
        for name, value in variables.items()
        if value and name.startswith(PREFIX) and name not in URL_VARIABLES
    }
    url = "" if named is None else variables[named]
    if MIGRATION_URL in ours:  # where every verb goes, past the pooler
        url = ours.pop(MIGRATION_URL)
        ours.pop(POOLER, None)
    if not url or POOLER in ours or not SCHEME.match(url):
        return None
    rest = SCHEME.sub("", url, count=1)
    if UNUSUAL.search(rest):
        return None
    try:
        address = {
            name: value
            for name, value in conninfo_to_dict(f"postgresql://{rest}").items()
            if value is not None
        }
        password = _password(ours)
        parameters = _with_tls(address, ours)
    except (psycopg.Error, ValueError, OSError):
        return None
    if password is not None:
        parameters["password"] = password
    return Target(parameters=parameters, named_by=_digest(address, ours, environment))


def _password(ours: Mapping[str, str]) -> str | None:
    if "HOLDFAST_PASSWORD_FILE" in ours:
        return first_line(Path(ours["HOLDFAST_PASSWORD_FILE"]))
    return ours.get("HOLDFAST_PASSWORD")


def _with_tls(address: Mapping[str, str | int], ours: Mapping[str, str]) -> dict[str, str | int]:
    profile = Profile(ours.get("HOLDFAST_PROFILE", Profile.PRODUCTION))
    host = str(address.get("hostaddr") or address.get("host") or "")
    found = tls_parameters(
        Tls(ours.get("HOLDFAST_TLS", defaults_of(profile)["tls"])),
        reach=reach_of([host] if host else []),
        ca_file=ca_file(ours.get("HOLDFAST_TLS_CA")),
        pooler=False,
    )
    own: dict[str, str | int] = {
        "application_name": ours.get("HOLDFAST_APPLICATION_NAME", "holdfast"),
        "connect_timeout": CONNECT_TIMEOUT,
    }
    tls = {name: value for name, value in asdict(found).items() if value is not None}
    return {**own, **address, **tls}


def _digest(
    address: Mapping[str, str | int], ours: Mapping[str, str], environment: Mapping[str, str]
) -> str:
    """Make a digest of all that may change the target, libpq's variables too: any change leads to a full look."""
    libpq = {name: value for name, value in environment.items() if name.startswith("PG")}
    named = {name: value for name, value in address.items() if name != "password"}
    said = {name: value for name, value in {**ours, **libpq}.items() if name not in SECRETS}
    return hashlib.sha256(json.dumps([named, said], sort_keys=True).encode()).hexdigest()
