"""Prints the state of a database for `holdfast status`, once the quick look was not enough."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.migrate.finish import WaitingLine
from holdfast.migrate.status import Status, worst
from holdfast.migrate.status import statuses as look
from holdfast.observe.migration_progress import MigrationProgress


def show(options: ProjectOptions, form: str) -> int:
    """Print where the database stands, and give the exit status."""
    with translated_errors():
        passes = look(options.config())
    found = worst(passes)
    if form == "json":
        # One database is not named: the quick look, which is enough for it, does not ask env.py.
        several = {**_as_json(found), "passes": [_as_json(each) for each in passes]}
        one = {key: value for key, value in _as_json(found).items() if key != "database"}
        click.echo(json.dumps(one if len(passes) == 1 else several, default=str))
    else:
        lines = "\n".join(line for each in passes for line in _lines_of(each, passes))
        click.echo(as_typed(lines))
    return found.exit_status


def _as_json(found: Status) -> dict[str, object]:
    return {**asdict(found), "state": found.state.name.lower()}


def _lines_of(found: Status, passes: tuple[Status, ...]) -> Iterator[str]:
    """Give the lines of one status, with the names of database and version table if there are several."""
    if len(passes) > 1:
        yield f"database {found.database}, {found.version_table}:"
    yield from _lines(found)


def _waiting(line: WaitingLine) -> str:
    return f"{line.what}  (revision {line.revision}, since {line.since:%F %R}): holdfast finish"


def _lines(found: Status) -> Iterator[str]:
    yield found.says
    if found.refusal:
        yield from (f"refused  {line}" for line in found.refusal.splitlines())
    yield f"at       {', '.join(found.applied) or '(no revision)'}"
    for revision in found.pending:
        yield f"pending  {revision.revision} {revision.description}"
    for identifier in found.unknown:
        yield f"unknown  {identifier}"
    for revision in found.edited:
        yield f"edited   {revision.revision} {revision.description}"
    for entry in found.half_way:
        outcome = "killed" if entry.outcome == "running" and not found.progress else entry.outcome
        yield f"half-way {entry.revision} {entry.direction}: {entry.error or outcome} ({entry.client})"
    for entry in found.failed:
        yield f"failed   {entry.revision} {entry.direction}: {entry.error or 'killed'} ({entry.client})"
    yield from (f"waits    {_waiting(line)}" for line in found.waits)
    for words in found.left:
        yield f"to do    {words}"
    if found.progress:
        yield from _at_work(found.progress, str(found.migrator))


def _at_work(progress: MigrationProgress, migrator: str) -> Iterator[str]:
    """Say how far the run is that is migrating now."""
    yield f"migrates now: {progress}: {migrator}"
    if progress.paused_by:
        by = progress.paused_by
        yield f"paused   by {by}, from the end of this step or batch on; to go on: holdfast resume"
    if progress.step:
        yield f"doing    {progress.step.doing}"
        yield from (f"waits    {words}" for words in progress.step.waits_for)
