"""An application's database from start to stop, for threads and for an event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic_project import Project
from backends import backends, wait_for_backends, wait_until
from sqlalchemy import Column, Integer, MetaData, NullPool, Table, text

from holdfast.application.database import AsyncDatabase, Database
from holdfast.application.health import Health
from holdfast.engine.create_engine import create_engine
from holdfast.engine.environment import stamp
from holdfast.engine.pool.places import Figures
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.errors.database import EnvironmentMismatch, MigrationsNotApplied, NoMigrationsFolder
from holdfast.errors.migration import DatabaseAhead

METADATA = MetaData()
Table("product", METADATA, Column("id", Integer, primary_key=True))

NAME = "shop-under-test"
WAITING = "waiting until another process has migrated to r1"
SettingsFor = Callable[..., Settings]


@pytest.fixture
def shop(project: Project) -> SettingsFor:
    """Settings for a project with one migration."""
    project.revision("op.execute('CREATE TABLE shop (id integer)')")

    def with_values(**values: Any) -> Settings:
        limits = {"max": 4, "min": 2, "timeout": "5s"}
        given = {
            "profile": "development",
            "url": project.database,
            "migrations": str(project.folder),
        }
        return Settings(
            **given | {"pool": limits, "application_name": NAME, "log_sql": "off"} | values
        )

    return with_values


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def tables(url: str) -> list[str]:
    statement = (
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return sorted(name for (name,) in query(url, statement))


def test_start_migrates_stamps_and_prewarms(shop: SettingsFor, project: Project) -> None:
    """And stop leaves no connection behind."""
    database = Database(shop())
    database.start()
    assert tables(project.database) == ["alembic_version", "shop"]
    assert query(project.database, "SELECT profile, synchronized_at FROM holdfast.environment") == [
        ("development", None)
    ]
    wait_for_backends(project.database, NAME, 2)
    database.stop()
    wait_for_backends(project.database, NAME, 0)


def test_start_in_an_event_loop(shop: SettingsFor, project: Project) -> None:
    """The same, and the loop goes on meanwhile."""

    async def life() -> int:
        database = AsyncDatabase(shop())
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        heart = asyncio.create_task(beat())
        await database.start()
        heart.cancel()
        assert tables(project.database) == ["alembic_version", "shop"]
        assert len(backends(project.database, NAME)) == 2
        async with database.sessions() as session:
            await session.execute(text("INSERT INTO shop VALUES (1)"))
            await session.commit()
        await database.stop()
        return beats

    assert asyncio.run(life()) > 2
    assert query(project.database, "SELECT id FROM shop") == [(1,)]


def test_a_second_start_finds_nothing_to_do(shop: SettingsFor, project: Project) -> None:
    """Restarts are harmless."""
    for _ in range(2):
        database = Database(shop())
        database.start()
        database.stop()
    assert tables(project.database) == ["alembic_version", "shop"]


def test_five_starts_at_once(shop: SettingsFor, project: Project) -> None:
    """One migrates, the others wait for it; nobody fails."""

    def start(_: int) -> None:
        database = Database(shop())
        database.start()
        database.stop()

    with ThreadPoolExecutor(5) as starts:
        list(starts.map(start, range(5)))
    assert tables(project.database) == ["alembic_version", "shop"]


def test_an_env_py_of_alembic_s_cookbook(shop: SettingsFor, project: Project) -> None:
    """It takes the connection that the program hands it."""
    project.env(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'])\n"
        "with context.begin_transaction():\n"
        "    context.run_migrations()\n"
    )
    database = Database(shop())
    database.start()
    database.stop()
    assert tables(project.database) == ["alembic_version", "shop"]


def test_off_leaves_the_migrations_alone(shop: SettingsFor, project: Project) -> None:
    """Neither a path is needed then."""
    database = Database(shop(migrate_on_start="off", migrations=None))
    database.start()
    database.stop()
    assert tables(project.database) == []


def test_migrations_may_begin_later(shop: SettingsFor, project: Project) -> None:
    """A database that only has its stamp is migrated as a new one."""
    for who in ("off", "run"):
        database = Database(shop(migrate_on_start=who))
        database.start()
        database.stop()
    assert tables(project.database) == ["alembic_version", "shop"]


def test_run_needs_a_path(shop: SettingsFor) -> None:
    """The error names the setting."""
    with pytest.raises(NoMigrationsFolder):
        Database(shop(migrations=None)).start()


def test_wait_waits_for_another_instance(
    shop: SettingsFor, caplog: pytest.LogCaptureFixture
) -> None:
    """It serves when the other has migrated, and not before."""
    caplog.set_level("INFO", "holdfast.application.start_up")
    waiting = Database(shop(migrate_on_start="wait"))
    with ThreadPoolExecutor(1) as instance:
        start = instance.submit(waiting.start)
        wait_until(lambda: WAITING in caplog.text, what="the waiting instance")
        assert not start.done()
        running = Database(shop())
        running.start()
        start.result(30)
    running.stop()
    waiting.stop()


def test_wait_has_a_limit(shop: SettingsFor) -> None:
    """The error says what was expected and what is there."""
    with pytest.raises(MigrationsNotApplied) as raised:
        Database(shop(migrate_on_start="wait", migrate_wait="1ms")).start()
    assert raised.value.parts()[0] == (
        "The database is at no revision, this code needs r1; waited 1 ms."
    )


def test_wait_does_not_wait_for_what_is_newer(shop: SettingsFor, project: Project) -> None:
    """A database ahead of this code will not come back by itself."""
    query(
        project.database,
        "SELECT 1; CREATE TABLE alembic_version AS SELECT 'newer' AS version_num",
    )
    with pytest.raises(DatabaseAhead):
        Database(shop(migrate_on_start="wait")).start()


def test_a_cancelled_start_stops_waiting(
    shop: SettingsFor, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that is told to end ends, though the migrations never came."""
    caplog.set_level("INFO", "holdfast.application.start_up")

    async def life() -> None:
        start = asyncio.create_task(AsyncDatabase(shop(migrate_on_start="wait")).start())
        await asyncio.to_thread(wait_until, lambda: WAITING in caplog.text, what="the wait")
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(life())  # joins the threads


