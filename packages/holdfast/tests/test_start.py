"""docs/start.md does what it says: its commands are run, in order, and print what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import forked
import psycopg
import pytest
from alembic import command
from alembic_project import Project
from models_env import give_models

from holdfast.scratch.databases import Postgres

# `./dev build` names that of an empty environment with the wheel.
PYTHON = os.environ.get("START_PYTHON", sys.executable)
PAGE = Path(__file__).parents[3] / "docs" / "start.md"
BLOCKS = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODELS = """
t = sa.Table(
    "orders", metadata, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False, server_default="web"),
    {note}
)
sa.Index("orders_channel", t.c.channel)
"""


@pytest.fixture
def orders(project: Project) -> Project:
    """A database that plain Alembic has made, with a hundred thousand orders."""
    project.revision(
        "op.create_table('orders', sa.Column('id', sa.Integer, primary_key=True))",
        "op.drop_table('orders')",
        name="7d31a0",
    )
    command.upgrade(project.config, "head")
    with psycopg.connect(project.database, autocommit=True) as connection:
        connection.execute("INSERT INTO orders SELECT n FROM generate_series(1, 100000) n")
        connection.execute("VACUUM ANALYZE orders")
    return project


def test_start(orders: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes, as a newcomer has them."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    give_models(orders, MODELS.format(note=""))
    shown: list[str] = []
    ran: list[str] = []
    for kind, text in BLOCKS.findall(PAGE.read_text()):
        if kind == "python":
            write_revision(orders, text)
            continue
        shown.append(text)
        ran.append("".join(map(conversation, commands_in(text, orders))))
    assert [*map(steady, shown)] == [*map(steady, ran)]


def write_revision(project: Project, text: str) -> None:
    up, down = text.split("def downgrade() -> None:\n")
    project.revision(up.partition("\n")[2], down, name="c4e9b2")
    file = project.file("c4e9b2")
    file.write_text(file.read_text().replace("about c4e9b2", "add channel"))


def commands_in(text: str, project: Project) -> list[tuple[str, Path]]:
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    if "generate" in commands[0]:
        give_models(project, MODELS.format(note='sa.Column("note", sa.Text)'))
    return [(command, project.folder) for command in commands]


def conversation(asked: tuple[str, Path]) -> str:
    """A command as one types it, and all that it prints."""
    command, folder = asked
    words = [word.strip('"') for word in re.findall(r'"[^"]+"|\S+', command)]
    if sys.executable == PYTHON:
        ended = forked.run(*words, cwd=folder)
        return f"$ {command}\n{ended.stderr}{ended.stdout}"
    ended = subprocess.run(
        [PYTHON, "-m", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return f"$ {command}\n{ended.stdout}"


def steady(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"\d+\.\d\d s", "0.01 s", text)
    text = re.sub(r"applied at \S+ \S+", "applied", text)
    return re.sub(r"written: .*", "written: versions/..._add_note.py", text)
