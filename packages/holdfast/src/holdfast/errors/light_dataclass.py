"""Makes dataclasses for events and errors in an eighth of the time: every cold start of the CLI loads them.

`dataclass` compiles six methods for each class, 0.6 ms; these share theirs. In use they are a little slower.
"""

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import TypeVar, dataclass_transform

Class = TypeVar("Class")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def light_dataclass(cls: type[Class]) -> type[Class]:
    """Make a class a frozen dataclass: its fields, repr(), equality and hash."""
    for name, method in SHARED.items():
        setattr(cls, name, method)
    return dataclass(init=False, repr=False, eq=False)(cls)


@dataclass_transform(kw_only_default=True, eq_default=False)
def light_error(cls: type[Class]) -> type[Class]:
    """Make an error a dataclass, as `dataclass(kw_only=True, eq=False)` does."""
    for name in ("__init__", "__repr__"):
        setattr(cls, name, SHARED[name])
    return dataclass(init=False, repr=False, eq=False)(cls)


def _init(self: object, **values: object) -> None:
    for each in fields(self):  # type: ignore[arg-type]  # light_dataclass has made it one
        if each.name not in values and each.default is MISSING:
            raise TypeError(f"{type(self).__name__} needs {each.name}")
        self.__dict__[each.name] = values.pop(each.name, each.default)
    if values:
        raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


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
