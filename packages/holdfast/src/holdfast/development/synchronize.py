"""Adds to a development database what the models have and it lacks; never drops or changes anything.

Missing are tables, columns, indexes, and the unique and foreign keys that came with them. What differs is left
alone: that is what migrations are for.
"""

from collections.abc import Iterator

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy import Connection, Enum, MetaData
from sqlalchemy.schema import SchemaItem

from holdfast.engine.profiles import REFUSALS, Profile
from holdfast.errors.settings import RefusedSetting

Additive = (
    ops.AddColumnOp | ops.CreateIndexOp | ops.CreateUniqueConstraintOp | ops.CreateForeignKeyOp
)
Subtractive = ops.DropIndexOp | ops.DropConstraintOp


def synchronize(connection: Connection, metadata: MetaData, *, profile: Profile) -> tuple[str, ...]:
    """Add what is missing, in the transaction of the connection; give what was added."""
    _refuse_outside_development(profile)
    added = (*_create_tables(connection, metadata), *_add_to_tables(connection, metadata))
    return tuple(added)


def _refuse_outside_development(profile: Profile) -> None:
    """Refuse other profiles here too, for callers that have not checked the settings."""
    for refusal in REFUSALS:
        if refusal.setting == "synchronize" and profile in refusal.profiles:
            raise RefusedSetting(
                profile=profile,
                variable="HOLDFAST_SYNCHRONIZE",
                value="true",
                danger=refusal.danger,
                instead=refusal.instead,
            )


def _create_tables(connection: Connection, metadata: MetaData) -> Iterator[str]:
    missing = [
        metadata.tables[_key(operation.table_name, operation.schema)]
        for operation in _differences(connection, metadata)
        if isinstance(operation, ops.CreateTableOp)
    ]
    metadata.create_all(
        connection, tables=missing
    )  # with their enum types, which Alembic leaves out
    for table in missing:
        yield f"table {table.fullname}"


def _add_to_tables(connection: Connection, metadata: MetaData) -> Iterator[str]:
    operations = Operations(MigrationContext.configure(connection))
    for changes in _differences(connection, metadata):
        if not isinstance(changes, ops.ModifyTableOps):
            continue
        changed = {_name(each) for each in changes.ops if isinstance(each, Subtractive)}
        for operation in changes.ops:
            # Dropped and created under one name: it exists and differs.
            if isinstance(operation, Additive) and _name(operation) not in changed:
                _create_type(connection, operation)
                operations.invoke(operation)
                yield f"{_kind(operation)} {changes.table_name}.{_name(operation)}"


def _differences(connection: Connection, metadata: MetaData) -> list[ops.MigrateOperation]:
    schemas = {table.schema for table in metadata.tables.values()} | {None}

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "schema" or name in schemas

    def is_not_left_over(
        _item: SchemaItem, _name: str | None, kind: str, reflected: bool, compared_to: object
    ) -> bool:
        return not (kind in ("table", "column") and reflected and compared_to is None)

    options = {
        "include_schemas": schemas != {None},
        "include_name": is_ours,
        "include_object": is_not_left_over,
        "compare_type": False,
        "compare_server_default": False,
    }
    context = MigrationContext.configure(connection, opts=options)
    upgrade = produce_migrations(context, metadata).upgrade_ops
    return [] if upgrade is None else upgrade.ops


def _create_type(connection: Connection, operation: Additive) -> None:
    if isinstance(operation, ops.AddColumnOp) and isinstance(operation.column.type, Enum):
        operation.column.type.create(connection, checkfirst=True)


def _key(name: str, schema: str | None) -> str:
    return name if schema is None else f"{schema}.{name}"


def _name(operation: Additive | Subtractive) -> object:
    match operation:
        case ops.AddColumnOp():
            return operation.column.name
        case ops.CreateIndexOp() | ops.DropIndexOp():
            return operation.index_name
        case _:
            return operation.constraint_name


def _kind(operation: Additive) -> str:
    match operation:
        case ops.AddColumnOp():
            return "column"
        case ops.CreateIndexOp():
            return "index"
        case _:
            return "constraint"
