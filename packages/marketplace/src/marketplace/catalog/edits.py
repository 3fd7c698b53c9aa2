"""What all edits of the catalogue share: saving, deleting, ownership.

An edit is one unit of work (`Transactions.run`), which runs again when it lost a race. That is how If-Match
stays true under a race: the loser reads again, finds another version than it expected, and says so.
SQLAlchemy's `version_id_col` is what makes it lose.
"""

from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from holdfast import Versioned
from holdfast.errors.sqlstate import (
    FOREIGN_KEY_VIOLATION,
    RESTRICT_VIOLATION,
    UNIQUE_VIOLATION,
    sqlstate,
)
from marketplace.accounts.principal import Principal
from marketplace.catalog.problems import NameTaken, NotYourVendor, StillInUse
from marketplace.catalog.schemas import Edit
from marketplace.entities import Role

# ON DELETE RESTRICT: the first up to PostgreSQL 17, the second from 18 on.
STILL_REFERENCED = frozenset({FOREIGN_KEY_VIOLATION, RESTRICT_VIOLATION})


async def save(session: AsyncSession, *, unique: str = "name") -> None:
    """Write what was changed so far. Raises `NameTaken` about `unique`."""
    try:
        await session.flush()
    except IntegrityError as error:
        if sqlstate(error) == UNIQUE_VIOLATION:
            raise NameTaken(what=unique) from error
        raise


async def delete(session: AsyncSession, entity: Versioned) -> None:
    """Delete a row, unless something refers to it. Raises `StillInUse`."""
    await session.delete(entity)
    try:
        await session.flush()
    except IntegrityError as error:
        if sqlstate(error) in STILL_REFERENCED:
            raise StillInUse from error
        raise


def apply(entity: Versioned, edit: Edit) -> None:
    """Set the columns that the edit names."""
    for name, value in edit.model_dump(exclude={"version"}, exclude_none=True).items():
        setattr(entity, name, value)


def require_own(principal: Principal, vendor_id: UUID) -> None:
    """Let vendors change their own things, administrators all. Raises `NotYourVendor`."""
    if principal.role is not Role.ADMIN and principal.vendor_id != vendor_id:
        raise NotYourVendor
