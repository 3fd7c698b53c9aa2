"""Six kinds of project, each made by its own generator and changed as its pages tell a newcomer to.

A project has two versions of its models. What its env.py imports is in its own folder, so each command is a process.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import forked
import psycopg
from sqlalchemy import make_url

MODELS = """
from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    # more

class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
"""
MORE = """email: Mapped[str | None] = mapped_column(String(100), unique=True)
    city: Mapped[str | None] = mapped_column(String(40), index=True)"""


@dataclass(kw_only=True)
class Newcomer:
    """A project in its folder."""

    folder: Path
    databases: tuple[str, ...]
    table: str  # that the second version changes
    models: Path
    more: str  # what the second version has in place of `# more`
    environment: dict[str, str]
    plainly: tuple[str, ...]  # the module and arguments that apply everything without holdfast
    address: Callable[["Newcomer", tuple[str, ...]], None]  # lets the project use other databases

    def holdfast(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb."""
        return self.run("holdfast", *arguments)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a module with its arguments in the project's folder."""
        return forked.run(*words, cwd=self.folder, env=self._environment)

    def begin(self, *arguments: str) -> forked.Forked:
        """Begin a verb, to be killed."""
        return forked.begin("holdfast", *arguments, cwd=self.folder, env=self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def grow(self) -> None:
        """The second version of the models."""
        self.models.write_text(self.models.read_text().replace("# more", self.more))

    def use(self, databases: tuple[str, ...]) -> None:
        """Let the project use other databases."""
        self.databases = databases
        self.address(self, databases)

    def query(self, sql: str, *, number: int = 0) -> list[tuple[object, ...]]:
        """The rows of a query in one of the databases."""
        with psycopg.connect(self.databases[number]) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


def with_driver(url: str, driver: str) -> str:
    return make_url(url).set(drivername=f"postgresql+{driver}").render_as_string()


def generator(folder: Path, *command: str) -> None:
    made = forked.run(*command, cwd=folder)
    assert made.returncode == 0, made.stderr


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} has no {old}"
    file.write_text(text.replace(old, new))


def in_ini(driver: str) -> Callable[[Newcomer, tuple[str, ...]], None]:
    """The URL is a line of alembic.ini."""

    def address(project: Newcomer, databases: tuple[str, ...]) -> None:
        urls = iter(databases)
        lines = (project.folder / "alembic.ini").read_text().splitlines()
        written = [
            f"sqlalchemy.url = {with_driver(next(urls), driver).replace('%', '%%')}"
            if line.startswith("sqlalchemy.url")
            else line
            for line in lines
        ]
        (project.folder / "alembic.ini").write_text("\n".join(written) + "\n")

    return address


def made(project: Newcomer) -> Newcomer:
    project.use(project.databases)
    return project


def with_alembic(
    folder: Path, databases: tuple[str, ...], *, template: str, driver: str
) -> Newcomer:
    """What `alembic init -t TEMPLATE` writes, with models beside it."""
    generator(folder, "alembic", "init", "-t", template, "alembic")
    (folder / "models.py").write_text(MODELS)
    env = folder / "alembic" / "env.py"
    if template != "multidb":
        change(
            env,
            "target_metadata = None",
            "from models import Base\ntarget_metadata = Base.metadata",
        )
    return made(
        Newcomer(
            folder=folder,
            databases=databases,
            table="authors",
            models=folder / "models.py",
            more=MORE,
            environment={},
            plainly=("alembic", "upgrade", "heads"),
            address=in_ini(driver),
        )
    )


