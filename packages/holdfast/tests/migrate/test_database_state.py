"""In which state a database is, told in one way: the table of all states, and each of them on a real database."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic_project import SYNC_ENV, Project
from click.testing import CliRunner

from holdfast.cli import holdfast
from holdfast.errors import HoldfastError
from holdfast.errors.migration import (
    DatabaseAhead,
    EditedRevision,
    LostVersionTable,
    UnknownDatabase,
)
from holdfast.errors.project import TwoHeads
from holdfast.errors.steps import DataInTheWay
from holdfast.errors.unfinished import FunctionWasInterrupted, UnfinishedRevision
from holdfast.execute.progress import Direction
from holdfast.migrate.baseline import baseline
from holdfast.migrate.database_state import (
    DatabaseFacts,
    DatabaseState,
    HalfWay,
    State,
    database_state,
)
from holdfast.migrate.run import downgrade, upgrade
from holdfast.observe.schema_constants import KEY
from holdfast.scratch.databases import Postgres
from holdfast.testing.blockers import holding

DOCS = Path(__file__).parents[4] / "docs" / "exit-statuses.md"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the history has of a revision."""

    revision: str
    direction: Direction = "up"
    outcome: str = "done"
    started_at: datetime = NOON


LATER = NOON + timedelta(minutes=1)
UP_R2 = Tried(revision="r2", outcome="failed")
DOWN_R1 = Tried(revision="r1", direction="down", outcome="failed", started_at=LATER)
AHEAD = DatabaseAhead(revisions=("r9",))
LOST = LostVersionTable(database="d", table="alembic_version", recorded=("r1",))
PENDING = {"pending": ("r2",), "applied": frozenset({"r1"})}
AT_HEAD = {"applied": frozenset({"r1"})}

TABLE = [
    (
        DatabaseFacts(
            **PENDING, attempts=(Tried(revision="r2", outcome="running"),), is_migrating=True
        ),
        State.MIGRATING,
        7,
        "migrating: a run is at work; holdfast run waits for it",
    ),
    (DatabaseFacts(**AT_HEAD), State.UP_TO_DATE, 0, "up to date"),
    (
        DatabaseFacts(**PENDING),
        State.PENDING,
        1,
        "pending: holdfast run applies the revisions below",
    ),
    (
        DatabaseFacts(**PENDING, attempts=(UP_R2,)),
        State.FAILED,
        1,
        "pending: revision r2 failed, nothing of it is under way; holdfast run tries again",
    ),
    (
        DatabaseFacts(**PENDING, attempts=(Tried(revision="r2", outcome="running"),)),
        State.FAILED,
        1,
        "pending: revision r2 was killed, nothing of it is under way; holdfast run tries again",
    ),
    (
        DatabaseFacts(**AT_HEAD, attempts=(DOWN_R1,)),
        State.REVERT_FAILED,
        0,
        "up to date: the revert of r1 failed, nothing of it is under way; holdfast revert tries again",
    ),
    (
        DatabaseFacts(
            **AT_HEAD, attempts=(DOWN_R1, Tried(revision="r0", started_at=LATER + timedelta(1)))
        ),
        State.UP_TO_DATE,
        0,
        "up to date",
    ),
    (
        DatabaseFacts(
            **PENDING, half_way=HalfWay(revision="r2", direction="up"), attempts=(UP_R2,)
        ),
        State.HALF_WAY,
        5,
        "half-way: revision r2 is begun and recorded, not all of it is done; holdfast run goes on where it stopped",
    ),
    (
        DatabaseFacts(
            **PENDING,
            half_way=HalfWay(revision="r2", direction="up"),
            attempts=(UP_R2,),
            refusal=FunctionWasInterrupted(revision="r2", reason="it has looked"),
        ),
        State.HALF_WAY,
        5,
        "half-way: revision r2 is begun and recorded, not all of it is done; holdfast run would stop before it goes on",
    ),
    (
        DatabaseFacts(
            **AT_HEAD, half_way=HalfWay(revision="r1", direction="down"), attempts=(DOWN_R1,)
        ),
        State.HALF_WAY,
        5,
        (
            "half-way: the revert of r1 is begun and recorded, not all of it is done; holdfast revert goes on where it"
            " stopped"
        ),
    ),
    (
        DatabaseFacts(**PENDING, edited=("r1",), half_way=HalfWay(revision="r2", direction="up")),
        State.EDITED,
        6,
        "edited: a file is not the one that was applied; restore it, write a new revision",
    ),
    (
        DatabaseFacts(**PENDING, refusal=LOST),
        State.REFUSED,
        2,
        "refused: holdfast run would stop before it begins",
    ),
    (
        DatabaseFacts(unknown=("r9",), refusal=AHEAD),
        State.AHEAD,
        4,
        "ahead: the database has revisions that this project does not know",
    ),
    (
        DatabaseFacts(
            **PENDING, half_way=HalfWay(revision="r2", direction="up"), is_migrating=True
        ),
        State.MIGRATING,
        7,
        "migrating: a run is at work; holdfast run waits for it",
    ),
]


