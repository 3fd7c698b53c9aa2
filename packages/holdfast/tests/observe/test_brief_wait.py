"""A question about tables waits only briefly for whoever has one locked, and costs no statement more for it."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from holdfast.errors.locks import TableIsLocked
from holdfast.observe.brief_wait import brief, naming
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import parse
from holdfast.testing.blockers import holding

LIMIT = "current_setting('lock_timeout')"
# Whatever the planner makes of it: without a row, with a constant, a join, rows in an order, a recursion.
QUESTIONS = {
    "no row": f"SELECT {LIMIT} AS seen WHERE false",
    "one value": f"SELECT {LIMIT} AS seen",
    "a table": f"SELECT {LIMIT} AS seen FROM pg_class LIMIT 3",
    "a join": f"SELECT {LIMIT} AS seen FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace",
    "an order": f"SELECT {LIMIT} AS seen FROM generate_series(1, 9) AS n ORDER BY n DESC",
    "a recursion": "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5)"
    f" SELECT {LIMIT} AS seen FROM r",
}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 1 + 1 CHECK (a > 0))"
NAME = QualifiedName(schema="public", name="t")


@pytest.fixture(params=["READ COMMITTED", "AUTOCOMMIT"])
def connection(request: pytest.FixtureRequest, database: str) -> Iterator[sa.Connection]:
    """In a transaction, and where each statement is one of its own."""
    url = sa.make_url(database).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level=request.param)
    with engine.connect() as connection:
        yield connection


def test_the_limit_holds_for_the_question_and_is_gone_behind_it(connection: sa.Connection) -> None:
    """Whatever the question is, and whatever limit the session has."""
    connection.exec_driver_sql("SET lock_timeout = '7s'")
    for what, question in QUESTIONS.items():
        seen = connection.execute(brief(question)).scalars().all()
        assert set(seen) == (set() if what == "no row" else {"500ms"}), what
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "7s", what


def test_who_has_the_table_locked_is_waited_for_briefly(
    connection: sa.Connection, database: str
) -> None:
    """And the table is named."""
    question = brief("SELECT pg_relation_size('t')")
    with (
        holding(database, f"{TABLE}; COMMIT; BEGIN; LOCK TABLE t"),
        pytest.raises(TableIsLocked, match=r"public\.t"),
        naming((NAME,)),
    ):
        connection.execute(question)


def test_facts_of_a_table_cost_no_statement_for_their_limit(
    connection: sa.Connection, database: str
) -> None:
    """The session, the names, the tables, the functions and types: nothing else is sent."""
    connection.exec_driver_sql(TABLE)
    sent: list[str] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *seen: sent.append(seen[2]))
    [statement] = parse("ALTER TABLE t ADD COLUMN b int")
    facts_for(connection, statement, new=NewRelations())
    assert [sql for sql in sent if "lock_timeout" in sql] == [
        sql for sql in sent if "relpages" in sql
    ]
