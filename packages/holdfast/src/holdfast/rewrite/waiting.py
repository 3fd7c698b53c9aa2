"""What waits for `holdfast finish`: what an old release still uses, and how it ends or is taken back.

Two releases run on one schema during a rolling deployment. With `holdfast run --expand` what only the old one needs
stays; each thing that stays is one record of this kind, kept in the database until it goes.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from pydantic import TypeAdapter

from holdfast.rewrite.names import QualifiedName, quote

What = Literal[
    "column name", "table name", "column", "table", "unique key", "default", "value", "object"
]
RENAMES: tuple[What, ...] = ("column name", "table name")
# These contain rows, which something else in their place would not have.
HOLDS_ROWS: tuple[What, ...] = ("column", "table", *RENAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """A constraint that was dropped for the new release, to be added again if the change is taken back."""

    table: QualifiedName
    name: str
    definition: str
    references: QualifiedName | None = None
    is_validated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One thing that stays until nobody uses it any more."""

    what: What
    name: str  # that goes: of a column, a table, a key, a value; of another object, as its author wrote it
    sql: str  # what the author has written, and plain Alembic would have run at once
    relation: QualifiedName | None = None  # the table that it is about, by the name that it has now
    new_name: str = ""  # of what is renamed
    kind: str = ""  # of an object: view, function, type
    column: str = ""  # of a default
    # For a rename: the statements of the one transaction that finishes it, or takes it back.
    finish: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    counter: str = ""  # the sequence that counts writes to the old name
    # What --expand has dropped from the old column or table for the new release.
    was_not_null: bool = False
    default: str | None = None
    suspended: tuple[Suspended, ...] = ()
    notes: tuple[str, ...] = field(default=())  # for whoever deploys

    def __str__(self) -> str:
        of = f" of {self.relation}" if self.relation is not None else ""
        match self.what:
            case "column name":
                return f"the old name {quote(self.name)} of column {quote(self.new_name)}{of}"
            case "table name":
                return f"the old name {quote(self.name)} of table {self.relation}"
            case "column":
                return f"column {quote(self.name)}{of}"
            case "table":
                return f"table {self.relation}"
            case "unique key":
                return f"unique key {quote(self.name)}{of}"
            case "default":
                return f"the default of column {quote(self.column)}{of}"
            case "value":
                return (
                    f"the old name '{self.name}' of the value '{self.new_name}' of type {self.kind}"
                )
            case _:
                return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One thing that waits, with the revision that has left it, as the database records it."""

    id: int
    revision: str
    waiting: Waiting


def to_json(waiting: Waiting) -> str:
    """Write what waits as JSON for its table."""
    return _adapter().dump_json(waiting).decode()


def from_json(text: str) -> Waiting:
    """Read what waits from its JSON in the table."""
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[Waiting]:
    return TypeAdapter(Waiting)
