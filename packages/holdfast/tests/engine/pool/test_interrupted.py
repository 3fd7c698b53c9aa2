"""A place is never lost, wherever an exception strikes: a soft time limit, Ctrl-C, any signal handler that raises."""

import gc
import itertools
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
import sqlalchemy.pool.base
from backends import wait_until
from pools import PID, pid, pool_of, use_at_once
from sqlalchemy import Engine

import holdfast.engine.pool.sized

POOL = str(Path(holdfast.engine.pool.sized.__file__).parent)
OURS = (POOL, sqlalchemy.pool.base.__file__)
# What these take is in nobody else's hands yet, or no more. Not record.py: SQLAlchemy has it by then.
IN_OUR_HANDS = ("places.py", "opening.py", "waiting.py", "sized.py")
BEGUN_BY_SQLALCHEMY = ("_do_get", "_do_return_conn")
MAX = 2


class SoftTimeLimit(Exception):
    """What a signal handler raises."""


class Strike:
    """Raises at the nth line that is executed in the pool or in SQLAlchemy's part of it."""

    def __init__(self, number: int) -> None:
        self.left, self.is_ours = number, False

    def __enter__(self) -> Self:
        sys.settrace(self._calls)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _calls(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._lines if frame.f_code.co_filename.startswith(OURS) else None

    def _lines(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and not is_end_of_lock(frame):
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                is_ours = Path(frame.f_code.co_filename).name in IN_OUR_HANDS
                self.is_ours = is_ours and frame.f_code.co_name not in BEGUN_BY_SQLALCHEMY
                raise SoftTimeLimit
        return self._lines


def is_end_of_lock(frame: FrameType) -> bool:
    """Where a signal cannot strike: Python looks for signals after calls, and then the lock is released."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    if not line.strip().startswith("with self.") or "lock" not in line:
        return False
    lock = getattr(frame.f_locals["self"], "lock", None) or frame.f_locals["self"].places.lock
    return bool(lock._is_owned())


def strike_everywhere(engine: Engine, use: Callable[[Engine], object], *, in_use: int = 0) -> int:
    """Uses it again and again, one line further each time, until it is through; gives the number of lines."""
    pool = pool_of(engine)

    def is_free() -> bool:
        return pool.places.taken - pool.figures().idle == in_use

    for number in itertools.count(1):
        strike = Strike(number)
        try:
            with strike:
                use(engine)
        except SoftTimeLimit:
            if strike.is_ours:  # though a traceback refers to all that was in somebody's hands
                wait_until(is_free, what=f"the places after line {number}")
        else:
            return number
        gc.collect()  # a Connection and its transaction refer to each other
        wait_until(is_free, what=f"the places after line {number}")
    raise AssertionError


@pytest.fixture
def struck(engine: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine on a small pool; garbage is collected after each strike, and only among what is made from here on."""
    gc.collect()
    gc.freeze()
    yield engine(max=MAX, min=0, timeout="1s")
    gc.unfreeze()


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # psycopg's, of a connection that was dropped
def test_in_checkout_and_return(struck: Engine) -> None:
    """At every line of both, on a warm pool: all places are there again, and all of them serve."""

    def use(engine: Engine) -> None:
        engine.raw_connection().close()

    pid(struck)
    assert strike_everywhere(struck, use) > 40
    assert len(use_at_once(struck, MAX)) == MAX


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_where_a_connection_is_opened(struck: Engine) -> None:
    """The same on an empty pool: what is being opened comes late, or not at all."""

    def use(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.scalar(PID)
            connection.invalidate()

    assert strike_everywhere(struck, use) > 60
    assert len(use_at_once(struck, MAX)) == MAX


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_where_a_connection_is_detached(struck: Engine) -> None:
    """The same beside a connection that is in use all the time."""
    held = [struck.raw_connection() for _ in range(MAX - 1)]

    def use(engine: Engine) -> None:
        one = engine.raw_connection()
        one.detach()
        one.close()

    assert strike_everywhere(struck, use, in_use=MAX - 1) > 40
    for connection in held:
        connection.close()
    assert len(use_at_once(struck, MAX)) == MAX
