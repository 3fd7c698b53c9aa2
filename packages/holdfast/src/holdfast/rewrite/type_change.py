"""Whether ALTER COLUMN TYPE leaves the rows as they are.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES; which length and
precision changes are free is decided by the support functions of varchar, numeric, time and varbit.
"""

import re
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Column, Facts
from holdfast.rewrite.tree import strings

# What the parser calls a type, and what format_type() calls it.
FORMATTED = {
    "bool": "boolean",
    "bpchar": "character",
    "float4": "real",
    "float8": "double precision",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timetz": "time with time zone",
    "varbit": "bit varying",
    "varchar": "character varying",
}
WRITTEN = re.compile(r"(?P<start>[^(]+)(?:\((?P<modifiers>[\d,]+)\))?(?P<end>.*)")
LONGER_IS_FREE = frozenset(
    ["bit varying", "character varying"]
    + [f"{kind} {zone} time zone" for kind in ("time", "timestamp") for zone in ("with", "without")]
)
RELABELLED = frozenset(
    [("character varying", "text"), ("text", "character varying"), ("cidr", "inet")]
)
TIMESTAMPS = frozenset(["timestamp without time zone", "timestamp with time zone"])
UTC = frozenset(["Etc/UCT", "Etc/UTC", "GMT", "UCT", "UTC", "Zulu"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type and its length, precision or scale."""

    name: str
    modifiers: tuple[int, ...] = ()


def keeps_rows(column: Column, change: pb.ColumnDef, *, facts: Facts) -> bool:
    """Whether PostgreSQL neither rewrites nor reads the rows of the column for its own sake."""
    old, new = _of_text(column.type), _of_tree(change.type_name)
    if change.HasField("coll_clause") or not _is_plain(change, column=column.name, new=new):
        return False
    if old == new:
        return True
    if old.name == new.name:
        return _grows(old, new)
    if {old.name, new.name} == TIMESTAMPS:
        return facts.time_zone in UTC and old.modifiers == new.modifiers
    return (old.name, new.name) in RELABELLED and not new.modifiers


def type_of_tree(written: pb.TypeName) -> str:
    """The type as format_type() writes it."""
    kind = _of_tree(written) if written.names else Type(name="")
    modifiers = f"({','.join(map(str, kind.modifiers))})" if kind.modifiers else ""
    first, _, rest = kind.name.partition(" ")
    is_between = modifiers and first in ("time", "timestamp")
    return f"{first}{modifiers} {rest}" if is_between else f"{kind.name}{modifiers}"


def _is_plain(change: pb.ColumnDef, *, column: str, new: Type) -> bool:
    """No USING, or one that says what PostgreSQL would do anyway."""
    if not change.HasField("raw_default"):
        return True
    using = change.raw_default
    if using.HasField("type_cast"):
        if _of_tree(using.type_cast.type_name) != new:
            return False
        using = using.type_cast.arg
    return using.HasField("column_ref") and strings(using.column_ref.fields) == (column,)


def _grows(old: Type, new: Type) -> bool:
    if not new.modifiers:
        return old.name in LONGER_IS_FREE or old.name == "numeric"
    if not old.modifiers:
        return False
    if old.name == "numeric":
        # The scale is part of how each value is stored.
        return old.modifiers[1:] == new.modifiers[1:] and old.modifiers[0] <= new.modifiers[0]
    return old.name in LONGER_IS_FREE and old.modifiers <= new.modifiers


def _of_text(text: str) -> Type:
    found = WRITTEN.fullmatch(text)
    if found is None:
        return Type(name=text)
    modifiers = tuple(int(number) for number in (found["modifiers"] or "").split(",") if number)
    return Type(name=found["start"] + found["end"], modifiers=modifiers)


def _of_tree(written: pb.TypeName) -> Type:
    name = strings(written.names)[-1]
    array = "[]" if written.array_bounds else ""
    modifiers = tuple(item.a_const.ival.ival for item in written.typmods)
    if name == "numeric" and len(modifiers) == 1:
        modifiers = (*modifiers, 0)
    return Type(name=FORMATTED.get(name, name) + array, modifiers=modifiers)
