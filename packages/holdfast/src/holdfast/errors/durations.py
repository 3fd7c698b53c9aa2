"""Durations as people write them, `30 s` or `500ms`: read from a text, printed in a message."""

import re
from datetime import timedelta

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
NO_TIME = timedelta()


def parse_duration(text: object) -> object:
    """Read `30`, `30 s`, `1.5min`, `500ms`, `2h`, `1d`; a bare number is seconds. Else pydantic's forms."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*", text)
    if match is None:
        return text
    number, unit = match.groups()
    return float(number) * UNITS[unit or "s"]


def in_words(duration: timedelta) -> str:
    """Write a duration in the largest unit that leaves a whole number: `30 s`, `1500 ms`, `5 min`."""
    for name, unit in reversed(UNITS.items()):
        if duration >= unit and duration % unit == NO_TIME:
            return f"{duration // unit} {name}"
    return f"{duration / UNITS['ms']:g} ms"


def milliseconds(duration: timedelta) -> int:
    """Give a duration in whole milliseconds, which PostgreSQL and libpq take for timeouts."""
    return duration // UNITS["ms"]


def whole_seconds(duration: timedelta) -> int:
    """Give a duration in whole seconds, rounded up."""
    return -(-duration // UNITS["s"])


def roughly(duration: timedelta) -> str:
    """Write an estimate without decimals: `under a second`, `42 s`, `3 min`, `5 h`."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return "under a second"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
