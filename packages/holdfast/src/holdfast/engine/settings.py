"""Reads settings from the environment once, and refuses what is unsafe in the profile.

Variables begin with HOLDFAST_ (HOLDFAST_POOL_MAX is `pool.max`), DATABASE_URL is read as well, and a
file `.env` may hold the same names. An unset profile is production. Nothing here prints a secret.
"""

import difflib
import logging
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import URL

from holdfast.engine.connection.database_url import UrlParts, reach, split_url
from holdfast.engine.connection.reach import Reach
from holdfast.engine.duration_setting import Duration
from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.profiles import (
    REFUSALS,
    WEAKNESSES,
    MigrateOnStart,
    Pooler,
    Profile,
    SqlLog,
    Tls,
    defaults_of,
)
from holdfast.engine.variables import (
    DOTENV,
    URL_VARIABLES,
    first_line,
    read_variables,
    url_variable,
)
from holdfast.errors.settings import (
    InvalidSettings,
    PasswordFileUnreadable,
    RefusedSetting,
    UnknownVariable,
)

logger = logging.getLogger(__name__)

RELEASE = r"^[^\s]{1,30}$"


class EnvironmentSettings(BaseSettings):
    """Settings that share a prefix: a misspelt variable is an error, and no error shows a value."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        extra="ignore",  # .env holds others' names too; ours are checked below
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )
    # Names with the prefix that another class reads.
    other_variables: ClassVar[tuple[str, ...]] = ()
    _is_said_in_code: bool = PrivateAttr(default=False)

    def __init__(self, **values: Any) -> None:
        problems, is_said_in_code = "", bool(values)
        try:
            self._refuse_unknown_variables()
            super().__init__(**values)
        except ValidationError as error:
            problems = _problems(error, () if is_said_in_code else self.variables())
        finally:
            values.clear()  # a traceback that prints locals must not find a password
        # Raised outside of `except`: pydantic's error contains the values and must not become the context.
        if problems:
            raise InvalidSettings(problems=problems)
        self._is_said_in_code = is_said_in_code
        self._refuse_unsafe()

    def _refuse_unsafe(self) -> None:
        """Raise RefusedSetting for values that a class of settings forbids together; here none."""

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """The names of all variables that are read, such as HOLDFAST_POOL_MAX."""
        prefix = cls.model_config["env_prefix"]
        return tuple(
            name
            for field, info in cls.model_fields.items()
            for name in _variables(prefix, field, info)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the first that has a value wins: code, then the variables."""
        return (init_settings, _FromVariables(settings_cls))

    @classmethod
    def _refuse_unknown_variables(cls) -> None:
        prefix = cls.model_config["env_prefix"]
        known = (*cls.variables(), *cls.other_variables)
        for name in sorted(_variables_of(cls)):
            if prefix and name.startswith(prefix) and name not in known:
                raise UnknownVariable(variable=name, advice=_advice(name, known, prefix))


