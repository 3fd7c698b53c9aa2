"""Writes the lines of a revision for differences that Alembic's own comparison does not see.

Pure: takes two schemas as their catalogs write them, gives Python source. Names of constraints that differ
alone are no difference: PostgreSQL chose one of them.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from holdfast.observe.schema import ColumnForm, ConstraintForm, IndexForm, SchemaForm, TableForm
from holdfast.preview.compare.revision_source import (
    Change,
    Source,
    call,
    execute,
    final_name,
    literal,
    short_name,
    sql_literal,
    sql_text,
)
from holdfast.rewrite.names import quote

COUNTS = re.compile(r"nextval\('(.+)'::regclass\)")
KINDS = {"p": "primary", "u": "unique", "c": "check", "f": "foreignkey"}


def table_changes(
    before: SchemaForm, after: SchemaForm, *, default_schema: str
) -> Iterator[Change]:
    """Give what differs in the tables that both schemas have."""
    names = {*before.sequences, *after.sequences}
    sequences = frozenset(short_name(name, default_schema) for name in names)
    enums = frozenset(short_name(name, default_schema) for name in {*before.enums, *after.enums})
    for name, wanted in after.tables.items():
        found = before.tables.get(name)
        if found is not None:
            yield from _Table(found, wanted, default_schema, sequences, enums).changes()


def lines_of_users(table: TableForm, type_name: str, *, default_schema: str) -> Change:
    """Give the lines that drop a table's conditions and indexes which name a type, and that make them again."""
    lines = _Table(table, table, default_schema, frozenset(), frozenset())
    return lines.without_users(re.compile(rf"::{re.escape(type_name)}(?![\w$\"])"))


