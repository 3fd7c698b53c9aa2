"""Finds statements that take something away and those that give it back: users must not look in between.

A view that is dropped and created, a trigger that is switched off and on, a column whose name another one gets. Whether
a second statement gives back what a first one took is decided here; what is done about it, in `rules`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Constraint, ConstraintKind, Index, Relation
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.tree import column_of, constraint_of, find, strings
from holdfast.rewrite.type_names import bare_type, created_type, renamed_type, types_dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Something that does not exist, or does not apply, until it is given back."""

    what: str  # "trigger", "row security", "relation"
    of: str  # the relation, or nothing
    name: str = ""
    columns: frozenset[str] = frozenset()  # of a constraint or an index
    privileges: frozenset[str] = frozenset()  # that a role has for a while
    is_switched_off: bool = False  # it is there, but not in force
    is_temporary: bool = False  # the other way round: it is there until it is taken away
    is_view: bool = False

    @property
    def seen(self) -> str:
        """Say what users find meanwhile."""
        kind = "NOT NULL" if self.what == NOT_NULL else re.sub(" [cf]$", "", self.what)
        return f"a {kind} that is to be gone" if self.is_temporary else f"no {kind}"


Finder: TypeAlias = Callable[[Any, QueueEntry], Iterator[Taken]]

SWITCHED_OFF = {
    pb.AT_DisableTrig: "trigger",
    pb.AT_DisableTrigAll: "trigger",
    pb.AT_DisableTrigUser: "trigger",
    pb.AT_DisableRule: "rule",
    pb.AT_DisableRowSecurity: "row security",
    pb.AT_NoForceRowSecurity: "row security for the owner",
}
SWITCHED_ON = {
    pb.AT_EnableTrig: "trigger",
    pb.AT_EnableAlwaysTrig: "trigger",
    pb.AT_EnableReplicaTrig: "trigger",
    pb.AT_EnableTrigAll: "trigger",
    pb.AT_EnableTrigUser: "trigger",
    pb.AT_EnableRule: "rule",
    pb.AT_EnableAlwaysRule: "rule",
    pb.AT_EnableReplicaRule: "rule",
    pb.AT_EnableRowSecurity: "row security",
    pb.AT_ForceRowSecurity: "row security for the owner",
}
RELATIONS = frozenset(
    [
        pb.OBJECT_TABLE,
        pb.OBJECT_VIEW,
        pb.OBJECT_MATVIEW,
        pb.OBJECT_FOREIGN_TABLE,
        pb.OBJECT_SEQUENCE,
    ]
)
FUNCTIONS = frozenset(
    [pb.OBJECT_FUNCTION, pb.OBJECT_PROCEDURE, pb.OBJECT_ROUTINE, pb.OBJECT_AGGREGATE]
)
OF_RELATIONS = {pb.OBJECT_POLICY: "policy", pb.OBJECT_RULE: "rule", pb.OBJECT_TRIGGER: "trigger"}
# All privileges that ALL can mean, for any kind of object.
PRIVILEGES = frozenset(
    [
        *("select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"),
        *("usage", "create", "connect", "temporary", "execute", "set", "alter system"),
    ]
)
UNIQUE = frozenset([ConstraintKind.PRIMARY_KEY, ConstraintKind.UNIQUE])
NOT_NULL = f"constraint {ConstraintKind.NOT_NULL.value}"
CONSTRAINTS = {
    pb.CONSTR_CHECK: ConstraintKind.CHECK,
    pb.CONSTR_FOREIGN: ConstraintKind.FOREIGN_KEY,
    pb.CONSTR_NOTNULL: ConstraintKind.NOT_NULL,
    pb.CONSTR_PRIMARY: ConstraintKind.PRIMARY_KEY,
    pb.CONSTR_UNIQUE: ConstraintKind.UNIQUE,
}


