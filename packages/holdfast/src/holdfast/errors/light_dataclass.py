"""Defines dataclasses in an eighth of the time, for what every cold start of the CLI loads.

`dataclass` compiles six methods for each class, 0.6 ms; these share theirs. In use they are a little slower.
"""

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache
from typing import Any, TypeVar, dataclass_transform

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def light_dataclass(cls: type[Class]) -> type[Class]:
    """Make a class one whose fields, repr(), equality and hash are those of a frozen dataclass."""
    for name, method in SHARED.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    return dataclass(init=False, repr=False, eq=False)(cls)


@dataclass_transform(kw_only_default=True, eq_default=False)
def light_error(cls: type[Class]) -> type[Class]:
    """Make an error one with fields, as `dataclass(kw_only=True, eq=False)` does."""
    for name in ("__init__", "__repr__"):
        setattr(cls, name, SHARED[name])
    return dataclass(init=False, repr=False, eq=False)(cls)


def changed(of: Class, **values: object) -> Class:
    """Copy a light dataclass with other values for some fields, as dataclasses.replace() does."""
    return type(of)(**vars(of) | values)


def _init(self: object, **values: object) -> None:
    said = self.__dict__
    kind: Any = type(self)
    for name, default, factory in _fields_of(kind):
        if name in values:
            said[name] = values.pop(name)
        elif default is not MISSING:
            said[name] = default
        elif factory is not MISSING:
            said[name] = factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {name}")
    if values:
        raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


@cache
def _fields_of(cls: Any) -> tuple[tuple[str, Any, Any], ...]:
    """Give name, default and factory of each field, in order; found once, as that takes longer than the rest."""
    return tuple((each.name, each.default, each.default_factory) for each in fields(cls))


def _repr(self: object) -> str:
    said = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
    return f"{type(self).__name__}({said})"


def _eq(self: object, other: object) -> bool:
    return type(self) is type(other) and vars(self) == vars(other)


def _hash(self: object) -> int:
    return hash((type(self), *vars(self).values()))


def _refuse(_: object, name: str, *__: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


SHARED = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}
