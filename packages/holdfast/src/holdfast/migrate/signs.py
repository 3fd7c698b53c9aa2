"""Judges from signs of use whether what waits may be finished, and what could not be seen. Pure but for `look`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from holdfast.execute.session import MigrationSession
from holdfast.execute.waiting import Entry
from holdfast.observe import usage
from holdfast.observe.usage import Calls, Session
from holdfast.rewrite.side_by_side.usage import uses
from holdfast.rewrite.statement import shortened


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How often one waiting thing was seen in use."""

    written: int = 0
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found out about everything that waits."""

    sessions: tuple[Session, ...]
    sees_all: bool
    has_statements: bool
    counted: tuple[Counted, ...]  # one an entry
    statements: dict[str, str] = field(default_factory=dict)  # by their ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Signs of use, which refuse; or missing proof, which needs --yes."""

    in_use: tuple[str, ...]
    unproven: tuple[str, ...]


COUNTED = TypeAdapter(Counted)


def look(session: MigrationSession, entries: Sequence[Entry]) -> Look:
    """Ask the server. Reads only."""
    connection = session.connection
    found = usage.calls(connection)
    counted, statements = [], {}
    for entry in entries:
        used = [each for each in found or () if uses(each.sql, entry.waiting)]
        statements.update({each.id: each.sql for each in used})
        counter = entry.waiting.counter
        counted.append(
            Counted(
                written=usage.written(connection, counter) if counter else 0,
                calls=_by_id(used),
            )
        )
    return Look(
        sessions=usage.sessions(connection),
        sees_all=usage.sees_all(connection),
        has_statements=found is not None,
        counted=tuple(counted),
        statements=statements,
    )


def signs(entries: Sequence[Entry], found: Look, *, release: str | None) -> Signs:
    """Say what speaks against finishing, for the release that is to remain alone."""
    others = [s for s in found.sessions if release and s.release and s.release != release]
    in_use = [f"a session of another release: {each}" for each in others]
    for entry, counted in zip(entries, found.counted, strict=True):
        before = _before(entry)
        since = "since the last look" if entry.seen else "since the expand"
        if counted.written > before.written:
            number = counted.written - before.written
            in_use.append(f"{number} writes to {entry.waiting} {since}")
        for id_, number in counted.calls.items():
            if number > before.calls.get(id_, 0):
                more = number - before.calls.get(id_, 0)
                said = (
                    since if entry.seen else "since the statistics began, perhaps before the expand"
                )
                in_use.append(f"{more} calls {said} of: {shortened(found.statements[id_], to=120)}")
    return Signs(in_use=tuple(in_use), unproven=tuple(_unproven(found, release)))


def _unproven(found: Look, release: str | None) -> list[str]:
    if release is None:
        return ["HOLDFAST_RELEASE names no release here, so that sessions cannot be told apart"]
    without = [each for each in found.sessions if each.release is None]
    unproven = [f"a session that says no release: {each}" for each in without]
    if not any(each.release == release for each in found.sessions):
        unproven.append(f"no session of release {release} is connected")
    if not found.sees_all:
        unproven.append(
            "sessions and statements of other roles are hidden from this one: GRANT pg_read_all_stats"
        )
    return unproven


def _before(entry: Entry) -> Counted:
    return COUNTED.validate_json(entry.seen) if entry.seen else Counted()


def _by_id(used: Sequence[Calls]) -> dict[str, int]:
    return {each.id: each.calls for each in used}
