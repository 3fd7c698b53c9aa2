"""Errors in the settings."""

from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class InvalidSettings(HoldfastError):
    """A setting has a value that it cannot have."""

    problems: str
    exit_status = 2
    what = "The settings are not valid: {problems}."
    why = "A setting has a value that it cannot have; values are not repeated here."
    remedy = "Correct it in the environment or in .env."


@dataclass(kw_only=True, eq=False)
class UnknownVariable(HoldfastError):
    """An environment variable has our prefix and is no setting."""

    variable: str
    advice: str
    exit_status = 2
    what = "The variable {variable} is not a setting."
    why = "It begins as settings do: if a misspelt one were ignored, the default would apply unnoticed."
    remedy = "{advice}"


@dataclass(kw_only=True, eq=False)
class RefusedSetting(HoldfastError):
    """A setting has a value that this profile does not allow."""

    profile: str
    variable: str
    value: str
    danger: str
    instead: str
    exit_status = 2
    what = "{variable}={value} is refused in the profile {profile}."
    why = "{danger}"
    remedy = "{instead}"


@dataclass(kw_only=True, eq=False)
class NoDatabaseUrl(HoldfastError):
    """An engine is needed, and no database is named."""

    variable: str
    exit_status = 2
    what = "No database is named."
    why = "{variable} is not set, neither in the environment nor in .env."
    remedy = "Set it: {variable}=postgresql://user@host:5432/database"


@dataclass(kw_only=True, eq=False)
class PasswordFileUnreadable(HoldfastError):
    """The file with the password cannot be read."""

    file: Path
    exit_status = 2
    what = "The password file {file} cannot be read."
    why = "It does not exist, or this user may not read it; it is read at every new connection."
    remedy = "Check it: ls -l {file}"
