"""Errors of the doctor's checks at a start, and of what drift is to ignore."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnsafeToStart(HoldfastError):
    """Checks of the doctor refuse a start in production."""

    found: tuple[str, ...]
    remedies: tuple[str, ...]
    allow: str
    what = "Not started. {found}."
    why = "These checks of `holdfast doctor` refuse production; they ask the server, not the settings."
    remedy = "{remedies} To start all the same, with a line in the log: HOLDFAST_ALLOW={allow}"


@dataclass(kw_only=True, eq=False)
class InvalidIgnoreRules(HoldfastError):
    """The rules for what drift should ignore cannot be read."""

    problem: str
    exit_status = 2
    what = "drift_ignore cannot be read: {problem}."
    why = "A rule names the objects it is for and the reason why they may differ."
    remedy = (
        "In pyproject.toml: [[tool.holdfast.drift_ignore]], below it object = 'index public.tmp_*' and "
        "reason = 'made by the nightly report'. In alembic.ini: drift_ignore, the same as JSON."
    )
