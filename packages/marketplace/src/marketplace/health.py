"""Whether this process runs, and whether it can serve."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from marketplace.problems import DatabaseUnreachable, MigrationsPending, documented
from marketplace.schema import applied_revision

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """This process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """This process can serve; the database is at `revision`."""

    status: Literal["ready"] = "ready"
    revision: str


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process is up. Says nothing of the database: a restart would not mend that."""
    return Health()


@router.get("/readyz", responses=documented(DatabaseUnreachable, MigrationsPending))
async def readyz(request: Request) -> Readiness:
    """Whether the database answers and has every migration that this version needs.

    A revision that this version does not know comes from a newer one: while that is rolled out, the
    older processes go on serving.
    """
    state = request.app.state
    try:
        async with state.engine.connect() as connection:
            applied = await connection.run_sync(applied_revision)
    except (DBAPIError, NoConnectionInTime) as error:
        raise DatabaseUnreachable from error
    head = state.revisions[0]
    if applied is None or applied in state.revisions[1:]:
        raise MigrationsPending(applied=applied, head=head)
    return Readiness(revision=applied)
