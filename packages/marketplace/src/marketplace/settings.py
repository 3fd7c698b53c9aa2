"""What the environment says about the marketplace, read once. A secret is never shown."""

import secrets
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from marketplace.errors import UnusableDatabaseUrl, UnusableSettings

PREFIX = "MARKETPLACE_"
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


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


class Settings(BaseSettings):
    """`DATABASE_URL` as everywhere; all others begin with `MARKETPLACE_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,  # an error must not show a secret
        validate_by_name=True,
    )

    database_url: Annotated[SecretStr, AfterValidator(_readable)] | None = Field(
        default=None, validation_alias="DATABASE_URL"
    )
    data_dir: Path = Path(".data/postgres")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    # Signs the cursors of pages. One made up here ends with the process, and its cursors with it.
    cursor_key: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(32)), min_length=32
    )


def read_settings() -> Settings:
    """Raises `UnusableSettings` with all that is wrong, by name and without the values."""
    try:
        return Settings()
    except ValidationError as error:
        reasons = [f"{_variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in error.errors()]
        raise UnusableSettings(reasons="; ".join(reasons)) from None


def _variable(field: str) -> str:
    """The environment variable of a field; one with an alias is named by it already."""
    return field if field.isupper() else f"{PREFIX}{field.upper()}"
