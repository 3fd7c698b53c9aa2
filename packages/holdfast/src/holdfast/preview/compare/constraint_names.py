"""Names constraints that the models leave to PostgreSQL: a revision needs a name to take a constraint back."""

from collections.abc import Iterator, Sequence
from typing import Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy.sql.elements import conv

from holdfast.observe.schema import ConstraintForm, SchemaForm
from holdfast.rewrite.names import QualifiedName


def name_constraints(
    operations: Sequence[MigrateOperation], wanted: SchemaForm, *, default_schema: str
) -> None:
    """Give each new unique constraint and foreign key the name that PostgreSQL has given it for the models."""
    taken = {
        (table, str(_name(operation))) for operation, table in _new(operations, default_schema)
    }
    for operation, table in _nameless(operations, default_schema):
        form = wanted.tables.get(table)
        for constraint in form.constraints if form is not None else ():
            if (table, constraint.name) not in taken and _is(operation, constraint):
                taken.add((table, constraint.name))
                operation.constraint_name = conv(constraint.name)
                break


def _nameless(
    operations: Sequence[MigrateOperation], default_schema: str
) -> Iterator[tuple[Any, QualifiedName]]:
    return (each for each in _new(operations, default_schema) if _name(each[0]) is None)


def _new(
    operations: Sequence[MigrateOperation], default_schema: str
) -> Iterator[tuple[Any, QualifiedName]]:
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            schema = operation.schema or default_schema
            table = QualifiedName(schema=schema, name=operation.table_name)
            for part in operation.ops:
                if isinstance(part, ops.AddConstraintOp):
                    yield part, table


def _name(operation: ops.AddConstraintOp) -> object:
    return getattr(operation, "constraint_name", None)


def _is(operation: ops.AddConstraintOp, constraint: ConstraintForm) -> bool:
    match operation:
        case ops.CreateUniqueConstraintOp():
            return constraint.kind == "u" and set(operation.columns) == set(constraint.columns)
        case ops.CreateForeignKeyOp():
            return constraint.kind == "f" and tuple(operation.local_cols) == constraint.columns
    return False
