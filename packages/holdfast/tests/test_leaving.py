"""Ways in and out: baseline, abandon, a run that is stopped and one that goes on."""

import psycopg
import pytest
from alembic_project import Project
from click.testing import CliRunner

from holdfast.cli import holdfast
from holdfast.errors.database import NotConfirmed
from holdfast.errors.migration import EditedRevision, UnknownDatabase
from holdfast.errors.steps import DataInTheWay
from holdfast.errors.unfinished import NothingToAbandon, StoppedBetweenSteps, UnfinishedRevision
from holdfast.execute.progress import Event, StepDone
from holdfast.migrate.abandon import abandon
from holdfast.migrate.baseline import baseline
from holdfast.migrate.database_state import State
from holdfast.migrate.run import downgrade, upgrade
from holdfast.migrate.status import status


def with_rows(project: Project, rows: int = 1000) -> None:
    """A table in use: it was there before the revision that changes it."""
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer), sa.Column('n', sa.Integer))"
    )
    upgrade(project.config, "head")
    project.query(f"INSERT INTO a SELECT i, i % 10 FROM generate_series(1, {rows}) i")


UNIQUE = (
    "op.create_index('a_n', 'a', ['n'], unique=True); op.create_index('a_id', 'a', ['id'])",
    "pass",
)


def test_a_database_with_tables_but_no_revision_is_refused_until_it_has_a_baseline(
    project: Project,
) -> None:
    """`baseline` is the way out; what it says is there is not run again."""
    project.query("CREATE TABLE a (id int, n int)")
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_index('a_id', 'a', ['id'])")
    with pytest.raises(UnknownDatabase):
        upgrade(project.config, "head")
    assert [each.heads for each in baseline(project.config, "r1")] == [("r1",)]
    upgrade(project.config, "head")
    assert project.query(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'a'::regclass"
    ) == [("a_id",)]


def test_baseline_at_base_allows_a_database_with_foreign_tables(project: Project) -> None:
    """Another application's tables are there, none of ours: `baseline base`, then everything runs."""
    project.query("CREATE TABLE of_somebody_else (id int)")
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    assert [each.heads for each in baseline(project.config, "base")] == [()]
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE


def test_duplicates_stop_the_queue_and_run_goes_on_after_they_are_mended(project: Project) -> None:
    """Counted and shown; no invalid index is left; the second index is built by the second run only."""
    with_rows(project)
    project.revision(*UNIQUE)
    with pytest.raises(DataInTheWay) as raised:
        upgrade(project.config, "head")
    assert (raised.value.found, raised.value.count) == ("duplicate keys", 10)
    assert len(raised.value.examples) == 3
    assert project.query("SELECT count(*) FROM pg_index WHERE indrelid = 'a'::regclass") == [(0,)]
    found = status(project.config)
    assert found.state is State.HALF_WAY
    assert found.left == (
        "step 1 of 2: build unique index a_n on public.a",
        "step 2 of 2: CREATE INDEX a_id ON a (id)",
    )
    project.query("UPDATE a SET n = id")
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE
    assert project.query(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'a'::regclass ORDER BY 1"
    ) == [("a_id", True), ("a_n", True)]


def test_half_way_nothing_else_is_run(project: Project) -> None:
    """No revert is mixed into a queue that is under way."""
    with_rows(project)
    project.revision(*UNIQUE)
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    with pytest.raises(UnfinishedRevision):
        downgrade(project.config, "base")


def test_abandon_says_what_stays_and_frees_the_way(project: Project) -> None:
    """Whatever was done, at once or queued, is listed with the SQL that takes it back; then it can be run anew."""
    with_rows(project)
    project.revision(
        "op.add_column('a', sa.Column('m', sa.Integer))\n"
        "op.create_index('a_id', 'a', ['id'])\n"
        "op.add_column('a', sa.Column('o', sa.Date, server_default=sa.text('now()')))\n"
        "op.create_index('a_n', 'a', ['n'], unique=True)"
    )
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    [given_up] = abandon(project.config)
    *stays, last = given_up.stays
    assert stays == ["ALTER TABLE a ADD COLUMN m INTEGER", "build index a_id on public.a"]
    assert last.startswith("ALTER TABLE a ADD COLUMN o date DEFAULT (")
    assert given_up.undo == (
        "ALTER TABLE a DROP COLUMN o",
        "DROP INDEX CONCURRENTLY IF EXISTS public.a_id",
        "ALTER TABLE a DROP COLUMN m",
    )
    assert given_up.not_done == ("build unique index a_n on public.a",)
    with pytest.raises(NothingToAbandon):
        abandon(project.config)
    with psycopg.connect(project.database, autocommit=True) as connection:
        for sql in given_up.undo:
            connection.execute(sql.encode())
    project.query("UPDATE a SET n = id")
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE


def test_abandon_asks(project: Project) -> None:
    """In a pipe it does nothing without --yes, and says what would be given up."""
    with_rows(project)
    project.revision(*UNIQUE)
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    command = ["-c", str(project.folder / "alembic.ini"), "abandon"]
    with pytest.raises(NotConfirmed) as refused:
        CliRunner().invoke(holdfast, command, catch_exceptions=False)
    assert str(refused.value) == (
        f"holdfast {' '.join(command)} did nothing: nobody confirmed that this is lost: "
        "what is left of revision r2 (up): "
        "step 1 of 2: build unique index a_n on public.a; step 2 of 2: CREATE INDEX a_id ON a (id).\n"
        "It asks on a terminal; this is not one, or the answer was no.\n"
        f"To do it without being asked: holdfast {' '.join(command)} --yes"
    )
    assert status(project.config).state is State.HALF_WAY
    ended = CliRunner().invoke(holdfast, [*command, "--yes"], catch_exceptions=False)
    assert ended.output.splitlines()[0] == (
        "abandoned: revision r2 (up); its version row was not written"
    )
    assert status(project.config).state is State.FAILED


def test_stopped_between_two_steps(project: Project) -> None:
    """Asked to stop, the run ends before its next step, and a new one goes on there."""
    with_rows(project)
    project.query("UPDATE a SET n = id")
    project.revision(*UNIQUE)
    events: list[Event] = []
    with pytest.raises(StoppedBetweenSteps):
        upgrade(
            project.config,
            "head",
            report=events.append,
            should_stop=lambda: any(isinstance(event, StepDone) for event in events),
        )
    assert status(project.config).left == ("step 2 of 2: build index a_id on public.a",)
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE


def test_an_edited_file_is_refused_or_accepted(project: Project) -> None:
    """An applied revision whose file changed stops the next migration until a person has looked."""
    with_rows(project)
    file = project.file("r1")
    file.write_text(file.read_text() + "# only a comment\n")
    upgrade(project.config, "head")  # nothing pending: nothing is looked at
    project.revision("op.add_column('a', sa.Column('m', sa.Integer))")
    with pytest.raises(EditedRevision):
        upgrade(project.config, "head")
    upgrade(project.config, "head", accept_edited=True)
    assert status(project.config).state is State.UP_TO_DATE
