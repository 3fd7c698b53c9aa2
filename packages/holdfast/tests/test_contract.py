"""The contract that every rewrite passes, here on three: a write in batches, a copy of a column, a build.

`./dev prove everywhere` tries it on all examples, `./dev prove contract` also with a kill at every entry of the
journal. HOLDFAST_TEST_SEED repeats the kills of an earlier run.
"""

import os
import random
from pathlib import Path

import psycopg
import pytest
from alembic import command
from contract import (
    EXAMPLES,
    Process,
    columns_of,
    entries,
    kill_at,
    locks_announced,
    locks_seen,
    meanwhile,
    project_of,
    template_of,
    users_of,
)
from everywhere import named
from type_changes import comparable

from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

KINDS = (
    "add_column_volatile_default",  # batches
    "alter_column_type_key",  # a copy of a column
    "create_index",  # a build
)
SEED = os.environ.get("HOLDFAST_TEST_SEED") or str(random.SystemRandom().randrange(10**6))


def dump(url: str, example: Path) -> str:
    """The schema."""
    return comparable(schema_dump(url), example=example)


@pytest.mark.parametrize("example", named(EXAMPLES, here=KINDS), ids=lambda path: path.name)
def test_contract(example: Path, postgres: Postgres, tmp_path: Path) -> None:
    """The schema of plain Alembic, announced locks, no failed request, back again, and a kill survived."""
    template = template_of(example, folder=tmp_path / "template", postgres=postgres)
    with (
        postgres.database(template=template) as plain_url,
        postgres.database(template=template) as online_url,
    ):
        plain = project_of(example, folder=tmp_path / "plain", url=plain_url)
        online = project_of(example, folder=tmp_path / "online", url=online_url)
        before = columns_of(plain)
        command.upgrade(plain.config, "head")
        after = columns_of(plain)
        kept = {table: before[table] & after[table] for table in before if table in after}

        with users_of(online_url, kept) as users:
            upgrade(online.config, "head")
        number = entries(online)
        assert users.errors == [], users.errors
        assert dump(online_url, example) == dump(plain_url, example)
        assert locks_seen(online) <= locks_announced(example, major=postgres.major)

        command.downgrade(plain.config, "r1")
        downgrade(online.config, "r1")
        assert dump(online_url, example) == dump(plain_url, example)

        command.upgrade(plain.config, "head")
        entry = random.Random(f"{SEED} {example.name}").randint(1, number)  # noqa: S311  # repeatable is what it must be
        print(f"HOLDFAST_TEST_SEED={SEED}: killed at entry {entry} of {number} of the journal")  # noqa: T201  # shown where the test fails
        kill_at(online, entry)
        Process(online).end()
        assert dump(online_url, example) == dump(plain_url, example)
        assert online.query("SELECT * FROM holdfast.queue") == []
        assert online.query("SELECT * FROM holdfast.unfinished") == []


# Of all of them, before every step: see `./dev prove contract`.
CHANGING = [
    each for each in EXAMPLES if each.name in ("foreign_key_on_partitioned", "index_on_partitioned")
]


@pytest.mark.parametrize("example", CHANGING, ids=lambda path: path.name)
def test_partitions_change_meanwhile(example: Path, postgres: Postgres, tmp_path: Path) -> None:
    """Whatever partitions others create between two steps: the schema is that of plain Alembic beside the same ones."""
    template = template_of(example, folder=tmp_path / "template", postgres=postgres)
    with (
        postgres.database(template=template) as plain_url,
        postgres.database(template=template) as online_url,
    ):
        plain = project_of(example, folder=tmp_path / "plain", url=plain_url)
        online = project_of(example, folder=tmp_path / "online", url=online_url)
        command.upgrade(plain.config, "head")
        with psycopg.connect(plain_url) as connection:
            connection.execute((example / "meanwhile.sql").read_bytes())

        step = random.Random(f"{SEED} {example.name}").randint(1, 4)  # noqa: S311  # repeatable is what it must be
        report, begun = meanwhile(example, url=online_url, before=step)
        upgrade(online.config, "head", report=report)
        print(f"HOLDFAST_TEST_SEED={SEED}: before step {step} of {begun}")  # noqa: T201  # shown where the test fails
        assert dump(online_url, example) == dump(plain_url, example)
