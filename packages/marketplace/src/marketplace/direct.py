"""Answers the most frequent routes after one look-up, without what FastAPI does for each request.

FastAPI opens three exit stacks, solves each dependency of a route anew and looks at every route before it: for a
refresh that is more than the refresh itself. Here a function is called. The ordinary route stays beside it: it is what
the documentation says, and it answers whatever is not plain here, a body of another type or one that is not valid.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Message, Receive, Scope, Send

JSON = "application/json"
DIRECT = "marketplace.direct"  # in the scope of a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """A route with a fixed path, and the function in its place: `answer(request)`, or `answer(request, form)`."""

    route: APIRoute
    answer: Callable[..., Awaitable[Response]]
    form: type[BaseModel] | None = None  # what the body is


class DirectRoutes(BaseRoute):
    """All direct routes, to be put first in an application's routes."""

    def __init__(self, ways: Iterable[Direct]) -> None:
        self._ways = {
            (method, way.route.path): way for way in ways for method in way.route.methods or ()
        }

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it is a plain request of one of these routes."""
        if scope["type"] != "http" or scope.get("root_path"):
            return Match.NONE, {}
        way = self._ways.get((scope["method"], scope["path"]))
        if way is None or (way.form is not None and not _is_json(scope)):
            return Match.NONE, {}
        found = {"endpoint": way.route.endpoint, "path_params": {}, "route": way.route, DIRECT: way}
        return Match.FULL, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it; the ordinary route does so for an invalid body, and says what is wrong with it."""
        way: Direct = scope[DIRECT]
        request = Request(scope, receive)
        if way.form is None:
            response = await way.answer(request)
        else:
            body = await _body(request)
            try:
                form = way.form.model_validate_json(body)
            except ValidationError:
                await way.route.handle(scope, _again(body, receive), send)
                return
            response = await way.answer(request, form)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **_: Any) -> URLPath:
        """Raise NoMatchFound: the ordinary routes have the names."""
        raise NoMatchFound(name, {})


def route_of(router: APIRouter, function: Callable[..., object]) -> APIRoute:
    """Give the ordinary route of a function."""
    routes = (route for route in router.routes if isinstance(route, APIRoute))
    return next(route for route in routes if route.endpoint is function)


def answer_with(model: BaseModel, *, like: Response) -> Response:
    """Write a route's result as FastAPI does, with the headers that were put on its `Response`."""
    response = Response(model.model_dump_json(), media_type=JSON)
    kept = [header for header in like.raw_headers if header[0] != b"content-length"]
    response.raw_headers.extend(kept)
    return response


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:  # as FastAPI does; nobody reads it
        raise HTTPException(400) from error


def _again(body: bytes, receive: Receive) -> Receive:
    """Offer a body that was read to somebody who reads it once more."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received


def _is_json(scope: Scope) -> bool:
    said = [value for name, value in scope["headers"] if name == b"content-type"]
    return said == [JSON.encode()]
