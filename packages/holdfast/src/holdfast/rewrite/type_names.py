"""A type as a statement writes it, by the name that PostgreSQL gives it."""

from postgast import pg_query_pb2 as pb

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


def type_of_tree(written: pb.TypeName) -> str:
    """The type as format_type() writes it."""
    if not written.names:
        return ""
    short = strings(written.names)[-1]
    numbers = [item.a_const.ival.ival for item in written.typmods]
    if short == "numeric" and len(numbers) == 1:
        numbers.append(0)
    name = FORMATTED.get(short, short) + ("[]" if written.array_bounds else "")
    modifiers = f"({','.join(map(str, numbers))})" if numbers else ""
    first, _, rest = name.partition(" ")
    is_between = modifiers and first in ("time", "timestamp")
    return f"{first}{modifiers} {rest}" if is_between else f"{name}{modifiers}"
