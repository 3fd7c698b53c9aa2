"""What `holdfast status` prints when a look was not enough."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.migrate.status import State, Status, worst
from holdfast.migrate.status import statuses as look

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
        passes = look(options.config())
    found = worst(passes)
    if form == "json":
        more = {} if len(passes) == 1 else {"passes": [_as_json(each) for each in passes]}
        click.echo(json.dumps({**_as_json(found), **more}, default=str))
    else:
        click.echo("\n".join(line for each in passes for line in _lines_of(each, passes)))
    return found.state.value


def _as_json(found: Status) -> dict[str, object]:
    return {**asdict(found), "state": found.state.name.lower()}


def _lines_of(found: Status, passes: tuple[Status, ...]) -> Iterator[str]:
    """With the name of its version table, where there are several."""
    if len(passes) > 1:
        yield f"{found.version_table}:"
    yield from _lines(found)


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
