"""Finds the rows that keep a constraint from holding: counts them, and shows a few.

Duplicates under a unique index, orphans under a foreign key, NULLs under NOT NULL, rows that fail a CHECK.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, Row, text

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.steps import BuildIndexStep

SHOWN = 3

# One row: what a constraint says, by table and name.
CONSTRAINT = text(
    """
    SELECT contype AS kind, confmatchtype = 'f' AS is_match_full,
           replace(pg_get_constraintdef(k.oid), ' NOT VALID', '') AS definition,
           ARRAY(SELECT attname::text FROM pg_index i
                 JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = ANY (i.indkey)
                 WHERE i.indrelid = conrelid AND indisprimary) AS key,
           pg_get_expr(conbin, conrelid) AS expression,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = key.attnum
                 ORDER BY place) AS columns,
           n.nspname AS referenced_schema, r.relname AS referenced_table,
           ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS key (attnum, place)
                 JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = key.attnum
                 ORDER BY place) AS referenced_columns
    FROM pg_constraint k
    LEFT JOIN pg_class r ON r.oid = confrelid LEFT JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE conrelid = CAST(:table AS regclass) AND conname = :name
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """Rows in the way of a constraint."""

    what: str  # "duplicate keys"; "row against CHECK (a > 0)" where it is one
    count: int
    examples: tuple[str, ...]
    query: str  # finds all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query for the rows in the way of a constraint or an index, and what to call them."""

    one: str  # "duplicate key"
    many: str  # "duplicate keys"
    query: sql.Composed


def duplicate_keys(connection: Connection, step: BuildIndexStep) -> Violations:
    """Find the keys that occur more than once where the index wants each once."""
    return _looked_up(connection, question_of_index(step))


def question_of_index(step: BuildIndexStep) -> Question:
    """Make the query for keys that occur more than once, for any database that has the table."""
    keys = sql.SQL(", ").join(sql.SQL(key) for key in step.keys)
    conditions = [] if step.nulls_not_distinct else [f"({key}) IS NOT NULL" for key in step.keys]
    conditions += [f"({step.where})"] if step.where else []
    query = sql.SQL(
        "SELECT {keys}, count(*) FROM {table}{where} GROUP BY {keys} HAVING count(*) > 1"
    ).format(
        keys=keys,
        table=_identifier(step.table),
        where=sql.SQL(" WHERE " + " AND ".join(conditions) if conditions else ""),
    )
    return Question(one="duplicate key", many="duplicate keys", query=query)


def rows_against(connection: Connection, *, table: QualifiedName, constraint: str) -> Violations:
    """Find the rows that a constraint which is not validated yet does not allow."""
    found = question_of_constraint(connection, table=table, constraint=constraint)
    return _looked_up(connection, found)


def question_of_constraint(
    connection: Connection, *, table: QualifiedName, constraint: str
) -> Question:
    """Make the query for rows against a constraint of this database, for any that has the table."""
    row = connection.execute(CONSTRAINT, {"table": str(table), "name": constraint}).one()
    columns = [sql.Identifier("t", column) for column in row.columns]
    # Which rows, and what is wrong with them: the rest of a row is nobody's business.
    shown = [
        sql.Identifier("t", column)
        for column in dict.fromkeys([*(row.key or ["ctid"]), *row.columns])
    ]
    query = sql.SQL("SELECT {shown} FROM {table} AS t WHERE {condition}").format(
        shown=sql.SQL(", ").join(shown),
        table=_identifier(table),
        condition=_without_row(row, columns) if row.kind == "f" else _failing(row, columns),
    )
    if row.kind == "f":
        referenced = f"row in {row.referenced_table}"
        return Question(
            one=f"row without its {referenced}",
            many=f"rows without their {referenced}",
            query=query,
        )
    against = f"against {row.definition}"
    return Question(one=f"row {against}", many=f"rows {against}", query=query)


def _without_row(row: Row[Any], columns: list[sql.Identifier]) -> sql.Composed:
    """Give the condition for rows without a referenced row. MATCH FULL also refuses a key that is partly NULL."""
    present = [sql.SQL("{} IS NOT NULL").format(column) for column in columns]
    equal = [
        sql.SQL("{} = {}").format(sql.Identifier("r", there), here)
        for here, there in zip(columns, row.referenced_columns, strict=True)
    ]
    return sql.SQL("({}) AND NOT EXISTS (SELECT FROM {} AS r WHERE {})").format(
        sql.SQL(" OR " if row.is_match_full else " AND ").join(present),
        sql.Identifier(row.referenced_schema, row.referenced_table),
        _joined(equal),
    )


def _failing(row: Row[Any], columns: list[sql.Identifier]) -> sql.Composed:
    """Give the condition for rows that fail a NOT NULL or CHECK."""
    if row.kind == "n":
        return sql.SQL("NOT ({})").format(
            _joined([sql.SQL("{} IS NOT NULL").format(column) for column in columns])
        )
    return sql.SQL("NOT ({})").format(sql.SQL(row.expression))


def _looked_up(connection: Connection, question: Question) -> Violations:
    asked = question.query.as_string(None)
    run = partial(connection.exec_driver_sql, execution_options={"no_parameters": True})
    count = run(f"SELECT count(*) FROM ({asked}) AS found").scalar_one()  # noqa: S608  # composed above
    examples = run(f"{asked} LIMIT {SHOWN}").all()
    return Violations(
        what=question.one if count == 1 else question.many,
        count=count,
        examples=tuple(f"({', '.join(map(shown, row))})" for row in examples),
        query=asked,
    )


def shown(value: object) -> str:
    """Write a value of an example; a text in quotes, so that an empty one is seen."""
    if value is None:
        return "NULL"
    return sql.Literal(value).as_string(None) if isinstance(value, str) else str(value)


def _identifier(name: QualifiedName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


def _joined(conditions: list[sql.Composed]) -> sql.Composed:
    return sql.SQL(" AND ").join(conditions)