def async_fastapi(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """`alembic init -t async`, asyncpg; the application is beside it."""
    project = with_alembic(folder, databases, template="async", driver="asyncpg")
    (folder / "main.py").write_text(
        "from fastapi import FastAPI\n\nimport models\n\napp = FastAPI()\n"
    )
    return project


def pyproject(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """`alembic init -t pyproject`: the place in pyproject.toml, the URL in alembic.ini."""
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    return with_alembic(folder, databases, template="pyproject", driver="psycopg")


def multidb(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """`alembic init -t multidb`: authors in one database, sales in another."""
    project = with_alembic(folder, databases, template="multidb", driver="psycopg2")
    other = (
        "\n\nclass Sales(DeclarativeBase):\n    pass\n\nclass Sale(Sales):\n    __tablename__ = 'sales'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n    # else\n"
    )
    project.models.write_text(MODELS + other)
    change(
        folder / "alembic" / "env.py",
        "target_metadata = {}",
        "from models import Base, Sales\ntarget_metadata = {'engine1': Base.metadata, 'engine2': Sales.metadata}",
    )
    return project


def sqlmodel(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """SQLModel with `alembic init`; its pages say to import it in script.py.mako."""
    project = with_alembic(folder, databases, template="generic", driver="psycopg2")
    project.models.write_text(
        "from sqlmodel import Field, SQLModel\n\nclass Hero(SQLModel, table=True):\n"
        "    id: int | None = Field(default=None, primary_key=True)\n"
        "    name: str = Field(index=True)\n    # more\n"
    )
    project.more = (
        "age: int | None = Field(default=None, index=True)\n"
        "    secret: str | None = Field(default=None, unique=True, max_length=30)"
    )
    project.table = "hero"
    env, mako = folder / "alembic" / "env.py", folder / "alembic" / "script.py.mako"
    change(env, "from models import Base", "import models\nfrom sqlmodel import SQLModel")
    change(env, "Base.metadata", "SQLModel.metadata")
    change(mako, "import sqlalchemy as sa", "import sqlalchemy as sa\nimport sqlmodel")
    return project


def flask_migrate(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """Flask-SQLAlchemy, and what `flask db init` writes."""
    (folder / "app.py").write_text(
        "import os\n\nfrom flask import Flask\nfrom flask_migrate import Migrate\n"
        "from flask_sqlalchemy import SQLAlchemy\n\ndb = SQLAlchemy()\nmigrate = Migrate()\n\n"
        "class Author(db.Model):\n    __tablename__ = 'authors'\n"
        "    id = db.Column(db.Integer, primary_key=True)\n    name = db.Column(db.String(50))\n    # more\n\n"
        "def create_app():\n    app = Flask(__name__)\n"
        "    app.config['SQLALCHEMY_DATABASE_URI'] = os.environ['SHOP_DATABASE']\n"
        "    db.init_app(app)\n    migrate.init_app(app, db)\n    return app\n"
    )

    def address(project: Newcomer, databases: tuple[str, ...]) -> None:
        project.environment = {"SHOP_DATABASE": with_driver(databases[0], "psycopg")}

    project = made(
        Newcomer(
            folder=folder,
            databases=databases,
            table="authors",
            models=folder / "app.py",
            more=(
                "email = db.Column(db.String(100), unique=True)\n"
                "    city = db.Column(db.String(40), index=True)"
            ),
            environment={},
            plainly=("flask", "db", "upgrade"),
            address=address,
        )
    )
    init = project.run("flask", "db", "init")
    assert init.returncode == 0, init.stderr
    return project


def legacy(folder: Path, databases: tuple[str, ...]) -> Newcomer:
    """Two schemas, two folders of revisions, a version table with a name and a place of its own."""
    project = with_alembic(folder, databases, template="generic", driver="psycopg2")
    (folder / "billing").mkdir()
    (folder / "core").mkdir()
    change(
        folder / "alembic.ini",
        "script_location = ",
        "version_locations = %(here)s/core:%(here)s/billing\nscript_location = ",
    )
    project.models.write_text(
        MODELS + "\n\nclass Bill(Base):\n    __tablename__ = 'bills'\n"
        "    __table_args__ = {'schema': 'billing'}\n    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    author_id: Mapped[int] = mapped_column(ForeignKey('authors.id'))\n    # else\n"
    )
    change(
        folder / "alembic" / "env.py",
        "connection=connection, target_metadata=target_metadata",
        "connection=connection, target_metadata=target_metadata, include_schemas=True,"
        " version_table='schema_version'",
    )
    (folder / "core" / "c1_first.py").write_text(
        '"""first"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = "c1"\ndown_revision = None\n\n'
        "def upgrade():\n    op.create_table('authors', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(50), nullable=False))\n\ndef downgrade():\n    op.drop_table('authors')\n"
    )
    (folder / "billing" / "b1_billing.py").write_text(
        '"""billing"""\n\nfrom alembic import op\n\nrevision = "b1"\ndown_revision = "c1"\n\n'
        "def upgrade():\n    op.execute('CREATE SCHEMA billing')\n\n"
        "def downgrade():\n    op.execute('DROP SCHEMA billing')\n"
    )
    return project


KINDS = {
    "async FastAPI": (async_fastapi, 1),
    "Flask-Migrate": (flask_migrate, 1),
    "legacy, several schemas and version locations": (legacy, 1),
    "SQLModel": (sqlmodel, 1),
    "multidb": (multidb, 2),
    "pyproject": (pyproject, 1),
}
