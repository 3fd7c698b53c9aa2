"""A plan says in every format what a step costs: a write to all rows is never an instant."""

import json
from dataclasses import replace
from datetime import timedelta

from holdfast.cli.plan import as_json, as_markdown, as_text
from holdfast.preview.forecast import Forecast
from holdfast.preview.trial import PlannedRevision, PlannedStep, Size
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.steps import BackfillStep

ORDERS = QualifiedName(schema="public", name="orders")
FILL = BackfillStep(
    table=ORDERS,
    key=("id",),
    sql="UPDATE public.orders SET b = a",
    first="",
    next="",
    first_batch="",
    batch="",
)
STEP = PlannedStep(
    step=FILL,
    is_seen=False,
    is_together=False,
    locks=(),
    scans=(),
    rewrites=(),
    size=Size(rows=2_000_000, bytes=340_000_000),
    takes=timedelta(seconds=40),
    writes=(ORDERS,),
    batches=800,
    rows_per_second=50_000,
)
FOUND = Forecast(
    database="shop",
    at=("r1",),
    is_new=False,
    revisions=(
        PlannedRevision(
            revision="r2", description="fill", steps=(STEP,), reads_rows=(), refusal=None
        ),
    ),
)


def test_a_backfill_in_text() -> None:
    """Rows, bytes, batches, the forecast, and what it assumes."""
    assert list(as_text(FOUND)) == [
        "r2 fill",
        "  1. UPDATE public.orders SET b = a",
        "     writes: all rows of public.orders, in about 800 batches, each committed",
        "     about 2,000,000 rows, 340 MB, 40 s if 50,000 rows a second are written: assumed, not measured",
    ]


def test_the_disk_that_it_needs() -> None:
    """Before the run, beside what is free; a little is not worth a line."""
    revision = replace(FOUND.revisions[0], steps=(), disk=5_000_000_000, free_disk=None)
    for free, words in (
        (None, "how much is free is not known: set HOLDFAST_FREE_DISK"),
        (70_000_000_000, "70 GB is free"),
    ):
        found = replace(FOUND, revisions=(replace(revision, free_disk=free),))
        assert list(as_text(found))[-1] == f"  needs about 5 GB more disk; {words}"
    assert "disk" not in "".join(
        as_text(replace(FOUND, revisions=(replace(revision, disk=90_000),)))
    )


def test_a_backfill_in_a_pull_request() -> None:
    """The same in one row of the table."""
    assert list(as_markdown(FOUND))[-1] == (
        "| 1 | `UPDATE public.orders SET b = a` | none that users notice | writes public.orders in about 800 batches |"
        " 2,000,000 rows, 340 MB, 40 s if 50,000 rows a second are written: assumed, not measured |"
    )


def test_a_backfill_in_json() -> None:
    """The same for a program."""
    [step] = json.loads(json.dumps(as_json(FOUND)))["revisions"][0]["steps"]
    assert (step["writes"], step["batches"], step["rows"], step["bytes"], step["seconds"]) == (
        ["public.orders"],
        800,
        2_000_000,
        340_000_000,
        40.0,
    )
    assert (step["assumed_rows_per_second"], step["rate_is"]) == (50_000, "assumed")


def test_a_backfill_with_a_limit() -> None:
    """A rate that somebody has set is told as a limit, in each format."""
    limited = replace(STEP, rows_per_second=1_000, takes=timedelta(seconds=2_000))
    [revision] = FOUND.revisions
    found = replace(FOUND, revisions=(replace(revision, steps=(limited,)),))
    words = "2,000,000 rows, 340 MB, 33 min at 1,000 rows a second, the limit that is set"
    assert list(as_text(found))[-1] == f"     about {words}"
    assert list(as_markdown(found))[-1].endswith(f"| {words} |")
    [step] = json.loads(json.dumps(as_json(found)))["revisions"][0]["steps"]
    assert step["rate_is"] == "limited"
