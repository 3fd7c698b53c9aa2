"""Checks of the migrations: which are applied, half-way or edited, and what they left over."""

from datetime import UTC, datetime, timedelta

from holdfast.doctor.check import Check, Evidence, Verdict, fine, refuse, warn
from holdfast.errors.project import TwoHeads
from holdfast.errors.sizes import counted
from holdfast.errors.standing import COMMAND

PATIENCE = timedelta(days=7)  # with what waits until an old release is gone


def _known(evidence: Evidence) -> Verdict | None:
    history = evidence.history
    if history is None:
        return None
    if history.status.applied or not history.relations:
        return fine("the database says which revision it is at")
    return refuse(
        f"{history.relations} relations and no revision: migrations would run into them",
        "Say which revision it corresponds to: holdfast baseline REVISION",
    )


def _pooler(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    if not evidence.history.connected.is_behind_pooler:
        return fine("migrations reach the server itself")
    if evidence.settings.is_pooled and evidence.settings.migration_url is None:
        return warn(
            "migrations go through the pooler, by a lease: no guard keeps users from waiting for them, and what"
            " needs one, or a session, is refused",
            "Where there is a way to the server itself: HOLDFAST_MIGRATION_URL=postgresql://USER@HOST:5432/DATABASE",
        )
    return refuse(
        "migrations go through a pooler: two of them would get the same lock",
        "Point the URL that env.py uses at the server itself.",
    )


def _unchanged(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    status = evidence.history.status
    if status.edited:
        edited = ", ".join(revision.revision for revision in status.edited)
        return refuse(
            f"edited after they were applied: {edited}",
            "Restore the files, write a new revision; or: holdfast run --accept-edited",
        )
    if status.unknown:
        return refuse(
            f"the database is at {', '.join(status.unknown)}, which this project does not have",
            "Deploy the version that has the file, or revert with that version.",
        )
    return fine("files as applied, the database not ahead")


def _one_head(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    if heads := evidence.history.surplus_heads:
        remedy = TwoHeads(heads=heads).parts()[2]
        return refuse(f"more than one head: {', '.join(heads)}", remedy)
    return fine(", ".join(evidence.history.heads) or "no revisions")


def _half_way(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    status = evidence.history.status
    if status.migrator:
        return warn(f"a migration is at work ({status.migrator})", "Wait; see holdfast status")
    for entry in status.half_way:
        finish = COMMAND[entry.direction]
        return refuse(
            f"half-way: {entry.revision} {entry.direction}",
            f"Finish it: {finish}; or: holdfast abandon",
        )
    for entry in status.failed:
        return warn(
            f"failed and rolled back: {entry.revision} {entry.direction}",
            f"See holdfast status; to try again: {COMMAND[entry.direction]}",
        )
    return fine("no revision is half-way")


def _waiting(evidence: Evidence) -> Verdict | None:
    if evidence.history is None:
        return None
    found = evidence.history.status.waits
    old = [line for line in found if datetime.now(UTC) - line.since > PATIENCE]
    if old:
        return warn(
            f"has waited for over a week: {', '.join(line.what for line in old)}",
            "When the old release is gone: holdfast finish. Or take it back: holdfast revert",
        )
    waits = counted(len(found), "change waits", "changes wait")
    return fine(waits if found else "nothing waits for holdfast finish")


def _leftovers(evidence: Evidence) -> Verdict:
    found = evidence.leftovers
    if not found:
        return fine("nothing INVALID, nothing NOT VALID")
    return warn("; ".join(map(str, found)), " ".join(each.way_out for each in found))


CHECKS = (
    Check(number=4, name="known", title="a database of ours", judge=_known),
    Check(number=15, name="migrations-pooler", title="no pooler for migrations", judge=_pooler),
    Check(number=28, name="unchanged", title="files and database agree", judge=_unchanged),
    Check(number=29, name="one-head", title="one head", judge=_one_head),
    Check(number=30, name="half-way", title="no revision half-way", judge=_half_way),
    Check(number=30, name="waiting", title="nothing waits for long", judge=_waiting),
    Check(number=30, name="leftovers", title="nothing left over", judge=_leftovers),
)
