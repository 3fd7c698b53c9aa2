"""An Alembic project as users have them, in a folder of the test's own."""

import textwrap
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path

import psycopg
from alembic.config import Config
from sqlalchemy import make_url

# No test has a column of hstore, for whose type each engine would ask.
SYNC_ENV = """
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(
    context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool, use_native_hstore=False
)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

ASYNC_ENV = """
import asyncio
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

def do(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = create_async_engine(
        context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(do)
    await engine.dispose()

asyncio.run(main())
"""

REVISION = '''
"""{doc}"""

from alembic import op
import sqlalchemy as sa

revision = {revision!r}
down_revision = {down_revision!r}


def upgrade():
{up}


def downgrade():
{down}
'''


@dataclass(kw_only=True)
class Project:
    """A folder with env.py and revisions, and the database that it belongs to."""

    folder: Path
    database: str  # the URL as libpq takes it
    revisions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "versions").mkdir(parents=True)
        (self.folder / "script.py.mako").write_text("${upgrades}")
        self.env(SYNC_ENV)

    def env(self, source: str, *, driver: str = "psycopg") -> None:
        """Use another env.py, and another driver."""
        (self.folder / "env.py").write_text(source)
        self.url = make_url(self.database).set(drivername=f"postgresql+{driver}").render_as_string()
        (self.folder / "alembic.ini").write_text(
            f"[alembic]\nscript_location = {self.folder}\n"
            f"sqlalchemy.url = {self.url.replace('%', '%%')}\n"
        )

    def revision(self, up: str, down: str = "pass", *, name: str | None = None) -> str:
        """Add a revision on top of the last one; `up` and `down` are the bodies of its functions."""
        name = name or f"r{len(self.revisions) + 1}"
        source = REVISION.format(
            doc=f"about {name}",
            revision=name,
            down_revision=self.revisions[-1] if self.revisions else None,
            up=textwrap.indent(textwrap.dedent(up).strip(), "    "),
            down=textwrap.indent(textwrap.dedent(down).strip(), "    "),
        )
        self.file(name).write_text(source.lstrip())
        # One of that name, as long and of the same second, would be taken for it.
        Path(cache_from_source(self.file(name))).unlink(missing_ok=True)
        self.revisions.append(name)
        return name

    def file(self, revision: str) -> Path:
        """The file of a revision."""
        return self.folder / "versions" / f"{revision}.py"

    @property
    def place(self) -> Path:
        """Where a process of its own finds it."""
        return self.folder / "alembic.ini"

    @property
    def config(self) -> Config:
        """A fresh Alembic configuration."""
        return Config(self.folder / "alembic.ini")

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a query, over a connection of the test's own."""
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
