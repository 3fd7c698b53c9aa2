"""An env.py with models, and the template of revisions that `alembic init` writes, shortened."""

from alembic_project import SYNC_ENV, Project

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
