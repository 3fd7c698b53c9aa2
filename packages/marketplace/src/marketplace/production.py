"""What production refuses in the settings: each as a record, with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from limits import parse

from holdfast.errors.durations import in_words
from marketplace.secrets import is_weak

if TYPE_CHECKING:
    from marketplace.settings import Settings

NEEDED = ("database_url", "server_key", "mail_url")
KEYS = (
    "server_key",
    "server_key_also",
    "cursor_key",
    "payment_webhook_key",
    "payment_webhook_key_also",
)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A setting, and the least and the most that it may be."""

    setting: str  # session.access
    least: float | timedelta
    most: float | timedelta
    why: str


BOUNDS = (
    Bound(
        setting="session.access",
        least=timedelta(seconds=30),
        most=timedelta(hours=1),
        why="a stolen access token works that long",
    ),
    Bound(
        setting="session.fresh",
        least=timedelta(seconds=30),
        most=timedelta(hours=1),
        why="whoever finds an open session may change the account that long",
    ),
    Bound(
        setting="session.idle",
        least=timedelta(minutes=5),
        most=90 * DAY,
        why="a session that nobody uses stays open that long",
    ),
    Bound(
        setting="session.absolute",
        least=timedelta(minutes=5),
        most=365 * DAY,
        why="nobody gives the password again in that time",
    ),
    Bound(
        setting="verification_lifetime",
        least=timedelta(minutes=5),
        most=7 * DAY,
        why="a letter that is found opens the account that long",
    ),
    Bound(
        setting="password_reset_lifetime",
        least=timedelta(minutes=5),
        most=DAY,
        why="a letter that is found changes the password that long",
    ),
    Bound(
        setting="password.memory_kib",
        least=19 * 1024,
        most=1024 * 1024,
        why="less is tried out quickly (OWASP), more is all that the machine has",
    ),
    Bound(setting="password.passes", least=2, most=20, why="as for the memory"),
    Bound(setting="password.lanes", least=1, most=16, why="as for the memory"),
    Bound(setting="password.at_once", least=1, most=64, why="each takes a core and the memory"),
    Bound(setting="password.min_length", least=8, most=64, why="ASVS 5.0 6.2.1, 6.2.9"),
    Bound(
        setting="trusted_proxies",
        least=0,
        most=5,
        why="each that does not exist lets clients invent their address",
    ),
)
# How many in a minute at most: beyond that a rate limits nothing.
MOST_PER_MINUTE = {
    "login_per_ip": 6000,
    "login_per_account": 100,
    "login_failures_per_account": 100,
    "letters_per_account": 10,
    "letters_in_all": 10,
    "refresh_per_ip": 60_000,
    "refresh_per_account": 600,
    "checkout_per_account": 600,
}


def objections(settings: "Settings") -> Iterator[str]:
    """Say why production does not start with these settings; nothing if it does."""
    missing = [name for name in NEEDED if name not in settings.model_fields_set]
    if missing:
        yield f"production needs {', '.join(map(_variable, missing))}"
    if settings.return_verification_token:
        yield "production does not return verification tokens"
    yield from _of_keys(settings)
    yield from _of_bounds(settings)
    yield from _of_rates(settings)


def _of_keys(settings: "Settings") -> Iterator[str]:
    given = {name: getattr(settings, name) for name in KEYS if name in settings.model_fields_set}
    for name, key in given.items():
        if key is not None and is_weak(key):
            yield f"{_variable(name)} is not random: make one with openssl rand -base64 32"
    values = [key.get_secret_value() for key in given.values() if key is not None]
    if len(set(values)) < len(values):
        yield f"{', '.join(map(_variable, given))} are equal: leave all but the first out"


def _of_bounds(settings: "Settings") -> Iterator[str]:
    for bound in BOUNDS:
        value: Any = settings
        for part in bound.setting.split("."):
            value = getattr(value, part)
        if not bound.least <= value <= bound.most:
            yield (
                f"{_variable(bound.setting)} is {_shown(value)}, production takes "
                f"{_shown(bound.least)} to {_shown(bound.most)}: {bound.why}"
            )


def _of_rates(settings: "Settings") -> Iterator[str]:
    for name, most in MOST_PER_MINUTE.items():
        item = parse(getattr(settings.rate, name))
        if item.amount * 60 / item.get_expiry() > most:
            yield f"{_variable(f'rate.{name}')} is above {most} a minute, which limits nothing"


def _shown(value: object) -> str:
    return in_words(value) if isinstance(value, timedelta) else str(value)


def _variable(setting: str) -> str:
    name = setting.replace(".", "_").upper()
    return name if name == "DATABASE_URL" else f"MARKETPLACE_{name}"
