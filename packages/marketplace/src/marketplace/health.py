"""Says whether this process runs and can serve; the root address leads to the documentation."""

from typing import Literal

from fastapi import Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from holdfast.observe.migration_progress import migration_progress
from marketplace.problems import (
    DatabaseUnreachable,
    MigrationsPending,
    NotStarted,
    api_router,
    documented,
)
from marketplace.schema import applied_revision

router = api_router(tags=["health"])


class Health(BaseModel):
    """The answer of a process that runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """This process can serve; the database is at `revision`."""

    status: Literal["ready"] = "ready"
    revision: str


@router.get("/", include_in_schema=False)
async def root(request: Request) -> RedirectResponse:
    """Redirect a person who opens the address: to the documentation, or to the products if it is not shown."""
    return RedirectResponse("/docs" if request.app.openapi_url else "/products")


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process is up. Says nothing of the database: a restart would not mend that."""
    return Health()


@router.get("/readyz", responses=documented(DatabaseUnreachable, MigrationsPending, NotStarted))
async def readyz(request: Request) -> Readiness:
    """Whether the database answers and has every migration that this version needs.

    A revision that this version does not know comes from a newer one: while that is rolled out, the
    older processes go on serving.
    """
    state = request.app.state
    if not state.database.has_started:
        health = await state.database.health()
        raise NotStarted(problem=health.problem or "almost")
    try:
        async with state.engine.connect() as connection:
            applied = await connection.run_sync(applied_revision)
            is_behind = applied is None or applied in state.revisions[1:]
            running = await connection.run_sync(migration_progress) if is_behind else None
    except (DBAPIError, NoConnectionInTime) as error:
        raise DatabaseUnreachable from error
    if applied is None or is_behind:
        progress = None if running is None else str(running)
        raise MigrationsPending(applied=applied, head=state.revisions[0], progress=progress)
    return Readiness(revision=applied)


ROUTES = router.routes
