"""Decides what differs between the schema that the history makes and the one that is there. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from holdfast.observe.schema_objects import SchemaObject


class Kind(StrEnum):
    """How an object differs between the two schemas."""

    MISSING = "missing"  # the history makes it, the database has it not
    EXTRA = "extra"  # the database has it, no migration makes it
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property that is not as the history makes it."""

    name: str
    history: str | None
    database: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object that is not as the history makes it."""

    kind: Kind
    object: str  # index public.users_email_key
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRule:
    """A rule for objects that may differ. `object` is a pattern: `index public.*`."""

    object: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        """Whether the pattern fits; upper and lower case differ."""
        return fnmatchcase(difference.object, self.object)


def differences(
    history: Mapping[str, SchemaObject], database: Mapping[str, SchemaObject]
) -> tuple[Difference, ...]:
    """Give the differences, in the order of the objects; parts of a missing or extra object are left out."""
    found = (
        _difference(name, history.get(name), database.get(name))
        for name in sorted(history.keys() | database.keys())
        if not _goes_without_saying(name, history, database)
    )
    return tuple(each for each in found if each is not None)


def without_ignored(
    found: Iterable[Difference], rules: tuple[IgnoreRule, ...]
) -> tuple[Difference, ...]:
    """The differences that no rule of drift_ignore covers."""
    return tuple(each for each in found if not any(rule.covers(each) for rule in rules))


def _difference(
    name: str, made: SchemaObject | None, there: SchemaObject | None
) -> Difference | None:
    if made is None or there is None:
        # What is extra and broken says so: it may be a leftover.
        state = there.properties.get("valid") if there else None
        broken = Property(name="valid", history=None, database=state)
        return Difference(
            kind=Kind.MISSING if there is None else Kind.EXTRA,
            object=name,
            properties=() if state in (None, "valid") else (broken,),
        )
    otherwise = tuple(
        Property(name=key, history=made.properties.get(key), database=there.properties.get(key))
        for key in dict.fromkeys((*made.properties, *there.properties))
        if made.properties.get(key) != there.properties.get(key)
    )
    return Difference(kind=Kind.DIFFERENT, object=name, properties=otherwise) if otherwise else None


def _goes_without_saying(
    name: str, history: Mapping[str, SchemaObject], database: Mapping[str, SchemaObject]
) -> bool:
    of = (history.get(name) or database[name]).of
    return of is not None and (of in history) != (of in database)
