"""Durations as people write and read them."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from holdfast.engine.duration_setting import Duration
from holdfast.errors.durations import in_words, milliseconds, whole_seconds

ADAPTER = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30", timedelta(seconds=30)),
        ("30 s", timedelta(seconds=30)),
        ("1.5min", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("PT5S", timedelta(seconds=5)),
        (7, timedelta(seconds=7)),
    ],
)
def test_read(text: object, duration: timedelta) -> None:
    """With a unit, without one in seconds, or in ISO 8601."""
    assert ADAPTER.validate_python(text) == duration


def test_nonsense_is_refused() -> None:
    """Not read as something else."""
    with pytest.raises(ValidationError):
        ADAPTER.validate_python("5 fortnights")


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=30), "30 min"),
        (timedelta(milliseconds=1500), "1500 ms"),
        (timedelta(microseconds=500), "0.5 ms"),
        (timedelta(days=2), "2 d"),
        (timedelta(), "0 ms"),
    ],
)
def test_words(duration: timedelta, words: str) -> None:
    """The largest unit that leaves a whole number."""
    assert in_words(duration) == words


def test_numbers_for_postgresql() -> None:
    """Milliseconds for the server, seconds for libpq, rounded up."""
    assert milliseconds(timedelta(seconds=1.5)) == 1500
    assert [whole_seconds(timedelta(seconds=s)) for s in (2, 2.1)] == [2, 3]
