"""The table, cell by cell: what is in force in each profile and what each refuses."""

from datetime import timedelta

import pytest

from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.profiles import MigrateOnStart, Profile, SqlLog, Tls
from holdfast.engine.settings import Settings, Timeouts
from holdfast.errors.settings import RefusedSetting

SECONDS = timedelta(seconds=1)
URL = "postgresql://app@db.example/shop"


def settings(profile: Profile | None = None, **values: object) -> Settings:
    given = {} if profile is None else {"profile": profile}
    return Settings(url=URL, **given, **values)


@pytest.mark.parametrize(
    ("profile", "log_sql", "tls"),
    [
        (Profile.DEVELOPMENT, SqlLog.STATEMENTS, Tls.REMOTE),
        (Profile.TEST, SqlLog.OFF, Tls.OFF),
        (Profile.PRODUCTION, SqlLog.OFF, Tls.REQUIRED),
    ],
)
def test_defaults(profile: Profile, log_sql: SqlLog, tls: Tls) -> None:
    """SQL is logged in development only; TLS is required in production; synchronisation is off."""
    found = settings(profile)
    assert (found.log_sql, found.tls, found.synchronize) == (log_sql, tls, False)


def test_an_unset_profile_is_production() -> None:
    """Whoever forgets it gets the strictest."""
    assert settings() == settings(Profile.PRODUCTION)


@pytest.mark.parametrize("profile", [Profile.DEVELOPMENT, Profile.PRODUCTION])
def test_pool_of_development_and_production(profile: Profile) -> None:
    """max 20, min 5, idle 30 s, connection timeout 2 s."""
    pool = PoolLimits(max=20, min=5, idle=30 * SECONDS, timeout=2 * SECONDS)
    assert settings(profile).pool == pool
    assert pool.max_lifetime == timedelta(minutes=30)


def test_pool_of_tests_is_smaller() -> None:
    """Many test processes share one server."""
    assert settings(Profile.TEST).pool == PoolLimits(
        max=5, min=0, idle=5 * SECONDS, timeout=5 * SECONDS
    )


@pytest.mark.parametrize("profile", list(Profile))
def test_timeouts(profile: Profile) -> None:
    """The same everywhere: what is too slow in production is too slow in development."""
    assert settings(profile).timeouts == Timeouts(
        statement=30 * SECONDS,
        lock=5 * SECONDS,
        idle_in_transaction=60 * SECONDS,
        tcp_user=5 * SECONDS,
        keepalives_idle=30 * SECONDS,
        keepalives_interval=5 * SECONDS,
        keepalives_count=3,
    )


@pytest.mark.parametrize("profile", list(Profile))
def test_migrations_run_at_start(profile: Profile) -> None:
    """Unless it is said who else runs them; the path is the same setting everywhere."""
    found = settings(profile, migrations="shop:migrations")
    assert (found.migrate_on_start, found.migrations) == (MigrateOnStart.RUN, "shop:migrations")


@pytest.mark.parametrize("named", ["wait", "off"])
def test_production_may_leave_migrations_to_others(named: str) -> None:
    """By naming it."""
    assert settings(migrate_on_start=named).migrate_on_start is MigrateOnStart(named)


def test_development_may_synchronise() -> None:
    """Switched on; not by default."""
    assert settings(Profile.DEVELOPMENT, synchronize=True).synchronize is True


@pytest.mark.parametrize(
    ("profile", "setting", "value"),
    [
        (Profile.TEST, "synchronize", "true"),
        (Profile.PRODUCTION, "synchronize", "true"),
        (Profile.PRODUCTION, "log_sql", "parameters"),
        (Profile.PRODUCTION, "tls", "off"),
    ],
)
def test_refusals_name_the_setting(profile: Profile, setting: str, value: str) -> None:
    """The variable and its value, why, and what to do instead."""
    with pytest.raises(RefusedSetting) as raised:
        settings(profile, **{setting: value})
    what, why, remedy = raised.value.parts()
    assert what == f"HOLDFAST_{setting.upper()}={value} is refused in the profile {profile}."
    assert why
    assert remedy


@pytest.mark.parametrize("value", ["statements", "off"])
def test_production_may_log_statements(value: str) -> None:
    """Without their parameters."""
    assert settings(log_sql=value).log_sql is SqlLog(value)


@pytest.mark.parametrize(
    ("value", "warning"),
    [
        ("remote", "tls=remote: connections to loopback addresses are in the clear"),
        (
            "encrypt-only",
            (
                "tls=encrypt-only: the server is not authenticated; "
                "a man in the middle reads and changes everything"
            ),
        ),
    ],
)
def test_weaker_tls_in_production_is_a_warning(
    caplog: pytest.LogCaptureFixture, value: str, warning: str
) -> None:
    """It is possible only by naming it, and never silent."""
    settings(tls=value)
    assert [record.getMessage() for record in caplog.records] == [warning]


@pytest.mark.parametrize("profile", [Profile.DEVELOPMENT, Profile.PRODUCTION])
def test_a_pooler_needs_a_ca(profile: Profile) -> None:
    """It ends TLS itself, so channel binding cannot take the place of a CA."""
    with pytest.raises(RefusedSetting) as raised:
        settings(profile, pooler=True)
    assert raised.value.variable == "HOLDFAST_POOLER"
    assert settings(profile, pooler=True, tls_ca="system").is_pooled
