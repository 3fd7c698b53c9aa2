"""What `holdfast status` prints when a look was not enough."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.migrate.status import Status
from holdfast.migrate.status import status as look


def show(options: ProjectOptions, form: str) -> int:
    """Print it; gives the exit status."""
    with translated_errors():
        found = look(options.config())
    if form == "json":
        click.echo(json.dumps({**asdict(found), "state": found.state.name.lower()}, default=str))
    else:
        click.echo("\n".join(_lines(found)))
    return found.exit_status


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
        yield f"half-way {entry.revision} {entry.direction}: {entry.error or entry.outcome} ({entry.client})"
    for entry in found.failed:
        yield f"failed   {entry.revision} {entry.direction}: {entry.error or 'killed'} ({entry.client})"
    for words in found.left:
        yield f"to do    {words}"
    if found.progress:
        yield f"migrates now: {found.progress}: {found.migrator}"
        if found.progress.step:
            yield f"doing    {found.progress.step.doing}"
