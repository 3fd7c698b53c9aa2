"""The tutorials do what they say: their revisions and commands are run."""

import re
from pathlib import Path

import forked
import psycopg
import pytest
from alembic_project import Project

from holdfast.scratch.databases import Postgres

TUTORIALS = Path(__file__).parents[3] / "docs" / "tutorials"
TABLES = """
op.create_table(
    "orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("status", sa.Text)
)
op.create_table(
    "lines",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id", name="lines_order"), nullable=False),
)
"""
TYPES = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE (table_name, column_name) IN (('orders', 'id'), ('lines', 'order_id'))
UNION SELECT 'orders_id_seq', 'nextval', data_type FROM information_schema.sequences
WHERE sequence_name = 'orders_id_seq'
"""


def holdfast(project: Project, *arguments: str) -> str:
    """Standard output of a verb that ends well."""
    ended = forked.holdfast(*arguments, cwd=project.folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def blocks(page: str, kind: str) -> list[str]:
    text = (TUTORIALS / page).read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def types(project: Project) -> set[str]:
    return {str(kind) for _, _, kind in project.query(TYPES)}


@pytest.mark.everywhere
def test_int_to_bigint(
    project: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its revision changes the key, what refers to it and its sequence, forth and back, and a large key fits."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    project.revision(TABLES, "op.drop_table('lines')\nop.drop_table('orders')")
    holdfast(project, "run")
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute("INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, 1000)")
        connection.execute("INSERT INTO lines (order_id) SELECT id FROM orders")
    [source] = blocks("int-to-bigint.md", "python")
    up, down = source.split("def downgrade() -> None:\n")
    project.revision(up.partition("\n")[2], down)
    commands = [
        line.split()[-1] for line in "".join(blocks("int-to-bigint.md", "console")).splitlines()
    ]
    plan, run = [holdfast(project, verb) for verb in commands]
    assert "  20. " in plan
    assert run.startswith("applied 1: r2")
    assert types(project) == {"bigint"}
    with (
        psycopg.connect(project.database) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute("SELECT setval('orders_id_seq', 3000000000)")
        connection.execute(
            "WITH o AS (INSERT INTO orders (status) VALUES ('new') RETURNING id)"
            " INSERT INTO lines (order_id) SELECT id FROM o"
        )
        connection.execute("SELECT setval('orders_id_seq', 1000)")
    holdfast(project, "revert")
    assert types(project) == {"integer"}


@pytest.mark.everywhere
def test_rename_a_column(
    project: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its revision and commands: both names are there until `finish`, which the old release stops once."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    project.revision(
        "op.create_table('orders', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('customer', sa.Text, nullable=False, index=True))",
        "op.drop_table('orders')",
    )
    holdfast(project, "run")
    project.query(
        "INSERT INTO orders (customer) SELECT 'c' || n FROM generate_series(1, 1000) AS n"
    )
    [source] = blocks("rename-a-column.md", "python")
    up, down = source.split("def downgrade() -> None:\n")
    project.revision(up.partition("\n")[2], down)
    refused = forked.holdfast("run", cwd=project.folder)
    assert refused.returncode == 1
    assert "holdfast run --expand" in refused.stderr
    commands = [
        line.removeprefix("$ holdfast ").split()
        for line in "".join(blocks("rename-a-column.md", "console")).splitlines()
    ]
    plan, run, status, dry_run = [holdfast(project, *each) for each in commands[:-1]]
    assert "waits: the old name customer of column buyer of public.orders" in plan
    assert run.startswith("applied 1: r2")
    assert status.startswith("up to date\n")
    assert "waits    the old name customer" in status
    assert "no proof HOLDFAST_RELEASE names no release here" in dry_run
    project.query("UPDATE orders SET customer = 'old' WHERE id = 1")
    project.query("UPDATE orders SET buyer = 'new' WHERE id = 2")
    stopped = forked.holdfast(*commands[-1], cwd=project.folder)
    assert stopped.returncode == 1
    assert "1 writes to the old name customer" in stopped.stderr
    assert "finished: 1 waited" in holdfast(project, *commands[-1])
    assert project.query("SELECT buyer FROM orders WHERE id < 3 ORDER BY id") == [
        ("old",),
        ("new",),
    ]
