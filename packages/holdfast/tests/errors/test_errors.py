"""Every error reads as a way out."""

import dataclasses
import importlib
import pkgutil
import typing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.errors.connection import Tried

EXAMPLES: dict[object, object] = {
    str: "example",
    int: 7,
    Path: Path("folder/file"),
    timedelta: timedelta(seconds=2),
    datetime: datetime(2026, 1, 2, tzinfo=UTC),
    date: date(2026, 1, 2),
    tuple[str, ...]: ("one", "two"),
    Tried: Tried(user="app", database="shop", host="db", port="5432", sslmode=None),
}

ALL = [
    error
    for area in pkgutil.iter_modules(errors.__path__, "holdfast.errors.")
    for error in vars(importlib.import_module(area.name)).values()
    if isinstance(error, type)
    and issubclass(error, errors.HoldfastError)
    and hasattr(error, "what")  # the others are what several have in common
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_three_parts_with_every_field_filled_in(error: type[errors.HoldfastError]) -> None:
    """What happened, why, what to do: whole sentences, no brace, no None."""
    hints = typing.get_type_hints(error)
    fields = {
        field.name: EXAMPLES[hints[field.name]]
        for field in dataclasses.fields(error)  # type: ignore[arg-type]  # each is a dataclass
    }
    parts = error(**fields).parts()
    assert all(part.strip() and part[0] == part.strip()[0] for part in parts)
    assert not any("{" in part or "None" in part for part in parts)
