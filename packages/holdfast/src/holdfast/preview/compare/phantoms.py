"""Operations of Alembic's comparison that change nothing: the catalogs of both schemas agree on what they name.

Alembic compares what it has reflected with what the models say; `float(24)` and `real` differ for it, and are one type.
"""

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation

from holdfast.observe.schema import ColumnForm, SchemaForm, TableForm
from holdfast.rewrite.names import QualifiedName


def without_phantoms(
    operations: list[MigrateOperation],
    found: SchemaForm,
    wanted: SchemaForm,
    *,
    default_schema: str,
) -> list[MigrateOperation]:
    """The operations that lead from what was found to what is wanted."""
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


def _is_phantom(
    operation: MigrateOperation, found: TableForm | None, wanted: TableForm | None
) -> bool:
    if found is None or wanted is None:
        return False
    match operation:
        case ops.AlterColumnOp(column_name=str(name)):
            return _same(_columns(found).get(name), _columns(wanted).get(name))
        case ops.CreateIndexOp(index_name=str(name)) | ops.DropIndexOp(index_name=str(name)):
            return _same(_indexes(found).get(name), _indexes(wanted).get(name))
        case ops.AddConstraintOp() | ops.DropConstraintOp():
            name = str(getattr(operation, "constraint_name", None))
            return _same(_constraints(found).get(name), _constraints(wanted).get(name))
    return False


def _same(found: object | None, wanted: object | None) -> bool:
    return found is not None and found == wanted


def _columns(table: TableForm) -> dict[str, ColumnForm]:
    return {column.name: column for column in table.columns}


def _indexes(table: TableForm) -> dict[str, tuple[str, str | None]]:
    return {index.name: (index.shape, index.comment) for index in table.indexes}


def _constraints(table: TableForm) -> dict[str, tuple[str, str | None]]:
    return {each.name: (each.definition, each.comment) for each in table.constraints}