def test_synchronisation_comes_after_the_migrations(shop: SettingsFor, project: Project) -> None:
    """In development, switched on: missing tables are there, and the stamp says how they came."""
    database = Database(shop(synchronize=True), metadata=METADATA)
    database.start()
    database.stop()
    assert tables(project.database) == ["alembic_version", "product", "shop"]
    stamp = "SELECT profile, synchronized_at IS NOT NULL FROM holdfast.environment"
    assert query(project.database, stamp) == [("development", True)]


def test_without_the_setting_nothing_is_synchronised(shop: SettingsFor, project: Project) -> None:
    """The models alone change nothing."""
    database = Database(shop(), metadata=METADATA)
    database.start()
    database.stop()
    assert tables(project.database) == ["alembic_version", "shop"]


@pytest.mark.parametrize("profile", ["development", "test"])
def test_nothing_happens_on_a_production_database(
    shop: SettingsFor, project: Project, profile: str
) -> None:
    """Refused before a migration runs."""
    stamp(create_engine(shop(), poolclass=NullPool), profile=Profile.PRODUCTION)
    with pytest.raises(EnvironmentMismatch):
        Database(shop(profile=profile)).start()
    assert tables(project.database) == []


def test_production_does_not_start_on_a_development_database(
    shop: SettingsFor, project: Project
) -> None:
    """The reverse."""
    stamp(create_engine(shop(), poolclass=NullPool), profile=Profile.DEVELOPMENT)
    with pytest.raises(EnvironmentMismatch):
        Database(shop(profile="production")).start()
    assert tables(project.database) == []


def test_health(shop: SettingsFor) -> None:
    """Ready, with the figures of the pool."""
    database = Database(shop())
    database.start()
    with database.sessions() as session:
        session.execute(text("SELECT 1"))
        assert database.health() == Health(
            is_ready=True,
            problem=None,
            pool=Figures(maximum=4, idle=1, used=1, connecting=0, waiting=0),
        )
    database.stop()


def test_health_names_the_problem(shop: SettingsFor) -> None:
    """Not ready, and why; an exhausted pool is a reason as well."""
    away = shop(url="postgresql://postgres@/shop?host=/nowhere")
    health = Database(away).health()
    assert health.is_ready is False
    assert "No such file or directory" in (health.problem or "")

    async def exhausted() -> Health:
        database = AsyncDatabase(shop(pool={"max": 1, "min": 1, "timeout": "50ms"}))
        await database.start()
        async with database.engine.connect():
            health = await database.health()
        await database.stop()
        return health

    assert "became free within 50 ms" in (asyncio.run(exhausted()).problem or "")
