"""What all entities share: the declarative base, its naming convention, and the column types.

Constraint and index names come from the convention; the migrations spell the same names out.
"""

import enum
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import CHAR, BigInteger, DateTime, Enum, MetaData, Text, func
from sqlalchemy.orm import DeclarativeBase, mapped_column
from uuid_utils.compat import uuid7

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}

# UUIDv7: unguessable enough for a URL, and new rows land at the right-hand edge of the index.
Key = Annotated[UUID, mapped_column(primary_key=True, default=uuid7)]

# Money is an amount in minor units (cents) and, in a column of its own, an ISO 4217 code.
Amount = Annotated[int, mapped_column(BigInteger)]
Currency = Annotated[str, mapped_column(CHAR(3))]

# The database's clock, never the application's: rows of several servers stay comparable.
Now = Annotated[datetime, mapped_column(server_default=func.now())]


class Entity(DeclarativeBase):
    """The base class of all tables of the shop."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
    }


def one_of(members: type[enum.StrEnum], *, name: str, length: int = 16) -> Enum:
    """Make a text column that holds one of `members`, with a CHECK called `name`.

    Not PostgreSQL's ENUM: a CHECK is replaced without a lock that anyone notices, and shrinks too.
    """
    return Enum(
        members,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda kinds: [kind.value for kind in kinds],
    )
