"""Opaque cursors for keyset pages: the position of the last row, signed, so none can be made up."""

from dataclasses import dataclass
from uuid import UUID

from itsdangerous import BadData, URLSafeSerializer

from marketplace.problems import InvalidCursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a page ended: the value that it is sorted by, and the key that breaks ties."""

    value: str
    key: UUID


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