class _Table:
    def __init__(
        self,
        found: TableForm,
        wanted: TableForm,
        default_schema: str,
        sequences: frozenset[str],  # that no column owns
        enums: frozenset[str],
    ) -> None:
        self.found, self.wanted, self.sequences, self.enums = found, wanted, sequences, enums
        self.table = found.name.name
        is_default = found.name.schema == default_schema
        self.schema = None if is_default else found.name.schema
        self.sql_name = quote(self.table) if is_default else str(found.name)

    def without_users(self, cast: re.Pattern[str]) -> Change:
        """Drop what casts to a type, and make it again."""
        conditions = [
            each
            for each in self.found.constraints
            if each.kind in ("c", "x") and cast.search(each.definition)
        ]
        indexes = [each for each in self.found.indexes if cast.search(each.definition)]
        return Change(
            up=(
                *(self._drop(each) for each in conditions),
                *(line for each in indexes for line in self._drop_index(each)),
            ),
            down=(
                *(self._create(each) for each in conditions),
                *(line for each in indexes for line in self._create_index(each)),
            ),
        )

    def changes(self) -> Iterator[Change]:
        gone, new = _unmatched(self.found.constraints, self.wanted.constraints)
        for constraint in gone:
            yield Change(up=(self._drop(constraint),), down=(self._create(constraint),))
        columns = {column.name: column for column in self.wanted.columns}
        for column in self.found.columns:
            if column.name in columns:
                yield from self._column(column, columns[column.name])
        for constraint in new:
            yield Change(up=(self._create(constraint),), down=(self._drop(constraint),))
        yield from self._indexes()
        if self.found.comment != self.wanted.comment:
            yield Change(
                up=(self._table_comment(self.wanted.comment),),
                down=(self._table_comment(self.found.comment),),
            )

    # Columns.

    def _column(self, found: ColumnForm, wanted: ColumnForm) -> Iterator[Change]:
        if (found.computed, found.is_stored) != (wanted.computed, wanted.is_stored):
            yield Change(up=self._recomputed(wanted), down=self._recomputed(found))
            return
        is_retyped = (found.type, found.collation) != (wanted.type, wanted.collation)
        if is_retyped:
            yield Change(up=self._retyped(found, wanted), down=self._retyped(wanted, found))
        if found.is_not_null != wanted.is_not_null:
            yield self._altered(
                found.name, "nullable", not found.is_not_null, not wanted.is_not_null
            )
        if self._compared(found) != self._compared(wanted) and not (
            is_retyped and self._is_cast(found, wanted)
        ):
            yield Change(up=self._redefaulted(found, wanted), down=self._redefaulted(wanted, found))
        if found.comment != wanted.comment:
            yield self._altered(found.name, "comment", found.comment, wanted.comment)

    def _altered(self, column: str, what: str, found: object, wanted: object) -> Change:
        up, down = (
            self._call("alter_column", self.table, column, **{what: value})
            for value in (wanted, found)
        )
        return Change(up=(up,), down=(down,))

    def _type(self, old: ColumnForm, column: ColumnForm) -> str:
        collation = f" COLLATE {column.collation}" if column.collation else ""
        name = quote(column.name)
        return execute(
            f"ALTER TABLE {self.sql_name} ALTER COLUMN {name} TYPE {column.type}{collation}"
            f" USING {name}{self._by_text(old.type, column.type)}::{column.type}"
        )

    def _by_text(self, old: str, new: str) -> str:
        """Cast by way of text, the only cast that an enum type has."""
        if not self.enums & {old.removesuffix("[]"), new.removesuffix("[]")}:
            return ""
        return "::text[]" if old.endswith("[]") else "::text"

    def _retyped(self, old: ColumnForm, new: ColumnForm) -> tuple[str, ...]:
        """Change a type, with the default taken off before and set again: its cast happens only implicitly."""
        if not self._is_cast(old, new):
            return (self._type(old, new),)
        off = (self._default(replace(new, default=None)),) if old.default else ()
        on = (self._default(new),) if new.default else ()
        return (*off, self._type(old, new), *on)

    def _is_cast(self, *columns: ColumnForm) -> bool:
        return not any(map(self._own_sequence, columns)) and any(each.default for each in columns)

    def _redefaulted(self, old: ColumnForm, new: ColumnForm) -> tuple[str, ...]:
        """Change a default, with the sequence of a column that counts by itself (serial)."""
        before, after = self._own_sequence(old), self._own_sequence(new)
        made: tuple[str, ...] = ()
        gone: tuple[str, ...] = ()
        if after:
            column = quote(new.name)
            made = (
                execute(f"CREATE SEQUENCE {after} AS {new.type} OWNED BY {self.sql_name}.{column}"),
                execute(
                    f"SELECT setval({sql_literal(after)}, coalesce(max({column}), 0) + 1, false)"  # noqa: S608  # source
                    f" FROM {self.sql_name}"
                ),
            )
        if before:
            gone = (execute(f"DROP SEQUENCE {before}"),)
        return (*made, self._default(new), *gone)

    def _own_sequence(self, column: ColumnForm) -> str | None:
        return own_sequence(column.default, self.sequences)

    def _compared(self, column: ColumnForm) -> str | None:
        """Give the default in a form to compare: the name of a sequence that the column owns does not matter."""
        return "nextval()" if self._own_sequence(column) else column.default

    def _default(self, column: ColumnForm) -> str:
        source = (
            "None" if column.default is None else f"sa.text({literal(sql_text(column.default))})"
        )
        return self._call("alter_column", self.table, column.name, server_default=Source(source))

    def _recomputed(self, column: ColumnForm) -> tuple[str, ...]:
        """Drop the column and add it again: before PostgreSQL 17 no statement changes a computed column."""
        kind = f" GENERATED ALWAYS AS ({column.computed}) {'STORED' if column.is_stored else 'VIRTUAL'}"
        parts = (
            f"ALTER TABLE {self.sql_name} ADD COLUMN {quote(column.name)} {column.type}",
            f" COLLATE {column.collation}" if column.collation else "",
            kind if column.computed else "",
            f" DEFAULT {column.default}" if column.default else "",
            " NOT NULL" if column.is_not_null else "",
        )
        return (
            self._call("drop_column", self.table, column.name),
            execute("".join(parts)),
        )

    # Constraints.

    def _drop(self, constraint: ConstraintForm) -> str:
        if constraint.kind not in KINDS:
            return self._alter_table(f"DROP CONSTRAINT {quote(constraint.name)}")
        return self._call(
            "drop_constraint", final_name(constraint.name), self.table, type_=KINDS[constraint.kind]
        )

    def _create(self, constraint: ConstraintForm) -> str:
        definition = constraint.definition
        name, columns = final_name(constraint.name), list(constraint.columns)
        plain = f"({', '.join(map(quote, columns))})"
        if constraint.kind == "c" and definition.endswith(")"):
            condition = definition.removeprefix("CHECK (").removesuffix(")")
            return self._call("create_check_constraint", name, self.table, sql_text(condition))
        if definition == f"PRIMARY KEY {plain}":
            return self._call("create_primary_key", name, self.table, columns)
        if definition == f"UNIQUE {plain}":
            return self._call("create_unique_constraint", name, self.table, columns)
        return self._alter_table(f"ADD CONSTRAINT {quote(constraint.name)} {definition}")

    # Indexes.

    def _indexes(self) -> Iterator[Change]:
        found = {index.name: index for index in self.found.indexes}
        wanted = {index.name: index for index in self.wanted.indexes}
        for name in sorted(found.keys() | wanted.keys()):
            old, new = found.get(name), wanted.get(name)
            if old and new and old.shape == new.shape:
                continue
            yield Change(
                up=(*self._drop_index(old), *self._create_index(new)),
                down=(*self._drop_index(new), *self._create_index(old)),
            )

    def _drop_index(self, index: IndexForm | None) -> tuple[str, ...]:
        if index is None:
            return ()
        return (self._call("drop_index", final_name(index.name), table_name=self.table),)

    def _create_index(self, index: IndexForm | None) -> tuple[str, ...]:
        if index is None:
            return ()
        if not index.is_plain:
            return (execute(index.definition),)
        keys = [
            Source(f"sa.text({literal(sql_text(key))})") if is_expression else _unquoted(key)
            for key, is_expression in zip(index.keys, index.expressions, strict=True)
        ]
        options: dict[str, object] = {}
        if index.is_unique:
            options["unique"] = True
        if index.method != "btree":
            options["postgresql_using"] = index.method
        if index.include:
            options["postgresql_include"] = list(index.include)
        if index.where is not None:
            options["postgresql_where"] = Source(f"sa.text({literal(sql_text(index.where))})")
        if index.nulls_not_distinct:
            options["postgresql_nulls_not_distinct"] = True
        return (self._call("create_index", final_name(index.name), self.table, keys, **options),)

    # Source.

    def _table_comment(self, comment: str | None) -> str:
        if comment is None:
            return self._call("drop_table_comment", self.table)
        return self._call("create_table_comment", self.table, comment)

    def _alter_table(self, action: str) -> str:
        return execute(f"ALTER TABLE {self.sql_name} {action}")

    def _call(self, operation: str, *arguments: object, **keywords: object) -> str:
        if self.schema is not None:
            keywords["schema"] = self.schema
        return call(operation, *arguments, **keywords)


def own_sequence(default: str | None, standing: frozenset[str]) -> str | None:
    """Give the sequence that a default counts by, unless that sequence stands for itself."""
    found = COUNTS.fullmatch(default or "")
    name = found[1].replace("''", "'") if found else None
    return None if name in standing else name


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _unmatched(
    found: tuple[ConstraintForm, ...], wanted: tuple[ConstraintForm, ...]
) -> tuple[list[ConstraintForm], list[ConstraintForm]]:
    """Pair by name and definition first, then by definition alone; give the rest."""
    same = {(c.name, c.definition) for c in found} & {(c.name, c.definition) for c in wanted}
    gone = [c for c in found if (c.name, c.definition) not in same]
    new = []
    for constraint in (c for c in wanted if (c.name, c.definition) not in same):
        twin = next((c for c in gone if c.definition == constraint.definition), None)
        if twin is None:
            new.append(constraint)
        else:
            gone.remove(twin)
    return gone, new
