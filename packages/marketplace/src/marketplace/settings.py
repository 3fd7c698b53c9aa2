"""The settings of the marketplace, read from the environment once. A secret is never shown.

`MARKETPLACE_SESSION_IDLE=7d` is `session.idle`; a duration is written as in `30 s`, `5min`, `14d`.
"""

import difflib
import logging
import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from limits import RateLimitItem, parse
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from holdfast import Profile
from holdfast.engine.connection.database_url import read_url
from holdfast.engine.duration_setting import Duration
from holdfast.errors.durations import in_words
from marketplace.errors import UnusableDatabaseUrl, UnusableSettings
from marketplace.placement import Placement
from marketplace.production import objections
from marketplace.secrets import derived_key

PREFIX = "MARKETPLACE_"
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
MAIL_SCHEMES = ("smtp", "smtps")


class StoredAddress(StrEnum):
    """How much of an IP address a session keeps."""

    FULL = "full"
    NETWORK = "network"  # /24 of IPv4, /48 of IPv6
    NONE = "none"


class LogLevel(StrEnum):
    """The least important events that are logged."""

    DEBUG = "debug"  # on a terminal: SQL statements, too
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as the number that `logging` has for it."""
        return logging.getLevelNamesMapping()[self.name]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SessionSettings(_Group):
    """How long sessions and their tokens live. The standards behind each are in `docs/sessions.md`."""

    access: Duration = timedelta(minutes=5)
    idle: Duration = timedelta(days=14)
    absolute: Duration = timedelta(days=30)
    grace: Duration = timedelta(seconds=30)
    fresh: Duration = timedelta(minutes=10)
    max_per_user: int = Field(default=10, ge=1)
    address: StoredAddress = StoredAddress.FULL
    user_agent_length: int = Field(default=512, ge=0, le=512)
    # After its end a session keeps its address and user agent this long, and its row this long.
    client_retention: Duration = timedelta(days=7)
    retention: Duration = timedelta(days=30)
    audit_retention: Duration = timedelta(days=400)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not timedelta() < self.access <= self.idle <= self.absolute:
            raise ValueError("access, idle and absolute must be positive and in ascending order")
        # A client whose access token still works has no reason to refresh twice: as long as that
        # holds, an honest client is never more than one generation behind.
        if self.grace >= self.access:
            raise ValueError(
                f"grace ({in_words(self.grace)}) must be shorter than access "
                f"({in_words(self.access)})"
            )
        return self


class PasswordSettings(_Group):
    """The parameters of argon2id; the defaults are those of RFC 9106 for machines with little memory."""

    min_length: int = Field(default=12, ge=8, le=64)
    memory_kib: int = Field(default=65536, ge=8)
    passes: int = Field(default=3, ge=1)
    lanes: int = Field(default=4, ge=1)
    # Each takes `memory_kib` and a core for some 0.1 s: others wait without blocking the event loop.
    at_once: int = Field(default=2, ge=1)


def _parsed(text: str) -> str:
    parse(text)
    return text


Rate = Annotated[str, AfterValidator(_parsed)]


class OrderSettings(_Group):
    """How much stock one customer may hold without paying for it."""

    most_units: int = Field(default=100, ge=1, le=50_000)  # in one order
    most_open: int = Field(default=5, ge=1)  # orders that are not paid yet
    most_unpaid_per_day: int = Field(default=20, ge=1)  # open ones, and ones that were never paid
    # How long an order waits for its payment, and how long where the stock is low.
    unpaid_for: Duration = Field(default=timedelta(minutes=15), gt=timedelta())
    unpaid_for_low_stock: Duration = Field(default=timedelta(minutes=5), gt=timedelta())


class BackgroundSettings(_Group):
    """Which background jobs a serving process runs, and how often; several processes share the work."""

    enabled: bool = True
    expire_orders: Duration = Field(default=timedelta(minutes=1), gt=timedelta())
    cleanup: Duration = Field(default=timedelta(hours=1), gt=timedelta())
    letters: Duration = Field(default=timedelta(seconds=2), gt=timedelta())
    # How old the stock of a product may be that the low-stock page shows, where the database is placed by user.
    roll_up: Duration = Field(default=timedelta(minutes=1), gt=timedelta())


class RateStorage(StrEnum):
    """Where rates are counted: in each process by itself, or in the database, for all of them together."""

    MEMORY = "memory"
    DATABASE = "database"


class RateSettings(_Group):
    """The rate limits, as in `10/minute`. By IP means an IPv4 address, or an IPv6 /64."""

    storage: RateStorage = RateStorage.MEMORY
    # Requests that check a password, register, or ask for a letter.
    login_per_ip: Rate = "60/minute"
    # Failures of one account from one address; and of one account from anywhere, after which only addresses that
    # its user had before may try.
    login_per_account: Rate = "10/minute"
    login_failures_per_account: Rate = "100/hour"
    # Letters to one address of mail: asked for from one address, and in all.
    letters_per_account: Rate = "5/hour"
    letters_in_all: Rate = "20/day"
    # Checkouts of one customer.
    checkout_per_account: Rate = "30/minute"
    refresh_per_ip: Rate = "600/minute"
    refresh_per_account: Rate = "60/minute"


@cache
def rate(text: Rate) -> RateLimitItem:
    """Give a rate in the form in which `limits` takes it."""
    return parse(text)


def sqlalchemy_url(text: SecretStr) -> URL:
    """Give the URL for SQLAlchemy and psycopg, from any of the usual ways to write one."""
    said = text.get_secret_value()
    scheme, is_url, _ = said.partition("://")
    if is_url and scheme not in SCHEMES:
        raise UnusableDatabaseUrl(reason=f"its scheme is {scheme}")
    try:
        url = read_url(said)
    except ValueError as error:
        raise UnusableDatabaseUrl(reason="it cannot be read") from error
    if not url.database:
        raise UnusableDatabaseUrl(reason="it names no database")
    return url.set(drivername="postgresql+psycopg")


def _readable(text: SecretStr) -> SecretStr:
    sqlalchemy_url(text)
    return text


def _mail_server(text: SecretStr) -> SecretStr:
    try:
        url = urlsplit(text.get_secret_value())
        is_usable = url.scheme in MAIL_SCHEMES and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("write smtp://user:password@host:587, or smtps://user:password@host")
    return text


def _known(*keys: SecretStr | None) -> tuple[SecretStr, ...]:
    return tuple(key for key in keys if key is not None)


def _made_up() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))


class Settings(BaseSettings):
    """All settings: `DATABASE_URL` as everywhere; all others begin with `MARKETPLACE_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=".env",
        extra="ignore",  # .env holds others' names too; ours are checked by `read_settings`
        frozen=True,
        hide_input_in_errors=True,  # an error must not show a secret
        validate_by_name=True,
    )

    # One profile for the process: what holdfast refuses in production goes by the same variable.
    profile: Profile = Field(default=Profile.PRODUCTION, validation_alias="HOLDFAST_PROFILE")
    database_url: Annotated[SecretStr, AfterValidator(_readable)] | None = Field(
        default=None, validation_alias="DATABASE_URL"
    )
    data_dir: Path = Path(".data/postgres")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    log_level: LogLevel = LogLevel.INFO
    # The one secret: every token is made with it, so another one ends every session. One made up here ends with
    # the process, except that `marketplace up` keeps one beside the data folder.
    server_key: SecretStr = Field(default_factory=_made_up, min_length=32)
    # Another one whose tokens are accepted, too: the next one, then the one before. Two are valid at a time.
    server_key_also: SecretStr | None = Field(default=None, min_length=32)
    # Signs the cursors of pages; derived from the server key where it is not set.
    cursor_key: SecretStr | None = Field(default=None, min_length=32)
    # Signs what the payment provider tells us; derived as well, `marketplace webhook-key` shows it.
    payment_webhook_key: SecretStr | None = Field(default=None, min_length=32)
    payment_webhook_key_also: SecretStr | None = Field(default=None, min_length=32)
    # How many proxies of ours stand before us: each appends to X-Forwarded-For. 0: nobody is believed.
    trusted_proxies: int = Field(default=0, ge=0)
    verification_lifetime: Duration = timedelta(days=1)
    # Of the token that sets another password of an account that is verified.
    password_reset_lifetime: Duration = timedelta(hours=1)
    max_request_bytes: int = Field(default=256 * 1024, ge=1024)
    # How long a body may take to arrive, however it trickles in.
    request_body_time: Duration = Field(default=timedelta(seconds=30), gt=timedelta())
    # smtp://user:password@host:587, or smtps://. smtp:// needs STARTTLS in production, and wherever there is a
    # password. Without a URL nothing is mailed.
    mail_url: Annotated[SecretStr, AfterValidator(_mail_server)] | None = None
    mail_from: str = "no-reply@example.com"
    # Whether the pages of the API, and its metrics, are served to whoever asks. Not in production.
    docs: bool | None = None
    metrics: bool | None = None
    # Answers a registration with the token that production mails. Development only.
    return_verification_token: bool | None = None
    session: SessionSettings = SessionSettings()
    password: PasswordSettings = PasswordSettings()
    # Whether an administrator without a second factor has no more rights than a customer. In production, unless told.
    second_factor_for_administrators: bool | None = None
    rate: RateSettings = RateSettings()
    background: BackgroundSettings = BackgroundSettings()
    order: OrderSettings = OrderSettings()
    # What `marketplace place` has done to the database: docs/scale.md.
    placement: Placement = Placement.ONE_SERVER

    @property
    def returns_verification_token(self) -> bool:
        """Whether answers contain the verification token: in development unless told otherwise, never in production."""
        if self.return_verification_token is None:
            return self.profile is Profile.DEVELOPMENT
        return self.return_verification_token

    @property
    def administrators_need_second_factor(self) -> bool:
        """Whether administrators need a second factor: in production, unless told otherwise."""
        if self.second_factor_for_administrators is None:
            return self.profile is Profile.PRODUCTION
        return self.second_factor_for_administrators

    @property
    def server_keys(self) -> tuple[SecretStr, ...]:
        """The key that everything is made with, and the other one that is accepted while keys are changed."""
        return _known(self.server_key, self.server_key_also)

    @property
    def keys_of_cursors(self) -> tuple[SecretStr, ...]:
        """What signs the cursors of pages, and the other key whose cursors are accepted."""
        return _known(self.cursor_key) or self._derived("cursors")

    @property
    def keys_of_payments(self) -> tuple[SecretStr, ...]:
        """What the payment provider signs with, and the other key that is accepted from it."""
        derived = self._derived("payment webhook")
        if self.payment_webhook_key is None:
            return (*derived, *_known(self.payment_webhook_key_also))[:2]
        return _known(self.payment_webhook_key, self.payment_webhook_key_also)

    def _derived(self, purpose: str) -> tuple[SecretStr, ...]:
        return tuple(derived_key(key, purpose=purpose) for key in self.server_keys)

    @property
    def exposes_docs(self) -> bool:
        """Whether /docs and /openapi.json are served; not in production, unless told to."""
        return self.profile is not Profile.PRODUCTION if self.docs is None else self.docs

    @property
    def exposes_metrics(self) -> bool:
        """Whether /metrics is served; not in production, unless told to."""
        return self.profile is not Profile.PRODUCTION if self.metrics is None else self.metrics

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.profile is Profile.PRODUCTION and (found := list(objections(self))):
            raise ValueError("; ".join(found))
        return self


def read_settings() -> Settings:
    """Read the settings from the environment, which wins over a file `.env`.

    Raises `UnusableSettings` with all that is wrong, by name and without the values; a name that begins with
    MARKETPLACE_ and is none of ours is wrong, too.
    """
    if unknown := _unknown_variables():
        raise UnusableSettings(reasons="; ".join(unknown))
    try:
        return Settings()
    except ValidationError as error:
        reasons = [_reason(fault["loc"], fault["msg"]) for fault in error.errors()]
        raise UnusableSettings(reasons="; ".join(reasons)) from None


def _unknown_variables() -> list[str]:
    known = set(_variables())
    in_file = dotenv_values(".env")
    names = sorted({name.upper() for name in (*os.environ, *in_file) if name})
    return [
        f"{name} is not known{_meant(name, known)}"
        for name in names
        if name.startswith(PREFIX) and name not in known
    ]


def _meant(name: str, known: set[str]) -> str:
    """Give the value that somebody meant; the profile goes by holdfast's names."""
    if name in {f"{PREFIX}PROFILE", f"{PREFIX}DATABASE_URL"}:
        instead = {f"{PREFIX}PROFILE": "HOLDFAST_PROFILE"}.get(name, "DATABASE_URL")
        return f": the one name is {instead}"
    similar = difflib.get_close_matches(name, known, n=1)
    return f": {similar[0]}?" if similar else ""


def _variables() -> Iterator[str]:
    """Give every name that is read, such as MARKETPLACE_SESSION_IDLE."""
    for field, info in Settings.model_fields.items():
        if info.validation_alias is not None:
            continue
        name = f"{PREFIX}{field.upper()}"
        yield name
        group = info.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            yield from (f"{name}_{part.upper()}" for part in group.model_fields)


def _reason(place: tuple[int | str, ...], text: str) -> str:
    """Say what is wrong, with the variable if one is to blame; one with an alias is already named."""
    if not place:
        return text
    return f"{_variable_of('_'.join(map(str, place)))}: {text}"


def _variable_of(field: str) -> str:
    if field == "database_url" or field.isupper():
        return field.upper()
    return f"{PREFIX}{field.upper()}"
