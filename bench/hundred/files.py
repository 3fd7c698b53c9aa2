"""Writes the hundred changes into a folder as each tool's files."""

from pathlib import Path

from hundred.changes import Change, changes

# The URL is env.py's affair, as in most projects.
OWN_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
# The URL is holdfast's own setting.
ENV_BY_SETTINGS = """
from alembic import context
from holdfast import create_migration_engine
from holdfast import Settings

with create_migration_engine(Settings()).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = '''"""{name}"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{name}", {before}


def upgrade() -> None:
    {change}


def downgrade() -> None:
    pass
'''
DJANGO_MIGRATION = """from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [{before}]
    operations = [{change}]
"""
DJANGO_SETTINGS = """import os

SECRET_KEY = "x"
USE_TZ = True
INSTALLED_APPS = ["hundred"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"], "NAME": os.environ["PGDATABASE"],
    }
}
"""
DJANGO_MANAGE = """import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
# The migrations of an application that starts: migrationsRun.
TYPEORM = """require("reflect-metadata");
const { DataSource } = require("typeorm");

const source = new DataSource({
  type: "postgres", migrationsRun: true, migrations: [__dirname + "/migrations/*.js"],
});
source.initialize().then(() => source.destroy());
"""
TYPEORM_MIGRATION = """module.exports.{name} = class {{
  name = "{name}";
  async up(runner) {{ await runner.query(`{sql}`); }}
  async down() {{}}
}};
"""


def write_all(folder: Path) -> None:
    """A folder a tool."""
    history = changes()
    (folder / "all.sql").write_text("".join(f"{change.sql};\n" for change in history))
    _alembic(folder / "own_env", OWN_ENV, history)
    _alembic(folder / "env_by_settings", ENV_BY_SETTINGS, history)
    _django(folder / "django", history)
    _typeorm(folder / "typeorm", history)


def _alembic(folder: Path, env: str, history: list[Change]) -> None:
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(env)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s\npath_separator = os\n"
    )
    before = None
    for change in history:
        source = REVISION.format(name=change.name, before=repr(before), change=change.alembic)
        (folder / "versions" / f"{change.name}.py").write_text(source)
        before = change.name


def _django(folder: Path, history: list[Change]) -> None:
    migrations = folder / "hundred" / "migrations"
    migrations.mkdir(parents=True)
    for empty in (migrations.parent / "__init__.py", migrations / "__init__.py"):
        empty.touch()
    (folder / "settings.py").write_text(DJANGO_SETTINGS)
    (folder / "manage.py").write_text(DJANGO_MANAGE)
    before = ""
    for change in history:
        source = DJANGO_MIGRATION.format(before=before, change=change.django)
        (migrations / f"{change.name}.py").write_text(source)
        before = f'("hundred", "{change.name}")'


def _typeorm(folder: Path, history: list[Change]) -> None:
    (folder / "migrations").mkdir(parents=True)
    (folder / "start.js").write_text(TYPEORM)
    for number, change in enumerate(history):
        name = f"{change.name.title()}{1_700_000_000_000 + number}"
        source = TYPEORM_MIGRATION.format(name=name, sql=change.sql)
        (folder / "migrations" / f"{name}.js").write_text(source)
