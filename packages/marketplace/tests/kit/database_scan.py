"""Whether a text stands anywhere in a database: every column of every row of every table."""

from collections.abc import Sequence

from sqlalchemy import Engine, text

TABLES = text("""
    SELECT quote_ident(table_schema) || '.' || quote_ident(table_name)
    FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
""")


def rows_with_any_of(engine: Engine, texts: Sequence[str]) -> list[str]:
    """Rows that contain one of them: as it is, or as its bytes."""
    spellings = [spelling for t in texts for spelling in (t, t.encode().hex())]
    with engine.connect() as connection:
        return [
            f"{table}: {row}"
            for table in connection.scalars(TABLES).all()
            for row in connection.scalars(text(f"SELECT t::text FROM {table} AS t"))
            if any(spelling in row for spelling in spellings)
        ]
