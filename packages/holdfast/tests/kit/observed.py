"""What an example is seen to lock, rewrite and scan: the lines of `rewrite/observed.txt`, the golden table."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg
from filelock import FileLock

from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.scratch.observer import Observer, Seen, observing

TABLE = Path(__file__).parents[1] / "rewrite" / "observed.txt"
LOCK = Path(__file__).parents[4] / ".cache" / "observed.lock"
WAITING = """
    SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND locktype = 'virtualxid' AND datname = current_database()
"""
HELD = """
    SELECT name[1], name[2], mode FROM pg_locks JOIN holdfast.in_use ON oid = relation
    WHERE pid = ANY (%s) AND granted
"""
PATIENCE = 60


def lines() -> list[str]:
    """The table: `MAJOR EXAMPLE WAY: what was seen`."""
    return TABLE.read_text().splitlines() if TABLE.exists() else []


def write(seen: list[str]) -> None:
    """Put these lines in, each in place of the one that begins alike; other processes may write too."""
    LOCK.parent.mkdir(exist_ok=True)
    with FileLock(LOCK):
        kept = {line.split(":")[0]: line for line in [*lines(), *seen]}
        TABLE.write_text("\n".join(kept[key] for key in sorted(kept)) + "\n")


@contextmanager
def observed(url: str) -> Iterator[list[str]]:
    """What is done in the block on this database, in words; they are there when it has ended."""
    found: list[str] = []
    with observing(url) as observer:
        observer.note_tables()
        with builds_watched(url) as builds:
            yield found
        found += _in_words(observer, builds)


def _in_words(observer: Observer, builds: list[Lock]) -> list[str]:
    parts = sorted({part for look in observer.seen() for part in parts_of(look)})
    return parts + sorted(
        {f"builds under {lock.mode.value} {lock.relation.name}" for lock in builds}
    )


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