class Timeouts(BaseModel):
    """What the server and the kernel allow a connection of the application."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    statement: Duration = timedelta(seconds=30)
    lock: Duration = timedelta(seconds=5)
    idle_in_transaction: Duration = timedelta(seconds=60)
    tcp_user: Duration = timedelta(seconds=5)
    keepalives_idle: Duration = timedelta(seconds=30)
    keepalives_interval: Duration = timedelta(seconds=5)
    keepalives_count: int = Field(3, ge=1)


def _without_password(url: object) -> object:
    return split_url(url).address if isinstance(url, str) else url


def _as_text(url: URL) -> str:
    return str(url)


DatabaseUrl = Annotated[
    URL, BeforeValidator(_without_password), PlainSerializer(_as_text, return_type=str)
]


def _split_at_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _as_pooler(value: object) -> object:
    """Read `true` as the only kind of pooler that there was before there were two."""
    text = str(value).lower()
    if text in ("true", "1", "yes", "on"):
        return Pooler.TRANSACTION
    return Pooler.OFF if text in ("false", "0", "no") else value


PoolerSetting = Annotated[Pooler, BeforeValidator(_as_pooler)]


def _readable_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None:
        split_url(url.get_secret_value())
    return url


OtherUrl = Annotated[SecretStr | None, AfterValidator(_readable_url)]


def _urls(value: object) -> object:
    """Read URLs with commas between them. Raises ValueError, without the value, which may hold a password."""
    found = _split_at_commas(value)
    for url in found if isinstance(found, tuple) else ():
        split_url(str(url))
    return found


StandbyUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_urls)]
AllowedChecks = Annotated[tuple[str, ...], BeforeValidator(_split_at_commas)]


class Settings(EnvironmentSettings):
    """What an application and the command line know about the database; see `profiles`."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", arbitrary_types_allowed=True)
    other_variables = (
        "HOLDFAST_BACKFILL_ROWS_PER_SECOND",
        "HOLDFAST_BACKFILL_SLOT_WAL",
        "HOLDFAST_BUILD_WORKERS",
        "HOLDFAST_DOCS_URL",
        "HOLDFAST_FREE_DISK",
        "HOLDFAST_SCRATCH_DIR",
        "HOLDFAST_SCRATCH_URL",
        "HOLDFAST_SQL",
        "HOLDFAST_SQL_LAYOUT",
        "HOLDFAST_POOLER_ADMIN_URL",
        "HOLDFAST_STANDBYS",
        "HOLDFAST_TEST_CITUS_URL",
        "HOLDFAST_TEST_URL",
    )

    profile: Profile = Profile.PRODUCTION
    url: DatabaseUrl | None = Field(None, validation_alias=AliasChoices(*URL_VARIABLES))
    password: SecretStr | Callable[[], str] | None = None
    password_file: Path | None = None
    application_name: str = "holdfast"
    synchronize: bool
    log_sql: SqlLog
    migrations: str | None = None  # a package, `shop:migrations`, or a folder
    migrate_on_start: MigrateOnStart
    migrate_wait: Duration = timedelta(minutes=10)
    tls: Tls
    tls_ca: str | None = None  # a file, or `system`
    pooler: PoolerSetting = Pooler.OFF  # PgBouncer or the like is in between
    migration_url: OtherUrl = None  # of the server itself, where `url` is a pooler's
    read_url: OtherUrl = (
        None  # of standbys, for what only reads; the primary is read from without one
    )
    read_lag: Duration = timedelta(seconds=10)  # a standby further behind is not read from
    release: str | None = Field(None, pattern=RELEASE)  # of the application: in application_name
    replicas: int | None = Field(None, ge=1)  # how many instances run at once, each with a pool
    allow: AllowedChecks = ()  # checks of `holdfast doctor` that may fail here, by name
    pool: PoolLimits
    timeouts: Timeouts = Timeouts()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; the first that has a value wins: code, the variables, the URL, the profile."""
        said = (init_settings, _FromVariables(settings_cls))
        return (*said, _FromUrl(settings_cls), _FromProfile(settings_cls))

    @property
    def is_of_environment(self) -> bool:
        """Whether the environment alone decides everything: another process in it reads the same."""
        return type(self) is Settings and not self._is_said_in_code

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler is in between that keeps no session settings."""
        return self.pooler is not Pooler.OFF

    def for_migrations(self) -> "Settings":
        """Give these settings with HOLDFAST_MIGRATION_URL as the address, if set: directly to the server."""
        if self.migration_url is None:
            return self
        parts = split_url(self.migration_url.get_secret_value())
        return self._at(parts, url=parts.address, pooler=Pooler.OFF)

    def for_reading(self) -> "Settings | None":
        """Give these settings with HOLDFAST_READ_URL as the address, standbys first; None if it is not set."""
        if self.read_url is None:
            return None
        parts = split_url(self.read_url.get_secret_value())
        is_said = "target_session_attrs" in parts.address.query
        wanted = {} if is_said else {"target_session_attrs": "prefer-standby"}
        return self._at(parts, url=parts.address.update_query_dict(wanted))

    def _at(self, parts: UrlParts, **changes: object) -> "Settings":
        """Give these settings at another address, with the password and TLS of its URL, checked in the same way."""
        of_file = {} if parts.password is None else {"password_file": None}
        found = self.model_copy(update={**changes, **of_file, **dict(_settings_in(parts))})
        found._refuse_unsafe()  # noqa: SLF001  # of its own class
        return found

    @property
    def has_password(self) -> bool:
        """Whether these settings supply a password; libpq itself may find one in ~/.pgpass."""
        return self.password is not None or self.password_file is not None

    def read_password(self) -> str | None:
        """The current password: a file and a callable are asked again for every connection."""
        if self.password_file is not None:
            try:
                return first_line(self.password_file)
            except OSError as error:
                raise PasswordFileUnreadable(file=self.password_file) from error
        if isinstance(self.password, SecretStr):
            return self.password.get_secret_value()
        return None if self.password is None else self.password()

    def _refuse_unsafe(self) -> None:
        for refusal in REFUSALS:
            is_set = getattr(self, refusal.setting) == refusal.value
            if is_set and self.profile in refusal.profiles:
                raise RefusedSetting(
                    profile=self.profile,
                    variable=f"HOLDFAST_{refusal.setting.upper()}",
                    value=str(refusal.value).lower(),
                    danger=refusal.danger,
                    instead=refusal.instead,
                )
        for weakness in WEAKNESSES:
            is_set = getattr(self, weakness.setting) == weakness.value
            if is_set and self.profile is Profile.PRODUCTION:
                logger.warning("%s=%s: %s", weakness.setting, weakness.value, weakness.danger)
        self._refuse_pooler_without_ca()

    def _refuse_pooler_without_ca(self) -> None:
        is_far = self.url is not None and reach(self.url) is Reach.NETWORK
        is_verified = self.tls in (Tls.REQUIRED, Tls.REMOTE)
        if self.is_pooled and is_verified and is_far and self.tls_ca is None:
            raise RefusedSetting(
                profile=self.profile,
                variable="HOLDFAST_POOLER",
                value=self.pooler,
                danger="A pooler ends TLS: channel binding cannot prove whom we talk to.",
                instead="Name the CA of the pooler: HOLDFAST_TLS_CA=/path/to/ca.pem, or system.",
            )


