"""The contract of the pool, on a server: what the usual recipes get wrong, counted in backends and errors."""

import gc
import json
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from backends import backends, terminate, wait_for_backends, wait_until
from pools import PID, pid, pool_of, use_at_once
from sqlalchemy import Engine, NullPool, Pool, event, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError

from holdfast.engine.create_engine import create_engine
from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.pool.places import Figures
from holdfast.engine.pool.sized import SizedPool
from holdfast.engine.settings import Settings
from holdfast.errors.pool import PoolExhausted

Engines = Callable[..., Engine]


def wait_in_connect(engine: Engine, barrier: threading.Barrier) -> None:
    @event.listens_for(engine, "do_connect")
    def wait(*_: object) -> None:
        barrier.wait()


def test_prewarm_opens_the_minimum(engine: Engines, database: str, application_name: str) -> None:
    """After prewarm there are `min` backends, before there is none."""
    pool = pool_of(engine(min=3))
    assert len(backends(database, application_name)) == 0
    pool.prewarm()
    assert len(backends(database, application_name)) == 3
    assert pool.figures() == Figures(maximum=4, idle=3, used=0, connecting=0, waiting=0)


def test_prewarm_connects_in_parallel(engine: Engines) -> None:
    """Every connect waits here until all of them have begun: one after the other would never end."""
    prewarmed = engine(min=4)
    all_begun = threading.Barrier(4, timeout=10)
    wait_in_connect(prewarmed, all_begun)
    pool_of(prewarmed).prewarm()
    assert pool_of(prewarmed).figures().idle == 4


def test_cold_burst_connects_in_parallel(engine: Engines) -> None:
    """A burst on an empty pool is served at once, connection by connection side by side."""
    burst = engine(max=8, min=0)
    all_begun = threading.Barrier(8, timeout=10)
    wait_in_connect(burst, all_begun)
    with ThreadPoolExecutor(8) as threads:
        pids = list(threads.map(lambda _: pid(burst), range(8)))
    assert len(pids) == 8


def test_never_more_than_the_maximum(engine: Engines, database: str, application_name: str) -> None:
    """Sixteen threads on a pool of four: every request is served, by four backends in all."""
    shared = engine()
    with ThreadPoolExecutor(16) as threads:
        pids = set(threads.map(lambda _: pid(shared), range(200)))
    assert pids == backends(database, application_name)
    assert len(pids) <= 4


def test_idle_connections_are_closed_down_to_the_minimum(
    engine: Engines, database: str, application_name: str
) -> None:
    """Whatever was opened in a burst is gone after `idle`; `min` stay."""
    assert len(use_at_once(engine(idle="200ms"), 4)) == 4
    wait_for_backends(database, application_name, 2)


def test_one_look_closes_all_that_are_due(engine: Engines) -> None:
    """Idle for so long means that each is closed then, not one of them in each period."""
    pool = pool_of(shrinking := engine(idle="1ms"))
    pool._reaper.plan = lambda: None  # type: ignore[method-assign]  # we look ourselves
    use_at_once(shrinking, 4)
    wait_until(lambda: all_due(pool), what="the time to be due")
    pool._reaper.reap(pool)
    assert pool.figures().idle == 2


def all_due(pool: SizedPool) -> bool:
    since = [since for since, _ in pool.places.idle]
    return time.monotonic() - max(since) > 0.001


def test_used_connections_do_not_keep_the_others_from_ageing(
    engine: Engines, database: str, application_name: str
) -> None:
    """The connection used last is used next, so a trickle of requests keeps one alive and no more."""
    trickle = engine(idle="200ms", min=0)
    use_at_once(trickle, 4)

    def one_is_left() -> bool:
        pid(trickle)
        return len(backends(database, application_name)) == 1

    wait_until(one_is_left, what="one backend under a trickle")


def test_exhausted_says_why_and_what_to_do(engine: Engines) -> None:
    """The error is SQLAlchemy's TimeoutError, with the figures and a way out."""
    full = engine(max=1, min=1, timeout="50ms")
    pool_of(full).prewarm()
    with full.connect(), pytest.raises(SQLAlchemyTimeoutError) as raised:
        full.connect()
    assert isinstance(raised.value, PoolExhausted)
    what, why, remedy = raised.value.parts()
    assert what == f"No connection to {pool_of(full).name} became free within 50 ms."
    assert why.startswith("Of 1 connections 1 are in use and 0 are being opened; 1 requests wait.")
    assert "HOLDFAST_POOL_MAX" in remedy


