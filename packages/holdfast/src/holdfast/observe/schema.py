"""Reads tables and enum types as the catalog writes them, for comparing two databases.

Expressions are in the server's own spelling, so the same expression is the same text, whoever wrote it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, text

from holdfast.rewrite.names import QualifiedName, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnForm:
    """A column with everything declared of it."""

    name: str
    type: str
    collation: str | None  # where it is not that of the type
    default: str | None
    computed: str | None
    is_stored: bool
    identity: str
    is_not_null: bool
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintForm:
    """A primary key, unique, check, foreign key or exclusion constraint."""

    name: str
    kind: str  # as pg_constraint.contype: p, u, c, f, x
    definition: str
    columns: tuple[str, ...]
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexForm:
    """An index that no constraint owns."""

    name: str
    definition: str
    keys: tuple[str, ...]  # columns and expressions, without order, operator class, collation
    expressions: tuple[bool, ...]  # which of them are expressions
    is_unique: bool
    method: str
    where: str | None
    include: tuple[str, ...]
    nulls_not_distinct: bool
    is_plain: bool  # the fields above say all of it
    comment: str | None

    @property
    def shape(self) -> str:
        """The definition without the name."""
        return self.definition.replace(f" {quote(self.name)} ON ", " ON ", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableForm:
    """A table with everything declared of it."""

    name: QualifiedName
    comment: str | None
    columns: tuple[ColumnForm, ...]
    constraints: tuple[ConstraintForm, ...]
    indexes: tuple[IndexForm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumColumn:
    """A column that has an enum type, or an array of it."""

    table: QualifiedName
    name: str
    default: str | None
    is_array: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumForm:
    """An enum type, and the columns that have it."""

    name: QualifiedName
    labels: tuple[str, ...]
    columns: tuple[EnumColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaForm:
    """The tables that were asked for, and all types and sequences that users have made."""

    tables: Mapping[QualifiedName, TableForm]
    enums: Mapping[QualifiedName, EnumForm]
    domains: Mapping[QualifiedName, str]  # what follows the name in CREATE DOMAIN
    sequences: Mapping[QualifiedName, str]  # in CREATE SEQUENCE; without those that a column owns


# One row per table that exists.
TABLES = text("""
SELECT n.nspname AS schema, c.relname AS name, json_build_object(
  'comment', obj_description(c.oid, 'pg_class'),
  'columns', ARRAY(
    SELECT json_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
      'collation', (SELECT quote_ident(collname) FROM pg_collation
        WHERE pg_collation.oid = attcollation AND attcollation <> typcollation),
      'default', CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid, true) END,
      'computed', CASE WHEN attgenerated <> '' THEN pg_get_expr(adbin, adrelid, true) END,
      'is_stored', attgenerated = 's', 'identity', attidentity::text, 'is_not_null', attnotnull,
      'comment', col_description(c.oid, attnum))
    FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
  'constraints', ARRAY(
    SELECT json_build_object('name', conname, 'kind', contype::text,
      'definition', pg_get_constraintdef(k.oid, true),
      'columns', ARRAY(SELECT attname FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
        JOIN pg_attribute USING (attnum) WHERE attrelid = c.oid ORDER BY key.place),
      'comment', obj_description(k.oid, 'pg_constraint'))
    FROM pg_constraint k WHERE conrelid = c.oid AND contype IN ('p', 'u', 'c', 'f', 'x')
    ORDER BY conname),
  'indexes', ARRAY(
    SELECT json_build_object('name', i.relname, 'definition', pg_get_indexdef(indexrelid, 0, true),
      'keys', ARRAY(SELECT pg_get_indexdef(indexrelid, place, true)
        FROM generate_series(1, indnkeyatts) AS place),
      'expressions', ARRAY(SELECT attnum = 0 FROM unnest(indkey) WITH ORDINALITY AS k (attnum, place)
        WHERE place <= indnkeyatts ORDER BY place),
      'include', ARRAY(SELECT attname FROM unnest(indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute USING (attnum) WHERE attrelid = c.oid AND place > indnkeyatts ORDER BY place),
      'is_unique', indisunique, 'method', amname, 'where', pg_get_expr(indpred, indrelid, true),
      'nulls_not_distinct', indnullsnotdistinct,
      'is_plain', NOT EXISTS (SELECT FROM unnest(indoption) AS o WHERE o <> 0) AND i.reloptions IS NULL
        AND NOT EXISTS (SELECT FROM unnest(indclass) AS class (oid)
          JOIN pg_opclass USING (oid) WHERE NOT opcdefault)
        AND NOT pg_get_indexdef(indexrelid) LIKE '% COLLATE %',
      'comment', obj_description(indexrelid, 'pg_class'))
    FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_am ON pg_am.oid = i.relam
    WHERE indrelid = c.oid
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
    ORDER BY i.relname)
)::text AS document
FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[])) AS asked (schema, name)
JOIN pg_namespace n ON n.nspname = asked.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name AND c.relkind IN ('r', 'p')
""")
# One row per enum type that no extension brought.
ENUMS = text("""
SELECT n.nspname AS schema, t.typname AS name,
  ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder) AS labels,
  ARRAY(
    SELECT json_build_array(
      s.nspname, c.relname, attname, pg_get_expr(adbin, adrelid, true), atttypid = t.typarray)::text
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace s ON s.oid = c.relnamespace
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE atttypid IN (t.oid, t.typarray) AND NOT attisdropped ORDER BY s.nspname, c.relname, attnum) AS columns
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND NOT EXISTS (
  SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
""")
# One row per domain that no extension brought.
DOMAINS = text("""
SELECT n.nspname AS schema, t.typname AS name, concat_ws(' ',
  'AS ' || format_type(typbasetype, typtypmod),
  (SELECT 'COLLATE ' || t.typcollation::regcollation FROM pg_type base
   WHERE base.oid = t.typbasetype AND base.typcollation <> t.typcollation),
  'DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN 'NOT NULL' END,
  (SELECT string_agg(format('CONSTRAINT %I %s', conname, pg_get_constraintdef(k.oid, true)), ' ' ORDER BY conname)
   FROM pg_constraint k WHERE contypid = t.oid AND contype = 'c')) AS definition
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'd' AND n.nspname <> 'information_schema' AND NOT EXISTS (
  SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
""")
# One row per sequence that neither a column nor an extension owns.
SEQUENCES = text("""
SELECT n.nspname AS schema, c.relname AS name, concat_ws(' ',
  CASE WHEN seqtypid <> 'bigint'::regtype THEN 'AS ' || seqtypid::regtype END,
  CASE WHEN seqincrement <> 1 THEN 'INCREMENT BY ' || seqincrement END,
  CASE WHEN seqmin <> 1 THEN 'MINVALUE ' || seqmin END,
  CASE WHEN seqmax <> CASE seqtypid WHEN 'smallint'::regtype THEN 32767
    WHEN 'integer'::regtype THEN 2147483647 ELSE 9223372036854775807 END THEN 'MAXVALUE ' || seqmax END,
  CASE WHEN seqstart <> 1 THEN 'START WITH ' || seqstart END,
  CASE WHEN seqcache <> 1 THEN 'CACHE ' || seqcache END,
  CASE WHEN seqcycle THEN 'CYCLE' END) AS definition
FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (
  SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('a', 'i', 'e'))
""")


# One row per table that no extension brought.
NAMES = text("""
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'holdfast')
  AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
""")
SEARCH_PATH = text("SELECT current_setting('search_path')")
SET_SEARCH_PATH = text("SELECT set_config('search_path', :path, false)")


def table_names(connection: Connection) -> frozenset[QualifiedName]:
    """Give the names of all tables that people have made, except those of extensions."""
    return frozenset(
        QualifiedName(schema=row.schema, name=row.name) for row in connection.execute(NAMES)
    )


@contextmanager
def names_from(connection: Connection, default_schema: str) -> Iterator[None]:
    """Let the catalog write names in `default_schema` without it, and every other one in full."""
    before = connection.execute(SEARCH_PATH).scalar_one()
    connection.execute(SET_SEARCH_PATH, {"path": quote(default_schema)})
    yield
    connection.execute(SET_SEARCH_PATH, {"path": before})  # after an error the session is not used


def schema_of(connection: Connection, tables: Iterable[QualifiedName]) -> SchemaForm:
    """Read the definitions of these tables, if they exist, and of all types and sequences."""
    asked = sorted(tables)
    parameters = {"schemas": [n.schema for n in asked], "names": [n.name for n in asked]}
    found = [
        _table(QualifiedName(schema=row.schema, name=row.name), json.loads(row.document))
        for row in connection.execute(TABLES, parameters)
    ]
    enums = [
        EnumForm(
            name=QualifiedName(schema=row.schema, name=row.name),
            labels=tuple(row.labels),
            columns=tuple(
                EnumColumn(
                    table=QualifiedName(schema=schema, name=table),
                    name=column,
                    default=default,
                    is_array=is_array,
                )
                for schema, table, column, default, is_array in map(json.loads, row.columns)
            ),
        )
        for row in connection.execute(ENUMS)
    ]
    return SchemaForm(
        tables={table.name: table for table in found},
        enums={enum.name: enum for enum in enums},
        domains=_definitions(connection, DOMAINS),
        sequences=_definitions(connection, SEQUENCES),
    )


def _definitions(connection: Connection, query: TextClause) -> dict[QualifiedName, str]:
    return {
        QualifiedName(schema=row.schema, name=row.name): row.definition
        for row in connection.execute(query)
    }


def _table(name: QualifiedName, document: Mapping[str, Any]) -> TableForm:
    return TableForm(
        name=name,
        comment=document["comment"],
        columns=tuple(ColumnForm(**column) for column in document["columns"]),
        constraints=tuple(
            ConstraintForm(**(item | {"columns": tuple(item["columns"])}))
            for item in document["constraints"]
        ),
        indexes=tuple(_index(item) for item in document["indexes"]),
    )


def _index(document: Mapping[str, Any]) -> IndexForm:
    lists = {name: tuple(document[name]) for name in ("keys", "expressions", "include")}
    return IndexForm(**{**document, **lists})
