"""A type that SQLAlchemy does not have, as packages for extensions define theirs."""

from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Vector(UserDefinedType[list[float]]):
    """Of the extension vector."""

    cache_ok = True

    def __init__(self, size: int = 0) -> None:
        self.size = size

    def __repr__(self) -> str:
        return f"Vector({self.size})"

    def get_col_spec(self, **_: object) -> str:
        return f"vector({self.size})"


ischema_names["vector"] = Vector
