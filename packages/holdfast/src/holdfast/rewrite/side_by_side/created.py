"""Identifies the object that a CREATE makes, by kind and name, to tell it from a waiting one of that name."""

from dataclasses import dataclass

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import strings
from holdfast.rewrite.type_names import type_of_tree

FUNCTIONS = frozenset(["function", "procedure", "routine", "aggregate"])
TYPES = frozenset(["type", "domain"])
RELATIONS = frozenset(["view", "materialized view", "sequence", "foreign table", "table"])


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedObject:
    """The object that a statement makes: its kind and its name."""

    kind: str
    name: str  # as it is written, of a function with its arguments
    replaces: bool = False  # OR REPLACE: also where it is there

    def is_object(self, kind: str, name: str) -> bool:
        """Whether it is an object of this kind and name; without a schema any schema fits."""
        group = next((g for g in (FUNCTIONS, TYPES, RELATIONS) if kind in g), {kind})
        if self.kind not in group:
            return False
        own, other = self.name.split("(")[0].split("."), name.split("(")[0].split(".")
        if own[-1] != other[-1] or (len(own) > 1 and len(other) > 1 and own[0] != other[0]):
            return False
        arguments = name.partition("(")[2], self.name.partition("(")[2]
        return "(" not in name or arguments[0] == arguments[1]


def created_object(statement: Statement) -> CreatedObject | None:
    """Give the object that a statement makes, if it can have the name of something that waits."""
    node = statement.node
    return _relation_made(node) or _other_made(node)


def _relation_made(node: Message) -> CreatedObject | None:
    match node:
        case pb.ViewStmt():
            return CreatedObject(kind="view", name=_relation(node.view), replaces=node.replace)
        case pb.CreateTableAsStmt():
            kind = "materialized view" if node.objtype == pb.OBJECT_MATVIEW else "table"
            return CreatedObject(kind=kind, name=_relation(node.into.rel))
        case pb.CreateStmt():
            return CreatedObject(kind="table", name=_relation(node.relation))
        case pb.CreateSeqStmt():
            return CreatedObject(kind="sequence", name=_relation(node.sequence))
        case _:
            return None


def _other_made(node: Message) -> CreatedObject | None:
    match node:
        case pb.CreateFunctionStmt():
            kind = "procedure" if node.is_procedure else "function"
            return CreatedObject(kind=kind, name=_function(node), replaces=node.replace)
        case pb.CreateEnumStmt():
            return CreatedObject(kind="type", name=".".join(strings(node.type_name)))
        case pb.CreateDomainStmt():
            return CreatedObject(kind="domain", name=".".join(strings(node.domainname)))
        case pb.CompositeTypeStmt():
            return CreatedObject(kind="type", name=_relation(node.typevar))
        case pb.CreateSchemaStmt():
            return CreatedObject(kind="schema", name=node.schemaname)
        case pb.CreateExtensionStmt():
            return CreatedObject(kind="extension", name=node.extname)
        case _:
            return None


def _relation(written: pb.RangeVar) -> str:
    return f"{written.schemaname}.{written.relname}" if written.schemaname else written.relname


def _function(node: pb.CreateFunctionStmt) -> str:
    given = (pb.FUNC_PARAM_OUT, pb.FUNC_PARAM_TABLE)
    arguments = [
        type_of_tree(item.function_parameter.arg_type)
        for item in node.parameters
        if item.function_parameter.mode not in given
    ]
    return f"{'.'.join(strings(node.funcname))}({', '.join(arguments)})"
