"""Types as statements write them, by the names that PostgreSQL gives them; and statements about types."""

from collections.abc import Iterator

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.tree import copy, strings

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
    """Give the type as format_type() writes it."""
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


def created_type(node: pb.CreateEnumStmt) -> str:
    """Give the name of a new enum, without its schema."""
    return strings(node.type_name)[-1]


def renamed_type(node: pb.RenameStmt) -> str:
    """Give the name that a type had, without its schema."""
    return strings(node.object.list.items)[-1]


def types_dropped(node: Message) -> Iterator[str]:
    """Give the names of types that the statement drops, without their schemas."""
    if isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_TYPE:
        for item in node.objects:
            yield strings(item.type_name.names)[-1]


def is_about_types(node: Message) -> bool:
    """Whether the statement is about types alone: their names, values, owners, comments, privileges."""
    match node:
        case pb.RenameStmt():
            return bool(node.rename_type == pb.OBJECT_TYPE)
        case pb.DropStmt():
            return bool(node.remove_type == pb.OBJECT_TYPE)
        case pb.CommentStmt() | pb.GrantStmt():
            return bool(node.objtype == pb.OBJECT_TYPE)
        case pb.AlterOwnerStmt() | pb.AlterObjectSchemaStmt():
            return bool(node.object_type == pb.OBJECT_TYPE)
        case _:
            return isinstance(node, pb.AlterEnumStmt)


def bare_type(formatted: str) -> str:
    """Give only the name of a type that format_type() has written: no schema, no [], no quotes."""
    name = formatted.removesuffix("[]").rpartition(".")[2]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def without_limit(written: pb.TypeName) -> pb.TypeName | None:
    """Give a type that holds every value of this one; None if only itself does."""
    if written.typmods and strings(written.names)[-1] != "varchar":
        return None
    wider = copy(written)
    del wider.typmods[:]
    return wider
