"""A light dataclass behaves as a frozen one."""

from dataclasses import FrozenInstanceError, asdict, dataclass, field
from typing import Any

import pytest

from holdfast.errors.light_dataclass import changed, light_dataclass


@light_dataclass
class Light:
    """With and without a default."""

    a: int
    b: str = "b"


@light_dataclass
class Made(Light):
    """With a field more, which is made for each, and a text of its own."""

    c: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        return "made"


@dataclass(frozen=True, kw_only=True)
class Usual:
    """The same by the standard library."""

    a: int
    b: str = "b"


def test_it_is_as_a_frozen_dataclass() -> None:
    """Fields, defaults, text, equality, hash; nothing missing, nothing unknown, nothing assigned."""
    light, usual = Light(a=1), Usual(a=1)
    assert asdict(light) == asdict(usual)  # type: ignore[call-overload]  # mypy knows the decorator only
    assert repr(light) == "Light(a=1, b='b')"
    assert light == Light(a=1, b="b") != Light(a=2)
    assert len({light, Light(a=1), Light(a=2)}) == 2
    wrong: Any = light
    for kind in (Light, Usual):
        made: Any = kind
        for values in ({}, {"a": 1, "c": 2}):
            with pytest.raises(TypeError):
                made(**values)
    with pytest.raises(FrozenInstanceError):
        wrong.a = 2


def test_one_that_inherits_has_all_fields_and_what_it_says_itself() -> None:
    """What is made for each is its own; another one with a changed value keeps the rest."""
    first, second = Made(a=1), Made(a=1)
    assert first == second
    assert first.c is not second.c
    assert repr(first) == "made"
    assert changed(first, b="c") == Made(a=1, b="c", c=[])
    assert first.b == "b"