def taken_by(entry: QueueEntry) -> Iterator[Taken]:
    """Give everything that a statement takes away."""
    of_node = TAKEN_BY.get(type(entry.statement.node))
    return of_node(entry.statement.node, entry) if of_node else iter(())


def is_given_back(taken: Taken, entry: QueueEntry) -> bool:
    """Whether the statement gives back what was taken, or puts another thing in its place."""
    return any(fills(given, taken) for given in given_by(entry))


def is_given_back_by_name(taken: Taken, entry: QueueEntry) -> bool:
    """Whether what the statement puts in its place has its name, too."""
    return any(given.name == taken.name and fills(given, taken) for given in given_by(entry))


def given_by(entry: QueueEntry) -> Iterator[Taken]:
    """Give everything that a statement puts in place."""
    of_node = GIVEN_BY.get(type(entry.statement.node))
    return of_node(entry.statement.node, entry) if of_node else iter(())


def belongs_to_new(taken: Taken, entry: QueueEntry) -> bool:
    """Whether the statement completes what was put in place: its privileges, triggers, columns of a type."""
    node = entry.statement.node
    if taken.what == "type":
        return taken.name in _types_of_columns(node)
    if taken.what != "relation":
        return False
    match node:
        case pb.GrantStmt():
            relations = [item.range_var for item in node.objects if item.HasField("range_var")]
        case pb.AlterTableStmt() | pb.RuleStmt() | pb.CreateTrigStmt():
            relations = [node.relation]
        case pb.CommentStmt() if node.object.HasField("list"):
            parts = strings(node.object.list.items)
            parts = parts[:-1] if node.objtype == pb.OBJECT_COLUMN else parts
            return bool(parts) and named(parts, entry) == taken.of
        case _:
            return False
    return any(relation_name(relation, entry) == taken.of for relation in relations)


def relation_name(written: pb.RangeVar, entry: QueueEntry) -> str:
    """Give the qualified name of a relation."""
    found = entry.facts.relation(written) if entry.facts is not None else None
    if found is not None:
        return str(found.name)
    schema = written.schemaname or (entry.facts.current_schema if entry.facts else "public")
    return str(QualifiedName(schema=schema, name=written.relname))


def named(parts: tuple[str, ...], entry: QueueEntry) -> str:
    """Give the qualified name of a relation written in parts."""
    schema = parts[-2] if len(parts) > 1 else ""
    return relation_name(pb.RangeVar(schemaname=schema, relname=parts[-1]), entry)


def fills(given: Taken, taken: Taken) -> bool:
    """Whether what is given takes the place of what was taken."""
    if (given.what, given.of, given.is_temporary) != (taken.what, taken.of, taken.is_temporary):
        return False
    if taken.is_temporary:
        is_about_it = not taken.privileges or bool(taken.privileges & given.privileges)
        return given.name == taken.name and is_about_it
    if taken.is_switched_off:
        return given.is_switched_off and (
            given.name == taken.name or "" in (given.name, taken.name)
        )
    if given.is_switched_off:
        return False
    if taken.what == "policy":
        return True  # whatever its name: without any policy nobody sees a row
    if given.name == taken.name and taken.name:
        return True
    if taken.columns or given.columns:
        return bool(taken.columns & given.columns) and (
            taken.columns <= given.columns or given.columns <= taken.columns
        )
    return given.name == taken.name


def _types_of_columns(node: Message) -> Iterator[str]:
    """Give the new types of columns whose type changes."""
    if isinstance(node, pb.AlterTableStmt):
        for item in node.cmds:
            if item.alter_table_cmd.subtype == pb.AT_AlterColumnType:
                yield strings(column_of(item.alter_table_cmd).type_name.names)[-1]


def _taken_by_drop(node: pb.DropStmt, entry: QueueEntry) -> Iterator[Taken]:
    for name in types_dropped(node):
        yield Taken(what="type", of="", name=name)
    for item in node.objects:
        yield from _dropped(node.remove_type, item, entry)
        if node.behavior == pb.DROP_CASCADE and item.HasField("list") and entry.facts is not None:
            found = entry.facts.relation_named(strings(item.list.items))
            for view in found.dependent_views if found is not None else ():
                yield Taken(what="relation", of=str(view.name), is_view=True)


