"""How settings are read, and that no secret and no typing mistake gets through."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.profiles import Profile, Tls
from holdfast.engine.settings import BackfillSettings, EnvironmentSettings, Settings
from holdfast.errors import HoldfastError
from holdfast.errors.settings import InvalidSettings, PasswordFileUnreadable, UnknownVariable

SECRET = "hunter2"
URL = f"postgresql://app:{SECRET}@db.example/shop"
Set = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No .env but the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> Set:
    return monkeypatch.setenv


@pytest.mark.parametrize("settings", EnvironmentSettings.__subclasses__())
def test_no_class_of_settings_takes_the_variables_of_another_for_misspelt(
    settings: type[EnvironmentSettings], setenv: Set
) -> None:
    """Whatever else is set for holdfast, each class reads its own."""
    if not settings.__module__.startswith("holdfast."):
        return
    for name in (*Settings.other_variables, *Settings.variables()):
        setenv(name, "")
    setenv("HOLDFAST_PROFILE", "development")
    settings()


def test_variables_are_read(setenv: Set) -> None:
    """With our prefix; groups by their name."""
    setenv("HOLDFAST_PROFILE", "development")
    setenv("HOLDFAST_POOL_MAX", "7")
    setenv("HOLDFAST_POOL_MAX_LIFETIME", "1h")
    setenv("HOLDFAST_TIMEOUTS_IDLE_IN_TRANSACTION", "500ms")
    found = Settings()
    assert (found.profile, found.pool.max, found.pool.min) == (Profile.DEVELOPMENT, 7, 5)
    assert found.pool.max_lifetime.total_seconds() == 3600
    assert found.timeouts.idle_in_transaction.total_seconds() == 0.5


def test_every_setting_has_a_variable() -> None:
    """The names, as a reader of the documentation needs them."""
    assert Settings.variables()[:5] == (
        "HOLDFAST_PROFILE",
        "HOLDFAST_URL",
        "DATABASE_URL",
        "HOLDFAST_PASSWORD",
        "HOLDFAST_PASSWORD_FILE",
    )
    assert {"HOLDFAST_POOL_MAX", "HOLDFAST_TIMEOUTS_LOCK"} < set(Settings.variables())


@pytest.mark.parametrize("variable", ["DATABASE_URL", "HOLDFAST_URL"])
def test_the_url_is_read_under_both_names(setenv: Set, variable: str) -> None:
    """The one that every platform sets, and ours."""
    setenv(variable, URL)
    assert str(Settings().url) == "postgresql+psycopg://app@db.example/shop"


def test_code_before_environment_before_file_before_profile(setenv: Set, tmp_path: Path) -> None:
    """Each level fills what the one above leaves open, also inside a group."""
    (tmp_path / ".env").write_text(
        "HOLDFAST_POOL_MAX=2\nHOLDFAST_POOL_MIN=2\nHOLDFAST_POOL_IDLE=2s\n"
    )
    setenv("HOLDFAST_POOL_MAX", "3")
    setenv("HOLDFAST_POOL_MIN", "3")
    pool = Settings(pool={"max": 4}).pool
    assert (pool.max, pool.min) == (4, 3)
    assert [pool.idle.total_seconds(), pool.timeout.total_seconds()] == [2, 2]


def test_limits_may_be_given_whole() -> None:
    """As an object, from code."""
    limits = PoolLimits(max=3, min=1)
    assert Settings(pool=limits).pool == limits


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HOLDFAST_POOL_MAXX", "HOLDFAST_POOL_MAX"),
        ("HOLDFAST_SYNCHRONISE", "HOLDFAST_SYNCHRONIZE"),
        ("HOLDFAST_TLS_CA_FILE", "HOLDFAST_TLS_CA"),
        ("HOLDFAST_DATABASE_URL", "DATABASE_URL"),
        ("holdfast_profil", "HOLDFAST_PROFILE"),
    ],
)
def test_a_misspelt_variable_is_an_error(setenv: Set, written: str, meant: str) -> None:
    """Ignored, it would leave a default in force; the right name is suggested."""
    setenv(written, "x")
    with pytest.raises(UnknownVariable) as raised:
        Settings()
    assert raised.value.parts()[::2] == (
        f"The variable {written.upper()} is not a setting.",
        f"Did you mean {meant}?",
    )


def test_a_variable_that_resembles_none_gets_the_list(setenv: Set) -> None:
    """All names, to choose from."""
    setenv("HOLDFAST_XYZZY", "x")
    with pytest.raises(UnknownVariable) as raised:
        Settings()
    assert raised.value.advice.startswith(
        "Unset it. There are DATABASE_URL, HOLDFAST_ALLOW, HOLDFAST_APPLICATION_NAME, "
    )


def test_a_misspelt_variable_in_the_file_is_an_error(tmp_path: Path) -> None:
    """The same; names of others are none of our business."""
    (tmp_path / ".env").write_text("OTHER=1\nHOLDFAST_PROFLIE=test\n")
    with pytest.raises(UnknownVariable):
        Settings()


@pytest.mark.parametrize(
    "known", ["HOLDFAST_TEST_URL", "HOLDFAST_SCRATCH_URL", "HOLDFAST_DOCS_URL"]
)
def test_variables_of_other_parts_are_known(setenv: Set, known: str) -> None:
    """They have our prefix and are read elsewhere."""
    setenv(known, "postgresql://db/x")
    assert Settings().profile is Profile.PRODUCTION


def test_no_part_refuses_the_variables_of_another(setenv: Set) -> None:
    """Whatever of holdfast's own is set, each class of settings can be made."""
    parts = EnvironmentSettings.__subclasses__()
    ours = [part for part in parts if part.__module__ == Settings.__module__]
    for name in {name for part in ours for name in part.variables()} - {"HOLDFAST_POOLER"}:
        setenv(name, "")
    assert [type(part()) for part in ours] == ours


