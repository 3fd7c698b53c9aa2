"""Why a production process does not start, and what drift cannot compare."""

from dataclasses import dataclass

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class UnsafeToStart(HoldfastError):
    """Checks of the doctor that refuse in production."""

    found: tuple[str, ...]
    remedies: tuple[str, ...]
    allow: str
    what = "Not started. {found}."
    why = "These checks of `holdfast doctor` refuse in production; the server was asked, not the settings."
    remedy = "{remedies} To start all the same, with a line in the log: HOLDFAST_ALLOW={allow}"
