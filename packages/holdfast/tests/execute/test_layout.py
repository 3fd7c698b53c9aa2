"""What is made in an empty database is what the tables are to SQLAlchemy."""

from collections.abc import Iterator

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable, SetColumnComment

from holdfast.execute.layout import TABLES
from holdfast.execute.tables import metadata


def test_the_texts_make_the_tables_that_sqlalchemy_would_make() -> None:
    """A table, a column or a comment that only one of both knows is seen here: all of them are equal."""
    assert [_on_one_line(text) for text in TABLES] == [_on_one_line(text) for text in _compiled()]


def _compiled() -> Iterator[str]:
    dialect = postgresql.dialect()
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for column in table.columns:
            if column.comment is not None:
                yield str(SetColumnComment(column).compile(dialect=dialect))


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
