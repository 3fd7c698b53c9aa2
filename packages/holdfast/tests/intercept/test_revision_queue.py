"""What waits knows the line of the revision that has sent it."""

import pytest
from alembic_project import Project

from holdfast.errors.statement import LongStatement
from holdfast.migrate.run import upgrade

TABLES = """
    CREATE TYPE e AS ENUM ('a', 'b');
    CREATE TABLE t (c e UNIQUE DEFERRABLE);
    CREATE TABLE p (a int, c e) PARTITION BY RANGE (a);
"""
# A helper sends several statements of one line; `{table}` is changed by the last but one.
CALL = """
def sync(*statements):
    for each in statements:
        op.execute(each)
op.execute("SELECT 1")
sync(
    "ALTER TYPE e RENAME TO old",
    "CREATE TYPE e AS ENUM ('b', 'a')",
    "ALTER TABLE {table} ALTER c TYPE e USING c::text::e",
    "DROP TYPE old",
)
"""


@pytest.mark.parametrize("table", ["t", "p"])
def test_a_refusal_names_the_line(project: Project, table: str) -> None:
    """Whether it is refused with the queue or when its turn comes: by the line that has sent it, not by none."""
    project.revision(f"op.execute({TABLES!r})")
    upgrade(project.config, "head")
    project.revision(CALL.format(table=table))
    with pytest.raises(LongStatement) as raised:
        upgrade(project.config, "head")
    lines = project.file("r2").read_text().splitlines()
    name, _, number = (raised.value.place or "").partition(":")
    assert name == "r2.py"
    assert "op.execute(each)" in lines[int(number) - 1]
