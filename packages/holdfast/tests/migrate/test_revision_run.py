"""A revision that cannot go on as it is written stops before it has begun, or where its author can mend it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic_project import Project
from author_revisions import BEFORE
from everywhere import each
from side_by_side import SideBySide, side_by_side
from sqlalchemy.exc import DBAPIError

from holdfast.errors.statement import RefusedStatement
from holdfast.errors.steps import DataInTheWay, LeftBehind
from holdfast.errors.unfinished import EditedWhileUnfinished, ReplayMismatch
from holdfast.execute.progress import Event, StepDone
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres
from holdfast.testing.blockers import holding

QUEUED = """
op.create_index('i', 't', ['a'])
op.execute("UPDATE u SET id = id + 1000 WHERE id = 1")
op.alter_column('t', 'a', nullable=False)
"""
# By the number of the operation in docs/operations.md.
REFUSED = {
    "20": "op.execute('ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a * 2) STORED')",
    "21": "op.execute('ALTER TABLE t ADD COLUMN c positive')",
    "27": "op.alter_column('t', 'b', new_column_name='c')",
    "28": "op.rename_table('t', 'renamed')",
    "32": "op.execute('ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)')",
    "44": "op.execute('ALTER TABLE t SET UNLOGGED')",
}
ALLOW = "  # holdfast: allow the table is small until 2999-12-31"


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases with rows."""
    before = f"{BEFORE}; CREATE DOMAIN positive AS int CHECK (VALUE > 0)"
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=before, lifetime=lifetime)


def edit(project: Project, old: str, new: str) -> None:
    """The author changes the file of the last revision."""
    file = project.file(project.revisions[-1])
    source = file.read_text()
    assert source.count(old) == 1
    later = (
        file.stat().st_mtime + 2
    )  # an author takes longer than the second Python knows a file by
    file.write_text(source.replace(old, new))
    os.utime(file, (later, later))


def half_way(project: Project) -> list[tuple[object, ...]]:
    """The revision that has begun and is not done."""
    return project.query("SELECT revision, function_ended FROM holdfast.unfinished")


@pytest.mark.parametrize("row", each(list(REFUSED), here=1))
def test_refused_behind_a_queue_before_anything_has_run(both: SideBySide, row: str) -> None:
    """While users write to the tables: no lock is waited for, nothing is done, an exemption is enough."""
    both.revision(QUEUED + REFUSED[row])
    with (
        holding(both.online.database, "LOCK TABLE t, u IN ROW EXCLUSIVE MODE"),
        pytest.raises(RefusedStatement) as raised,
    ):
        upgrade(both.online.config, "head", lock_budget=timedelta(seconds=20))
    assert not raised.value.is_half_way
    assert half_way(both.online) == []
    assert both.online.query("SELECT to_regclass('i'), min(id) FROM u") == [(None, 1)]
    edit(both.online, REFUSED[row], REFUSED[row] + ALLOW)
    both.upgrade()


LATE = {
    "after a read": "op.get_bind().execute(sa.text('SELECT count(*) FROM t'))\n",
    "under another name": f"op.rename_table('u', 'v'){ALLOW}\n",
}
LATE_REFUSED = {
    "after a read": "op.execute('ALTER TABLE t ADD g int GENERATED ALWAYS AS (a * 2) STORED')",
    "under another name": "op.execute('ALTER TABLE v ADD COLUMN IF NOT EXISTS g int GENERATED ALWAYS AS (id) STORED')",
}


@pytest.mark.parametrize("case", each(list(LATE), here=1))
def test_refused_after_a_part_was_done_goes_on_with_an_excuse(both: SideBySide, case: str) -> None:
    """The error says how; nothing is done twice, and the end is plain Alembic's."""
    refused = LATE_REFUSED[case]
    both.revision(f"{QUEUED}{LATE[case]}{refused}\nop.create_index('i2', 't', ['b'])")
    for _ in range(2):
        with pytest.raises(RefusedStatement) as raised:
            upgrade(both.online.config, "head")
        assert raised.value.is_half_way
    assert raised.value.parts()[2].endswith(
        " until YYYY-MM-DD. Edit the revision from this statement on, leave what comes before it as"
        " it is, and go on from here: holdfast run"
    )
    edit(both.online, refused, refused + ALLOW)
    both.upgrade()


@pytest.mark.everywhere
def test_refused_after_a_part_was_done_goes_on_with_something_else(both: SideBySide) -> None:
    """The refused statement and what follows it are others now; what stands before is not repeated."""
    refused = LATE_REFUSED["under another name"]
    both.revision(
        f"{QUEUED}{LATE['under another name']}{refused}\nop.create_index('i2', 'v', ['id'])"
    )
    with pytest.raises(RefusedStatement):
        upgrade(both.online.config, "head")
    for project in (both.plain, both.online):
        edit(project, refused, "op.add_column('v', sa.Column('big', sa.BigInteger))")
        edit(project, "'i2', 'v', ['id']", "'i3', 'v', ['big']")
    both.upgrade()


