"""A light dataclass behaves as a frozen one."""

from dataclasses import FrozenInstanceError, asdict, dataclass
from typing import Any

import pytest

from holdfast.errors.light_dataclass import light_dataclass


@light_dataclass
class Light:
    """With and without a default."""

    a: int
    b: str = "b"


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
