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
                "MARKETPLACE_MAIL_URL"
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
    in_production(monkeypatch)
    assert not read_settings().returns_verification_token
    monkeypatch.setenv("MARKETPLACE_RETURN_VERIFICATION_TOKEN", "true")
    with pytest.raises(UnusableSettings) as error:
        read_settings()
    assert error.value.parts()[0] == (
        "A setting cannot be used: Value error, production does not return verification tokens."
    )


SERVER_KEY = "J4pPv0mJmC2mX1aK8e0Q3hVn7yQ5sW9t"


def in_production(monkeypatch: pytest.MonkeyPatch, **others: str) -> None:
    """All that production needs, and others."""
    for name, value in {
        "DATABASE_URL": "postgresql://db.example/shop",
        "HOLDFAST_PROFILE": "production",
        "MARKETPLACE_SERVER_KEY": SERVER_KEY,
        "MARKETPLACE_MAIL_URL": "smtp://mail.example",
        **others,
    }.items():
        monkeypatch.setenv(name, value)


def reasons_against() -> str:
    with pytest.raises(UnusableSettings) as error:
        read_settings()
    return error.value.reasons


def test_one_secret_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other key is derived from it, each another one, and the same in every process."""
    in_production(monkeypatch)
    first, second = read_settings(), read_settings()
    keys = [first.server_key, first.keys_of_cursors[0], first.keys_of_payments[0]]
    assert len({key.get_secret_value() for key in keys}) == 3
    assert keys == [second.server_key, second.keys_of_cursors[0], second.keys_of_payments[0]]
    monkeypatch.setenv("MARKETPLACE_PAYMENT_WEBHOOK_KEY", "Wd7Rk3Tz9Bn5Xq1Lp8Gs4Hf6Jm2Vc0Ya")
    assert read_settings().keys_of_payments[0] != first.keys_of_payments[0]
    assert read_settings().keys_of_cursors[0] == first.keys_of_cursors[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER_KEY", "a" * 32),
        ("SERVER_KEY", " " * 32),
        ("SERVER_KEY", "abc" * 12),
        ("SERVER_KEY", "0123456789abcdef" * 2),
        ("CURSOR_KEY", "changeme" * 4),
        ("PAYMENT_WEBHOOK_KEY", "aaaaaaaabbbbbbbbccccccccdddddddd"),
        ("PAYMENT_WEBHOOK_KEY", SERVER_KEY),
        ("CURSOR_KEY", SERVER_KEY),
        ("PASSWORD_MEMORY_KIB", "8"),
        ("PASSWORD_MEMORY_KIB", "99999999"),
        ("PASSWORD_PASSES", "1"),
        ("PASSWORD_AT_ONCE", "1000"),
        ("SESSION_ACCESS", "13d"),
        ("SESSION_FRESH", "9000d"),
        ("SESSION_ABSOLUTE", "9000d"),
        ("VERIFICATION_LIFETIME", "300d"),
        ("PASSWORD_RESET_LIFETIME", "30d"),
        ("TRUSTED_PROXIES", "50"),
        ("RATE_LOGIN_PER_IP", "1000000000/second"),
        ("RATE_LOGIN_PER_ACCOUNT", "1000000/minute"),
        ("RATE_REFRESH_PER_ACCOUNT", "1000000/second"),
        ("RETURN_VERIFICATION_TOKEN", "true"),
    ],
)
def test_what_production_refuses(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Whatever weakens it, keys, costs, lifetimes, rates or proxies; by its name, without the value of a key."""
    in_production(monkeypatch)
    read_settings()
    monkeypatch.setenv(f"MARKETPLACE_{name}", value)
    reasons = reasons_against()
    assert f"MARKETPLACE_{name}" in reasons or "verification tokens" in reasons
    if name.endswith("_KEY"):
        assert value not in reasons


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_URL", "http://mail.example"),
        ("MAIL_URL", "nonsense"),
        ("MAIL_URL", "smtp://"),
        ("MAIL_URL", "smtp://me:s3cr3t@:587"),
        ("MAIL_URL", "smtp://me:s3cr3t@mail.example:port"),
        ("RATE_STORAGE", "foo://:s3cr3t@x"),
        ("RATE_STORAGE", "redis://:s3cr3t@localhost"),
    ],
)
def test_what_is_no_url(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """In whatever profile, and without what stands in it."""
    monkeypatch.setenv(f"MARKETPLACE_{name}", value)
    reasons = reasons_against()
    assert f"MARKETPLACE_{name}" in reasons
    assert "s3cr3t" not in reasons


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MARKETPLACE_PROFILE", "HOLDFAST_PROFILE"),
        ("MARKETPLACE_DATABASE_URL", "DATABASE_URL"),
        ("MARKETPLACE_TRUSTED_PROXY", "MARKETPLACE_TRUSTED_PROXIES"),
        ("MARKETPLACE_SERVERKEY", "MARKETPLACE_SERVER_KEY"),
        ("MARKETPLACE_MAX_REQUEST_BYTE", "MARKETPLACE_MAX_REQUEST_BYTES"),
        ("MARKETPLACE_RATES_LOGIN_PER_IP", "MARKETPLACE_RATE_LOGIN_PER_IP"),
        ("MARKETPLACE_SESSION_IDLES", "MARKETPLACE_SESSION_IDLE"),
        ("MARKETPLACE_NOTHING_LIKE_IT", ""),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_name_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, meant: str, place: str
) -> None:
    """Whatever is misspelt, at the top or in a group, in the environment or in .env: with what was meant."""
    monkeypatch.chdir(tmp_path)
    if place == ".env":
        (tmp_path / ".env").write_text(f"{name}=s3cr3t\n")
    else:
        monkeypatch.setenv(name, "s3cr3t")
    reasons = reasons_against()
    assert reasons.startswith(f"{name} is not known")
    assert meant in reasons
    assert "s3cr3t" not in reasons


def test_a_file_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says all of it or none: the profile, the database and ours alike; the environment overrules it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOLDFAST_PROFILE")
    (tmp_path / ".env").write_text(
        "HOLDFAST_PROFILE=test\nDATABASE_URL=postgresql://db.example/shop\nMARKETPLACE_PORT=8001\n"
        "OTHERS=matter\n"
    )
    settings = read_settings()
    assert (settings.profile, settings.port) == ("test", 8001)
    assert settings.database_url is not None
    monkeypatch.setenv("MARKETPLACE_PORT", "8002")
    assert read_settings().port == 8002
