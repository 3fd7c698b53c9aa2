"""What tests do with an engine on a sized pool."""

from sqlalchemy import Engine, text

from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool

PID = text("SELECT pg_backend_pid()")


def pool_of(engine: Engine) -> SizedPool | AsyncSizedPool:
    """Its pool, of the type that it is."""
    assert isinstance(engine.pool, SizedPool | AsyncSizedPool)
    return engine.pool


def pid(engine: Engine) -> int:
    """The backend that served a request."""
    with engine.connect() as connection:
        return int(connection.scalar(PID) or 0)


def use_at_once(engine: Engine, number: int) -> set[int]:
    """So many connections in use at the same time; gives their backends."""
    connections = [engine.connect() for _ in range(number)]
    pids = {int(connection.scalar(PID) or 0) for connection in connections}
    for connection in connections:
        connection.close()
    return pids
