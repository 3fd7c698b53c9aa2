"""The examples of type changes: each table in one of its shapes, and what ends the same in any order of columns."""

import re
from pathlib import Path

import psycopg
from psycopg import sql

TYPE_CHANGES = sorted(
    path
    for path in (Path(__file__).parents[4] / "examples" / "type_changes").iterdir()
    if path.is_dir()
)
TABLE = re.compile(r"^(CREATE (?:UNLOGGED )?TABLE .*\()\n((?:    .*\n)*)(\).*)$", re.MULTILINE)
# The order of names in CREATE STATISTICS .. ON is that of the columns of the table.
STATISTICS = re.compile(r"^(CREATE STATISTICS .* ON )(.*)( FROM .*)$", re.MULTILINE)
TABLES = """
SELECT c.oid::regclass::text, array_agg(attname::text ORDER BY attname)
FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relkind = 'r' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'holdfast')
GROUP BY c.oid ORDER BY c.oid::regclass::text
"""


def comparable(dump: str, *, example: Path) -> str:
    """Of an example whose column is copied, and so stands last, in any order of columns; else as it is."""
    plan = example / "online.txt"
    is_copied = plan.exists() and "copy rows:" in plan.read_text()
    return in_any_order(dump) if is_copied else dump


def in_any_order(dump: str) -> str:
    """A dump with the columns of each table sorted."""
    sorted_tables = TABLE.sub(lambda m: f"{m[1]}\n{_lines(m[2])}{m[3]}", dump)
    return STATISTICS.sub(lambda m: f"{m[1]}{_sorted(m[2], ', ')}{m[3]}", sorted_tables)


def _lines(text: str) -> str:
    return "".join(f"{line}\n" for line in sorted(line.rstrip(",") for line in text.splitlines()))


def _sorted(text: str, separator: str) -> str:
    return separator.join(sorted(text.split(separator)))


def all_rows(url: str) -> dict[str, list[str]]:
    """The rows of each table as text, the columns sorted by name."""
    with psycopg.connect(url) as connection:
        return {
            table: [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT ROW({})::text FROM {} ORDER BY 1").format(
                        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(table)
                    )
                )
            ]
            for table, columns in connection.execute(TABLES).fetchall()
            if not table.endswith("alembic_version")
        }
