"""Finds what may be a rename rather than a drop and an add: nothing in a schema tells, so a person is asked."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.observe.schema import SchemaForm, TableForm
from holdfast.preview.compare.revision_source import Change, call
from holdfast.rewrite.names import QualifiedName, quote

# A person has to fill this in: unchanged it allows nothing, and `run` and `check` say why.
TO_BE_EXCUSED = "# holdfast: allow REASON until YYYY-MM-DD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A table or column that may have got another name."""

    table: QualifiedName  # under its old name
    old: str
    new: str
    is_column: bool
    default_schema: str  # that names without one mean

    def __str__(self) -> str:
        return self.spellings()[0]

    def spellings(self) -> tuple[str, ...]:
        """How a person may ask for it, the shortest first: `old_table:new_table`, `table.old_column:new_column`.

        A schema comes before the table; that of names without one may be left out.
        """
        table = f"{self.table.name}." if self.is_column else ""
        short = f"{table}{self.old}:{self.new}"
        full = f"{self.table.schema}.{short}"
        return (short, full) if self.table.schema == self.default_schema else (full,)

    def change(self) -> Change:
        """Give the lines of a revision for this rename."""
        is_default = self.table.schema == self.default_schema
        schema = {} if is_default else {"schema": self.table.schema}
        if not self.is_column:
            return Change(
                up=(TO_BE_EXCUSED, call("rename_table", self.old, self.new, **schema)),
                down=(TO_BE_EXCUSED, call("rename_table", self.new, self.old, **schema)),
            )
        table = self.table.name
        up = call("alter_column", table, self.old, new_column_name=self.new, **schema)
        down = call("alter_column", table, self.new, new_column_name=self.old, **schema)
        return Change(up=(TO_BE_EXCUSED, up), down=(TO_BE_EXCUSED, down))


def candidates(found: SchemaForm, wanted: SchemaForm, *, default_schema: str) -> list[Rename]:
    """Give the pairs that could be renames: columns of one type and table; tables with the same columns."""
    tables, columns = _tables(found, wanted), _columns(found, wanted)
    return [
        Rename(table=table, old=old, new=new, is_column=is_column, default_schema=default_schema)
        for pairs, is_column in ((tables, False), (columns, True))
        for table, old, new in pairs
    ]


def _tables(found: SchemaForm, wanted: SchemaForm) -> Iterator[tuple[QualifiedName, str, str]]:
    gone = [table for name, table in found.tables.items() if name not in wanted.tables]
    new = [table for name, table in wanted.tables.items() if name not in found.tables]
    for old in gone:
        for table in new:
            if old.name.schema == table.name.schema and _shape(old) == _shape(table):
                yield old.name, old.name.name, table.name.name


def _shape(table: TableForm) -> set[tuple[str, str]]:
    return {(column.name, column.type) for column in table.columns}


def _columns(found: SchemaForm, wanted: SchemaForm) -> Iterator[tuple[QualifiedName, str, str]]:
    for name, table in wanted.tables.items():
        if name not in found.tables:
            continue
        before = {column.name: column for column in found.tables[name].columns}
        after = {column.name: column for column in table.columns}
        for old in before.values():
            for column in after.values():
                is_pair = old.name not in after and column.name not in before
                if is_pair and old.type == column.type:
                    yield name, old.name, column.name


def follow_up(found: SchemaForm, wanted: SchemaForm, *, default_schema: str) -> Iterator[Change]:
    """Rename indexes and constraints that were named after what was renamed, as the models do."""
    for name, table in wanted.tables.items():
        before = found.tables.get(name)
        if before is None:
            continue
        is_default = name.schema == default_schema
        schema = "" if is_default else f"{quote(name.schema)}."
        for old, new in _renamed(before, table, "indexes"):
            yield _sql_change(f"ALTER INDEX {schema}{{}} RENAME TO {{}}", old, new)
        for old, new in _renamed(before, table, "constraints"):
            yield _sql_change(
                f"ALTER TABLE {schema}{quote(name.name)} RENAME CONSTRAINT {{}} TO {{}}", old, new
            )


def _renamed(before: TableForm, after: TableForm, what: str) -> Iterator[tuple[str, str]]:
    old = {item.name: _definition(item) for item in getattr(before, what)}
    new = {item.name: _definition(item) for item in getattr(after, what)}
    for old_name, definition in old.items():
        for new_name, wanted in new.items():
            if definition == wanted and old_name not in new and new_name not in old:
                yield old_name, new_name


def _definition(item: object) -> str:
    return str(getattr(item, "shape", None) or getattr(item, "definition", ""))


def _sql_change(sql: str, old: str, new: str) -> Change:
    return Change(
        up=(call("execute", sql.format(quote(old), quote(new))),),
        down=(call("execute", sql.format(quote(new), quote(old))),),
    )
