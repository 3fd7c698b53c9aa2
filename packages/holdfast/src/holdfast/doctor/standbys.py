"""Checks of the standbys and slots that follow this server: visible lag, disturbed readers, retained WAL."""

from collections.abc import Iterator
from datetime import timedelta

from holdfast.doctor.check import Check, Evidence, NamedStandby, Verdict, fine, warn
from holdfast.observe.server import ServerFacts

SHORT = 2_000  # milliseconds: what a reader may be kept waiting for
LAG = timedelta(seconds=10)

Problem = tuple[str, str]  # what is so, and what to do


def _standbys(evidence: Evidence) -> Verdict:
    migrating = evidence.application if evidence.history is None else evidence.history.connected
    server = migrating.server
    problems = [*_seen_from_here(server), *(p for each in evidence.standbys for p in _of(each))]
    if problems:
        return warn(
            "; ".join(says for says, _ in problems), " ".join(to_do for _, to_do in problems)
        )
    if not server.standbys:
        return fine("nothing streams from this server")
    if not evidence.standbys:
        return fine(
            f"{server.standbys} stream from this server; if somebody reads there, name them in HOLDFAST_STANDBYS"
        )
    return fine(
        f"{len(evidence.standbys)} of HOLDFAST_STANDBYS answer, and keep no reader waiting for long"
    )


def _seen_from_here(server: ServerFacts) -> Iterator[Problem]:
    if server.hidden_standbys:
        yield (
            (
                f"{server.role} does not see how far {server.hidden_standbys} of {server.standbys} standbys are behind,"
                " so no backfill waits for them"
            ),
            f"GRANT pg_monitor TO {server.role};",
        )
    for slot in server.slots_that_hold_wal:
        name = slot.partition(" (")[0]
        yield (
            f"a replication slot keeps WAL from being removed: {slot}",
            f"Where its reader is gone for good: SELECT pg_drop_replication_slot('{name}');",
        )


def _of(standby: NamedStandby) -> Iterator[Problem]:
    said = standby.said
    if said is None:
        yield (
            f"standby {standby.name} cannot be asked: {standby.problem}",
            "Correct HOLDFAST_STANDBYS.",
        )
        return
    if not said.is_standby:
        yield f"{standby.name} of HOLDFAST_STANDBYS is no standby", "Correct HOLDFAST_STANDBYS."
        return
    if said.has_feedback and not 0 <= said.delay <= SHORT:
        how_long = "without end" if said.delay < 0 else f"up to {said.delay / 1000:g} s"
        yield (
            f"readers of standby {standby.name} may wait {how_long} behind a lock that waits for a long read",
            (
                "There, for short reads: ALTER SYSTEM SET max_standby_streaming_delay = '1s'; SELECT pg_reload_conf();"
                " long reads on a standby of their own."
            ),
        )
    if said.lag is not None and said.lag > LAG:
        yield (
            f"standby {standby.name} is {said.lag.total_seconds():.0f} s behind",
            "See there what keeps it: SELECT pg_is_wal_replay_paused(), a long query.",
        )


CHECKS = (Check(number=34, name="standbys", title="who streams from this server", judge=_standbys),)
