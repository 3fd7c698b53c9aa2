"""Made-up rows for every table of a database, by its catalog: types, NOT NULL, foreign keys, enums, lengths.

Values differ from row to row, so that they are unique. A table whose rows a CHECK refuses stays empty.
"""

import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any

import psycopg
from psycopg import sql

ROWS = 250
FIRST = 100_000  # above what sequences and histories have given out
START = datetime(2024, 1, 1, tzinfo=UTC)
SKIPPED = ("alembic_version", "unrelated")

# One row a column that takes values: its table, name, type, greatest length, and the labels of an enum.
COLUMNS = """
    SELECT c.relname, attname, typname, attnotnull,
           CASE WHEN atttypmod > 4 AND typname IN ('varchar', 'bpchar') THEN atttypmod - 4 END,
           (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
    FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    JOIN pg_type t ON t.oid = atttypid
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
      AND attgenerated = '' AND attidentity <> 'a'
    ORDER BY 1, attnum
"""
# One row a foreign key: its table, columns, the table and columns that it refers to.
FOREIGN_KEYS = """
    SELECT (SELECT relname FROM pg_class WHERE oid = conrelid), (SELECT relname FROM pg_class WHERE oid = confrelid),
           (SELECT array_agg(attname::text ORDER BY n) FROM unnest(conkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute ON attrelid = conrelid AND attnum = num),
           (SELECT array_agg(attname::text ORDER BY n) FROM unnest(confkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute ON attrelid = confrelid AND attnum = num)
    FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that takes values."""

    name: str
    type: str
    is_required: bool
    length: int | None
    labels: tuple[str, ...] | None

    def value(self, number: int) -> Any:
        """The value in the row of this number; None for a type that is not known."""
        if self.name.endswith("_json"):  # a text that revisions read
            return json.dumps({"made": number})
        if self.labels:
            return self.labels[number % len(self.labels)]
        make = MAKERS.get(self.type)
        if make is None:
            return None
        made = make(number)
        # The end of a text is what differs.
        return made[-self.length :] if isinstance(made, str) and self.length else made


MAKERS: dict[str, Callable[[int], Any]] = {
    "int2": lambda number: number % 30_000,
    "int4": lambda number: number,
    "int8": lambda number: number,
    "float4": float,
    "float8": float,
    "numeric": lambda number: number % 100,
    "bool": lambda number: number % 2 == 0,
    "varchar": lambda number: f"made {number}",
    "bpchar": lambda number: f"{number}",
    "text": lambda number: f"made {number}",
    # What applications keep in bytes is often compressed JSON, and their revisions unpack it.
    "bytea": lambda number: zlib.compress(json.dumps({"made": number}).encode()),
    "uuid": lambda number: uuid.UUID(int=number),
    "timestamp": lambda number: (START + timedelta(seconds=number)).replace(tzinfo=None),
    "timestamptz": lambda number: START + timedelta(seconds=number),
    "date": lambda number: date(2024, 1, 1) + timedelta(days=number % 9_000),
    "interval": lambda number: timedelta(seconds=number),
    "json": lambda number: json.dumps({"made": number}),
    "jsonb": lambda number: json.dumps({"made": number}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """What a table refers to."""

    table: str
    to: str
    columns: tuple[str, ...]
    to_columns: tuple[str, ...]


def fill(url: str, *, without: set[str]) -> dict[str, int]:
    """Fill each table but these; give how many rows were made in each."""
    with psycopg.connect(url, autocommit=True) as connection:
        columns = _columns(connection)
        keys = [
            ForeignKey(table=table, to=to, columns=tuple(own), to_columns=tuple(theirs))
            for table, to, own, theirs in connection.execute(FOREIGN_KEYS).fetchall()
        ]
        made = {}
        for table in _in_order(list(columns), keys):
            if table not in without:
                of_table = [key for key in keys if key.table == table]
                made[table] = _fill_table(connection, table, columns[table], of_table)
    return made


def _columns(connection: psycopg.Connection) -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for table, name, type_, required, length, labels in connection.execute(COLUMNS).fetchall():
        column = Column(
            name=name,
            type=type_,
            is_required=required,
            length=length,
            labels=labels and tuple(labels),
        )
        if table not in SKIPPED:
            found.setdefault(table, []).append(column)
    return found


def _in_order(tables: list[str], keys: list[ForeignKey]) -> list[str]:
    """What is referred to comes first; in a circle, as good as it goes."""
    before = {table: {key.to for key in keys if key.table == table} - {table} for table in tables}
    while True:
        try:
            return [table for table in TopologicalSorter(before).static_order() if table in tables]
        except CycleError as error:
            circle = error.args[1]
            before[circle[1]].discard(circle[0])


def _fill_table(
    connection: psycopg.Connection, table: str, columns: list[Column], keys: list[ForeignKey]
) -> int:
    parents = {key: _parents(connection, key) for key in keys}
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
        sql.SQL(", ").join(sql.Placeholder() for _ in columns),
    )
    rows = []
    for number in range(FIRST, FIRST + ROWS):
        row = {column.name: column.value(number) for column in columns}
        for key, found in parents.items():
            # No parent yet (the table itself, or a circle): nothing, where nothing is allowed.
            values = found[number % len(found)] if found else (None,) * len(key.columns)
            row.update(zip(key.columns, values, strict=True))
        rows.append(list(row.values()))
    try:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(statement, rows)
            return cursor.rowcount
    except (
        psycopg.IntegrityError
    ):  # a CHECK, or no parent where one is required: the table stays empty
        return 0


def _parents(connection: psycopg.Connection, key: ForeignKey) -> list[tuple[Any, ...]]:
    query = sql.SQL("SELECT {} FROM {} ORDER BY 1 LIMIT {}").format(
        sql.SQL(", ").join(map(sql.Identifier, key.to_columns)), sql.Identifier(key.to), ROWS
    )
    return connection.execute(query).fetchall()
