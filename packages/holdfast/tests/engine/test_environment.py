"""A database knows which environment it belongs to."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, NullPool, make_url, text

from holdfast.engine.create_engine import create_engine
from holdfast.engine.environment import require_same_environment, stamp
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.errors.database import EnvironmentMismatch


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    return create_engine(Settings(profile="test", url=database), poolclass=NullPool)


def stamped(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT profile FROM holdfast.environment")))


def test_the_first_start_stamps(engine: Engine) -> None:
    """Once; a later start changes nothing."""
    stamp(engine, profile=Profile.TEST)
    stamp(engine, profile=Profile.DEVELOPMENT)
    assert stamped(engine) == ["test"]


def test_twenty_first_starts_at_once(engine: Engine) -> None:
    """Nobody fails, one stamp."""
    with ThreadPoolExecutor(20) as starts:
        list(starts.map(lambda _: stamp(engine, profile=Profile.PRODUCTION), range(20)))
    assert stamped(engine) == ["production"]


def test_an_unstamped_database_is_anybodys(engine: Engine) -> None:
    """And asking writes nothing."""
    with engine.connect() as connection:
        require_same_environment(connection, profile=Profile.PRODUCTION)
        assert connection.scalar(text("SELECT to_regnamespace('holdfast')")) is None


def test_a_role_without_rights_on_the_schema(engine: Engine, database: str) -> None:
    """Migrations by another role have made it; who only asks is not refused, who stamps goes on without."""
    role = f"app_{secrets.token_hex(4)}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute("CREATE SCHEMA holdfast")
        app = create_engine(
            Settings(profile="test", url=make_url(database).set(username=role).render_as_string()),
            poolclass=NullPool,
        )
        stamp(app, profile=Profile.PRODUCTION)
        connection.execute(f"DROP ROLE {role}".encode())
        assert connection.execute("SELECT to_regclass('holdfast.environment')").fetchone() == (
            None,
        )


@pytest.mark.parametrize(
    ("database_of", "process", "is_refused"),
    [
        (Profile.PRODUCTION, Profile.PRODUCTION, False),
        (Profile.PRODUCTION, Profile.DEVELOPMENT, True),
        (Profile.PRODUCTION, Profile.TEST, True),
        (Profile.DEVELOPMENT, Profile.PRODUCTION, True),
        (Profile.TEST, Profile.PRODUCTION, True),
        (Profile.DEVELOPMENT, Profile.TEST, False),
        (Profile.TEST, Profile.DEVELOPMENT, False),
    ],
)
def test_who_may_work_on_what(
    engine: Engine, database_of: Profile, process: Profile, is_refused: bool
) -> None:
    """Production and the others never mix; development and test may."""
    stamp(engine, profile=database_of)
    with engine.connect() as connection:
        if not is_refused:
            require_same_environment(connection, profile=process)
            return
        with pytest.raises(EnvironmentMismatch) as raised:
            require_same_environment(connection, profile=process)
    what, _, remedy = raised.value.parts()
    name = engine.url.database
    assert what == f"A {process} process was pointed at the {database_of} database {name}."
    assert f"UPDATE holdfast.environment SET profile = '{process}';" in remedy


def test_the_losing_side_of_a_first_start_is_refused(engine: Engine) -> None:
    """Stamping compares as well."""
    stamp(engine, profile=Profile.PRODUCTION)
    with pytest.raises(EnvironmentMismatch):
        stamp(engine, profile=Profile.DEVELOPMENT)


def test_a_role_without_rights_reads_the_stamp_and_goes_on_without(
    engine: Engine, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An application that owns nothing: it cannot stamp, which is a warning; it can always read."""
    role = f"role_of_{engine.url.database}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            settings = Settings(profile="test", url=database.replace("postgres@", f"{role}@"))
            poor = create_engine(settings, poolclass=NullPool)
            stamp(poor, profile=Profile.PRODUCTION)
            assert "the database is not stamped: permission denied" in caplog.text
            stamp(engine, profile=Profile.PRODUCTION)
            with poor.connect() as reading, pytest.raises(EnvironmentMismatch):
                require_same_environment(reading, profile=Profile.DEVELOPMENT)
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