class ScratchSettings(EnvironmentSettings):
    """Settings of the scratch server, where pending changes are tried; an embedded one if none is named."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_SCRATCH_")

    url: SecretStr | None = None
    dir: Path | None = None  # where the embedded one has its files


class DocumentationSettings(EnvironmentSettings):
    """Settings of messages: where the site of `./dev docs` is served, so that an error can link its page."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_DOCS_")

    url: str | None = None


class BackfillSettings(EnvironmentSettings):
    """How fast `holdfast run` writes all rows of a table; as fast as users allow unless limited."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_BACKFILL_")

    rows_per_second: int | None = Field(None, ge=1)
    # That one replication slot may keep from being removed: a backfill pauses there.
    slot_wal: ByteSize = ByteSize(4_000_000_000)


class BuildSettings(EnvironmentSettings):
    """How many extra server processes help to build an index; none by default, which leaves the cores to users."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_BUILD_")

    workers: int = Field(0, ge=0)


class _OneVariable(EnvironmentSettings):
    """A setting read outside of `Settings`, which checks for unknown variables."""

    @classmethod
    def _refuse_unknown_variables(cls) -> None:
        """Refuse nothing here: many other variables have the same prefix."""


class StandbySettings(_OneVariable):
    """The standbys that a run asks before it locks a table: URLs, separated by commas."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_")

    standbys: StandbyUrls = ()

    def urls(self) -> tuple[str, ...]:
        """The URLs of the standbys, with their passwords."""
        return tuple(url.get_secret_value() for url in self.standbys)


class PoolerSettings(_OneVariable):
    """Whether a pooler is in front of the server, and whether there is a way past it."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_")

    pooler: PoolerSetting = Pooler.OFF
    migration_url: OtherUrl = None
    pooler_admin_url: OtherUrl = None  # where RECONNECT is understood

    @property
    def is_only_way(self) -> bool:
        """Whether a pooler is declared, and no way past it."""
        return self.pooler is not Pooler.OFF and self.migration_url is None


class ReleaseSettings(_OneVariable):
    """HOLDFAST_RELEASE: which release of the application this process is, or is to remain alone."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_")

    release: str | None = Field(None, pattern=RELEASE)


class DiskSettings(_OneVariable):
    """How much disk is free for what a revision builds and rewrites, if somebody says so: 200GB."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_FREE_")

    disk: ByteSize | None = None


