"""Filters operations of Alembic's comparison that change nothing, as the catalogs of both schemas agree.

Alembic compares what it has reflected with what the models say; `float(24)` and `real` differ for it, and are one type.
"""

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from holdfast.observe.schema import ColumnForm, SchemaForm, TableForm
from holdfast.rewrite.names import QualifiedName

MOST_BYTES = 63  # of a name; what is longer stands shortened in the catalog


def without_phantoms(
    operations: list[MigrateOperation],
    found: SchemaForm,
    wanted: SchemaForm,
    *,
    default_schema: str,
) -> list[MigrateOperation]:
    """Give the operations that lead from what was found to what is wanted."""
    kept: list[MigrateOperation] = []
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            name = QualifiedName(
                schema=operation.schema or default_schema, name=operation.table_name
            )
            tables = found.tables.get(name), wanted.tables.get(name)
            for part in operation.ops:
                if isinstance(part, ops.AlterColumnOp):
                    part.kw.pop(
                        "autoincrement", None
                    )  # for MySQL: Alembic warns when it is executed
            operation.ops = [part for part in operation.ops if not _is_phantom(part, *tables)]
            if not operation.ops:
                continue
        kept.append(operation)
    return kept


def without_what_is_gone(
    operations: list[MigrateOperation],
    found: SchemaForm,
    left: SchemaForm,
    *,
    default_schema: str,
) -> list[MigrateOperation]:
    """Leave out operations that drop an index or constraint which earlier lines have dropped."""
    kept: list[MigrateOperation] = []
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps):
            schema = operation.schema or default_schema
            name = QualifiedName(schema=schema, name=operation.table_name)
            gone = _objects(found.tables.get(name)) - _objects(left.tables.get(name))
            operation.ops = [part for part in operation.ops if _dropped_by(part) not in gone]
            if not operation.ops:
                continue
        kept.append(operation)
    return kept


def _objects(table: TableForm | None) -> set[str | None]:
    return {*_indexes(table), *_constraints(table)} if table is not None else set()


def _dropped_by(operation: MigrateOperation) -> str | None:
    match operation:
        case (
            ops.DropIndexOp(index_name=str(name)) | ops.DropConstraintOp(constraint_name=str(name))
        ):
            return name
    return None


def _is_phantom(
    operation: MigrateOperation, found: TableForm | None, wanted: TableForm | None
) -> bool:
    if found is None or wanted is None:
        return False
    if _is_never_made(operation, wanted):
        return True
    match operation:
        case ops.AlterColumnOp(column_name=str(name)):
            return _same(_columns(found).get(name), _columns(wanted).get(name))
        case ops.CreateIndexOp(index_name=str(name)) | ops.DropIndexOp(index_name=str(name)):
            return _same(_indexes(found).get(name), _indexes(wanted).get(name))
        case ops.AddConstraintOp() | ops.DropConstraintOp():
            name = str(getattr(operation, "constraint_name", None))
            return _same(_constraints(found).get(name), _constraints(wanted).get(name))
    return False


def _is_never_made(operation: MigrateOperation, wanted: TableForm) -> bool:
    """Whether PostgreSQL never makes the key: of two equal ones in a CREATE TABLE it makes only one."""
    match operation:
        case ops.CreateIndexOp(index_name=str(name)):
            return len(name.encode()) < MOST_BYTES and name not in _indexes(wanted)
        case ops.CreateUniqueConstraintOp(constraint_name=str(name)):
            return len(name.encode()) < MOST_BYTES and name not in _constraints(wanted)
        case ops.CreateUniqueConstraintOp():
            return True
    return False


def _same(found: object | None, wanted: object | None) -> bool:
    return found is not None and found == wanted


def _columns(table: TableForm) -> dict[str, ColumnForm]:
    return {column.name: column for column in table.columns}


def _indexes(table: TableForm) -> dict[str, tuple[str, str | None]]:
    return {index.name: (index.shape, index.comment) for index in table.indexes}


def _constraints(table: TableForm) -> dict[str, tuple[str, str | None]]:
    return {each.name: (each.definition, each.comment) for each in table.constraints}
