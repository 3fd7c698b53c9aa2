"""Every example: its plan, and that the plan ends in the schema of plain execution."""

from datetime import date
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from holdfast.observe.catalog import facts_for
from holdfast.plan.names import quote
from holdfast.plan.new_relations import NewRelations
from holdfast.plan.online import rewrite
from holdfast.plan.statement import parse
from holdfast.plan.steps import Step, TransactionStep, ValidateStep, as_text
from holdfast.scratch.dump import schema_dump
from holdfast.testing.databases import Postgres

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[4] / "examples" / "rewrites").iterdir()
    if path.is_dir()
)
TODAY = date(2026, 1, 1)
CAPTURED = """
SELECT conname FROM pg_constraint
WHERE conrelid = %s::regclass AND NOT convalidated
  AND xmin = pg_current_xact_id()::xid
"""


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def test_plan_and_schema(example: Path, each_postgres: Postgres) -> None:
    """The steps are those in online.txt; they end in the schema of plain execution."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((example / "before.sql").read_text())

    template = each_postgres.template(example.name, build)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        steps = run_online(online, (example / "change.sql").read_text())
        run_plainly(plain, (example / "change.sql").read_text())
        assert as_text(tuple(steps)) + "\n" == golden(example, major=each_postgres.major)
        assert schema_dump(online) == schema_dump(plain)
        assert rows(online) == rows(plain)
        run_online(online, (example / "revert.sql").read_text())
        run_plainly(plain, (example / "revert.sql").read_text())
        assert schema_dump(online) == schema_dump(plain)


def golden(example: Path, *, major: int) -> str:
    of_major = example / f"online-{major}.txt"
    return (of_major if of_major.exists() else example / "online.txt").read_text()


def run_plainly(url: str, script: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(script)


def run_online(url: str, script: str) -> list[Step]:
    """Statement after statement, each planned from what the ones before it have left."""
    done: list[Step] = []
    new = NewRelations()
    engine = sa.create_engine(url.replace("://", "+psycopg://"), poolclass=sa.NullPool)
    for statement in parse(script):
        with engine.connect() as connection:
            facts = facts_for(connection, statement, new=new)
        existing = [relation.name for relation in facts.relations.values()]
        steps = rewrite(statement, facts=facts, today=TODAY)
        with psycopg.connect(url, autocommit=True) as session:
            perform(session, steps)
        new = new.after(statement, current_schema=facts.current_schema, existing=existing)
        done += steps
    return done


def perform(session: psycopg.Connection, steps: tuple[Step, ...]) -> None:
    captured = ""
    for step in steps:
        if isinstance(step, TransactionStep):
            with session.transaction():
                for sql in step.sql:
                    session.execute(sql)
                if step.captures_constraint_on:
                    cursor = session.execute(CAPTURED, [str(step.captures_constraint_on)])
                    ((captured,),) = cursor.fetchall()
        elif isinstance(step, ValidateStep):
            name = quote(step.constraint or captured)
            session.execute(f"ALTER TABLE {step.table} VALIDATE CONSTRAINT {name}".encode())
        else:
            session.execute(step.sql)


def rows(url: str) -> dict[str, int]:
    """How many rows each table has."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()[0][0]
            for (table,) in tables
        }
