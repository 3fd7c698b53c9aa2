"""Answers exceptions that nothing else has answered: trouble of the database, and mistakes of this service.

The connection of the client stays usable after each of them, as after any other answer.
"""

import logging

import psycopg
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.problems import InternalError, InvalidRequest, NotStarted, Problem, answer_to
from marketplace.trouble import trouble_of

logger = logging.getLogger(__name__)


class Faults:
    """Answers an exception with a problem, and logs it: trouble in one line, a mistake with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. An exception after the answer has begun is raised on: the client sees a broken answer."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            await answer_to(_problem_of(error, scope))(scope, receive, send)


def _problem_of(error: Exception, scope: Scope) -> Problem:
    if isinstance(error, UnicodeEncodeError):  # half of a surrogate pair, which no encoding has
        return InvalidRequest()
    problem = trouble_of(error) or _not_started(error, scope)
    if problem is None:
        logger.error("mistake in a request", exc_info=error)
        return InternalError()
    facts = {"problem": problem.code, "error": type(error).__name__}
    logger.warning("trouble of the database", extra=facts)
    return problem


def _not_started(error: Exception, scope: Scope) -> Problem | None:
    """Say that migrations are awaited: tables and columns may be missing until then."""
    database = getattr(scope["app"].state, "database", None)
    if (
        isinstance(error, DBAPIError | psycopg.Error)
        and database is not None
        and not database.has_started
    ):
        return NotStarted(problem="migrations are awaited")
    return None
