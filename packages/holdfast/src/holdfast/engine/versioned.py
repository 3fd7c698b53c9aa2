"""Optimistic locking: `Versioned` entities refuse stale edits, and `run_unit` repeats work that lost a race.

Rests on SQLAlchemy's `version_id_col`: each UPDATE and DELETE of the unit of work says
`WHERE version = <the version that was read>` and raises where no row is left to match.
A bulk `update()` neither checks nor counts: there, write `version = version + 1` where it is meant.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, Protocol, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column, sessionmaker
from sqlalchemy.orm.exc import StaleDataError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from holdfast.errors.sqlstate import (
    DEADLOCK_DETECTED,
    LOCK_NOT_AVAILABLE,
    SERIALIZATION_FAILURE,
    sqlstate,
)

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
AnySession = TypeVar("AnySession", bound=Session)
Transaction = TypeVar("Transaction")
Transaction_co = TypeVar("Transaction_co", covariant=True)

# The manual, "Serialization Failure Handling": all of these say "try the transaction again".
RETRIED = frozenset({SERIALIZATION_FAILURE, DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE})

ATTEMPTS = 3
FIRST_PAUSE = 0.02  # seconds; full jitter: anything between nothing and this, doubled each time
LONGEST_PAUSE = 0.5


class Versioned:
    """A mixin for declarative entities: the column `version`, checked and counted by each edit."""

    # The default is for rows that come without the ORM: COPY, or an INSERT in plain SQL.
    version: Mapped[int] = mapped_column(server_default=text("1"))

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  # SQLAlchemy gives the class
        return {"version_id_col": cls.version}


class Transactions(Protocol[Transaction_co]):
    """An `async_sessionmaker`, or anything else that begins transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction_co]:
        """Commits when the block ends, rolls back when it raises."""


def run_unit(
    work: Callable[[AnySession], T],
    *,
    sessions: sessionmaker[AnySession],
    after_commit: Callable[[T], object] | None = None,
    attempts: int = ATTEMPTS,
) -> T:
    """Run `work` in a transaction and commit; up to `attempts` times in all, as long as it lost a race.

    Any error that is no lost race (`is_lost_race`), and the last one, is raised as it is.

    Each time `work` gets a fresh session, and nothing else is kept: what it read is read again. It
    must leave no trace but in that session: mail, payments, messages and caches belong into
    `after_commit`, which gets the result once, after the commit, and is never repeated.
    """
    try:
        result = _commit(work, sessions)
    except Exception as error:
        if not is_lost_race(error):
            raise
        result = Retrying(**_policy(attempts))(_again(error, _commit), work, sessions)
    if after_commit is not None:
        after_commit(result)
    return result


async def run_unit_async(
    work: Callable[[Transaction], Awaitable[T]],
    *,
    sessions: Transactions[Transaction],
    after_commit: Callable[[T], Awaitable[object]] | None = None,
    attempts: int = ATTEMPTS,
) -> T:
    """`run_unit` for an event loop."""
    try:
        result = await _commit_async(work, sessions)
    except Exception as error:
        if not is_lost_race(error):
            raise
        again = _again_async(error, _commit_async)
        result = await AsyncRetrying(**_policy(attempts))(again, work, sessions)
    if after_commit is not None:
        await after_commit(result)
    return result


def is_lost_race(error: BaseException) -> bool:
    """Whether the same work may succeed if it is all done again.

    Of errors from the server only its SQLSTATE is looked at. A connection that broke is none of
    them: whether its COMMIT took effect is not known.
    """
    return isinstance(error, StaleDataError) or sqlstate(error) in RETRIED


def _commit(work: Callable[[AnySession], T], sessions: sessionmaker[AnySession]) -> T:
    with sessions.begin() as session:
        return work(session)


async def _commit_async(
    work: Callable[[Transaction], Awaitable[T]], sessions: Transactions[Transaction]
) -> T:
    async with sessions.begin() as session:
        return await work(session)


# Most units win at once: what tenacity costs, some 50 us, is paid by those that lost. To it the attempt that
# was made is the first one, and raises what it raised.
def _again(lost: Exception, commit: Callable[P, T]) -> Callable[P, T]:
    made = [lost]

    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        if made:
            raise made.pop()
        return commit(*args, **kwargs)

    return again


def _again_async(lost: Exception, commit: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    made = [lost]

    async def again(*args: P.args, **kwargs: P.kwargs) -> T:
        if made:
            raise made.pop()
        return await commit(*args, **kwargs)

    return again


def _policy(attempts: int) -> dict[str, Any]:
    return {
        "retry": retry_if_exception(is_lost_race),
        "stop": stop_after_attempt(attempts),
        "wait": wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        "before_sleep": _log,
        "reraise": True,
    }


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.info(
        "attempt %d lost a race (%s): again in %.0f ms",
        state.attempt_number,
        (error and sqlstate(error)) or type(error).__name__,
        1000 * state.upcoming_sleep,
    )
