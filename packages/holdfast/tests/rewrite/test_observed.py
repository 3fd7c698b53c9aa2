"""The golden table: what each example locks, rewrites and scans, as written and online, on each major.

`observed.txt` is what was seen; HOLDFAST_TEST_OBSERVED=write writes it anew, on both.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from contract import EXAMPLES
from everywhere import each

from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import Step
from holdfast.scratch.databases import Postgres
from holdfast.scratch.observer import Seen, observing

TABLE = Path(__file__).with_name("observed.txt")
RunOnline = Callable[[str, str], tuple[Step, ...]]

WAITING = """
    SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND locktype = 'virtualxid' AND datname = current_database()
"""
HELD = """
    SELECT name[1], name[2], mode FROM pg_locks JOIN holdfast.in_use ON oid = relation
    WHERE pid = ANY (%s) AND granted
"""
PATIENCE = 60
WRITES = os.environ.get("HOLDFAST_TEST_OBSERVED") == "write"
MAJORS = [18, 16] if WRITES else each([18, 16], here=1)


LONG = re.compile(
    r"(scans|rewrites) \w+ under (ACCESS EXCLUSIVE|EXCLUSIVE|SHARE ROW EXCLUSIVE|SHARE)\b(?! UPDATE)"
)


def test_no_online_form_scans_under_a_lock_that_blocks_users() -> None:
    """What the table says, said once."""
    online = [line for line in TABLE.read_text().splitlines() if " online: " in line]
    assert len(online) == 2 * len(EXAMPLES)
    assert [line for line in online if LONG.search(line)] == []


@pytest.mark.parametrize("each_postgres", MAJORS, indirect=True)
def test_observed(each_postgres: Postgres, run_online: RunOnline) -> None:
    """Every example, as it was seen on this major."""
    major = each_postgres.major
    seen = [line for example in EXAMPLES for line in lines_of(example, each_postgres, run_online)]
    kept = TABLE.read_text().splitlines() if TABLE.exists() else []
    others = [line for line in kept if not line.startswith(f"{major} ")]
    if WRITES:
        TABLE.write_text("\n".join(sorted([*others, *seen])) + "\n")
    assert [line for line in kept if line.startswith(f"{major} ")] == sorted(seen)


def lines_of(example: Path, postgres: Postgres, run_online: RunOnline) -> Iterator[str]:
    change = (example / "change.sql").read_text()

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((example / "before.sql").read_bytes())
            connection.execute("CREATE SCHEMA holdfast")

    template = postgres.template(f"observed_{example.name}", build)
    for way, run in (("as written", run_plainly), ("online", run_online)):
        with (
            postgres.database(template=template) as url,
            observing(url) as observer,
        ):
            observer.note_tables()
            with builds_watched(url) as builds:
                run(url, change)
            found = sorted({part for look in observer.seen() for part in parts_of(look)})
            found += sorted(
                {f"builds under {lock.mode.value} {lock.relation.name}" for lock in builds}
            )
            yield f"{postgres.major} {example.name} {way}: {', '.join(found) or 'nothing'}"


def parts_of(look: Seen) -> Iterator[str]:
    """A scan or a rewrite with the lock on its table; a lock by itself where its transaction does neither."""
    held = {lock.relation: lock.mode.value for lock in look.locks}
    touched = {*look.scans, *look.rewrites}
    for verb, names in (("scans", look.scans), ("rewrites", look.rewrites)):
        for name in names:
            yield f"{verb} {name.name} under {held.get(name, 'a weaker lock')}"
    for name, mode in held.items():
        if name not in touched:
            yield f"{mode} {name.name}"


def run_plainly(url: str, script: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in parse(script):
            connection.execute(statement.sql.encode())


@contextmanager
def builds_watched(url: str) -> Iterator[list[Lock]]:
    """The locks of CREATE INDEX CONCURRENTLY: it waits for our snapshot, and is looked at meanwhile."""
    found: list[Lock] = []
    ended, ready = Event(), Event()
    watcher = Thread(target=_watch, args=(url, found, ready, ended), daemon=True)
    watcher.start()
    assert ready.wait(PATIENCE)
    try:
        yield found
    finally:
        ended.set()
        watcher.join(PATIENCE)


def _watch(url: str, found: list[Lock], ready: Event, ended: Event) -> None:
    with (
        psycopg.connect(url, autocommit=True) as looking,
        psycopg.connect(url) as snapshot,
        psycopg.connect(url) as following,
    ):
        for each in (snapshot, following):
            each.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        snapshot.execute("SELECT 1")
        ready.set()
        limit = time.monotonic() + PATIENCE
        while not ended.wait(0.005) and time.monotonic() < limit:
            waiting = [pid for (pid,) in looking.execute(WAITING)]
            if waiting:
                found += _held(looking, waiting)
                following.execute("SELECT 1")  # for the next one, which may begin at once
                snapshot.rollback()  # it goes on
                snapshot, following = following, snapshot


def _held(looking: psycopg.Connection, pids: list[int]) -> list[Lock]:
    modes = {mode.in_catalog: mode for mode in LockMode}
    locks = [
        Lock(mode=modes[mode], relation=QualifiedName(schema=schema, name=name))
        for schema, name, mode in looking.execute(HELD, [pids])
    ]
    least = LockMode.SHARE_UPDATE_EXCLUSIVE.strength
    return [lock for lock in locks if lock.mode.strength >= least]
