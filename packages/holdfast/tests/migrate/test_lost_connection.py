"""A connection that is lost anywhere in a run is an error of ours that says what is known to be done."""

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from met_statement import ended_at
from psycopg import OperationalError as PsycopgError
from psycopg.errors import AdminShutdown, UndefinedTable
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError, ProgrammingError

from holdfast.errors.connection import ConnectionLost
from holdfast.errors.leadership import LeadershipLost
from holdfast.migrate.lost_connection import lost_connection
from holdfast.migrate.run import upgrade

LOST = OperationalError("SELECT 1", None, AdminShutdown("terminating connection"))
NEVER_MADE = OperationalError(None, None, PsycopgError("connection refused"))  # type: ignore[arg-type]  # as SQLAlchemy does
AT_COMMIT = OperationalError(
    None,  # type: ignore[arg-type]  # as SQLAlchemy does
    None,
    PsycopgError("the connection is lost"),
    connection_invalidated=True,
)
REFUSED = ProgrammingError("SELECT x", None, UndefinedTable("no such table"))


def raised_from(error: Exception, cause: Exception) -> Exception:
    """An error as it is seen, whose cause is another."""
    error.__cause__ = cause
    return error


AGAIN = RuntimeError("raised once more")
AGAIN.__cause__ = raised_from(RuntimeError("in between"), AGAIN)


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (LOST, True),
        (AT_COMMIT, True),
        (PsycopgError("the connection is closed"), True),
        (raised_from(PendingRollbackError("rollback first"), LOST), True),
        (raised_from(RuntimeError("of the author"), LOST), True),
        (NEVER_MADE, False),
        (raised_from(NEVER_MADE, NEVER_MADE.orig), False),  # type: ignore[arg-type]
        (REFUSED, False),
        (RuntimeError("another one"), False),
        (AGAIN, False),
        (LeadershipLost(), False),
    ],
)
def test_whatever_shows_it_a_lost_connection_is_told_from_other_errors(
    error: Exception, is_lost: bool
) -> None:
    """By its SQLSTATE, or by what the driver says; what was never made, or is ours, is left as it is."""
    assert (lost_connection(error, standing="") is not None) == is_lost


# One statement of each kind that a run sends, in the order in which it does.
KINDS = (
    "pg_class.relname",  # Alembic's own look at its table
    "epoch = epoch",
    "INSERT INTO holdfast.history",
    "holdfast.leader FOR SHARE",
    "CREATE INDEX CONCURRENTLY",
    "INSERT INTO holdfast.progress|UPDATE holdfast.",
    "pg_notify",
    "UPDATE alembic_version",
)


@pytest.mark.parametrize(
    ("env", "driver", "kinds"),
    [
        (SYNC_ENV, "psycopg", KINDS),
        (ASYNC_ENV, "asyncpg", ("epoch = epoch", "UPDATE alembic_version")),
    ],
)
def test_wherever_a_run_loses_its_connection_it_says_what_is_done_and_goes_on(
    project: Project, env: str, driver: str, kinds: tuple[str, ...]
) -> None:
    """Ended in front of whatever statement, by whatever driver: never a raw error, and nothing is done twice."""
    project.env(env, driver=driver)
    project.revision(
        """
        op.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        op.execute("INSERT INTO t SELECT n, 0 FROM generate_series(1, 300) n")
        """
    )
    upgrade(project.config, "head")
    project.revision(
        """
        op.create_index("i", "t", ["a"])
        op.execute("UPDATE t SET a = a + 1")
        op.execute("ALTER TABLE t ADD COLUMN b int")
        """
    )
    for kind in kinds:
        with (
            ended_at(project.database, kind),
            pytest.raises(ConnectionLost, match=r"This run has completed no revision\.") as raised,
        ):
            upgrade(project.config, "head")
        assert "holdfast status" in str(raised.value)
    upgrade(project.config, "head")
    assert project.query("SELECT a, count(*) FROM t GROUP BY a") == [(1, 300)]
    done = "SELECT count(*) FROM holdfast.history WHERE revision = 'r2' AND outcome = 'done'"
    assert project.query(done) == [(1,)]


def test_the_step_that_is_done_is_named(project: Project) -> None:
    """So far, not more: whoever reads the error knows where the run stands."""
    project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')")
    upgrade(project.config, "head")
    project.revision('op.create_index("i", "t", ["a"]); op.create_index("j", "t", ["a"])')
    with (
        ended_at(project.database, "CREATE INDEX CONCURRENTLY", number=2),
        pytest.raises(
            ConnectionLost, match=r"its last step that is done: build index i on public\.t"
        ) as raised,
    ):
        upgrade(project.config, "head")
    assert isinstance(raised.value.__cause__, DBAPIError)