def _taken_by_rename(node: pb.RenameStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.rename_type == pb.OBJECT_TYPE:
        yield Taken(what="type", of="", name=renamed_type(node))
    if not node.HasField("relation"):
        return
    table = relation_name(node.relation, entry)
    if node.rename_type == pb.OBJECT_COLUMN:
        yield Taken(what="column", of=table, name=node.subname)
    elif node.rename_type in RELATIONS:
        yield Taken(what="relation", of=table)
    elif node.rename_type in OF_RELATIONS:
        yield Taken(what=OF_RELATIONS[node.rename_type], of=table, name=node.subname)


def _taken_by_move(node: pb.AlterObjectSchemaStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.object_type in RELATIONS:
        yield Taken(what="relation", of=relation_name(node.relation, entry))


def _granted(node: pb.GrantStmt, entry: QueueEntry) -> Iterator[Taken]:
    """Give the objects of a GRANT: relations, a schema, a function, all tables of a schema, a type."""
    for item in node.objects:
        if item.HasField("range_var"):
            yield Taken(what="privilege", of=relation_name(item.range_var, entry))
            continue
        parts = item.object_with_args.objname if item.HasField("object_with_args") else [item]
        name = ".".join(strings(item.list.items if item.HasField("list") else parts))
        yield Taken(what="privilege", of=f"{node.targtype} {node.objtype}", name=name)


def _lent(node: pb.GrantStmt, entry: QueueEntry) -> Iterator[Taken]:
    """Give the privileges of each role, which last until they are revoked; the migrating role itself is left out."""
    roles = [
        f"{item.role_spec.roletype} {item.role_spec.rolename}"
        for item in node.grantees
        if item.role_spec.roletype in (pb.ROLESPEC_CSTRING, pb.ROLESPEC_PUBLIC)
    ]
    privileges = frozenset(item.access_priv.priv_name for item in node.privileges) or PRIVILEGES
    for granted in _granted(node, entry):
        for role in roles:
            name = f"{granted.name} of {role}"
            yield replace(granted, name=name, privileges=privileges, is_temporary=True)


def _temporary_rule(node: pb.RuleStmt, entry: QueueEntry) -> Iterator[Taken]:
    """Give a rule, which changes what users send to the table while it exists."""
    of = relation_name(node.relation, entry)
    yield Taken(what="rule", of=of, name=node.rulename, is_temporary=True)


def _rule_gone(node: pb.DropStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.remove_type == pb.OBJECT_RULE:
        for item in node.objects:
            parts = strings(item.list.items)
            of = named(parts[:-1], entry)
            yield Taken(what="rule", of=of, name=parts[-1], is_temporary=True)


def _taken_by_grant(node: pb.GrantStmt, entry: QueueEntry) -> Iterator[Taken]:
    return _lent(node, entry) if node.is_grant else _granted(node, entry)


def _given_by_grant(node: pb.GrantStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.is_grant:
        return _granted(node, entry)
    return iter(()) if node.grant_option else _lent(node, entry)


def _taken_by_actions(node: pb.AlterTableStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.objtype == pb.OBJECT_INDEX:
        return
    table = relation_name(node.relation, entry)
    relation = entry.facts.relation(node.relation) if entry.facts is not None else None
    for item in node.cmds:
        yield from _taken_by_action(item.alter_table_cmd, table)
        if relation is not None:
            yield from _taken_of_known(item.alter_table_cmd, relation, table)


def _taken_by_action(command: pb.AlterTableCmd, table: str) -> Iterator[Taken]:
    if command.subtype in SWITCHED_OFF:
        what = SWITCHED_OFF[command.subtype]
        yield Taken(what=what, of=table, name=command.name, is_switched_off=True)
    elif command.subtype == pb.AT_EnableRowSecurity:
        yield Taken(what="policy", of=table)  # without a policy nobody sees a row
    elif command.subtype == pb.AT_DropColumn:
        yield Taken(what="column", of=table, name=command.name)
    elif command.subtype == pb.AT_ColumnDefault and not command.HasField("def"):
        yield Taken(what="default", of=table, name=command.name)


def _taken_of_known(command: pb.AlterTableCmd, relation: Relation, table: str) -> Iterator[Taken]:
    """Give what is taken away as only the catalog can tell."""
    constraint = relation.constraint(command.name)
    column = relation.column(command.name)
    if command.subtype == pb.AT_DropConstraint and constraint is not None:
        yield _constraint_taken(constraint, table)
    elif command.subtype == pb.AT_DropNotNull and column is not None and column.not_null:
        yield Taken(what=NOT_NULL, of=table, columns=frozenset([command.name]))
    elif command.subtype == pb.AT_AlterColumnType and column is not None:
        # Users compare it with values of the type that it has.
        yield Taken(what="type", of="", name=bare_type(column.type))


def _constraint_taken(constraint: Constraint, table: str) -> Taken:
    return Taken(
        what=_of_kind(constraint.kind),
        of=table,
        name=constraint.name,
        columns=frozenset(constraint.columns),
    )


def _of_kind(kind: ConstraintKind) -> str:
    return "unique key" if kind in UNIQUE else f"constraint {kind.value}"


def _given_by_actions(node: pb.AlterTableStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.objtype == pb.OBJECT_INDEX:
        return
    table = relation_name(node.relation, entry)
    for item in node.cmds:
        command = item.alter_table_cmd
        if command.subtype in SWITCHED_ON:
            what = SWITCHED_ON[command.subtype]
            yield Taken(what=what, of=table, name=command.name, is_switched_off=True)
        elif command.subtype == pb.AT_DisableRowSecurity:
            yield Taken(what="policy", of=table)  # without row security nobody needs one
        elif command.subtype == pb.AT_AddColumn:
            yield Taken(what="column", of=table, name=column_of(command).colname)
        elif command.subtype == pb.AT_ColumnDefault and command.HasField("def"):
            yield Taken(what="default", of=table, name=command.name)
        elif command.subtype == pb.AT_SetNotNull:
            yield Taken(what=NOT_NULL, of=table, columns=frozenset([command.name]))
        elif command.subtype == pb.AT_AddConstraint:
            constraint = constraint_of(command)
            if constraint.contype in CONSTRAINTS:
                yield _constraint_given(constraint, table)


def _constraint_given(constraint: pb.Constraint, table: str) -> Taken:
    kind = CONSTRAINTS[constraint.contype]
    columns = [*strings(constraint.keys), *strings(constraint.fk_attrs)]
    if kind is ConstraintKind.CHECK:
        columns = list(_columns_of(constraint))
    return Taken(what=_of_kind(kind), of=table, name=constraint.conname, columns=frozenset(columns))


def _columns_of(constraint: pb.Constraint) -> Iterator[str]:
    for column in find(constraint.raw_expr, pb.ColumnRef):
        yield from strings(column.fields)[-1:]


def _given_by_rename(node: pb.RenameStmt, entry: QueueEntry) -> Iterator[Taken]:
    if node.rename_type == pb.OBJECT_TYPE:
        yield Taken(what="type", of="", name=node.newname)
    if not node.HasField("relation"):
        return
    table = relation_name(node.relation, entry)
    if node.rename_type == pb.OBJECT_COLUMN:
        yield Taken(what="column", of=table, name=node.newname)
    elif node.rename_type in RELATIONS:
        found = entry.facts.relation(node.relation) if entry.facts is not None else None
        schema = found.name.schema if found is not None else node.relation.schemaname
        schema = schema or (entry.facts.current_schema if entry.facts else "public")
        yield Taken(what="relation", of=str(QualifiedName(schema=schema, name=node.newname)))
    elif node.rename_type in OF_RELATIONS:
        yield Taken(what=OF_RELATIONS[node.rename_type], of=table, name=node.newname)


def _new_relation(get: Callable[[Any], pb.RangeVar]) -> Finder:
    def find_relation(node: Any, entry: QueueEntry) -> Iterator[Taken]:
        yield Taken(what="relation", of=relation_name(get(node), entry))

    return find_relation


def _new_part(what: str, table: str, name: str) -> Finder:
    """Make a finder for a new part of a relation, by the fields of the node."""

    def find_part(node: Any, entry: QueueEntry) -> Iterator[Taken]:
        of = relation_name(getattr(node, table), entry)
        yield Taken(what=what, of=of, name=getattr(node, name))

    return find_part


def _function_given(node: pb.CreateFunctionStmt, entry: QueueEntry) -> Iterator[Taken]:
    yield Taken(what="function", of="", name=strings(node.funcname)[-1])


def _type_given(node: pb.CreateEnumStmt, entry: QueueEntry) -> Iterator[Taken]:
    yield Taken(what="type", of="", name=created_type(node))


def _index_given(node: pb.IndexStmt, entry: QueueEntry) -> Iterator[Taken]:
    elements = [item.index_elem for item in node.index_params]
    yield Taken(
        what="unique key" if node.unique else "index",
        of=relation_name(node.relation, entry),
        name=node.idxname,
        columns=frozenset(element.name for element in elements if element.name)
        if node.unique
        else frozenset(),
    )


def _dropped(kind: int, item: pb.Node, entry: QueueEntry) -> Iterator[Taken]:
    if kind in FUNCTIONS:
        yield Taken(what="function", of="", name=strings(item.object_with_args.objname)[-1])
        return
    if not item.HasField("list"):
        return
    parts = strings(item.list.items)
    if kind in RELATIONS:
        yield Taken(what="relation", of=named(parts, entry), is_view=kind == pb.OBJECT_VIEW)
    elif kind in OF_RELATIONS:
        yield Taken(what=OF_RELATIONS[kind], of=named(parts[:-1], entry), name=parts[-1])
    elif kind == pb.OBJECT_INDEX and entry.facts is not None:
        index = entry.facts.index_named(parts)
        if index is not None:
            yield _index_taken(index)


def _index_taken(index: Index) -> Taken:
    return Taken(
        what="unique key" if index.is_unique else "index",
        of=str(index.table),
        name=index.name.name,
        columns=frozenset(index.keys) if index.is_unique else frozenset(),
    )


TAKEN_BY: dict[type[Message], Finder] = {
    pb.AlterObjectSchemaStmt: _taken_by_move,
    pb.AlterTableStmt: _taken_by_actions,
    pb.DropStmt: _taken_by_drop,
    pb.GrantStmt: _taken_by_grant,
    pb.RenameStmt: _taken_by_rename,
    pb.RuleStmt: _temporary_rule,
}
GIVEN_BY: dict[type[Message], Finder] = {
    pb.AlterTableStmt: _given_by_actions,
    pb.CreateEnumStmt: _type_given,
    pb.CreateFunctionStmt: _function_given,
    pb.CreatePolicyStmt: _new_part("policy", "table", "policy_name"),
    pb.CreateSeqStmt: _new_relation(lambda node: node.sequence),
    pb.CreateStmt: _new_relation(lambda node: node.relation),
    pb.CreateTableAsStmt: _new_relation(lambda node: node.into.rel),
    pb.CreateTrigStmt: _new_part("trigger", "relation", "trigname"),
    pb.DropStmt: _rule_gone,
    pb.GrantStmt: _given_by_grant,
    pb.IndexStmt: _index_given,
    pb.RenameStmt: _given_by_rename,
    pb.RuleStmt: _new_part("rule", "relation", "rulename"),
    pb.ViewStmt: _new_relation(lambda node: node.view),
}
