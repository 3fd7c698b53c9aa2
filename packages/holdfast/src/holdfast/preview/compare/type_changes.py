"""Writes the lines of a revision for objects beside its tables: enum types, domains, sequences.

Pure: takes two schemas as their catalogs write them, gives Python source.
"""

from collections.abc import Iterator

from holdfast.observe.schema import EnumColumn, EnumForm, SchemaForm
from holdfast.preview.compare.revision_source import Change, execute, short_name, sql_literal
from holdfast.preview.compare.schema_changes import lines_of_users
from holdfast.rewrite.names import QualifiedName, quote


def enum_changes(before: SchemaForm, after: SchemaForm, *, default_schema: str) -> Iterator[Change]:
    """Give the changes of enum types' values; types that are new are `new_types`."""
    for name, wanted in after.enums.items():
        found = before.enums.get(name)
        if found is not None and found.labels != wanted.labels:
            yield _Labels(found, wanted.labels, before, default_schema).change()


def new_types(
    schema: SchemaForm, names: set[QualifiedName], *, default_schema: str
) -> list[Change]:
    """Give the enum types and domains to be created in this schema."""
    enums = [
        _new("TYPE", name, f"AS ENUM ({_labels(enum.labels)})", default_schema)
        for name, enum in schema.enums.items()
        if name in names
    ]
    domains = [
        _new("DOMAIN", name, definition, default_schema)
        for name, definition in schema.domains.items()
        if name in names
    ]
    return [*enums, *domains]


def new_sequences(before: SchemaForm, after: SchemaForm, *, default_schema: str) -> list[Change]:
    """Give sequences that no column owns."""
    return [
        _new("SEQUENCE", name, definition, default_schema)
        for name, definition in after.sequences.items()
        if name not in before.sequences
    ]


def _new(kind: str, name: QualifiedName, definition: str, default_schema: str) -> Change:
    written = short_name(name, default_schema)
    return Change(
        up=(execute(f"CREATE {kind} {written} {definition}".rstrip()),),
        down=(execute(f"DROP {kind} {written}"),),
    )


class _Labels:
    """The change of one enum type's values, among the tables that use it."""

    def __init__(
        self, found: EnumForm, wanted: tuple[str, ...], before: SchemaForm, default_schema: str
    ) -> None:
        self.found, self.wanted, self.default_schema = found, wanted, default_schema
        self.name = short_name(found.name, default_schema)
        used = {column.table for column in found.columns}
        self.uses = [
            lines_of_users(table, self.name, default_schema=default_schema)
            for name, table in sorted(before.tables.items())
            if name in used
        ]

    def change(self) -> Change:
        """Give the lines; a condition that names the type is made anew by the table comparison that follows."""
        drops = [line for use in self.uses for line in use.up]
        creates = [line for use in self.uses for line in use.down]
        back = (*self._remade(self.found.labels), *creates)
        if [label for label in self.wanted if label in self.found.labels] == [*self.found.labels]:
            return Change(up=tuple(self._added()), down=(*drops, *back))
        return Change(up=(*drops, *self._remade(self.wanted)), down=back)

    def _added(self) -> Iterator[str]:
        labels = self.found.labels
        for place, label in enumerate(self.wanted):
            if label not in labels:
                where = f" AFTER {sql_literal(self.wanted[place - 1])}" if place else ""
                where = where or f" BEFORE {sql_literal(labels[0])}"
                is_last = place + 1 == len(self.wanted) and place > 0
                where = "" if is_last else where
                yield execute(f"ALTER TYPE {self.name} ADD VALUE {sql_literal(label)}{where}")

    def _remade(self, wanted: tuple[str, ...]) -> Iterator[str]:
        """Make a new type in the place of the old one: PostgreSQL cannot remove a value."""
        old = f"{self.found.name.name}_old"
        yield execute(f"ALTER TYPE {self.name} RENAME TO {quote(old)}")
        yield execute(f"CREATE TYPE {self.name} AS ENUM ({_labels(wanted)})")
        for column in self.found.columns:
            yield from self._retyped(column)
        old_name = QualifiedName(schema=self.found.name.schema, name=old)
        yield execute(f"DROP TYPE {short_name(old_name, self.default_schema)}")

    def _retyped(self, column: EnumColumn) -> Iterator[str]:
        name, array = quote(column.name), "[]" if column.is_array else ""
        table = short_name(column.table, self.default_schema)
        alter = f"ALTER TABLE {table} ALTER COLUMN {name}"
        if column.default is not None:
            yield execute(f"{alter} DROP DEFAULT")
        type_ = f"{self.name}{array}"
        yield execute(f"{alter} TYPE {type_} USING {name}::text{array}::{type_}")
        if column.default is not None:
            yield execute(f"{alter} SET DEFAULT {column.default}")


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(map(sql_literal, labels))