def test_a_returned_connection_goes_to_the_request_that_waits(engine: Engines) -> None:
    """A request that waits is woken by the return, with the very connection."""
    full = engine(max=1, min=0)
    held = full.connect()
    held_pid = held.scalar(PID)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pid, full)
        wait_until(lambda: pool_of(full).figures().waiting == 1, what="a waiting request")
        held.close()
        assert waiting.result(10) == held_pid


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://postgres@127.0.0.1:1/postgres", "Connection refused"),
        ("postgresql://postgres@/postgres?host=/nowhere", "No such file or directory"),
    ],
)
def test_no_server_fails_at_once_with_the_cause(
    settings: Callable[..., Settings], url: str, message: str
) -> None:
    """The deadline is an hour away and the error says what is wrong now."""
    away = create_engine(settings(url=url, timeout="1h"))
    with pytest.raises(OperationalError, match=message):
        away.connect()
    assert pool_of(away).figures() == Figures(maximum=4, idle=0, used=0, connecting=0, waiting=0)


def test_no_such_database_says_so(settings: Callable[..., Settings], database: str) -> None:
    """The server's own words arrive, for prewarm too."""
    name = database.partition("?")[0].rpartition("/")[2]
    away = create_engine(settings(url=database.replace(name, "nosuchdatabase")))
    with pytest.raises(OperationalError, match='database "nosuchdatabase" does not exist'):
        away.connect()
    with pytest.raises(Exception, match='database "nosuchdatabase" does not exist'):
        pool_of(away).prewarm()


def test_engine_options_work(engine: Engines) -> None:
    """What the driver bridges drop: JSON functions and types set on the dialect."""
    configured = engine(
        options={
            "json_serializer": lambda value: json.dumps({"wrapped": value}),
            "json_deserializer": lambda raw: ("read", json.loads(raw)),
            "native_inet_types": False,
        }
    )
    for _ in range(2):
        with configured.connect() as connection:
            query = text("SELECT :j ::jsonb AS j, '1.2.3.4'::inet AS i")
            typed = query.columns(j=JSONB, i=INET)
            row = connection.execute(typed, {"j": json.dumps({"a": 1})}).one()
        assert row == (("read", {"a": 1}), "1.2.3.4")


def test_unknown_pool_options_are_refused(settings: Callable[..., Settings]) -> None:
    """`pool_size` has no meaning here and is not swallowed."""
    with pytest.raises(TypeError, match="pool_size"):
        create_engine(settings(), pool_size=7)


def test_another_pool_class_may_be_chosen(settings: Callable[..., Settings]) -> None:
    """All that is not pooling stays: address, TLS, timeouts."""
    unpooled = create_engine(settings(), poolclass=NullPool)
    with unpooled.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "5s"


def test_pool_events_fire_once_each(engine: Engines) -> None:
    """`connect` once a connection; `checkout`, `checkin` and `reset` once a use; `close` at the end."""
    listened = engine()
    seen: list[str] = []
    for name in ("connect", "checkout", "checkin", "reset", "close"):
        event.listen(listened, name, lambda *_, name=name: seen.append(name))
    for _ in range(3):
        pid(listened)
    listened.dispose()
    assert sorted(seen) == sorted(["connect", *["checkout", "reset", "checkin"] * 3, "close"])


def test_a_notice_is_heard_once(engine: Engines, caplog: pytest.LogCaptureFixture) -> None:
    """Handlers do not pile up with checkouts."""
    noisy = engine(max=1, min=0)
    for _ in range(10):
        pid(noisy)
    caplog.set_level("INFO", "sqlalchemy.dialects.postgresql")
    with noisy.connect() as connection:
        connection.execute(text("DO $$ BEGIN RAISE NOTICE 'heard'; END $$"))
    assert [record.getMessage() for record in caplog.records] == ["NOTICE: heard"]


def test_state_is_reset_on_return(engine: Engines) -> None:
    """Isolation level, read-only and open transactions end with their use."""
    shared = engine(max=1, min=0)
    with shared.connect() as connection:
        changed = connection.execution_options(
            isolation_level="SERIALIZABLE", postgresql_readonly=True
        )
        changed.execute(text("SELECT 1"))
    with shared.connect() as connection:
        state = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
        assert connection.execute(text(state)).one() == ("read committed", "off")


def test_dispose_closes_everything(engine: Engines, database: str, application_name: str) -> None:
    """Idle ones at once, those in use when they come back; the engine works on, with a new pool."""
    disposed = engine()
    use_at_once(disposed, 3)
    held = disposed.connect()
    disposed.dispose()
    wait_for_backends(database, application_name, 1)
    held.close()
    wait_for_backends(database, application_name, 0)
    assert pid(disposed) > 0


