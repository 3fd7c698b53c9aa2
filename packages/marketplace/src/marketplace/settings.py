"""What the environment says about the marketplace, read once. A secret is never shown.

`MARKETPLACE_SESSION_IDLE=7d` is `session.idle`; a duration is written as in `30 s`, `5min`, `14d`.
"""

import logging
import secrets
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

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
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from holdfast import Profile
from holdfast.engine.duration_setting import Duration
from holdfast.errors.durations import in_words
from marketplace.errors import UnusableDatabaseUrl, UnusableSettings

PREFIX = "MARKETPLACE_"
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
NEEDED_IN_PRODUCTION = (
    "database_url",
    "server_key",
    "cursor_key",
    "payment_webhook_key",
    "mail_url",
)


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
        """As `logging` has it."""
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
    """argon2id; the defaults are those of RFC 9106 for machines with little memory."""

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


class BackgroundSettings(_Group):
    """What a process that serves does beside it, and how often; several processes share the work."""

    enabled: bool = True
    expire_orders: Duration = Field(default=timedelta(minutes=1), gt=timedelta())
    cleanup: Duration = Field(default=timedelta(hours=1), gt=timedelta())


class RateSettings(_Group):
    """As in `10/minute`. `login` counts whatever checks a password, and registration."""

    # Of this process; redis://... is shared by all, and may hold a password.
    storage: SecretStr = SecretStr("memory://")
    login_per_ip: Rate = "60/minute"
    login_per_account: Rate = "10/minute"
    refresh_per_ip: Rate = "600/minute"
    refresh_per_account: Rate = "60/minute"


def rate(text: Rate) -> RateLimitItem:
    """The form in which `limits` takes it."""
    return parse(text)


def sqlalchemy_url(text: SecretStr) -> URL:
    """The URL for SQLAlchemy and psycopg, from any of the usual ways to write one."""
    try:
        url = make_url(text.get_secret_value())
    except (ArgumentError, ValueError) as error:
        raise UnusableDatabaseUrl(reason="it cannot be read") from error
    if url.drivername not in SCHEMES:
        raise UnusableDatabaseUrl(reason=f"its scheme is {url.drivername}")
    if not url.database:
        raise UnusableDatabaseUrl(reason="it names no database")
    return url.set(drivername="postgresql+psycopg")


def _readable(text: SecretStr) -> SecretStr:
    sqlalchemy_url(text)
    return text


def _made_up() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))


class Settings(BaseSettings):
    """`DATABASE_URL` as everywhere; all others begin with `MARKETPLACE_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        env_nested_delimiter="_",
        env_nested_max_split=1,
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
    # Signs the cursors of pages. One made up here ends with the process, and its cursors with it.
    cursor_key: SecretStr = Field(default_factory=_made_up, min_length=32)
    # Every token is made with it: another key ends every session. As above, except that
    # `marketplace up` keeps one beside the data folder.
    server_key: SecretStr = Field(default_factory=_made_up, min_length=32)
    # Signs what the payment provider tells us; as above.
    payment_webhook_key: SecretStr = Field(default_factory=_made_up, min_length=32)
    # How many proxies of ours stand before us: each appends to X-Forwarded-For. 0: nobody is believed.
    trusted_proxies: int = Field(default=0, ge=0)
    verification_lifetime: Duration = timedelta(days=1)
    max_request_bytes: int = Field(default=256 * 1024, ge=1024)
    # How long a body may take to arrive, however it trickles in.
    request_body_time: Duration = Field(default=timedelta(seconds=30), gt=timedelta())
    # smtp://user:password@host:587, or smtps://. smtp:// needs STARTTLS in production, and wherever there is a
    # password. Without a URL nothing is mailed.
    mail_url: SecretStr | None = None
    mail_from: str = "no-reply@example.com"
    # Answers a registration with the token that production mails. Development only.
    return_verification_token: bool | None = None
    session: SessionSettings = SessionSettings()
    password: PasswordSettings = PasswordSettings()
    rate: RateSettings = RateSettings()
    background: BackgroundSettings = BackgroundSettings()

    @property
    def returns_verification_token(self) -> bool:
        """In development, unless told otherwise; never in production."""
        if self.return_verification_token is None:
            return self.profile is Profile.DEVELOPMENT
        return self.return_verification_token

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.profile is Profile.PRODUCTION:
            missing = [name for name in NEEDED_IN_PRODUCTION if name not in self.model_fields_set]
            if missing:
                raise ValueError(f"production needs {', '.join(map(_variable_of, missing))}")
            if self.return_verification_token:
                raise ValueError("production does not return verification tokens")
        return self


def read_settings() -> Settings:
    """Raises `UnusableSettings` with all that is wrong, by name and without the values."""
    try:
        return Settings()
    except ValidationError as error:
        reasons = [_reason(fault["loc"], fault["msg"]) for fault in error.errors()]
        raise UnusableSettings(reasons="; ".join(reasons)) from None


def _reason(place: tuple[int | str, ...], text: str) -> str:
    """With the variable, where one is to blame; one with an alias is named by it already."""
    if not place:
        return text
    return f"{_variable_of('_'.join(map(str, place)))}: {text}"


def _variable_of(field: str) -> str:
    if field == "database_url" or field.isupper():
        return field.upper()
    return f"{PREFIX}{field.upper()}"
