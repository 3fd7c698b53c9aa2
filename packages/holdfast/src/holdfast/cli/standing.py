"""What `holdfast status` prints when a look was not enough."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.migrate.status import State, Status
from holdfast.migrate.status import status as look

WORDS = {
    State.UP_TO_DATE: "up to date",
    State.PENDING: "pending: holdfast run applies the revisions below",
    State.AHEAD: "ahead: the database has revisions that this project does not know",
    State.HALF_WAY: "half-way: the last run of a revision did not end; holdfast run tries again or goes on",
    State.EDITED: "edited: a file is not the one that was applied; restore it, write a new revision",
}


def show(options: ProjectOptions, form: str) -> int:
    """Print it; gives the exit status."""
    with translated_errors():
        found = look(options.config())
    if form == "json":
        click.echo(json.dumps({**asdict(found), "state": found.state.name.lower()}, default=str))
    else:
        click.echo("\n".join(_lines(found)))
    return found.state.value


def _lines(found: Status) -> Iterator[str]:
    yield WORDS[found.state]
    yield f"at       {', '.join(found.applied) or '(no revision)'}"
    for revision in found.pending:
        yield f"pending  {revision.revision} {revision.description}"
    for identifier in found.unknown:
        yield f"unknown  {identifier}"
    for revision in found.edited:
        yield f"edited   {revision.revision} {revision.description}"
    for entry in found.half_way:
        yield f"half-way {entry.revision} {entry.direction}: {entry.error or entry.outcome} ({entry.client})"
    for words in found.left:
        yield f"to do    {words}"
    if found.progress:
        yield f"migrates now: {found.progress}: {found.migrator}"
        if found.progress.step:
            yield f"doing    {found.progress.step.doing}"
