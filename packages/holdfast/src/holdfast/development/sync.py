"""Brings a development database in line with the models: adds what is missing; if allowed, also drops and changes.

The models are the `target_metadata` of env.py. Every database that others use is for migrations.
"""

from collections.abc import Iterable, Iterator

from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy import Connection, MetaData
from sqlalchemy.schema import SchemaItem

from holdfast.development.disposable import require_profile_of
from holdfast.development.synchronize import synchronize
from holdfast.engine import environment
from holdfast.engine.profiles import Profile
from holdfast.errors.database import NoModels
from holdfast.execute.progress import Report, silent
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection
from holdfast.migrate.project_connection import ProjectConnection, on_project_connection
from holdfast.observe.other_tools import is_of_another_tool
from holdfast.observe.schema_constants import SCHEMA

ALLOWED = (Profile.DEVELOPMENT,)
Lossy = (
    ops.DropTableOp | ops.DropColumnOp | ops.DropConstraintOp | ops.DropIndexOp | ops.AlterColumnOp
)


def add_missing(config: Config, *, profile: Profile, report: Report = silent) -> tuple[str, ...]:
    """Add what is missing, as synchronisation at start-up does; give what was added. Raises NotDisposable, NoModels."""
    _require(config, profile)
    return on_locked_connection(config, _add, report=report)


def make_equal(config: Config, *, profile: Profile, report: Report = silent) -> tuple[str, ...]:
    """Add what is missing and drop or change the rest; give all that was done. Data is lost."""
    _require(config, profile)
    return on_locked_connection(
        config, lambda locked: (*_add(locked), *_drop(locked)), report=report
    )


def losses(config: Config, *, profile: Profile) -> tuple[str, ...]:
    """List what `make_equal` would drop or change. Reads only."""

    def look(project: ProjectConnection) -> tuple[str, ...]:
        require_profile_of(project.connection, ALLOWED, profile=profile, verb="sync")
        differing = _differing(project.connection, project.context)
        return tuple(
            _described(operation) for operation in differing if isinstance(operation, Lossy)
        )

    return on_project_connection(config, look)


def _require(config: Config, profile: Profile) -> None:
    on_project_connection(
        config,
        lambda project: require_profile_of(
            project.connection, ALLOWED, profile=profile, verb="sync"
        ),
    )


def _add(locked: LockedConnection) -> tuple[str, ...]:
    connection = locked.session.connection
    added = tuple(
        each
        for models in _models(locked.context)
        for each in synchronize(connection, models, profile=Profile.DEVELOPMENT)
    )
    environment.stamp_in(connection, profile=Profile.DEVELOPMENT)
    environment.mark_synchronized(connection)
    return added


def _drop(locked: LockedConnection) -> Iterator[str]:
    connection = locked.session.connection
    operations = Operations(MigrationContext.configure(connection))
    for operation in _differing(connection, locked.context):
        operations.invoke(operation)
        yield _described(operation)


def _differing(connection: Connection, project: MigrationContext) -> Iterator[ops.MigrateOperation]:
    """Give the operations that make the database equal to the models, in an order that works."""
    models = _models(project)
    schemas = {table.schema for each in models for table in each.tables.values()} | {None}

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "schema" or (name in schemas and name != SCHEMA)

    def is_not_the_version_table(
        _item: SchemaItem, name: str | None, kind: str, reflected: bool, _compared_to: object
    ) -> bool:
        if kind != "table":
            return True
        return name != project.version_table and not (reflected and is_of_another_tool(str(name)))

    options = {
        "include_schemas": schemas != {None},
        "include_name": is_ours,
        "include_object": is_not_the_version_table,
        "compare_type": True,
        "compare_server_default": True,
        "target_metadata": list(models),
    }
    context = MigrationContext.configure(connection, opts=options)
    upgrade = produce_migrations(context, list(models)).upgrade_ops  # type: ignore[arg-type]  # a list is allowed
    return _flat(() if upgrade is None else upgrade.ops)


def _flat(operations: Iterable[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            yield from operation.ops
        else:
            yield operation


def _models(context: MigrationContext) -> tuple[MetaData, ...]:
    models = context.opts.get("target_metadata")
    if models is None:
        raise NoModels(file="env.py")
    return (models,) if isinstance(models, MetaData) else tuple(models)


def _described(operation: ops.MigrateOperation) -> str:
    match operation:
        case ops.DropTableOp():
            return f"drop table {operation.table_name}"
        case ops.DropColumnOp():
            return f"drop column {operation.table_name}.{operation.column_name}"
        case ops.DropConstraintOp():
            return f"drop constraint {operation.constraint_name}"
        case ops.DropIndexOp():
            return f"drop index {operation.index_name}"
        case ops.AlterColumnOp():
            return f"change column {operation.table_name}.{operation.column_name}"
        case _:
            return str(operation.to_diff_tuple()[0]).replace("_", " ")
