"""Refuses requests whose body is too large or arrives too slowly, before anything is done for them.

Starlette has a middleware for the size too; its answer is plain text, ours a problem as any other.
"""

import asyncio
import time
from datetime import timedelta
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimits:
    """Counts what arrives, whatever Content-Length says, and limits the time for all of it."""

    def __init__(self, app: ASGIApp, *, most: int, patience: timedelta) -> None:
        self._app = app
        self._most, self._patience = most, patience.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. The error is raised where the route reads its body, and answered as any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        end = time.monotonic() + self._patience
        received, is_complete = 0, False

        async def limited() -> Message:
            nonlocal received, is_complete
            if is_complete:  # what comes now is that the client has gone
                return await receive()
            if _content_length(scope) > self._most:
                raise _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise _refused(HTTPStatus.REQUEST_TIMEOUT) from error
            received += len(message.get("body", b""))
            if received > self._most:
                raise _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            is_complete = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)


def _refused(status: HTTPStatus) -> HTTPException:
    """Close the connection after the answer: the rest of the body is not read, so nothing after it is understood."""
    return HTTPException(status, headers={"Connection": "close"})


def _content_length(scope: Scope) -> int:
    """Give the Content-Length; 0 if it is not said: the body comes in chunks, or there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