def test_edited_before_the_point_where_it_stopped(both: SideBySide) -> None:
    """It does not fit what is done: an error; with the file restored it goes on."""
    both.revision(
        f"{QUEUED}{LATE['under another name']}{LATE_REFUSED['under another name']}{ALLOW}"
    )
    edit(both.online, ALLOW + "\n\n\ndef", "\n\n\ndef")
    with pytest.raises(RefusedStatement):
        upgrade(both.online.config, "head")
    edit(both.online, "id + 1000", "id + 2000")
    with pytest.raises(ReplayMismatch):
        upgrade(both.online.config, "head")
    edit(both.online, "id + 2000", "id + 1000")
    edit(
        both.online, LATE_REFUSED["under another name"], LATE_REFUSED["under another name"] + ALLOW
    )
    both.upgrade()


def test_a_mistake_in_a_queued_statement_can_be_mended(both: SideBySide) -> None:
    """It has failed on its first row, what is before it is done: the file is corrected and goes on."""
    both.revision(f"{QUEUED}op.execute(\"UPDATE t SET a = b::int WHERE b <> '7'\")")
    with pytest.raises(DBAPIError, match="invalid input syntax"):
        upgrade(both.online.config, "head")
    for project in (both.plain, both.online):
        edit(project, "b::int", "substr(b, 2)::int")
    both.upgrade()


def test_a_statement_that_has_begun_cannot_be_edited(both: SideBySide) -> None:
    """Its constraint is there and holds for new rows: the file as it was, or `abandon`."""
    both.online.revision("op.create_check_constraint('few', 't', 'a < 100')")
    with pytest.raises(DataInTheWay):
        upgrade(both.online.config, "head")
    edit(both.online, "a < 100", "a < 1000")
    with pytest.raises(EditedWhileUnfinished):
        upgrade(both.online.config, "head")
    edit(both.online, "a < 1000", "a < 100")
    both.online.query("DELETE FROM t WHERE a >= 100")
    upgrade(both.online.config, "head")
    assert half_way(both.online) == []


def test_the_same_on_the_way_down(both: SideBySide) -> None:
    """A downgrade that was refused half-way goes on with an exemption too."""
    refused = "op.execute('ALTER TABLE t ADD g int GENERATED ALWAYS AS (a * 2) STORED')"
    both.revision("pass", f"op.create_index('i', 't', ['a'])\n{LATE['after a read']}{refused}")
    both.upgrade()
    with pytest.raises(RefusedStatement):
        downgrade(both.online.config, "r1")
    edit(both.online, refused, refused + ALLOW)
    command.downgrade(both.plain.config, "r1")
    downgrade(both.online.config, "r1")
    both.compare()


SPOILT = {
    "constraint": (
        "op.create_check_constraint('few', 't', 'a < 1000')",
        "validate constraint few of public.t",
        "ALTER TABLE t DROP CONSTRAINT few, ADD CONSTRAINT few CHECK (a < 1000) NOT VALID",
        "NOT VALID constraint few on public.t",
        "ALTER TABLE public.t VALIDATE CONSTRAINT few;",
    ),
    "index": (
        "op.create_index('i', 't', ['a'])",
        "build index i on public.t",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass",
        "INVALID index public.i on public.t",
        "REINDEX INDEX CONCURRENTLY public.i;",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_nothing_is_left_behind(both: SideBySide, case: str) -> None:
    """Somebody spoils what a step has made: the revision is not recorded before that is mended."""
    change, step, spoil, found, way_out = SPOILT[case]
    both.revision(change)

    def interfere(event: Event) -> None:
        if isinstance(event, StepDone) and event.started.step == step:
            both.online.query(spoil)

    with pytest.raises(LeftBehind) as raised:
        upgrade(both.online.config, "head", report=interfere)
    assert (raised.value.found, raised.value.ways_out) == ((found,), (way_out,))
    with psycopg.connect(both.online.database, autocommit=True) as connection:
        connection.execute(way_out.encode())
    both.upgrade()


def test_an_authors_own_not_valid_stays(both: SideBySide) -> None:
    """Beside a constraint that is validated, behind a queue and without one."""
    for name, behind in (
        ("one", "pass"),
        ("two", "op.create_check_constraint('few', 't', 'a < 1000')"),
    ):
        both.revision(
            f"{behind}\nop.execute('ALTER TABLE t ADD CONSTRAINT {name} CHECK (a > 9) NOT VALID')"
        )
    both.upgrade()
