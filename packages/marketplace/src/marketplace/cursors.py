"""Opaque cursors for keyset pages: the position of the last row, signed, so none can be made up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

from fastapi import Request
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel, ConfigDict, Field

from marketplace.problems import InvalidCursor

Row = TypeVar("Row")


class PageRequest(BaseModel):
    """Which page; each list adds its filters."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(
        default=None, max_length=2000, description="`next_cursor` of the page before."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page ended: the value that it is sorted by, and the key that breaks ties."""

    value: str
    key: UUID

    @classmethod
    def at(cls, moment: datetime, key: UUID) -> Self:
        """The position of a row on a page that is sorted by time."""
        return cls(value=moment.isoformat(), key=key)

    @property
    def moment(self) -> datetime:
        """The moment that `at` was given."""
        return datetime.fromisoformat(self.value)


class Cursors:
    """The cursors of one kind of page; one of another kind is refused."""

    def __init__(self, *, key: str, pages: str) -> None:
        self._serializer = URLSafeSerializer(key, salt=f"marketplace.cursor.{pages}")

    def seal(self, position: Position) -> str:
        """The cursor for what comes after `position`."""
        text = self._serializer.dumps([position.value, position.key.hex])
        return text.decode() if isinstance(text, bytes) else text

    def open(self, cursor: str) -> Position:
        """The position in a cursor of ours; raises `InvalidCursor` for any other text."""
        try:
            value, key = self._serializer.loads(cursor)
        except BadData as error:
            raise InvalidCursor from error
        return Position(value=value, key=UUID(key))

    def start(self, page: PageRequest) -> Position | None:
        """Where the page begins; None at the beginning. Raises `InvalidCursor`."""
        return self.open(page.cursor) if page.cursor is not None else None

    def cut(
        self, rows: Sequence[Row], *, limit: int, position: Callable[[Row], Position]
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of a page, and the next cursor. `rows` has one more where there is a next page."""
        page = rows[:limit]
        is_last = len(rows) == len(page)
        return page, None if is_last else self.seal(position(page[-1]))


def cursors_of(pages: str) -> Callable[[Request], Cursors]:
    """A dependency: the cursors of that kind of page."""

    def cursors(request: Request) -> Cursors:
        key = request.app.state.settings.key_of_cursors.get_secret_value()
        return Cursors(key=key, pages=pages)

    return cursors
