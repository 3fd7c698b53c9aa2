"""`holdfast finish`: lets go what waits since a run with --expand."""

import json
from dataclasses import asdict
from datetime import timedelta

import click

from holdfast.cli.interrupt import GRACE_OPTION, stopping
from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.finish import Prospect, WaitingLine, prospects
from holdfast.migrate.finish import finish as let_go

NOTHING = "nothing waits"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what waits and what speaks against it.")
@click.option("--revision", help="Only what this revision has left. Default: all.")
@click.option("--yes", is_flag=True, help="You know that the old release is gone.")
@GRACE_OPTION
@FORMAT
@click.pass_context
def finish(
    ctx: click.Context,
    dry_run: bool,
    revision: str | None,
    yes: bool,
    grace: timedelta,
    form: str,
) -> None:
    """Let go what the old release used: drop what waits to go, end what is renamed. Online, as `run`.

    Refused while anybody is seen to use it; without a proof that nobody does (HOLDFAST_RELEASE on every session)
    it wants --yes. Exit status: 0 done, or nothing waits; 1 refused.
    """
    options: ProjectOptions = ctx.obj
    if dry_run:
        with translated_errors():
            found = prospects(options.config(), revision=revision)
        _show(found, form)
        ctx.exit(int(any(each.in_use for each in found)))
    with translated_errors(), stopping(grace) as stop:
        gone = let_go(
            options.config(),
            revision=revision,
            yes=yes,
            report=Printer(),
            should_stop=stop.should,
        )
    if form == "json":
        click.echo(json.dumps({"gone": [_as_json(line) for line in gone]}))
        return
    for line in gone:
        click.echo(f"gone     {line.what}  (revision {line.revision})")
    click.echo(f"finished: {len(gone)} waited" if gone else NOTHING)


def _show(found: tuple[Prospect, ...], form: str) -> None:
    if form == "json":
        shown = [
            {
                "waiting": [_as_json(line) for line in each.waiting],
                "steps": each.steps,
                "in_use": each.in_use,
                "unproven": each.unproven,
            }
            for each in found
        ]
        click.echo(json.dumps(shown[0] | ({"databases": shown} if len(shown) > 1 else {})))
        return
    for each in found:
        for line, steps in zip(each.waiting, each.steps, strict=True):
            click.echo(
                f"waits    {line.what}  (revision {line.revision}, since {line.since:%F %R})"
            )
            for step in steps:
                click.echo(f"  step   {step}")
        for sign in each.in_use:
            click.echo(f"in use   {sign}")
        for words in each.unproven:
            click.echo(f"no proof {words}")
    if not any(each.waiting for each in found):
        click.echo(NOTHING)


def _as_json(line: WaitingLine) -> dict[str, object]:
    return asdict(line) | {"since": line.since.isoformat()}
