"""The lines of a revision for what stands beside its tables: enum types, domains, sequences.

Pure: takes two schemas as their catalogs write them, gives Python source.
"""

from collections.abc import Iterator

from holdfast.observe.schema import EnumForm, SchemaForm
from holdfast.preview.compare.revision_source import Change, execute, short_name, sql_literal
from holdfast.rewrite.names import QualifiedName, quote


def enum_changes(before: SchemaForm, after: SchemaForm, *, default_schema: str) -> Iterator[Change]:
    """Values of enum types; types that are new are `new_enum`s."""
    for name, wanted in after.enums.items():
        found = before.enums.get(name)
        if found is not None and found.labels != wanted.labels:
            written = short_name(name, default_schema)
            yield Change(
                up=tuple(_to_labels(written, found, wanted.labels, default_schema)),
                down=tuple(_remade(written, found, wanted.labels, found.labels, default_schema)),
            )


def new_types(
    schema: SchemaForm, names: set[QualifiedName], *, default_schema: str
) -> list[Change]:
    """Enum types and domains as they are in this schema."""
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
    """Sequences that no column owns."""
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


def _to_labels(
    name: str, found: EnumForm, wanted: tuple[str, ...], default_schema: str
) -> Iterator[str]:
    if [label for label in wanted if label in found.labels] != list(found.labels):
        yield from _remade(name, found, found.labels, wanted, default_schema)
        return
    for place, label in enumerate(wanted):
        if label not in found.labels:
            where = f" AFTER {sql_literal(wanted[place - 1])}" if place else ""
            where = where or f" BEFORE {sql_literal(found.labels[0])}"
            is_last = place + 1 == len(wanted) and place > 0
            yield execute(
                f"ALTER TYPE {name} ADD VALUE {sql_literal(label)}{'' if is_last else where}"
            )


def _remade(
    name: str,
    enum: EnumForm,
    labels: tuple[str, ...],
    wanted: tuple[str, ...],
    default_schema: str,
) -> Iterator[str]:
    """PostgreSQL has no way to take a value out: a new type takes the place of the old one."""
    old = f"{enum.name.name}_old"
    yield execute(f"ALTER TYPE {name} RENAME TO {quote(old)}")
    yield execute(f"CREATE TYPE {name} AS ENUM ({_labels(wanted)})")
    for table, column, default in enum.columns:
        alter = f"ALTER TABLE {short_name(table, default_schema)} ALTER COLUMN {quote(column)}"
        if default is not None:
            yield execute(f"{alter} DROP DEFAULT")
        yield execute(f"{alter} TYPE {name} USING {quote(column)}::text::{name}")
        if default is not None:
            yield execute(f"{alter} SET DEFAULT {default}")
    old_name = QualifiedName(schema=enum.name.schema, name=old)
    yield execute(f"DROP TYPE {short_name(old_name, default_schema)}")


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(map(sql_literal, labels))
