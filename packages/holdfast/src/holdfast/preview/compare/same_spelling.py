"""Brings expressions of two schemas into one spelling, where PostgreSQL writes the same thing in two ways.

What the catalog writes for an expression is not always what it writes once that text has been read again:
`m::text = ANY (ARRAY['a'::varchar]::text[])` comes back with a cast on each element. So what differs is written and
read again, in a transaction that is rolled back, until it no longer changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.observe.schema import ColumnForm, ConstraintForm, IndexForm, SchemaForm, TableForm
from holdfast.rewrite.names import QualifiedName, quote

NAME = "holdfast_settles"
TURNS = 4  # one is enough for all that was seen
SAVEPOINT, BACK = "SAVEPOINT holdfast_settles", "ROLLBACK TO SAVEPOINT holdfast_settles"
CONSTRAINT = text("SELECT pg_get_constraintdef(oid, true) FROM pg_constraint WHERE conname = :name")
INDEX = text(
    "SELECT pg_get_indexdef(oid, 0, true) FROM pg_class WHERE relname = :name AND relkind IN ('i', 'I')"
)
EXPRESSION = text("""
    SELECT pg_get_expr(adbin, adrelid, true) FROM pg_attrdef
    JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    WHERE adrelid = CAST(:relation AS regclass) AND attname = :name
""")


def in_one_spelling(connection: Connection, found: SchemaForm, wanted: SchemaForm) -> SchemaForm:
    """Give what was found, spelt as in what is wanted if both mean the same. The tables are on `connection`."""
    reader = _Reader(connection)
    return replace(
        found,
        tables={
            name: _table(reader, table, wanted.tables[name]) if name in wanted.tables else table
            for name, table in found.tables.items()
        },
    )


def _table(reader: "_Reader", found: TableForm, wanted: TableForm) -> TableForm:
    if found == wanted:
        return found
    columns = {column.name: column for column in wanted.columns}
    return replace(
        found,
        columns=tuple(
            _column(reader, found.name, column, columns.get(column.name))
            for column in found.columns
        ),
        constraints=tuple(_constraints(reader, found, wanted)),
        indexes=tuple(_indexes(reader, found, wanted)),
    )


def _column(
    reader: "_Reader", table: QualifiedName, found: ColumnForm, wanted: ColumnForm | None
) -> ColumnForm:
    if wanted is None:
        return found
    if found.default != wanted.default and found.default and wanted.default:
        same = reader.default(table, found, found.default) == reader.default(
            table, found, wanted.default
        )
        found = replace(found, default=wanted.default) if same else found
    if found.computed != wanted.computed and found.computed and wanted.computed:
        same = reader.computed(table, found, found.computed) == reader.computed(
            table, found, wanted.computed
        )
        found = replace(found, computed=wanted.computed) if same else found
    return found


def _constraints(
    reader: "_Reader", found: TableForm, wanted: TableForm
) -> Iterator[ConstraintForm]:
    known = {each.definition for each in found.constraints}
    new = [each.definition for each in wanted.constraints if each.definition not in known]
    for each in found.constraints:
        says = reader.constraint(found.name, each.definition) if new and each.kind in "cx" else None
        twin = (
            definition
            for definition in new
            if says is not None and reader.constraint(found.name, definition) == says
        )
        yield replace(each, definition=next(twin, each.definition))


def _indexes(reader: "_Reader", found: TableForm, wanted: TableForm) -> Iterator[IndexForm]:
    new = {index.name: index for index in wanted.indexes}
    for index in found.indexes:
        other = new.get(index.name)
        if other is None or other.shape == index.shape:
            yield index
        else:
            says = reader.index(index)
            yield other if says is not None and says == reader.index(other) else index


@dataclass(slots=True)
class _Reader:
    connection: Connection
    known: dict[tuple[str, ...], str | None] = field(default_factory=dict)

    def constraint(self, table: QualifiedName, definition: str) -> str | None:
        return self._in_one_spelling(
            f"ALTER TABLE {table} ADD CONSTRAINT {NAME} {{}}",
            definition,
            lambda: self._ask(CONSTRAINT),
        )

    def index(self, index: IndexForm) -> str | None:
        named = index.definition.replace(f" {quote(index.name)} ON ", f" {NAME} ON ", 1)
        return self._in_one_spelling("{}", named, lambda: self._ask(INDEX))

    def default(self, table: QualifiedName, column: ColumnForm, expression: str) -> str | None:
        name = column.name
        return self._in_one_spelling(
            f"ALTER TABLE {table} ALTER COLUMN {quote(name)} SET DEFAULT {{}}",
            expression,
            lambda: self._ask(EXPRESSION, name=name, relation=str(table)),
        )

    def computed(self, table: QualifiedName, column: ColumnForm, expression: str) -> str | None:
        return self._in_one_spelling(
            f"ALTER TABLE {table} ADD COLUMN {NAME} {column.type} GENERATED ALWAYS AS ({{}}) STORED",
            expression,
            lambda: self._ask(EXPRESSION, relation=str(table)),
        )

    def _ask(self, question: object, *, name: str = NAME, relation: str | None = None) -> str:
        parameters = {"name": name} | ({"relation": relation} if relation else {})
        return str(self.connection.execute(question, parameters).scalar_one())  # type: ignore[call-overload]  # a text()

    def _in_one_spelling(self, statement: str, words: str, read: Callable[[], str]) -> str | None:
        """Give the spelling that the server settles on; None if it refuses the expression."""
        key = (statement, words)
        if key not in self.known:
            self.known[key] = self._turned(statement, words, read)
        return self.known[key]

    def _turned(self, statement: str, words: str, read: Callable[[], str]) -> str | None:
        for _ in range(TURNS):
            self._sql(SAVEPOINT)
            try:
                self._sql(statement.replace("{}", words))
                again = read()
            except DBAPIError:
                return None
            finally:
                self._sql(BACK)
            if again == words:
                break
            words = again
        return words

    def _sql(self, sql: str) -> None:
        self.connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
