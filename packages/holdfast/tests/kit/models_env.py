"""An env.py with models, and the template of revisions that `alembic init` writes, shortened."""

from alembic import command
from alembic_project import SYNC_ENV, Project

from holdfast.preview.generate import difference, generate
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

MAKO = (
    "from alembic import op\nimport sqlalchemy as sa\n${imports if imports else ''}\n"
    "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n\n"
    "def upgrade():\n    ${upgrades}\n\ndef downgrade():\n    ${downgrades}\n"
)


def give_models(project: Project, source: str) -> None:
    """Let env.py know `metadata`, which the source fills."""
    models = (
        "import sqlalchemy as sa\nfrom sqlalchemy.dialects import postgresql\n"
        f"metadata = sa.MetaData()\n{source}\n"
    )
    (project.folder / "env.py").write_text(
        models
        + SYNC_ENV.replace(
            "connection=connection",
            "connection=connection, target_metadata=metadata, include_schemas=True",
        )
    )
    (project.folder / "script.py.mako").write_text(MAKO)


def lines_that_lead_there_and_back(project: Project, server: Postgres) -> tuple[str, ...]:
    """The lines written; run by plain Alembic they leave nothing to write, and down is as before."""
    before = sorted(schema_dump(project.database).splitlines())
    found = generate(project.config, "change")
    command.upgrade(project.config, "head")
    command.downgrade(project.config, "r1")
    after = sorted(schema_dump(project.database).splitlines())
    assert after == before, sorted({*after} ^ {*before})
    command.upgrade(project.config, "head")
    assert difference(project.config, server=server).lines == ()
    return found.lines