def test_an_application_embeds_the_settings(setenv: Set) -> None:
    """Its own prefix with the same strictness, and one object for both."""

    class ShopSettings(EnvironmentSettings):
        model_config = SettingsConfigDict(env_prefix="SHOP_")
        currency: str = "EUR"
        database: Settings = Field(default_factory=Settings)

    setenv("SHOP_CURRENCY", "CHF")
    setenv("HOLDFAST_POOL_MAX", "6")
    found = ShopSettings()
    assert (found.currency, found.database.pool.max) == ("CHF", 6)
    setenv("SHOP_CURENCY", "CHF")
    with pytest.raises(UnknownVariable):
        ShopSettings()


def test_an_application_extends_the_settings(setenv: Set) -> None:
    """More fields, the same prefix."""

    class ShopSettings(Settings):
        currency: str = "EUR"

    setenv("HOLDFAST_CURRENCY", "CHF")
    assert ShopSettings().currency == "CHF"


# TLS in the URL


@pytest.mark.parametrize(
    ("query", "tls", "ca"),
    [
        ("sslmode=disable", Tls.OFF, None),
        ("sslmode=prefer", Tls.REQUIRED, None),
        ("sslmode=require", Tls.REQUIRED, None),
        ("sslmode=verify-full", Tls.REQUIRED, "system"),
        ("sslmode=verify-ca&sslrootcert=/ca.pem", Tls.REQUIRED, "/ca.pem"),
    ],
)
def test_the_url_says_how_tls_is_done(query: str, tls: Tls, ca: str | None) -> None:
    """Never weaker than it says; a mode that falls back to plain text becomes one that does not."""
    found = Settings(profile="development", url=f"{URL}?{query}")
    assert (found.tls, found.tls_ca) == (tls, ca)


def test_a_setting_beats_the_url() -> None:
    """The more explicit one."""
    found = Settings(url=f"{URL}?sslmode=require", tls="encrypt-only", password="other")
    assert (found.tls, found.read_password()) == (Tls.ENCRYPT_ONLY, "other")


# Passwords


def test_password_from_the_url() -> None:
    """It is moved out of the URL."""
    assert Settings(url=URL).read_password() == SECRET


def test_password_of_its_own(setenv: Set) -> None:
    """Beats the one in the URL."""
    setenv("HOLDFAST_PASSWORD", "other")
    assert Settings(url=URL).read_password() == "other"


def test_password_from_a_file(tmp_path: Path) -> None:
    """Read anew each time, because secrets rotate; without the line end."""
    file = tmp_path / "password"
    file.write_text("first\n")
    found = Settings(password_file=file)
    assert found.read_password() == "first"
    file.write_text("second\n")
    assert found.read_password() == "second"


def test_password_file_that_is_not_there(tmp_path: Path) -> None:
    """Says which file."""
    with pytest.raises(PasswordFileUnreadable) as raised:
        Settings(password_file=tmp_path / "none").read_password()
    assert raised.value.file == tmp_path / "none"


def test_password_from_a_callable() -> None:
    """Asked each time: a token of an identity service."""
    tokens = iter(["first", "second"])
    found = Settings(password=lambda: next(tokens))
    assert [found.read_password(), found.read_password()] == ["first", "second"]


def test_no_password() -> None:
    """Certificates, peer authentication, ~/.pgpass."""
    assert Settings().has_password is False
    assert Settings().read_password() is None


# Secrets


@pytest.mark.parametrize(
    "values",
    [{"url": URL}, {"password": SECRET}, {"password": SecretStr(SECRET)}],
)
def test_no_secret_in_any_form_of_the_settings(values: dict[str, object]) -> None:
    """repr, str, JSON, and the pieces that a pretty printer takes apart."""
    found = Settings(**values)
    shown = (
        repr(found),
        str(found),
        found.model_dump_json(),
        repr(dict(found)),
        repr(tuple(found.url or ())),
    )
    assert not any(SECRET in text for text in shown)


@pytest.mark.parametrize(
    "values",
    [
        {"url": f"mysql://app:{SECRET}@db/shop"},
        {"url": f"postgresql://app:{SECRET}@db:port/shop"},
        {"url": URL, "pool": {"max": 0}},
        {"url": URL, "profile": SECRET},
        {"password": [SECRET]},
        {"url": URL, "tls": "off"},
        {"url": URL, "password_file": 5},
    ],
)
def test_no_secret_in_an_error(values: dict[str, object]) -> None:
    """Neither in its text, nor in what caused it, nor in the locals of our functions on the way."""
    with pytest.raises(HoldfastError) as raised:
        Settings(**values)
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    ours = [frame for frame in told.stack if "holdfast/src" in frame.filename]
    assert ours
    assert SECRET not in str(raised.value) + repr(raised.value)
    assert raised.value.__context__ is None
    assert not any(SECRET in str(frame.locals) for frame in ours)


def test_the_variable_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has set it corrects it by its name."""
    monkeypatch.setenv("HOLDFAST_BACKFILL_ROWS_PER_SECOND", "0")
    with pytest.raises(InvalidSettings, match="HOLDFAST_BACKFILL_ROWS_PER_SECOND: Input should be"):
        BackfillSettings()


def test_what_is_wrong_is_named() -> None:
    """All of it at once, by name."""
    with pytest.raises(InvalidSettings) as raised:
        Settings(profile="staging", pool={"min": 9, "max": 8})
    assert raised.value.problems == (
        "profile: Input should be 'development', 'test' or 'production'; "
        "pool: Value error, min (9) is larger than max (8)"
    )
