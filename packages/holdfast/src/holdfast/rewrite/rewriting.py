"""The record of an operation, with what is known of it, and the building blocks that several operations use.

There are two kinds: one looks at a whole statement, one at a single action of an ALTER TABLE. Of an
ALTER TABLE all instant actions stay together in one statement, because they may depend on each
other; what would last is taken out and runs before or after it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors import HoldfastError
from holdfast.rewrite.alter_table_locks import locks_of_alter_table
from holdfast.rewrite.facts import Facts, NewRelations, Relation
from holdfast.rewrite.hazards import BreakingChange, Hazard
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName, candidates, free_name
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step, TransactionStep, ValidateStep
from holdfast.rewrite.tree import columns_read, constraint_of, copy, qualify, sql, strings, wrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of an ALTER TABLE on `table`, with the statement it is part of."""

    command: pb.AlterTableCmd
    statement: pb.AlterTableStmt
    table: Relation
    facts: Facts

    @property
    def is_alone(self) -> bool:
        """Whether the statement has no other action."""
        return len(self.statement.cmds) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """An action divided: steps before and after the rest, and what stays in the rest.

    `also` are statements that run right behind the rest, in its transaction.
    """

    stays: tuple[pb.AlterTableCmd, ...] = ()
    also: tuple[Message, ...] = ()
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    chosen_names: frozenset[str] = frozenset()
    dropped_keys: tuple[tuple[QualifiedName, str], ...] = ()  # by the steps before
    refusals: tuple["Refusal", ...] = ()


class Refusal(Protocol):
    """Why a statement is not run, unless its author allows it."""

    @property
    def lifted_by(self) -> frozenset[QueuedChange]:
        """Which changes by earlier statements in the queue remove the reason."""

    def error(self, statement: Statement) -> HoldfastError:
        """Make the error that refuses this statement."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObject:
    """What a statement, or an action of ALTER TABLE, adds to a table: `node` is its tree, `relations` what is known.

    The names that PostgreSQL or an online form may choose for it are looked up before anything is planned.
    """

    node: Any
    table: str
    relations: tuple[Relation, ...] = ()
    is_of_partition: bool = (
        False  # `table` is one; its own is not called what the author has written
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementOperation:
    """The record of a kind of statement: `rows` are those of the table of operations.

    `apply` gives its online form, or None where it runs as it is written: then `locks` are the locks that it takes,
    `hazards` what it reads or writes under them, and `breaks` what running code misses after it. `names` are those
    that may have to be chosen for it; `is_outside` says whether PostgreSQL refuses it inside a transaction. `leaves` is
    its table after it, `new_after` what the revision has made itself then, `way_back` the SQL that takes it back;
    `looks_at_partitions` says whether what it becomes depends on each partition of its table.
    """

    name: str
    statements: tuple[type[Message], ...]
    rows: tuple[int, ...] = ()
    apply: Callable[[Statement, Facts], tuple[Step, ...] | None] | None = None
    locks: Callable[[Any, Facts], Iterator[Lock]] | None = None
    names: Callable[[NewObject], Iterator[str]] | None = None
    hazards: Callable[[Any, Facts], Iterator[Hazard]] | None = None
    breaks: Callable[[Any, Facts], Iterator[BreakingChange]] | None = None
    is_outside: Callable[[Any], bool] | None = None
    leaves: Callable[[Relation, Any], Relation] | None = None
    new_after: Callable[[NewRelations, Any, Facts], NewRelations] | None = None
    way_back: Callable[[Any], tuple[str, ...]] | None = None
    looks_at_partitions: Callable[[Any], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOperation:
    """The record of an action of ALTER TABLE, by subtype; `apply` gives None if the action is fine as written.

    Its locks are those of the whole ALTER TABLE: `alter_table_locks`.
    """

    name: str
    rows: tuple[int, ...]
    actions: frozenset[int]
    apply: Callable[[Action], Split | None] | None = None
    names: Callable[[NewObject], Iterator[str]] | None = None
    hazards: Callable[[Action], Iterator[Hazard]] | None = None
    looks_at_partitions: bool = False


def transaction(
    *nodes: Message,
    facts: Facts,
    locks: Iterable[Lock] = (),
    captures_constraint_on: QualifiedName | None = None,
    undo: tuple[str, ...] = (),
) -> TransactionStep:
    """Make a step of statements from trees, in one transaction; `locks` are those besides ALTER TABLE's."""
    of_tables = [
        lock
        for node in nodes
        if isinstance(node, pb.AlterTableStmt)
        for lock in locks_of_alter_table(node, facts)
    ]
    return TransactionStep(
        sql=tuple(sql(node) for node in nodes),
        locks=strongest((*locks, *of_tables)),
        captures_constraint_on=captures_constraint_on,
        undo=undo,
    )


def alter_table(table: QualifiedName, *commands: pb.AlterTableCmd) -> pb.AlterTableStmt:
    """Make an ALTER TABLE with these actions."""
    node = pb.AlterTableStmt(objtype=pb.OBJECT_TABLE)
    node.relation.CopyFrom(pb.RangeVar(inh=True, relpersistence="p"))
    qualify(node.relation, table)
    for command in commands:
        node.cmds.add().alter_table_cmd.CopyFrom(command)
    return node


def as_written_action(action: Action) -> pb.AlterTableStmt:
    """Give the statement itself, on the table by its qualified name."""
    node = copy(action.statement)
    qualify(node.relation, action.table.name)
    return node