def _variables_of(settings: type[BaseSettings]) -> dict[str, str]:
    file = settings.model_config.get("env_file")
    return read_variables(os.environ, file=Path(file) if isinstance(file, str | Path) else None)


class _FromVariables(PydanticBaseSettingsSource):
    """A source of settings: the environment and a file .env, read as the quick look reads them.

    Each value is the text that stands there. pydantic-settings' own source takes a list for JSON, and splits names at
    each `_`, unless it is newer than what many projects pin.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # only called by the default __call__

    def __call__(self) -> dict[str, Any]:
        said = {name: value for name, value in _variables_of(self.settings_cls).items() if value}
        prefix = self.settings_cls.model_config["env_prefix"]
        values: dict[str, Any] = {}
        for field, info in self.settings_cls.model_fields.items():
            names = _variables(prefix, field, info)
            if group := _group(info):
                parts = dict(zip(group.model_fields, names, strict=True))
                found = {part: said[name] for part, name in parts.items() if name in said}
                values |= {field: found} if found else {}
            elif first := next((name for name in names if name in said), None):
                # Under the name that an error should show.
                values[field if info.validation_alias is None else first] = said[first]
        return values


class _FromUrl(PydanticBaseSettingsSource):
    """A source of settings: the password and TLS, where the URL says them."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # only called by the default __call__

    def __call__(self) -> dict[str, Any]:
        names = ("url", *URL_VARIABLES)
        url = next((self.current_state[name] for name in names if name in self.current_state), None)
        try:
            return dict(_settings_in(split_url(url))) if isinstance(url, str) else {}
        except ValueError:
            return {}  # the field itself says what is wrong


class _FromProfile(PydanticBaseSettingsSource):
    """The last source of settings: the defaults of the profile."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # only called by the default __call__

    def __call__(self) -> dict[str, Any]:
        profile = self.current_state.get("profile", Profile.PRODUCTION)
        try:
            return defaults_of(Profile(profile))
        except ValueError:
            return defaults_of(Profile.PRODUCTION)  # the field itself says what is wrong


def variable_of_url() -> str:
    """Name the variable that the address of the database comes from, or should come from."""
    return url_variable(read_variables(os.environ, file=DOTENV)) or URL_VARIABLES[-1]


def _settings_in(parts: UrlParts) -> Iterator[tuple[str, Any]]:
    if parts.password is not None:
        yield "password", SecretStr(parts.password)
    if parts.sslmode is not None:
        yield "tls", Tls.OFF if parts.sslmode == "disable" else Tls.REQUIRED
    if parts.sslrootcert is not None:
        yield "tls_ca", parts.sslrootcert
    elif parts.sslmode in ("verify-ca", "verify-full"):
        yield "tls_ca", "system"


def _variables(prefix: str, field: str, info: FieldInfo) -> list[str]:
    if isinstance(info.validation_alias, AliasChoices):
        return [str(choice) for choice in info.validation_alias.choices]
    if group := _group(info):
        return [f"{prefix}{field}_{name}".upper() for name in group.model_fields]
    return [f"{prefix}{field}".upper()]


def _group(info: FieldInfo) -> type[BaseModel] | None:
    """Give the class of a field that holds several settings: HOLDFAST_POOL_MAX is one of `pool`."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _advice(name: str, known: tuple[str, ...], prefix: str) -> str:
    names = {each.removeprefix(prefix): each for each in known}  # the prefix alone is no likeness
    closest = difflib.get_close_matches(name.removeprefix(prefix), names, n=1)
    if closest:
        return f"Did you mean {names[closest[0]]}?"
    return f"Unset it. There are {', '.join(sorted(known))}."


def _problems(error: ValidationError, variables: tuple[str, ...]) -> str:
    """Describe each problem, by the variable that has the value if that is known."""
    found = error.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(
        dict.fromkeys(f"{_name(problem['loc'], variables)}: {problem['msg']}" for problem in found)
    )


def _name(location: tuple[int | str, ...], variables: tuple[str, ...]) -> str:
    # In a union pydantic adds the schema of the member, in brackets.
    parts = [str(part) for part in location if "[" not in str(part)]
    ending = "_".join(["", *parts]).upper()
    ends = [name for name in variables if parts and name.endswith(ending)]
    return min(ends, key=len) if ends else ".".join(parts)
