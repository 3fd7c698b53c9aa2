"""Every error that the HTTP API answers: RFC 9457 problem details, with a `code` that stays.

A program reads `code`; `detail` is for people and may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from marketplace.logs import REQUEST_ID

MEDIA_TYPE = "application/problem+json"
REFERENCE = "#/components/schemas/{model}"
CODES_OF_FASTAPI = MappingProxyType(
    {
        HTTPStatus.NOT_FOUND: "not_found",
        HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
        HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    }
)


class Fault(BaseModel):
    """What is wrong with one part of a request."""

    where: str
    what: str


class ProblemDetails(BaseModel):
    """The body of every answer from 400 upwards. Some codes come with members of their own."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[Fault] | None = None
    # By which the log is searched; X-Request-Id says the same.
    request_id: str | None = None


class Problem(Exception):
    """Base of all problems: a status, a code, and a text in which the fields are named."""

    status: ClassVar[HTTPStatus]
    code: ClassVar[str]
    detail: ClassVar[str]

    def __str__(self) -> str:
        return self.detail.format(**vars(self))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {}

    @property
    def members(self) -> dict[str, Any]:
        """The further members of the body, for a program (RFC 9457 §3.2)."""
        return {}


@dataclass(kw_only=True, eq=False)
class InvalidRequest(Problem):
    """A parameter or a part of the body is not as documented."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"
    detail = "The request is not valid: see errors."


@dataclass(kw_only=True, eq=False)
class InvalidCursor(Problem):
    """The cursor was not made by this service, or its key has changed since."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_cursor"
    detail = "The cursor is not one of ours, or has expired; begin again without one."


@dataclass(kw_only=True, eq=False)
class DatabaseUnreachable(Problem):
    """No connection to the database could be had in time."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "database_unreachable"
    detail = "The database does not answer; try again in a few seconds."

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After: the time that a restart takes."""
        return {"Retry-After": "5"}


@dataclass(kw_only=True, eq=False)
class Overloaded(Problem):
    """The database has no room for this request now, or what it needs is locked: nothing was changed."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"
    detail = "Too much is going on just now; try again in a moment."

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After: one second."""
        return {"Retry-After": "1"}


@dataclass(kw_only=True, eq=False)
class MigrationsPending(Problem):
    """The database lacks migrations that this version of the service needs."""

    applied: str | None
    head: str
    progress: str | None  # of the migration that runs now
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "migrations_pending"
    detail = "The database is at revision {applied}; this version needs {head}."

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After: a few seconds."""
        return {"Retry-After": "5"}

    @property
    def members(self) -> dict[str, Any]:
        """The step and share of the migration, for somebody who watches a rollout."""
        return {} if self.progress is None else {"progress": self.progress}


@dataclass(kw_only=True, eq=False)
class NotStarted(Problem):
    """This process is still waiting for migrations, its own or another one's."""

    problem: str
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "not_started"
    detail = "This process is not ready: {problem}."

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After: a few seconds."""
        return {"Retry-After": "5"}


@dataclass(kw_only=True, eq=False)
class TooManyRequests(Problem):
    """This was asked too often; `Retry-After` says when to come again."""

    retry_after: int
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_requests"
    detail = "Try again in {retry_after} s."

    @property
    def headers(self) -> dict[str, str]:
        """The header Retry-After (RFC 9110 §10.2.3), in seconds."""
        return {"Retry-After": str(self.retry_after)}


@dataclass(kw_only=True, eq=False)
class InternalError(Problem):
    """A mistake of this service; its log has the rest."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal_error"
    detail = "Something is wrong on our side."


def documented(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Give what a route says about its problems in OpenAPI."""
    schema = {"schema": {"$ref": REFERENCE.format(model=ProblemDetails.__name__)}}
    meanings: dict[int, list[str]] = {}
    for problem in problems:
        meanings.setdefault(int(problem.status), []).append(f"`{problem.code}`: {problem.__doc__}")
    return {
        status: {"description": "\n\n".join(texts), "content": {MEDIA_TYPE: schema}}
        for status, texts in meanings.items()
    }


def api_router(**options: Any) -> APIRouter:
    """Make a router for routes that may meet trouble of the database, as any may."""
    return APIRouter(responses=documented(DatabaseUnreachable, Overloaded), **options)


def schemas() -> dict[str, Any]:
    """Give the components of the OpenAPI document to which `documented` refers."""
    _, document = models_json_schema([(ProblemDetails, "serialization")], ref_template=REFERENCE)
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def answer_with_problems(app: FastAPI) -> None:
    """Make every answer of `app` from 400 upwards a problem, from here on."""
    app.exception_handler(Problem)(_on_problem)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(HTTPException)(_on_http_exception)


def answer_to(problem: Problem) -> JSONResponse:
    """Write the answer for a problem."""
    return _answer(_details(problem), headers=problem.headers)


def _answer(details: ProblemDetails, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    details.request_id = REQUEST_ID.get()
    body = details.model_dump(exclude_none=True)
    return JSONResponse(body, details.status, headers, media_type=MEDIA_TYPE)


def _details(problem: Problem, *, errors: list[Fault] | None = None) -> ProblemDetails:
    return ProblemDetails(
        title=problem.status.phrase,
        status=problem.status,
        code=problem.code,
        detail=str(problem),
        errors=errors,
        **problem.members,
    )


async def _on_problem(_: Request, problem: Problem) -> JSONResponse:
    return answer_to(problem)


async def _on_invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    faults = [
        Fault(where=".".join(map(str, fault["loc"])), what=fault["msg"]) for fault in error.errors()
    ]
    return _answer(_details(InvalidRequest(), errors=faults))


async def _on_http_exception(_: Request, error: HTTPException) -> JSONResponse:
    """Answer an error of FastAPI's own as a problem."""
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # a body that is not text at all, where JSON should be
        return _answer(_details(InvalidRequest(), errors=[Fault(where="body", what="not JSON")]))
    details = ProblemDetails(
        title=status.phrase,
        status=status,
        code=CODES_OF_FASTAPI.get(status, f"http_{status:d}"),
        detail=f"{status.description or status.phrase}.",
    )
    return _answer(details, headers=error.headers)
