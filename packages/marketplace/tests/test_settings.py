"""The environment is read once, and a secret in it is not shown."""

from datetime import timedelta
from pathlib import Path

import pytest

from marketplace.errors import UnusableDatabaseUrl, UnusableSettings
from marketplace.settings import read_settings, sqlalchemy_url


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "MARKETPLACE_PORT", "MARKETPLACE_CURSOR_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_has_to_be_set() -> None:
    """The embedded server, on the address of the README."""
    settings = read_settings()
    assert settings.database_url is None
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path(".data/postgres")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_ways_to_write_a_url(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Parameters of libpq are kept."""
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://me:secret@db.example/shop?sslmode=require")
    settings = read_settings()
    assert settings.database_url is not None
    url = sqlalchemy_url(settings.database_url).render_as_string(hide_password=False)
    assert url == "postgresql+psycopg://me:secret@db.example/shop?sslmode=require"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("secret", "it cannot be read"),
        ("mysql://me:secret@db.example/shop", "its scheme is mysql"),
        ("postgresql://me:secret@db.example", "it names no database"),
        ("postgresql://me:secret@db.example:port/shop", "it cannot be read"),
    ],
)
def test_an_unusable_url(monkeypatch: pytest.MonkeyPatch, url: str, reason: str) -> None:
    """Says why, and never shows it."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(UnusableDatabaseUrl) as error:
        read_settings()
    assert error.value.parts()[0] == f"DATABASE_URL cannot be used: {reason}."
    assert "secret" not in str(error.value)


def test_unusable_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, by name, without the values."""
    monkeypatch.setenv("MARKETPLACE_PORT", "http")
    monkeypatch.setenv("MARKETPLACE_CURSOR_KEY", "too short")
    with pytest.raises(UnusableSettings) as error:
        read_settings()
    assert error.value.parts()[0] == (
        "A setting cannot be used: MARKETPLACE_PORT: Input should be a valid integer, unable to "
        "parse string as an integer; MARKETPLACE_CURSOR_KEY: Value should have at least 32 items "
        "after validation, not 9."
    )


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in what a log or a traceback would hold."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@db.example/shop")
    monkeypatch.setenv("MARKETPLACE_CURSOR_KEY", "secret" * 8)
    assert "secret" not in repr(read_settings())


def test_groups_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With durations as people write them."""
    monkeypatch.setenv("MARKETPLACE_SESSION_IDLE", "7d")
    monkeypatch.setenv("MARKETPLACE_SESSION_MAX_PER_USER", "3")
    monkeypatch.setenv("MARKETPLACE_RATE_LOGIN_PER_IP", "5/second")
    settings = read_settings()
    assert (settings.session.idle, settings.session.max_per_user) == (timedelta(days=7), 3)
    assert settings.rate.login_per_ip == "5/second"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "MARKETPLACE_SESSION_GRACE",
            "10min",
            "MARKETPLACE_SESSION: Value error, grace (10 min) must be shorter than access (5 min)",
        ),
        (
            "MARKETPLACE_SESSION_IDLE",
            "31d",
            (
                "MARKETPLACE_SESSION: Value error, access, idle and absolute must be positive and in "
                "ascending order"
            ),
        ),
        (
            "MARKETPLACE_SERVER_KEY",
            "secret",
            "MARKETPLACE_SERVER_KEY: Value should have at least 32 items after validation, not 6",
        ),
        (
            "MARKETPLACE_RATE_LOGIN_PER_IP",
            "often",
            "MARKETPLACE_RATE_LOGIN_PER_IP: Value error, couldn't parse rate limit string 'often'",
        ),
        (
            "HOLDFAST_PROFILE",
            "production",
            (
                "Value error, production needs DATABASE_URL, MARKETPLACE_SERVER_KEY, "
                "MARKETPLACE_CURSOR_KEY, MARKETPLACE_PAYMENT_WEBHOOK_KEY, MARKETPLACE_MAIL_URL"
            ),
        ),
    ],
)
def test_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    """What does not fit together, and what production does not make up."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UnusableSettings) as error:
        read_settings()
    assert error.value.parts()[0] == f"A setting cannot be used: {reason}."


def test_production_gives_no_verification_token_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when it is told to; development does so by itself."""
    assert read_settings().returns_verification_token
    for name, value in {
        "DATABASE_URL": "postgresql://db.example/shop",
        "HOLDFAST_PROFILE": "production",
        "MARKETPLACE_SERVER_KEY": "s" * 32,
        "MARKETPLACE_CURSOR_KEY": "c" * 32,
        "MARKETPLACE_PAYMENT_WEBHOOK_KEY": "w" * 32,
        "MARKETPLACE_MAIL_URL": "smtp://mail.example",
    }.items():
        monkeypatch.setenv(name, value)
    assert not read_settings().returns_verification_token
    monkeypatch.setenv("MARKETPLACE_RETURN_VERIFICATION_TOKEN", "true")
    with pytest.raises(UnusableSettings) as error:
        read_settings()
    assert error.value.parts()[0] == (
        "A setting cannot be used: Value error, production does not return verification tokens."
    )
