"""Opaque cursors for keyset pages: the position of the last row, signed so that none can be made up."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Self, TypeVar
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from marketplace.problems import InvalidCursor

Row = TypeVar("Row")
MOST_ON_PAGE = 100


class PageRequest(BaseModel):
    """Which page is wanted; each list adds its filters."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=MOST_ON_PAGE)
    cursor: str | None = Field(
        default=None, max_length=2000, description="`next_cursor` of the page before."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page ended: the value by which it is sorted, and the key that breaks ties."""

    value: str
    key: UUID

    @classmethod
    def at(cls, moment: datetime, key: UUID) -> Self:
        """Give the position of a row on a page that is sorted by time."""
        return cls(value=moment.isoformat(), key=key)

    @property
    def moment(self) -> datetime:
        """The time that `at` was given."""
        return datetime.fromisoformat(self.value)


class Cursors:
    """The cursors of one kind of page; those of another kind are refused.

    They are made with the first of the keys; those of the others are accepted, while keys are changed.
    """

    def __init__(self, *keys: str, pages: str) -> None:
        self._keys = [hmac.digest(key.encode(), pages.encode(), "sha256") for key in keys]

    def seal(self, position: Position) -> str:
        """Give the cursor for what comes after `position`."""
        text = _base64(json.dumps([position.value, position.key.hex]).encode())
        return f"{text}.{_signature(text, self._keys[0])}"

    def open(self, cursor: str) -> Position:
        """Give the position in a cursor of ours; raises `InvalidCursor` for any other text."""
        text, _, signature = cursor.partition(".")
        is_ours = cursor.isascii() and any(
            hmac.compare_digest(_signature(text, key), signature) for key in self._keys
        )
        if not is_ours:
            raise InvalidCursor
        value, key = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return Position(value=value, key=UUID(key))

    def start(self, page: PageRequest) -> Position | None:
        """Give the position where the page begins; None for the first page. Raises `InvalidCursor`."""
        return self.open(page.cursor) if page.cursor is not None else None

    def cut(
        self, rows: Sequence[Row], *, limit: int, position: Callable[[Row], Position]
    ) -> tuple[Sequence[Row], str | None]:
        """Give the rows of a page, and the next cursor. `rows` has one more if there is a next page."""
        page = rows[:limit]
        is_last = len(rows) == len(page)
        return page, None if is_last else self.seal(position(page[-1]))


def cursors_of(pages: str) -> Callable[[Request], Awaitable[Cursors]]:
    """Make a dependency that gives the cursors of that kind of page."""

    async def cursors(request: Request) -> Cursors:
        return _cursors(request.app.state.settings.keys_of_cursors, pages)

    return cursors


@cache
def _cursors(keys: tuple[SecretStr, ...], pages: str) -> Cursors:
    return Cursors(*(key.get_secret_value() for key in keys), pages=pages)


def _signature(text: str, key: bytes) -> str:
    return _base64(hmac.digest(key, text.encode(), "sha256")[:16])


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
