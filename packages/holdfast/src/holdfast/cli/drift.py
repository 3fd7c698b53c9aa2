"""`holdfast drift`: shows what in the database no migration has made. Writes nothing."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.preview.compare.schema_differences import Difference
from holdfast.preview.drift import Drift
from holdfast.preview.drift import drifts as compare


@click.command()
@FORMAT
@click.pass_context
def drift(ctx: click.Context, form: str) -> None:
    """Compare the database with what its history makes on a scratch server.

    Exit status: 0 no difference, 1 some. What may differ: drift_ignore in [tool.holdfast].
    """
    options: ProjectOptions = ctx.obj
    with translated_errors():
        found = compare(options.config())
    worst = next((each for each in found if each.differences), found[0])
    if form == "json":
        more = {"databases": [asdict(each) for each in found]} if len(found) > 1 else {}
        click.echo(json.dumps(asdict(worst) | more))
    else:
        for each in found:
            if len(found) > 1:
                click.echo(f"database {each.database}:")
            click.echo("\n".join(_lines(each)))
    ctx.exit(1 if worst.differences else 0)


def _lines(found: Drift) -> Iterator[str]:
    if found.half_way:
        yield f"revision {found.half_way} is half-way: what it has done so far is among the differences"
    for difference in found.differences:
        yield from _described(difference)
    for rule in found.unused_rules:
        yield f"unused     the rule for {rule.object} covers nothing any more"
    ignored = f", {len(found.ignored)} ignored by rule" if found.ignored else ""
    at = ", ".join(_at(found))
    differences = (
        "1 difference"
        if len(found.differences) == 1
        else f"{len(found.differences) or 'no'} differences"
    )
    yield f"{differences} from the history at {at}{ignored}"


def _at(found: Drift) -> Iterator[str]:
    for each in found.at:
        words = ", ".join(each.revisions) or "no revision"
        yield words if len(found.at) == 1 else f"{words} ({each.version_table})"


def _described(difference: Difference) -> Iterator[str]:
    yield f"{difference.kind:<10} {difference.object}"
    for each in difference.properties:
        yield f"           {each.name}: history {each.history or '(none)'}"
        yield f"           {' ' * len(each.name)}  database {each.database or '(none)'}"
