"""A step has one number: in the plan, in the run, in a run that goes on with it, and in the status of the database."""

import contextlib
import json
from collections.abc import Callable

import pytest
from alembic_project import Project
from everywhere import each

from holdfast.cli.plan import as_json
from holdfast.cli.report import Printer
from holdfast.errors.unfinished import StoppedBetweenSteps
from holdfast.execute.progress import (
    Event,
    RevisionResumed,
    StatementsDone,
    StepDone,
    StepsRecounted,
)
from holdfast.migrate.run import upgrade
from holdfast.preview.forecast import forecast

TABLES = """
op.execute("CREATE TABLE customers (id int PRIMARY KEY)")
op.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id int, amount int, status text)")
op.execute("CREATE TABLE parted (id int, at date) PARTITION BY RANGE (at)")
op.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
op.execute("CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')")
op.execute("INSERT INTO orders SELECT n, NULL, n, 'new' FROM generate_series(1, 50) n")
"""
KINDS = {
    "statements of the function, then a queue": """
        op.execute("CREATE TABLE notes (id int)")
        op.add_column("orders", sa.Column("note", sa.Text))
        op.create_index("orders_amount", "orders", ["amount"])
        op.create_foreign_key("orders_customer", "orders", "customers", ["customer_id"], ["id"])
        op.alter_column("orders", "status", nullable=False)
        """,
    "one unit of several statements, and rows that are written": """
        op.add_column("orders", sa.Column("total", sa.Integer))
        op.execute("UPDATE orders SET total = amount")
        op.alter_column("orders", "total", nullable=False)
        op.create_unique_constraint("orders_total", "orders", ["total"])
        """,
    "partitions": """
        op.execute("ALTER TABLE orders ADD CHECK (amount > 0)")
        op.create_index("parted_id", "parted", ["id"])
        """,
    "a copied column": """
        op.alter_column("orders", "amount", type_=sa.BigInteger)
        op.create_index("orders_by_amount", "orders", ["amount"])
        """,
    "a look in the middle": """
        op.add_column("orders", sa.Column("remark", sa.Text))
        op.create_index("orders_status", "orders", ["status"])
        op.get_bind().execute(sa.text("SELECT count(*) FROM orders")).scalar()
        op.add_column("orders", sa.Column("more", sa.Text))
        op.create_index("orders_more", "orders", ["more"])
        op.add_column("orders", sa.Column("last", sa.Text))
        """,
}


THIRD = "CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')"


class Numbers:
    """Keeps the number of each step of a run; asks it to stop when so many are done."""

    def __init__(
        self, found: dict[str, list[tuple[int, str]]], *, stop_behind: int | None = None
    ) -> None:
        self.found = found
        self.seen = 0
        self.recounted: list[StepsRecounted] = []
        self.stop_behind = stop_behind

    def __call__(self, event: Event) -> None:
        match event:
            case StatementsDone():
                self.found.setdefault(event.revision, []).extend(
                    enumerate(event.statements, start=event.number)
                )
                self.seen += 1
            case StepDone(started=started):
                self.found.setdefault(started.revision, []).append((started.number, started.step))
                self.seen += 1
            case RevisionResumed():
                assert event.number == len(self.found[event.revision]) + 1
            case StepsRecounted():
                self.recounted.append(event)

    def should_stop(self) -> bool:
        return self.stop_behind is not None and self.seen >= self.stop_behind


def planned(project: Project) -> dict[str, list[tuple[int, str]]]:
    """The steps of each pending revision, by the numbers of its plan."""
    found = forecast(project.config)
    assert not found.is_refused
    as_objects = json.loads(json.dumps(as_json(found)))["revisions"]
    return {
        revision.revision: [
            (number["number"], step.step.describe())
            for number, step in zip(as_object["steps"], revision.steps, strict=True)
        ]
        for revision, as_object in zip(found.revisions, as_objects, strict=True)
    }


@pytest.mark.usefixtures("scratch")
def test_a_step_has_one_number(project: Project) -> None:
    """Whatever a revision does, and wherever its run is stopped: each step has the number that it has in the plan.

    A run that goes on says at which one, and says nothing of more or fewer steps where there are none.
    """
    project.revision(TABLES)
    upgrade(project.config, "head")
    for kind in each(list(KINDS.values()), here=3):
        project.revision(kind)
    expected = planned(project)
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in expected}
    for behind in (2, 4, None):
        run = Numbers(found, stop_behind=behind)
        with contextlib.suppress(StoppedBetweenSteps):
            upgrade(project.config, "head", report=run, should_stop=run.should_stop)
        assert not run.recounted
    assert found == expected


def test_more_steps_than_were_expected(project: Project) -> None:
    """A partition that somebody adds meanwhile is more to do: the run says so, and goes on counting."""
    project.revision(TABLES)
    upgrade(project.config, "head")
    project.revision(KINDS["partitions"])
    found: dict[str, list[tuple[int, str]]] = {}
    run = Numbers(found)

    def report(event: Event) -> None:
        run(event)
        if isinstance(event, StepDone) and event.started.number == 1:
            project.query(THIRD)

    upgrade(project.config, "head", report=report)
    (recounted,) = run.recounted
    assert recounted.steps == recounted.expected + 2 == len(found["r2"])
    assert [number for number, _ in found["r2"]] == list(range(1, len(found["r2"]) + 1))


def told(events: list[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a log says of these events."""
    printer: Callable[[Event], None] = Printer(clock=lambda: 0.0)
    for event in events:
        printer(event)
    return capsys.readouterr().err.splitlines()


def test_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of what a function executes, of where a run goes on, and that there are more than expected."""
    done = StatementsDone(revision="r", number=1, steps=4, statements=("A", "B"))
    lines = told(
        [
            done,
            StatementsDone(revision="r", number=3, steps=3, statements=("C",), may_be_more=True),
            RevisionResumed(revision="r", number=5, steps=9),
            RevisionResumed(revision="r", number=10, steps=9),
            RevisionResumed(revision="r", number=10, steps=9, may_be_more=True),
            StepsRecounted(revision="r", steps=11, expected=9),
        ],
        capsys,
    )
    assert lines == [
        "     steps 1 to 2 of 4, in one transaction: A; B",
        "     step 3 of 3 or more: C",
        "     continues at step 5 of 9",
        "     all 9 steps were done before; only the version row is left",
        "     continues after step 9",
        "     11 steps, not 9 as expected",
    ]