@pytest.mark.parametrize(("facts", "state", "exit_status", "says"), TABLE)
def test_the_most_urgent_thing_that_is_true(
    facts: DatabaseFacts, state: State, exit_status: int, says: str
) -> None:
    """Every combination of what is recorded has one state, told with the command that ends it."""
    assert database_state(facts) == DatabaseState(
        state=state, says=says, exit_status=exit_status, refusal=facts.refusal
    )


def test_every_state_is_in_the_docs() -> None:
    """One table for people, with the exit status and the first line that `status` has."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", DOCS.read_text(), re.MULTILINE)
    assert rows == [
        (state.name.lower(), "2, 3" if state is State.REFUSED else str(state.value.exit_status))
        for state in State
    ]


# The same on a real database: what `status` prints, what `run` then does.


def told(project: Project) -> list[str]:
    """Exit status and all lines of `status`, without what differs from run to run."""
    named = f"-c {project.folder / 'alembic.ini'} "
    ended = CliRunner().invoke(holdfast, [*named.split(), "status"], catch_exceptions=False)
    text = re.sub(r" \(\S+@\S+:\d+\)", "", ended.output).replace(f"holdfast {named}", "holdfast ")
    database = str(project.query("SELECT current_database()")[0][0])
    return [str(ended.exit_code), *text.replace(database, "DATABASE").splitlines()]


def raised(project: Project, error: type[HoldfastError]) -> list[str]:
    """The lines of the error with which `run` refuses."""
    with pytest.raises(error) as found:
        upgrade(project.config, "head")
    database = str(project.query("SELECT current_database()")[0][0])
    return str(found.value).replace(database, "DATABASE").splitlines()


def with_rows(project: Project) -> None:
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer), sa.Column('n', sa.Integer))"
    )
    upgrade(project.config, "head")
    project.query("INSERT INTO a SELECT i, i % 10 FROM generate_series(1, 100) i")


def test_a_failed_revision(project: Project) -> None:
    """Nothing of it is left: pending, not half-way; with what it failed of, until it has succeeded."""
    with_rows(project)
    project.revision("op.add_column('a', sa.Column('m', sa.Integer)); op.execute('SELECT 1/0')")
    with pytest.raises(Exception, match="division by zero") as failed:
        upgrade(project.config, "head")
    assert failed.value.__notes__[:1] == ["Revision r2 was rolled back; those before it stay."]
    assert told(project) == [
        "1",
        "pending: revision r2 failed, nothing of it is under way; holdfast run tries again",
        "at       r1",
        "pending  r2 about r2",
        "failed   r2 up: DataError: (psycopg.errors.DivisionByZero) division by zero",
    ]
    project.file("r2").write_text(project.file("r2").read_text().replace("1/0", "1"))
    upgrade(project.config, "head")
    assert told(project) == ["0", "up to date", "at       r2"]


def test_a_refusal_is_no_accident(project: Project) -> None:
    """A statement that was refused before anything has run: pending, with the refusal."""
    with_rows(project)
    project.revision("op.execute('ALTER TABLE a RENAME TO b')")
    with pytest.raises(HoldfastError):
        upgrade(project.config, "head")
    assert told(project) == [
        "1",
        "pending: revision r2 failed, nothing of it is under way; holdfast run tries again",
        "at       r1",
        "pending  r2 about r2",
        "failed   r2 up: BreaksRunningCode: Refused, because public.a is in use: ALTER TABLE a RENAME TO b",
    ]


def test_a_failed_revert(project: Project) -> None:
    """It was rolled back: the database is up to date as before, and `run` says so too."""
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer))", "op.execute('SELECT 1/0')"
    )
    upgrade(project.config, "head")
    with pytest.raises(Exception, match="division by zero") as failed:
        downgrade(project.config, "base")
    assert failed.value.__notes__[:1] == [
        "The revert of r1 was rolled back; the revision stays applied."
    ]
    assert told(project) == [
        "0",
        "up to date: the revert of r1 failed, nothing of it is under way; holdfast revert tries again",
        "at       r1",
        "failed   r1 down: DataError: (psycopg.errors.DivisionByZero) division by zero",
    ]
    upgrade(project.config, "head")


def test_a_revert_that_is_half_way(project: Project) -> None:
    """`status`, `run` and the error send the reader to the command that ends it: holdfast revert."""
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer), sa.Column('n', sa.Integer))"
    )
    project.revision(
        "op.drop_column('a', 'n')  # holdfast: allow nobody reads it until 2999-01-01",
        "op.add_column('a', sa.Column('n', sa.Integer))\n"
        "op.create_index('a_id', 'a', ['id'])\nop.create_index('a_u', 'a', ['id'], unique=True)",
    )
    upgrade(project.config, "head")
    project.query("INSERT INTO a SELECT i % 2 FROM generate_series(1, 10) i")
    with pytest.raises(DataInTheWay) as failed:
        downgrade(project.config, "-1")
    assert str(failed.value).endswith("then go on where it stopped: holdfast revert")
    assert told(project) == [
        "5",
        (
            "half-way: the revert of r2 is begun and recorded, not all of it is done; holdfast revert goes on where it"
            " stopped"
        ),
        "at       r2",
        (
            "half-way r2 down: DataInTheWay: Revision r2 stopped at: build unique index a_u on public.a."
            " In the way: 2 duplicate keys, such as (0, 5), (1, 5)."
        ),
        "to do    step 3 of 3: build unique index a_u on public.a",
    ]
    assert raised(project, UnfinishedRevision) == [
        "Revision r2 (down) is half-way in this database; nothing else was started.",
        "A run was killed or stopped while its queue was under way; what is done is recorded.",
        (
            "Finish it with the version of the project that began it: holdfast revert."
            " If it can never finish: holdfast abandon"
        ),
    ]
    project.query("DELETE FROM a")
    downgrade(project.config, "-1")
    assert told(project)[:2] == ["1", "pending: holdfast run applies the revisions below"]


def test_half_way(project: Project) -> None:
    """A part is done and recorded; `run` goes on."""
    with_rows(project)
    project.query("DELETE FROM a WHERE id > 8")
    project.query("UPDATE a SET n = least(id, 7)")
    project.revision(
        "op.create_index('a_id', 'a', ['id']); op.create_index('a_n', 'a', ['n'], unique=True)"
    )
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    assert told(project) == [
        "5",
        "half-way: revision r2 is begun and recorded, not all of it is done; holdfast run goes on where it stopped",
        "at       r1",
        "pending  r2 about r2",
        (
            "half-way r2 up: DataInTheWay: Revision r2 stopped at: build unique index a_n on public.a."
            " In the way: 1 duplicate key, such as (7, 2)."
        ),
        "to do    step 2 of 2: build unique index a_n on public.a",
    ]
    project.query(
        "UPDATE holdfast.history SET outcome = 'running', error = NULL WHERE revision = 'r2'"
    )
    assert told(project)[4] == "half-way r2 up: killed"
    project.query("UPDATE a SET n = id")
    upgrade(project.config, "head")
    assert told(project) == ["0", "up to date", "at       r2"]


def test_a_copy_made_in_the_middle_goes_on(project: Project, postgres: Postgres) -> None:
    """A clone of a database that is half-way is half-way itself: the journal lies in it."""
    with_rows(project)
    project.revision(
        "op.create_index('a_id', 'a', ['id']); op.create_index('a_n', 'a', ['n'], unique=True)"
    )
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    name = str(project.query("SELECT current_database()")[0][0])
    original = project.database
    with postgres.database(template=name) as copy:
        project.database = copy
        project.env(SYNC_ENV)
        assert told(project)[0] == "5"
        project.query("UPDATE a SET n = id")
        upgrade(project.config, "head")
        assert told(project) == ["0", "up to date", "at       r2"]
    project.database = original
    project.env(SYNC_ENV)
    assert told(project)[0] == "5"


def test_a_migrator_at_work(project: Project) -> None:
    """Whatever is recorded: while somebody holds the lock of migrators, the run did not end, it runs."""
    with_rows(project)
    project.revision("pass")
    with holding(project.database, f"SELECT pg_advisory_lock({KEY})"):
        shown = told(project)
    assert [re.sub(r"pid .*", "pid", line) for line in shown] == [
        "7",
        "migrating: a run is at work; holdfast run waits for it",
        "at       r1",
        "pending  r2 about r2",
        "migrates now: another process migrates: pid",
    ]


def test_a_lost_version_table(project: Project) -> None:
    """DROP TABLE alembic_version: no run begins at the first revision again; `baseline` sets it right."""
    with_rows(project)
    project.revision("op.add_column('a', sa.Column('m', sa.Integer))")
    upgrade(project.config, "head")
    project.query("DROP TABLE alembic_version")
    refused = raised(project, LostVersionTable)
    assert refused == [
        "Database DATABASE has no table alembic_version any more; nothing was migrated.",
        (
            "That table says which revisions are applied. By the history of holdfast the database was at r2;"
            " without the table a run would begin at the first revision, on tables that are there."
        ),
        (
            "If what they made is there, record it again: holdfast baseline r2. If none of it is:"
            " holdfast baseline base. Then: holdfast run"
        ),
    ]
    assert told(project) == [
        "2",
        "refused: holdfast run would stop before it begins",
        *(f"refused  {line}" for line in refused),
        "at       (no revision)",
        "pending  r1 about r1",
        "pending  r2 about r2",
    ]
    assert [each.heads for each in baseline(project.config, "r2")] == [("r2",)]
    assert told(project) == ["0", "up to date", "at       r2"]


def test_the_version_table_went_with_everything_else(project: Project) -> None:
    """A schema that was emptied on purpose is new: nothing is refused."""
    with_rows(project)
    project.query("DROP TABLE alembic_version, a")
    upgrade(project.config, "head")
    assert told(project) == ["0", "up to date", "at       r1"]


def unknown(project: Project) -> None:
    project.query("CREATE TABLE of_somebody_else (id int)")
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")


def two_heads(project: Project) -> None:
    with_rows(project)
    project.revision("pass")
    other = project.file("r2").read_text().replace("r2", "r3")
    project.file("r3").write_text(other)


def ahead(project: Project) -> None:
    with_rows(project)
    project.query("UPDATE alembic_version SET version_num = 'r9'")


def edited(project: Project) -> None:
    with_rows(project)
    project.revision("pass")
    project.file("r1").write_text(project.file("r1").read_text() + "# edited\n")


@pytest.mark.parametrize(
    ("make", "error", "state"),
    [
        (unknown, UnknownDatabase, "refused"),
        (two_heads, TwoHeads, "refused"),
        (ahead, DatabaseAhead, "ahead"),
        (edited, EditedRevision, "edited"),
    ],
    ids=lambda each: each.__name__ if callable(each) else each,
)
def test_status_says_what_run_would_say(
    project: Project, make: object, error: type[HoldfastError], state: str
) -> None:
    """Whatever `run` would refuse a database for, `status` has the same words and the same exit status."""
    assert callable(make)
    make(project)
    shown = told(project)
    assert (shown[0], shown[1].split(":")[0]) == (str(error.exit_status), state)
    assert [
        line.removeprefix("refused  ") for line in shown if line.startswith("refused  ")
    ] == raised(project, error)
