"""What a command line says about its project is said again in each command that is proposed."""

from pathlib import Path

import click
import pytest

from holdfast.cli.project import ProjectOptions, as_typed

TYPED = frozenset({"file", "section", "sql", "layout"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ProjectOptions(file=Path("my db/alembic.ini"), x=(), on_the_line=TYPED), "-c 'my db/alembic.ini' -n alembic"),
        (ProjectOptions(file=Path("alembic.ini"), x=()), ""),  # by ALEMBIC_CONFIG, which is still there
        (ProjectOptions(file=None, x=(), section="erp", on_the_line=frozenset({"section"})), "-n erp"),
        (
            ProjectOptions(file=None, x=("db=clone", "who=O'Brien", "password=a=b", "url=pg://me:s3cr@t@host/x")),
            """-x db=clone -x 'who=O'"'"'Brien' -x 'password=***' -x 'url=pg://me:***@host/x'""",
        ),
        (
            ProjectOptions(file=None, x=(), sql=Path("db"), layout="flyway", on_the_line=frozenset({"sql", "layout"})),
            "--sql db --layout flyway",
        ),
    ],
)  # fmt: skip
def test_a_command_that_is_proposed_can_be_pasted(options: ProjectOptions, said: str) -> None:
    """Whatever option named the project, whatever verb is proposed: it acts on the same one; no secret is told."""
    pasted = f"holdfast {said} ".replace("  ", " ")
    with click.Context(click.Command("run"), obj=options):
        proposed = as_typed("Then: holdfast run. Or: holdfast resume (holdfast.upgrade is none)")
    assert proposed == f"Then: {pasted}run. Or: {pasted}resume (holdfast.upgrade is none)"
