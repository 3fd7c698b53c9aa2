"""Every error reads as a way out."""

import dataclasses
import importlib
import pkgutil
import typing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.errors.connection import Tried
from holdfast.errors.locks import NobodyWatched, WaitedTooLong
from holdfast.errors.project import TwoHeads
from holdfast.errors.statement import LongStatement

EXAMPLES: dict[object, object] = {
    str: "example",
    int: 7,
    Path: Path("folder/file"),
    timedelta: timedelta(seconds=2),
    datetime: datetime(2026, 1, 2, tzinfo=UTC),
    date: date(2026, 1, 2),
    tuple[str, ...]: ("one", "two"),
    Tried: Tried(user="app", database="shop", host="db", port="5432", sslmode=None),
}

ALL = [
    error
    for area in pkgutil.iter_modules(errors.__path__, "holdfast.errors.")
    for error in vars(importlib.import_module(area.name)).values()
    if isinstance(error, type)
    and issubclass(error, errors.HoldfastError)
    and hasattr(error, "what")  # the others are what several have in common
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_three_parts_with_every_field_filled_in(error: type[errors.HoldfastError]) -> None:
    """What happened, why, what to do: whole sentences, no brace, no None."""
    hints = typing.get_type_hints(error)
    fields = {
        field.name: EXAMPLES[hints[field.name]]
        for field in dataclasses.fields(error)  # type: ignore[arg-type]  # each is a dataclass
    }
    parts = error(**fields).parts()
    assert all(part.strip() and part[0] == part.strip()[0] for part in parts)
    assert not any("{" in part or "None" in part for part in parts)


def test_two_heads() -> None:
    """Which they are, how that comes, and the three ways out of it."""
    assert str(TwoHeads(heads=("a1", "b2"))) == (
        "The history has more than one head: a1, b2. Nothing was migrated.\n"
        "Two revisions were written on top of the same one, often in two branches of the repository.\n"
        "Join them in one revision: alembic merge heads. Where all are meant to stay, give each a branch label and say "
        'so: branches = ["one", "other"] in [tool.holdfast], or branches = one other in alembic.ini. Once: holdfast '
        "run --to heads"
    )


def test_nobody_watched() -> None:
    """How often, for what, who is told to be looked for, and what is left."""
    ended = NobodyWatched(what_for="revision r1", tries=9, waited=timedelta(minutes=30))
    assert str(ended) == (
        "Given up after 9 tries in 30 min, because nobody was watching whether users wait for it: revision r1\n"
        "The second connection of the run, which looks whether users wait, was lost or silent each time: the server "
        "has too much to do, or somebody ends that connection. Nothing of the last try is left, and nothing is held "
        "now; what was committed before stays and is recorded.\n"
        "See what keeps the server busy, or who ends sessions (its log says it). Then go on: holdfast run"
    )


def test_waited_too_long() -> None:
    """How long, for whom, who did not wait, and what the next run does."""
    ended = WaitedTooLong(
        step="build index i on public.t",
        waited=timedelta(minutes=10),
        waits_for=("pid 7 (app) idle in transaction since 10:00", "pid 8 (app) active"),
    )
    assert str(ended) == (
        "It still waits for others after 10 min, and was ended: build index i on public.t\n"
        "It waits for: pid 7 (app) idle in transaction since 10:00, pid 8 (app) active. No user waited for it "
        "meanwhile.\n"
        "Make room in the way that is named for each, or wait until they have ended. Then run again, which cleans up "
        "and does the step anew: holdfast run"
    )


@pytest.mark.parametrize(
    ("place", "comment"), [("r1.py:7", "#"), ("db/1_a.sql:7", "--"), (None, "# (in SQL: --)")]
)
def test_the_comment_that_allows_is_one_of_the_file(place: str | None, comment: str) -> None:
    """Whatever file the statement is in: what is to be written on its line does not break it."""
    refused = LongStatement(
        statement="CLUSTER t", relation="public.t", mode="ACCESS EXCLUSIVE", work="writes it anew",
        blocks="reads and writes", rows=2000, instead="Let it be.",
    )  # fmt: skip
    refused.place = place
    what = "Refused, because public.t is in use: CLUSTER t"
    assert refused.parts() == (
        what if place is None else f"{place}: {what}",
        (
            "It writes it anew (about 2,000 rows) while it holds ACCESS EXCLUSIVE on public.t: that blocks reads and"
            " writes until it ends."
        ),
        (
            "Let it be. Or, if the table is small or nobody uses it, allow it in a comment on its line:"
            f" {comment} holdfast: allow REASON until YYYY-MM-DD"
        ),
    )
