"""Every mode of a revision with every kind of statement: what happens to it."""

import pytest

from holdfast.intercept.route import (
    Before,
    Mode,
    RevisionState,
    Route,
    Sighting,
    StatementPlace,
    WaitingWork,
    before_what_cannot_be_divided,
    route,
)
from holdfast.rewrite.statement import StatementKind

KINDS = {
    "DDL": Sighting(kind=StatementKind.DDL),
    "temporary table": Sighting(kind=StatementKind.TEMP),
    "read": Sighting(kind=StatementKind.READ, is_result_seen=True),
    "catalog read": Sighting(kind=StatementKind.CATALOG_READ, is_result_seen=True),
    "harmless": Sighting(kind=StatementKind.HARMLESS, is_result_seen=True),
    "write": Sighting(kind=StatementKind.WRITE),
    "write in batches": Sighting(kind=StatementKind.WRITE, lasts=True),
    "counted write": Sighting(kind=StatementKind.WRITE, is_result_seen=True),
    "write with a result": Sighting(kind=StatementKind.WRITE_WITH_RESULT),
    "SET": Sighting(kind=StatementKind.SET),
    "SET LOCAL": Sighting(kind=StatementKind.SET_LOCAL),
    "transaction control": Sighting(kind=StatementKind.TRANSACTION_CONTROL),
    "never split": Sighting(kind=StatementKind.NEVER_SPLIT),
}
HERE = StatementPlace.TRANSACTION
MODES: dict[str, tuple[RevisionState, StatementPlace, Mode]] = {
    "fresh": (RevisionState(), StatementPlace.FRESH, Mode.FRESH),
    "nothing waits": (RevisionState(), HERE, Mode.COLLECTING),
    "new tables wait": (RevisionState(waiting=WaitingWork.FREE), HERE, Mode.COLLECTING),
    "locks wait": (RevisionState(waiting=WaitingWork.LOCKS), HERE, Mode.COLLECTING),
    "holding": (RevisionState(holds=True), HERE, Mode.HOLDING),
    "queued": (RevisionState(waiting=WaitingWork.LONG), HERE, Mode.QUEUED),
    "queue has run": (RevisionState(has_run=True), HERE, Mode.QUEUED),
    "single transaction": (RevisionState(is_single=True), HERE, Mode.SINGLE_TRANSACTION),
    "savepoint": (RevisionState(savepoints=1), HERE, Mode.SAVEPOINT),
    "autocommit": (RevisionState(), StatementPlace.AUTOCOMMIT, Mode.AUTOCOMMIT),
    "driver in hand": (RevisionState(has_driver=True), HERE, Mode.DRIVER_IN_HAND),
    "replaying": (RevisionState(has_run=True), StatementPlace.REPLAY, Mode.REPLAYING),
}
# The driver executes it, unless a line says otherwise; "x, y": x with what waits, then y with the statement.
EXPECTED = {
    "fresh": {},
    "nothing waits": {"wait": "DDL; temporary table; write in batches"},
    "new tables wait": {
        "wait": "DDL; temporary table; write in batches",
        "execute, driver": "read; catalog read; write; counted write; write with a result; never split",
    },
    "locks wait": {
        "wait": "DDL; temporary table; write; write in batches",
        "execute, driver": "catalog read; never split",
        "run, driver": "read; counted write; write with a result",
    },
    "holding": {
        "wait": "DDL; temporary table; write; write in batches",
        "run, driver": "read; counted write; write with a result",
    },
    "queued": {
        "wait": "DDL; temporary table; write; write in batches",
        "run, driver": "read; catalog read; counted write; write with a result; never split",
    },
    "queue has run": {"wait": "DDL; temporary table; write; write in batches"},
    "single transaction": {"checked": "DDL"},
    "savepoint": {"checked": "DDL"},
    "autocommit": {"now": "DDL"},
    "driver in hand": {"now": "DDL; temporary table; write in batches"},
    "replaying": {
        "given back": "DDL; temporary table; read; catalog read; harmless; write; write in batches;"
        " counted write; write with a result; never split"
    },
}


def words(found: Route) -> str:
    before = "" if found.before is Before.NOTHING else f"{found.before.name.lower()}, "
    return before + found.then.name.lower().replace("_", " ")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_and_every_kind(mode: str, kind: str) -> None:
    """What waits is executed or run first where the statement could tell the difference."""
    state, place, known = MODES[mode]
    expected = "control" if kind == "transaction control" and mode != "fresh" else "driver"
    for way, kinds in EXPECTED[mode].items():
        expected = way if kind in kinds.split("; ") else expected
    assert state.mode(place) is known
    assert words(route(state, KINDS[kind], place=place)) == expected


@pytest.mark.parametrize(
    ("waiting", "commits_itself", "kind", "expected"),
    [
        (WaitingWork.LONG, False, "DDL", "run, driver"),
        (WaitingWork.LONG, True, "DDL", "run, beside"),
        (WaitingWork.LOCKS, True, "DDL", "beside"),
        (WaitingWork.LOCKS, True, "read", "driver"),
        (WaitingWork.LOCKS, False, "DDL", "driver"),
    ],
)
def test_a_second_connection(
    waiting: WaitingWork, commits_itself: bool, kind: str, expected: str
) -> None:
    """It is never queued; what lasts runs before it."""
    sighting = Sighting(kind=KINDS[kind].kind, commits_itself=commits_itself)
    found = route(RevisionState(waiting=waiting), sighting, place=StatementPlace.SECOND_CONNECTION)
    assert words(found) == expected


def test_every_mode_has_its_row() -> None:
    """No mode and no kind is left out of the table."""
    modes = {known for _, _, known in MODES.values()}
    assert modes == set(Mode) - {Mode.SECOND_CONNECTION}
    assert {sighting.kind for sighting in KINDS.values()} == set(StatementKind)


@pytest.mark.parametrize(
    ("waiting", "before"),
    [
        (WaitingWork.NOTHING, Before.NOTHING),
        (WaitingWork.FREE, Before.EXECUTE),
        (WaitingWork.LOCKS, Before.EXECUTE),
        (WaitingWork.LONG, Before.RUN),
    ],
)
def test_before_a_savepoint(waiting: WaitingWork, before: Before) -> None:
    """Its author expects errors in place: nothing waits beyond it."""
    assert before_what_cannot_be_divided(RevisionState(waiting=waiting)) is before