def add_constraint(constraint: pb.Constraint) -> pb.AlterTableCmd:
    """Make ADD CONSTRAINT as an action."""
    command = pb.AlterTableCmd(subtype=pb.AT_AddConstraint, behavior=pb.DROP_RESTRICT)
    wrap(constraint, into=getattr(command, "def"))
    return command


def drop_constraint(name: str) -> pb.AlterTableCmd:
    """Make DROP CONSTRAINT as an action."""
    return pb.AlterTableCmd(subtype=pb.AT_DropConstraint, name=name, behavior=pb.DROP_RESTRICT)


def drop_constraint_if_exists(table: QualifiedName, *, name: str) -> str:
    """Write the SQL that takes back a named constraint."""
    command = drop_constraint(name)
    command.missing_ok = True
    return sql(alter_table(table, command))


def not_valid(constraint: pb.Constraint) -> pb.Constraint:
    """Give the same constraint for new rows only."""
    unchecked = copy(constraint)
    unchecked.skip_validation, unchecked.initially_valid = True, False
    return unchecked


def set_default(column: str, *, to: pb.Node) -> pb.AlterTableCmd:
    """Make ALTER COLUMN .. SET DEFAULT as an action."""
    command = pb.AlterTableCmd(subtype=pb.AT_ColumnDefault, name=column, behavior=pb.DROP_RESTRICT)
    getattr(command, "def").CopyFrom(to)
    return command


def validate(
    relation: Relation | None,
    *,
    table: QualifiedName,
    constraint: str,
) -> ValidateStep:
    """Make VALIDATE CONSTRAINT of a constraint by name; an empty name: of the one just captured."""
    in_use = relation is not None and not relation.is_new
    read = (table, *relation.descendants) if relation is not None and in_use else ()
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE
    return ValidateStep(
        table=table,
        constraint=constraint or None,
        locks=tuple(Lock(mode=mode, relation=name) for name in read),
        scans=read,
    )


def added_not_valid(action: Action, constraint: pb.Constraint) -> Split:
    """Add a CHECK or foreign key in two steps: for new rows, in a moment; then for all rows."""
    table, facts = action.table, action.facts
    constraint, chosen = _with_a_name(action, constraint)
    command = add_constraint(not_valid(constraint))
    check = validate(table, table=table.name, constraint=constraint.conname)
    if constraint.conname and dropped_constraints(action.statement):
        # It may replace one that the same statement drops: there is one at every moment.
        return Split(stays=(command,), after=(check,), chosen_names=chosen)
    add = transaction(
        alter_table(table.name, command),
        facts=facts,
        captures_constraint_on=None if constraint.conname else table.name,
        undo=(drop_constraint_if_exists(table.name, name=constraint.conname),)
        if constraint.conname
        else (),
    )
    return Split(after=(add, check), chosen_names=chosen)


def _with_a_name(action: Action, constraint: pb.Constraint) -> tuple[pb.Constraint, frozenset[str]]:
    """Name a CHECK on Citus as PostgreSQL would: after the one column that it reads."""
    is_check = constraint.contype == pb.CONSTR_CHECK
    if constraint.conname or not is_check or action.table.placement is None:
        return constraint, frozenset()
    named, second = copy(constraint), _only_column(constraint)
    named.conname = free_name(
        action.table.name.name, second=second, label="check", taken=names_taken(action)
    )
    return named, frozenset([named.conname])


def names_of_check(new: NewObject, constraint: pb.Constraint) -> Iterator[str]:
    """Give the names to choose from for an unnamed CHECK, if it is named here."""
    is_on_citus = any(table.placement is not None for table in new.relations)
    if constraint.contype == pb.CONSTR_CHECK and not constraint.conname and is_on_citus:
        yield from candidates(new.table, second=_only_column(constraint), label="check")


def _only_column(constraint: pb.Constraint) -> str:
    read = set(columns_read(constraint))
    return read.pop() if len(read) == 1 else ""


def drop_foreign_keys(
    keys: Sequence[tuple[QualifiedName, str]], *, facts: Facts
) -> tuple[Step, ...]:
    """Drop each foreign key, by table and name, in a transaction of its own: it locks two tables."""
    return tuple(
        transaction(alter_table(table, drop_constraint(name)), facts=facts) for table, name in keys
    )


def names_of_constraint(new: NewObject, *, otherwise: Iterable[str] = ()) -> Iterator[str]:
    """Give the author's name for a constraint: it may be taken until another constraint goes."""
    name = "" if new.is_of_partition else constraint_of(new.node).conname
    yield from candidates(name, label="new") if name else otherwise


def dropped_constraints(statement: pb.AlterTableStmt) -> frozenset[str]:
    """Give the constraints that an ALTER TABLE drops."""
    commands = (item.alter_table_cmd for item in statement.cmds)
    return frozenset(
        command.name for command in commands if command.subtype == pb.AT_DropConstraint
    )


def dropped_indexes(node: pb.DropStmt) -> frozenset[str]:
    """Give the indexes that a DROP INDEX drops, without their schemas."""
    if node.remove_type != pb.OBJECT_INDEX:
        return frozenset()
    return frozenset(strings(item.list.items)[-1] for item in node.objects)


def names_taken(action: Action) -> frozenset[str]:
    """Give the names that are not free for an index or constraint of the table."""
    taken = action.facts.taken_in(action.table.name.schema)
    return taken - dropped_constraints(action.statement)