def test_detached_and_invalidated_connections_free_their_place(engine: Engines) -> None:
    """Neither takes a place away for good."""
    single = engine(max=1, min=0)
    detached = single.connect()
    detached.detach()
    with single.connect() as connection:
        connection.invalidate()
    assert pid(single) > 0
    detached.close()


def test_an_ended_connection_fails_no_request(engine: Engines, database: str) -> None:
    """A backend that was terminated is seen at the socket, and replaced, before a request gets it."""
    single = engine(max=1, min=0)
    ended = pid(single)
    terminate(database, ended)
    assert pid(single) != ended


def test_all_ended_connections_are_discarded_by_one_checkout(
    engine: Engines, database: str, application_name: str
) -> None:
    """The first request after a restart clears the pool, the second finds nothing stale."""
    cleared = engine()
    for ended in use_at_once(cleared, 4):
        terminate(database, ended)
    fresh = pid(cleared)
    assert backends(database, application_name) == {fresh}
    assert pool_of(cleared).figures().idle == 1


def test_pending_notifications_are_no_end(engine: Engines) -> None:
    """Something to read at the socket is not always bad news."""
    single = engine(max=1, min=0)
    with single.connect() as connection:
        listener = connection.scalar(PID)
        connection.execute(text("LISTEN news"))
        connection.commit()
    with engine(max=1, min=0).begin() as connection:
        connection.execute(text("NOTIFY news"))
    assert pid(single) == listener


def test_connections_grow_old(engine: Engines) -> None:
    """After its lifetime a connection is replaced when it is asked for."""
    ageing = engine(max=1, min=0, max_lifetime="1ms")
    assert pid(ageing) != pid(ageing)


def test_a_pool_that_was_dropped_is_collected(settings: Callable[..., Settings]) -> None:
    """With its connections, although a timer is set."""

    def use_and_drop() -> weakref.ref[Pool]:
        dropped = create_engine(settings())
        use_at_once(dropped, 2)
        return weakref.ref(dropped.pool)

    pool = use_and_drop()
    with pytest.warns(ResourceWarning, match="was deleted while still open"):
        gc.collect()
    assert pool() is None


def test_options_of_sqlalchemy_s_pools_work(database: str, application_name: str) -> None:
    """With a plain engine too, without our settings."""
    plain = sqlalchemy.create_engine(
        database.replace("postgresql:", "postgresql+psycopg:"),
        connect_args={"application_name": application_name},
        poolclass=SizedPool,
        limits=PoolLimits(max=2, min=1),
        pool_pre_ping=True,
        pool_recycle=0,
        pool_reset_on_return="commit",
        pool_logging_name="plain",
    )
    first, second = pid(plain), pid(plain)  # recycled at once
    with plain.begin() as connection:
        connection.execute(text("CREATE TABLE t ()"))
    assert first != second
    assert plain.pool.logging_name == "plain"
    plain.dispose()


def test_lifetimes_differ(engine: Engines) -> None:
    """Connections opened together are not replaced together: ± 10 %."""
    pool = pool_of(engine(max=4, min=4, max_lifetime="100s"))
    pool.prewarm()
    records = [record for _, record in pool.places.idle]
    assert len({record.expires - record.opened for record in records}) == 4


def test_a_full_reset_at_return(engine: Engines) -> None:
    """Chosen by a setting: whatever a session remembers is forgotten, and what `connect` listeners have set is kept."""
    shared = engine(max=1, min=0, on_return="discard_all")

    @event.listens_for(shared, "connect")
    def set_path(connection: Any, _: Any) -> None:
        connection.execute("SET search_path TO shop, public")
        connection.commit()

    with shared.connect() as connection:
        first = connection.scalar(PID)
        for statement in (
            "SET search_path TO nowhere",
            "SET ROLE pg_monitor",
            "LISTEN news",
            "CREATE TEMPORARY TABLE mine ()",
            "SELECT pg_advisory_lock(1)",
        ):
            connection.execute(text(statement))
        connection.commit()
    state = """
        SELECT pg_backend_pid(), current_user::text, current_setting('search_path'), to_regclass('mine'),
               ARRAY(SELECT pg_listening_channels()),
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
    """
    with shared.connect() as connection:
        found = connection.execute(text(state)).one()
    assert found == (first, "postgres", "shop, public", None, [], 0)
