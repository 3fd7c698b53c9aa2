"""Finds who may notice that a table's columns change, as far as can be seen beforehand.

Statements from pg_stat_statements, where the database has it, and functions that return or hold whole rows rely on
the order of columns; models and foreign keys that are narrower than a new type, on the type.
"""

from collections.abc import Iterator, Mapping

import postgast
from postgast import pg_query_pb2 as pb
from psycopg import sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.migrate.project_connection import ProjectConnection
from holdfast.observe.keys import integers_of, table_in_sql
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.statement import shortened
from holdfast.rewrite.tree import find

SHOWN = 5
# The schema that the extension is in, where it is.
EXTENSION = text(
    """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE extname = 'pg_stat_statements'
    """
)
STATEMENTS = sql.SQL(
    """
    SELECT query FROM {view} s JOIN pg_database d ON d.oid = s.dbid
    WHERE d.datname = current_database() AND query ILIKE '%' || {table} || '%' LIMIT 1000
    """
)
# One row per function that returns rows of the table, or declares a variable for one.
FUNCTIONS = text(
    r"""
    SELECT p.oid::regprocedure::text FROM pg_proc p, pg_class c
    WHERE c.oid = to_regclass(:table) AND p.pronamespace NOT IN ('pg_catalog'::regnamespace,
      'information_schema'::regnamespace) AND p.prokind IN ('f', 'p')
      AND (p.prorettype = c.reltype OR c.reltype = ANY (p.proargtypes::oid[])
        OR p.prosrc ~* ('\m' || c.relname || '%rowtype'))
    ORDER BY 1
    """
)
# One row per column of a foreign key that leads to this column and holds fewer numbers than its new type.
NARROWER = text(
    """
    SELECT format('%I.%I', n.nspname, t.relname) AS table_name, a.attname AS column_name,
           format_type(a.atttypid, NULL) AS type
    FROM pg_constraint k, unnest(k.conkey, k.confkey) AS pair (here, there),
      pg_class t, pg_namespace n, pg_attribute a, pg_attribute b
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = to_regclass(:table)
      AND t.oid = k.conrelid AND n.oid = t.relnamespace
      AND a.attrelid = k.conrelid AND a.attnum = pair.here
      AND b.attrelid = k.confrelid AND b.attnum = pair.there AND b.attname = :column
      AND (a.atttypid::regtype::text, :type) IN (('smallint', 'integer'), ('smallint', 'bigint'), ('integer', 'bigint'))
    ORDER BY 1, 2
    """
)
# Of each table the columns that change their types, with the new ones.
Changes = Mapping[QualifiedName, Mapping[str, str]]


def notices(
    project: ProjectConnection, *, changes: Changes
) -> dict[QualifiedName, tuple[str, ...]]:
    """Say who may notice the change of each table; the database is only read."""
    models = project.context.opts.get("target_metadata")
    return {
        table: (
            *_of_table(project.connection, table),
            *_of_models(project.connection, table, types=types, models=models),
            *_of_references(project.connection, table, changes=changes),
        )
        for table, types in changes.items()
    }


def relies_on_columns(query: str, *, table: str) -> str | None:
    """Say how an application's statement relies on the columns; None if it names them, or another table."""
    try:
        statements = postgast.parse(query).stmts
    except postgast.PgQueryError:
        return None  # pg_stat_statements cuts long ones
    for statement in statements:
        for insert in find(statement, pb.InsertStmt):
            if insert.relation.relname == table and not insert.cols:
                return "INSERT without a list of columns"
        for copied in find(statement, pb.CopyStmt):
            if copied.is_from and copied.relation.relname == table and not copied.attlist:
                return "COPY without a list of columns"
        for select in find(statement, pb.SelectStmt):
            if _selects_all(select) and any(
                read.range_var.relname == table for read in select.from_clause
            ):
                return "SELECT *"
    return None


def _selects_all(select: pb.SelectStmt) -> bool:
    values = (target.res_target.val for target in select.target_list)
    return any(
        field.HasField("a_star")
        for value in values
        if value.HasField("column_ref")
        for field in value.column_ref.fields
    )


def _of_table(connection: Connection, table: QualifiedName) -> Iterator[str]:
    for function in connection.scalars(FUNCTIONS, {"table": str(table)}).all()[:SHOWN]:
        yield f"the function {function} has whole rows of {table}: look at it"
    found = dict.fromkeys(
        f"{how}: {shortened(query, to=100)}"
        for query in _statements(connection, table)
        if (how := relies_on_columns(query, table=table.name)) is not None
    )
    for line in list(found)[:SHOWN]:
        yield f"seen in pg_stat_statements: {line}"


def _of_models(
    connection: Connection, table: QualifiedName, *, types: Mapping[str, str], models: object
) -> Iterator[str]:
    """Compare with the current models; those that have already been changed are not mentioned."""
    is_table = text("SELECT to_regclass(:written) = to_regclass(:table)")
    for column, said in integers_of(models):
        if types.get(column.name) != "bigint":
            continue
        names = {"written": table_in_sql(column), "table": str(table)}
        if connection.execute(is_table, names).scalar_one():
            yield (
                f"the models say {said} of {table}.{quote(column.name)}, which becomes bigint: say BigInteger"
                " there, or a driver that sends types with its values refuses the larger ones"
            )


def _of_references(
    connection: Connection, table: QualifiedName, *, changes: Changes
) -> Iterator[str]:
    """Find foreign keys that stay as they are and cannot hold the key's new values."""
    known = {(str(name), column) for name, columns in changes.items() for column in columns}
    for key, new_type in changes[table].items():
        asked = {"table": str(table), "column": key, "type": new_type}
        for row in connection.execute(NARROWER, asked):
            if (row.table_name, row.column_name) not in known:
                yield (
                    f"{row.table_name}.{quote(row.column_name)} stays {row.type} and refers to"
                    f" {quote(key)}, which becomes {new_type}: change its type, too"
                )


def _statements(connection: Connection, table: QualifiedName) -> list[str]:
    """Give the statements in pg_stat_statements; None if it is missing or the role may not read it."""
    try:
        schema = connection.execute(EXTENSION).scalar_one_or_none()
        if schema is None:
            return []
        view = sql.Identifier(schema, "pg_stat_statements")
        asked = STATEMENTS.format(view=view, table=sql.Literal(table.name)).as_string(None)
        run = connection.execution_options(no_parameters=True).exec_driver_sql
        with connection.begin_nested():  # env.py's own transaction stays
            return [query for (query,) in run(asked)]
    except DBAPIError:
        return []
