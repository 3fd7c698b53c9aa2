"""`holdfast generate`: writes a revision from the models."""

import sys
from collections.abc import Iterable, Iterator

import click

from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.preview.compare.renames import Rename
from holdfast.preview.generate import DatabasePlace, ModelDifference, difference
from holdfast.preview.generate import generate as write_revision
from holdfast.preview.model_comparison import renamed_by_nobody
from holdfast.scratch.template import scratch_server

AGREE = "nothing to write: models and migrations agree"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="TABLE.OLD:NEW",
    help="A column was renamed, not dropped and added (a table: OLD:NEW).",
)
@click.option("--head", default="head", help="The branch to go on with: REV or LABEL@head.")
@click.option("--version-path", metavar="FOLDER", help="Which of several version_locations.")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 if there is something to write."
)
@click.pass_obj
def generate(
    options: ProjectOptions,
    name: str | None,
    renames: tuple[str, ...],
    head: str,
    version_path: str | None,
    check: bool,
) -> None:
    """Write the revision NAME from what the models have and the migrations lack.

    The migrations are replayed on a scratch server; no other database is asked.
    """
    if check:
        _check(options)
        return
    if name is None:
        raise click.UsageError("Missing argument 'NAME'.")
    asked: list[Rename] = []

    def ask(rename: Rename) -> bool:
        if not sys.stdin.isatty():
            asked.append(rename)
            return renamed_by_nobody(rename)
        return click.confirm(
            f"Was {rename.old} of {rename.table} renamed to {rename.new}?", err=True
        )

    with translated_errors():
        place = DatabasePlace(head=head, version_path=version_path)
        found = write_revision(
            options.alembic_config(verb="generate"), name, renames=renames, ask=ask, place=place
        )
    for note in notes(found, dropped_and_added=asked):
        click.echo(f"note: {note}", err=True)
    click.echo("\n".join(f"written: {file}" for file in found.files) or AGREE)


def notes(found: ModelDifference, *, dropped_and_added: Iterable[Rename]) -> Iterator[str]:
    """Say what a person has to know about a revision that was written."""
    for rename in dropped_and_added:
        yield f"{rename.old} is dropped and {rename.new} added; if it was renamed: --rename {rename}"
    for table in found.left_alone:
        yield f"{table} is neither in the models nor made by a revision: it stays"
    for rename in found.renames:
        yield (
            f"run and check refuse the rename {rename} while the application may use {rename.old}. If "
            "nothing does: say why and until when in the comments above it, up and down. Otherwise, without "
            f"--rename: add {rename.new}, keep both equal by a trigger, fill it, and drop {rename.old} later."
        )


def _check(options: ProjectOptions) -> None:
    with translated_errors(), scratch_server() as server:
        found = difference(options.alembic_config(verb="generate"), server=server)
    if not found.lines:
        click.echo(AGREE)
        return
    words = "the models have what no migration has; `holdfast generate NAME` would write:"
    click.echo(as_typed(words))
    click.echo("\n".join(f"    {line}" for line in found.lines))
    sys.exit(1)
