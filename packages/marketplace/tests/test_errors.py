"""Every error of the command line reads as a way out."""

import dataclasses
import typing

import pytest

from holdfast.errors import HoldfastError
from marketplace import errors

EXAMPLES: dict[object, object] = {str: "example", int: 7}

ALL = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, HoldfastError) and error is not HoldfastError
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_three_parts_with_every_field_filled_in(error: type[HoldfastError]) -> None:
    """What happened, why, what to do: whole sentences, no brace, no None."""
    hints = typing.get_type_hints(error)
    fields = {
        field.name: EXAMPLES[hints[field.name]]
        for field in dataclasses.fields(error)  # type: ignore[arg-type]  # each is a dataclass
    }
    parts = error(**fields).parts()
    assert all(part.strip() for part in parts)
    assert not any("{" in part or "None" in part for part in parts)
