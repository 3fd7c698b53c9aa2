"""Keeps a statement's result as JSON, so that a revision's function can be given it again after a crash.

Types that a driver may return and JSON does not know are written with their name. Anything else cannot be recorded.
"""

import base64
import datetime
import decimal
import ipaddress
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 100_000  # a result is kept in journal and may go into the journal


class CannotBeRecorded(Exception):
    """A value of a kind or size that the journal cannot keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one execution: columns as (name, type oid), or None where there are no rows."""

    columns: tuple[tuple[str, int], ...] | None
    rows: tuple[tuple[Any, ...], ...] = ()
    count: int = -1  # DB-API's rowcount

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """The columns in the form of DB-API's cursor.description."""
        if self.columns is None:
            return None
        return [(name, oid, None, None, None, None, None) for name, oid in self.columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One statement of a revision's function that took effect or read something."""

    sql: str
    occurrence: int  # of this text in the function, from 1
    result: Result | None  # None where Python saw none
    is_pending: bool = False  # its effect is not committed: sent again, it is executed again


TYPES: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    bytes: (lambda value: base64.b64encode(value).decode(), base64.b64decode),
    datetime.datetime: (datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    datetime.date: (datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: (datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: (
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda text: datetime.timedelta(*map(int, text.split())),
    ),
    decimal.Decimal: (str, decimal.Decimal),
    uuid.UUID: (str, uuid.UUID),
    ipaddress.IPv4Address: (str, ipaddress.IPv4Address),
    ipaddress.IPv6Address: (str, ipaddress.IPv6Address),
    ipaddress.IPv4Network: (str, ipaddress.IPv4Network),
    ipaddress.IPv6Network: (str, ipaddress.IPv6Network),
}
BY_NAME = {kind.__name__: functions for kind, functions in TYPES.items()}


def to_json(result: Result) -> str:
    """Write a result as the text that the journal keeps. Raises CannotBeRecorded."""
    if len(result.rows) > MOST_ROWS:
        raise CannotBeRecorded(f"{len(result.rows)} rows")
    rows = [[_encoded(value) for value in row] for row in result.rows]
    return json.dumps([result.columns, rows, result.count])


def from_json(text: str) -> Result:
    """Read a result from the text that the journal keeps."""
    columns, rows, count = json.loads(text)
    return Result(
        columns=None if columns is None else tuple((name, oid) for name, oid in columns),
        rows=tuple(tuple(_decoded(value) for value in row) for row in rows),
        count=count,
    )


def _encoded(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [type(value).__name__, [_encoded(item) for item in value]]
        case dict():
            return ["dict", [[key, _encoded(item)] for key, item in value.items()]]
        case memoryview():
            return _encoded(bytes(value))
    for kind in type(value).__mro__:
        if kind in TYPES:
            return [kind.__name__, TYPES[kind][0](value)]
    raise CannotBeRecorded(type(value).__name__)


def _decoded(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    name, content = value
    match name:
        case "list":
            return [_decoded(item) for item in content]
        case "tuple":
            return tuple(_decoded(item) for item in content)
        case "dict":
            return {key: _decoded(item) for key, item in content}
        case _:
            return BY_NAME[name][1](content)
