"""Whatever models a project has, a revision written from them leaves nothing to write, and goes back."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic import command
from alembic.config import Config
from alembic_project import Project
from drawn_models import Drafts, two_versions
from everywhere import everywhere
from hypothesis import HealthCheck, Phase, given, note, settings
from models_env import MAKO

from holdfast.errors.statement import RefusedStatement
from holdfast.migrate.run import upgrade
from holdfast.preview.generate import difference, generate
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.template import scratch_server

# More of them: HOLDFAST_EXAMPLES=500 ./dev test packages/holdfast/tests/preview/test_any_models.py
EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "12" if everywhere() else "1"))
ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["models"],
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()
"""


def config_of(project: Project, drafts: Drafts) -> Config:
    config = project.config
    config.attributes["models"] = drafts.metadata()
    return config


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="HOLDFAST_EXAMPLES" not in os.environ,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # each try of a smaller one takes seconds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(versions=two_versions())
@pytest.mark.timeout(3600)
def test_generate_run_and_nothing_is_left(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, versions: tuple[Drafts, Drafts]
) -> None:
    """From nothing to the first version and on to the second: `generate --check` finds nothing after each run.

    Back, the schema is that of the first version; forward again, that of the second.
    """
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    with TemporaryDirectory() as folder, postgres.database() as url, scratch_server() as server:
        project = Project(folder=Path(folder) / "project", database=url)
        project.env(ENV)
        (project.folder / "script.py.mako").write_text(MAKO)
        first, second = (config_of(project, each) for each in versions)
        if not generate(first, "first").files:
            return
        upgrade(first, "head")
        before = without_order(url)
        written = generate(second, "second")
        note("\n".join(written.lines))
        if versions[0] == versions[1]:
            assert written.lines == ()
        try:
            upgrade(second, "head")
        except RefusedStatement:  # a drop, for instance: as it is written
            command.upgrade(second, "head")
        assert difference(second, server=server).lines == ()
        if written.files:
            after = without_order(url)
            command.downgrade(second, "-1")
            assert without_order(url) == before
            command.upgrade(second, "head")
            assert without_order(url) == after


# PostgreSQL's text of IN (..) on a varchar; and how it writes that once it has read this text itself.
LIST_OF_VARCHAR = re.compile(r"ANY \(\(ARRAY\[([^]]*)\]\)::text\[\]\)")


def without_order(url: str) -> list[str]:
    """The lines of the schema: columns that come back stand last, a list that was read back is the same list."""
    lines = (line.removesuffix(",") for line in schema_dump(url).splitlines())
    return sorted(LIST_OF_VARCHAR.sub(_read_back, line) for line in lines)


def _read_back(found: re.Match[str]) -> str:
    return f"ANY (ARRAY[{', '.join(f'({each})::text' for each in found[1].split(', '))}])"
