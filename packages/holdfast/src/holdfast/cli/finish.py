"""`holdfast finish`: completes what a run with --expand has left waiting."""

import json
from dataclasses import asdict
from datetime import timedelta

import click

from holdfast.cli.interrupt import GRACE_OPTION, stopping
from holdfast.cli.project import FORMAT, ProjectOptions, as_typed, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.finish import Prospect, WaitingLine, prospects
from holdfast.migrate.finish import finish as finish_waiting

NOTHING = "nothing waits"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what waits and what speaks against it.")
@click.option("--revision", help="Only what this revision has left. Default: all.")
@click.option("--yes", is_flag=True, help="Confirm that the old release is gone.")
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
    """Complete what a run with --expand has left waiting: drop what the old release used, end renames. Online.

    Refused while anybody is seen using it; without proof that nobody does (HOLDFAST_RELEASE on every session)
    it needs --yes. Exit status: 0 done, or nothing waits; 1 refused.
    """
    options: ProjectOptions = ctx.obj
    if dry_run:
        with translated_errors():
            found = prospects(options.config(), revision=revision)
        _show(found, form, nothing=_nothing(revision))
        ctx.exit(int(any(each.in_use for each in found)))
    with translated_errors(), stopping(grace) as stop:
        gone = finish_waiting(
            options.config(),
            revision=revision,
            yes=yes,
            report=Printer(),
            should_stop=stop.should,
        )
    lines = [line for each in gone for line in each.gone]
    if form == "json":
        several = [
            {
                "database": each.database,
                "version_table": each.version_table,
                "gone": [_as_json(line) for line in each.gone],
            }
            for each in gone
        ]
        more = {"databases": several} if len(gone) > 1 else {}
        click.echo(json.dumps({"gone": [_as_json(line) for line in lines], **more}))
        return
    for each in gone:
        if len(gone) > 1 and each.gone:
            click.echo(f"database {each.database}, {each.version_table}:")
        for line in each.gone:
            click.echo(f"gone     {line.what}  (revision {line.revision})")
    click.echo(f"finished: {len(lines)} waited" if lines else _nothing(revision))


def _nothing(revision: str | None) -> str:
    return NOTHING if revision is None else f"nothing of revision {revision} waits"


def _show(found: tuple[Prospect, ...], form: str, *, nothing: str) -> None:
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
        several = [
            {"database": each.database, "version_table": each.version_table, **one}
            for each, one in zip(found, shown, strict=True)
        ]
        worst = max(found, key=lambda each: (bool(each.in_use), bool(each.waiting)))
        more = {"databases": several} if len(shown) > 1 else {}
        click.echo(json.dumps(shown[found.index(worst)] | more))
        return
    for each in found:
        if len(found) > 1 and each.waiting:
            click.echo(f"database {each.database}, {each.version_table}:")
        for line, steps in zip(each.waiting, each.steps, strict=True):
            click.echo(
                f"waits    {line.what}  (revision {line.revision}, since {line.since:%F %R})"
            )
            for step in steps:
                click.echo(f"  step   {step}")
        for sign in each.in_use:
            click.echo(f"in use   {sign}")
        for words in each.unproven:
            click.echo(as_typed(f"no proof {words}"))
    if not any(each.waiting for each in found):
        click.echo(nothing)


def _as_json(line: WaitingLine) -> dict[str, object]:
    return asdict(line) | {"since": line.since.isoformat()}
