"""Finds keys whose numbers run out: sequences by the share used, foreign keys and models that are narrower.

Read-only, no lock that anybody meets; the last values come from the sequences, not from the tables.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Column, Connection, MetaData, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError

from holdfast.rewrite.names import quote

# One row per sequence that owns a column: how far it is, and how far sequence and column can go.
SEQUENCES = text(
    """
    SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname) AS column_name,
           format('%I.%I', sn.nspname, s.relname) AS sequence_name,
           format_type(a.atttypid, NULL) AS column_type, format_type(q.seqtypid, NULL) AS sequence_type,
           coalesce(pg_sequence_last_value(s.oid), 0)::float8 / least(q.seqmax,
             CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
             ELSE 9223372036854775807 END)::float8 AS used
    FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE q.seqincrement > 0 AND NOT q.seqcycle
      AND CASE s.relkind WHEN 'S' THEN has_sequence_privilege(s.oid, 'USAGE, SELECT') END
      AND tn.nspname NOT IN ('holdfast', 'pg_catalog', 'information_schema')
    ORDER BY 1
    """
)
# One row per foreign key with a column that holds fewer numbers than the one it points to.
NARROWER = text(
    """
    SELECT format('%I.%I.%I', n.nspname, t.relname, a.attname) AS column_name,
           format_type(a.atttypid, NULL) AS column_type,
           format('%I.%I', r.relname, b.attname) AS key_name, format_type(b.atttypid, NULL) AS key_type
    FROM pg_constraint k, unnest(k.conkey, k.confkey) AS pair (here, there),
      pg_class t, pg_namespace n, pg_class r, pg_attribute a, pg_attribute b
    WHERE k.contype = 'f' AND k.conparentid = 0 AND t.oid = k.conrelid
      AND n.oid = t.relnamespace AND r.oid = k.confrelid
      AND a.attrelid = k.conrelid AND a.attnum = pair.here AND b.attrelid = k.confrelid AND b.attnum = pair.there
      AND (a.atttypid, b.atttypid) IN (('int2'::regtype, 'int4'::regtype), ('int2'::regtype, 'int8'::regtype),
        ('int4'::regtype, 'int8'::regtype))
    ORDER BY 1
    """
)
# One row per column of these that is a bigint in the database.
BIGINTS = text(
    """
    SELECT asked.number, format('%I.%I.%I', n.nspname, t.relname, a.attname) AS column_name
    FROM unnest(CAST(:tables AS text[]), CAST(:columns AS text[])) WITH ORDINALITY AS asked (t, c, number)
    JOIN pg_class t ON t.oid = to_regclass(asked.t) JOIN pg_namespace n ON n.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = asked.c AND a.atttypid = 'int8'::regtype
    ORDER BY 1
    """
)
NARROW = ("INTEGER", "SMALLINT")
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy has it


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedColumn:
    """A column that a sequence fills; `used`: the share of the numbers that it can still give, from 0 to 1."""

    column: str
    column_type: str
    sequence: str
    sequence_type: str
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowReference:
    """A foreign key column that cannot hold every value of the key it refers to."""

    column: str
    column_type: str
    key: str
    key_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrowModel:
    """A column that the models call INTEGER or SMALLINT and that is a bigint in the database."""

    column: str
    model_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys whose numbers may run out, and narrower columns that refer to wider ones."""

    numbered: tuple[NumberedColumn, ...] = ()
    narrow: tuple[NarrowReference, ...] = ()


def keys(connection: Connection) -> Keys:
    """Find the keys that may run out, among the tables that the connection's role may see."""
    return Keys(
        numbered=tuple(
            NumberedColumn(
                column=row.column_name,
                column_type=row.column_type,
                sequence=row.sequence_name,
                sequence_type=row.sequence_type,
                used=row.used,
            )
            for row in connection.execute(SEQUENCES)
        ),
        narrow=tuple(
            NarrowReference(
                column=row.column_name,
                column_type=row.column_type,
                key=row.key_name,
                key_type=row.key_type,
            )
            for row in connection.execute(NARROWER)
        ),
    )


def integers_of(models: object) -> Iterator[tuple[Column[object], str]]:
    """Give the columns that the target_metadata of an env.py calls INTEGER or SMALLINT, with that type."""
    given = (models,) if isinstance(models, MetaData) else models
    for metadata in given if isinstance(given, Iterable) else ():
        for table in metadata.tables.values():
            for column in table.columns:
                if (name := _type_name(column)) in NARROW:
                    yield column, name


def narrow_models(connection: Connection, models: object) -> tuple[NarrowModel, ...]:
    """Find columns of the target_metadata that are wider in the database than the models say."""
    found = list(integers_of(models))
    if not found:
        return ()
    asked = {
        "tables": [table_in_sql(column) for column, _ in found],
        "columns": [column.name for column, _ in found],
    }
    return tuple(
        NarrowModel(column=row.column_name, model_type=found[row.number - 1][1])
        for row in connection.execute(BIGINTS, asked)
    )


def table_in_sql(column: Column[object]) -> str:
    """Name the table of a model's column as to_regclass() takes it."""
    table = column.table
    schema = getattr(table, "schema", None)
    name = quote(getattr(table, "name", ""))
    return f"{quote(schema)}.{name}" if schema else name


def _type_name(column: Column[object]) -> str:
    """Give the type as PostgreSQL would get it; nothing if only the application knows."""
    try:
        return column.type.compile(dialect=DIALECT)
    except CompileError:
        return ""
