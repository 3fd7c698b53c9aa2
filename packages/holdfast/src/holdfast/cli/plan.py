"""`holdfast plan`: what `holdfast run` would do, tried on a scratch database."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Literal

import click

from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.errors.durations import roughly
from holdfast.errors.sizes import size_in_words
from holdfast.observe.blockers import Blocker
from holdfast.preview.forecast import PATIENCE_WITH_ROWS, Forecast, forecasts
from holdfast.preview.trial import BACKFILLED_ROWS, PlannedRevision, PlannedStep, rows_held
from holdfast.rewrite.side_by_side.breaks import breaks
from holdfast.rewrite.steps import notes_of, to_json, waits_of

FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text"
)

ON_CITUS = "a Citus cluster; tried on one server without Citus, so what its workers would answer is not known"
WORTH_SAYING = 100_000_000  # bytes of disk


@click.command()
@click.option("--to", "revision", help="Up to this revision. Default: the head.")
@click.option(
    "--expand/--no-expand",
    "expand",
    default=None,
    help="Plan for two releases at once, as holdfast run --expand.",
)
@click.option(
    "--without-rows", is_flag=True, help="Do not look for rows that would make a step fail."
)
@FORMAT
@click.pass_obj
def plan(
    options: ProjectOptions,
    revision: str | None,
    expand: bool | None,
    without_rows: bool,
    form: str,
) -> None:
    """Show what `run` would do: locks, what they block, what is read, for how long, who is in the way.

    The pending revisions are run on a scratch copy of the schema; the database itself is only read.
    Exit status: 0 it would run, 1 it would stop: a statement is refused, or rows are in the way of one.
    """
    patience = timedelta() if without_rows else PATIENCE_WITH_ROWS
    with translated_errors():
        found = forecasts(
            options.config(), revision or "heads", patience_with_rows=patience, expand=expand
        )
    show(found, form)


def show(found: tuple[Forecast, ...], form: str) -> None:
    """Print the plan, that of each database where there are several, and exit with the status of the worst."""
    if form == "json":
        more = {"databases": [as_json(each) for each in found]} if len(found) > 1 else {}
        click.echo(json.dumps(as_json(_worst(found)) | more))
    else:
        for each in found:
            if len(found) > 1:
                click.echo(f"database {each.database}:")
            lines = as_markdown(each) if form == "markdown" else as_text(each)
            click.echo(as_typed("\n".join(lines)))
    if any(each.is_refused for each in found):
        sys.exit(1)


def _worst(found: tuple[Forecast, ...]) -> Forecast:
    return min(found, key=lambda each: (not each.is_refused, not each.revisions))


def as_text(found: Forecast) -> Iterator[str]:
    """The plan as lines for a person at a terminal."""
    if not found.revisions:
        yield "up to date: nothing is pending"
    elif found.is_citus:
        yield ON_CITUS
    for revision in found.revisions:
        yield f"{revision.revision} {revision.description}"
        yield from (f"  {line}" for line in _of_revision(found, revision))
        for number, step in enumerate(revision.steps, start=1):
            yield f"  {number}. {step.step.describe()}"
            if step.is_together:
                yield "     committed together with the step before it"
            yield from (f"     {line}" for line in _of_step(step))


def _of_revision(found: Forecast, revision: PlannedRevision) -> Iterator[str]:
    if revision.refusal is not None:
        yield from revision.refusal.splitlines()
        yield "what comes after it was not tried; holdfast check --since REV shows every refusal"
    elif found.is_new:
        yield "the database is new: runs as it is written"
    elif not revision.steps:
        yield "no change of the schema"
    if revision.disk >= WORTH_SAYING:
        free = "how much is free is not known: set HOLDFAST_FREE_DISK"
        if revision.free_disk is not None:
            free = f"{size_in_words(revision.free_disk)} is free"
        yield f"needs about {size_in_words(revision.disk)} more disk; {free}"
    for sql in revision.reads_rows:
        yield f"reads data, and may act differently on the real database's: {sql}"


def _of_step(step: PlannedStep) -> Iterator[str]:
    for lock in step.locks:
        yield f"locks: {lock}"
    for name in step.rewrites:
        yield f"rewrites: {name}"
    for name in step.scans:
        yield f"reads: {name} in full"
    for name in step.writes:
        yield f"writes: all rows of {name}, in about {step.batches:,} batches, each committed"
    if step.scans or step.rewrites or step.writes:
        yield f"about {in_words(step)}"
    yield from (f"waits: {waiting}, for holdfast finish" for waiting in waits_of(step.step))
    yield from (f"note: {note}" for note in _notes(step))
    for rows in step.rows_in_the_way:
        yield f"would fail right now: {rows}" if rows.count else str(rows)
    for blocker in step.blockers:
        yield f"in the way right now: {blocker.with_way_out}"


def _notes(step: PlannedStep) -> tuple[str, ...]:
    broken = (f"breaks the running release: {each}" for each in breaks(step.step))
    held = rows_held(step)
    return (*notes_of(step.step), *step.notices, *broken, *((held,) if held else ()))


def in_words(step: PlannedStep) -> str:
    """Say how large a table is that is read or rewritten, and how long that takes."""
    size = f"{step.size.rows:,} rows, {_bytes(step.size.bytes)}, {roughly(step.takes)}"
    return f"{size}{_at_rate(step.rows_per_second)}"


def _at_rate(rate: int | None) -> str:
    """Say which rate the time of a backfill assumes: nobody knows the real one before it runs."""
    match _rate_is(rate):
        case None:
            return ""
        case "limited":
            return f" at {rate:,} rows a second, the limit that is set"
        case "assumed":
            return f" if {rate:,} rows a second are written: assumed, not measured"


def _rate_is(rate: int | None) -> Literal["assumed", "limited"] | None:
    if rate is None:
        return None
    return "limited" if rate < BACKFILLED_ROWS else "assumed"


def as_markdown(found: Forecast) -> Iterator[str]:
    """Give the plan as a comment on a pull request."""
    yield "### Plan of the pending migrations"
    if not found.revisions:
        yield ""
        yield "Nothing is pending."
    elif found.is_citus:
        yield ""
        yield f"> {ON_CITUS}"
    for revision in found.revisions:
        yield ""
        yield f"**{revision.revision}** {revision.description}"
        notes = list(_of_revision(found, revision))
        if notes:
            yield ""
            yield from (f"> {note}  " for note in notes)
        if revision.steps:
            yield ""
            yield "| | step | locks | reads or rewrites | about |"
            yield "|---|---|---|---|---|"
            for number, step in enumerate(revision.steps, start=1):
                yield _row(number, step)
            for number, step in enumerate(revision.steps, start=1):
                for note in _notes(step):
                    yield ""
                    yield f"> step {number}: {note}"
                for rows in step.rows_in_the_way:
                    yield ""
                    yield f"> **step {number}{' would fail right now' if rows.count else ''}**: {rows}"


def _row(number: int, step: PlannedStep) -> str:
    touched = [f"rewrites {name}" for name in step.rewrites] + [f"{name}" for name in step.scans]
    touched += [f"writes {name} in about {step.batches:,} batches" for name in step.writes]
    cells = (
        str(number),
        f"`{step.step.describe()}`",
        "<br>".join(map(str, step.locks)) or "none that users notice",
        "<br>".join(touched),
        in_words(step) if touched else "an instant",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(found: Forecast) -> dict[str, object]:
    """Give the plan as one object, for a program."""
    return {
        "database": found.database,
        "at": found.at,
        "is_new": found.is_new,
        "is_citus": found.is_citus,
        "revisions": [
            {
                "revision": revision.revision,
                "description": revision.description,
                "refusal": revision.refusal,
                "reads_rows": revision.reads_rows,
                "disk": revision.disk,
                "free_disk": revision.free_disk,
                "steps": [
                    {"number": number, **_step_as_json(step)}
                    for number, step in enumerate(revision.steps, start=1)
                ],
            }
            for revision in found.revisions
        ],
    }


def _step_as_json(step: PlannedStep) -> dict[str, object]:
    return {
        "step": json.loads(to_json((step.step,)))[0],
        "is_seen": step.is_seen,
        "is_together": step.is_together,
        "locks": [
            {"mode": lock.mode.value, "on": str(lock.relation), "blocks": lock.mode.blocks}
            for lock in step.locks
        ],
        "scans": [str(name) for name in step.scans],
        "rewrites": [str(name) for name in step.rewrites],
        "writes": [str(name) for name in step.writes],
        "batches": step.batches,
        "row_writes": [str(name) for name in step.row_writes],
        "waits": [str(waiting) for waiting in waits_of(step.step)],
        "breaks": list(breaks(step.step)),
        "rows": step.size.rows,
        "bytes": step.size.bytes,
        "seconds": step.takes.total_seconds(),
        "assumed_rows_per_second": step.rows_per_second,
        "rate_is": _rate_is(step.rows_per_second),
        "rows_in_the_way": [asdict(rows) for rows in step.rows_in_the_way],
        "blockers": [_blocker_as_json(blocker) for blocker in step.blockers],
    }


def _blocker_as_json(blocker: Blocker) -> object:
    since = None if blocker.since is None else blocker.since.isoformat()
    return {
        **asdict(blocker),
        "kind": blocker.kind.value,
        "since": since,
        "way_out": blocker.way_out,
    }


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
