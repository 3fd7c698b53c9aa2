"""A database up to date is known at a glance, and whatever may be pending is looked at in full."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from alembic import command
from alembic_project import SYNC_ENV, Project
from click.testing import CliRunner
from everywhere import each
from psycopg.conninfo import conninfo_to_dict
from round_trips import RoundTrips, round_trips

from holdfast.cli import holdfast as command_line
from holdfast.migrate.run import downgrade, upgrade
from holdfast.migrate.up_to_date.look import Project as QuickLook
from holdfast.migrate.up_to_date.look import project_at
from holdfast.observe.schema_constants import KEY
from holdfast.scratch.databases import Postgres

BY_SETTINGS = """
from alembic import context
from holdfast import create_migration_engine
from holdfast import Settings

with create_migration_engine(Settings()).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
# Runs the command line, then says which of the heavy packages it has imported.
IMPORTED = """
import sys
from holdfast.cli import holdfast
try:
    holdfast(sys.argv[1:])
finally:
    heavy = {"sqlalchemy", "alembic", "pydantic", "rich", "postgast"}
    print(sorted(heavy & set(sys.modules)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A project whose database is up to date, and what it is made of: each test changes it."""

    project: Project
    files: Path
    template: str


def enter(project: Project, environment: pytest.MonkeyPatch) -> Project:
    """Make the URL of a project holdfast's own setting, and its folder the current one."""
    environment.setenv("HOLDFAST_PROFILE", "test")
    environment.setenv("DATABASE_URL", project.database)
    environment.chdir(project.folder)
    return project


@pytest.fixture
def project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter(project, monkeypatch)


@pytest.fixture(scope="module")
def recorded(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Two revisions, applied by a full run."""
    folder = tmp_path_factory.mktemp("recorded")
    with postgres.database() as url:
        project = Project(folder=folder / "project", database=url)
        (project.folder / "env.py").write_text(BY_SETTINGS)
        project.revision("op.create_table('a', sa.Column('id', sa.Integer, primary_key=True))")
        project.revision("op.create_index('i', 'a', ['id'])", "op.drop_index('i')")
        with pytest.MonkeyPatch.context() as environment:
            enter(project, environment)
            upgrade(project.config, "head")
            assert head_if_up_to_date() == "r2"
        shutil.copytree(project.folder, folder / "files")
        template = postgres.create(template=name_of(url))
        yield Recorded(project=project, files=folder / "files", template=template)
        postgres.drop(template)


@pytest.fixture
def up_to_date(recorded: Recorded, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Project:
    """That project, in the state in which the run left it: what is recorded names its folder and its database."""
    project = recorded.project
    shutil.rmtree(project.folder)
    shutil.copytree(recorded.files, project.folder)
    project.revisions[:] = ["r1", "r2"]
    name = name_of(project.database)
    postgres.drop(name)
    postgres._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, recorded.template)
    return enter(project, monkeypatch)


def name_of(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def counted(up_to_date: Project) -> Iterator[RoundTrips]:
    with TemporaryDirectory() as folder, round_trips(up_to_date.database, Path(folder)) as trips:
        yield trips


def head_if_up_to_date() -> str | None:
    found = project_at(Path.cwd(), file=None)
    return None if found is None else found.head_if_up_to_date()


def holdfast(*arguments: str) -> list[str]:
    """The lines that the command prints; the last one names what it has imported."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("verb", "form"),
    each([("status", "json"), ("run", "text"), ("run", "json"), ("status", "text")], here=1),
)
def test_same_words_without_the_heavy_packages(up_to_date: Project, verb: str, form: str) -> None:
    """A cold command prints what the full way prints, and imports neither SQLAlchemy nor Alembic."""
    *at_a_glance, imported = holdfast(verb, "--format", form)
    up_to_date.query("DELETE FROM holdfast.up_to_date")
    *in_full, imported_in_full = holdfast(verb, "--format", form)
    assert at_a_glance == in_full
    assert imported == "[]"
    assert "'alembic'" in imported_in_full


def test_two_round_trips(
    up_to_date: Project, counted: RoundTrips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection and one query, in process too."""
    user, name = (conninfo_to_dict(up_to_date.database)[key] for key in ("user", "dbname"))
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{user}@/{name}?host={counted.host}&port=5432")
    upgrade(up_to_date.config, "head")  # the way is another one: recorded anew
    counted.number = 0
    upgrade(up_to_date.config, "head")
    assert counted.number == 2


def test_with_something_pending_it_is_looked_once(
    up_to_date: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a look of the command line that found something to do, no second connection looks again."""
    looks: list[str] = []
    look = QuickLook.head_if_up_to_date

    def counting(project: QuickLook) -> str | None:
        looks.append(project.fingerprint)
        return look(project)

    monkeypatch.setattr(QuickLook, "head_if_up_to_date", counting)
    up_to_date.revision("op.create_table('b', sa.Column('id', sa.Integer, primary_key=True))")
    ended = CliRunner().invoke(command_line, ["run"])
    assert (ended.exit_code, len(looks)) == (0, 1), ended.output


def edit(text: str) -> Callable[[Project], object]:
    def change(project: Project) -> object:
        return project.file("r1").write_text(project.file("r1").read_text() + text)

    return change


def migrated_elsewhere(project: Project) -> None:
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    command.upgrade(project.config, "head")
    project.file("r3").unlink()


CHANGES: dict[str, Callable[[Project], object]] = {
    "a new revision": lambda project: project.revision("pass"),
    "an edited revision": edit("# edited\n"),
    "a revision that is gone": lambda project: project.file("r2").unlink(),
    "another env.py": lambda project: (project.folder / "env.py").write_text(BY_SETTINGS + "\n"),
    "an env.py with a URL of its own": lambda project: project.env(SYNC_ENV),
    "an option": lambda project: (project.folder / "alembic.ini").write_text(
        (project.folder / "alembic.ini").read_text() + "version_path_separator = os\n"
    ),
    "revisions in other folders": lambda project: (project.folder / "alembic.ini").write_text(
        (project.folder / "alembic.ini").read_text() + "version_locations = more\n"
    ),
    "an alembic.ini that cannot be read": lambda project: (
        project.folder / "alembic.ini"
    ).write_text("script_location = nowhere\n"),
    "a linked folder": lambda project: (project.folder / "more").symlink_to("/"),
    "a .env": lambda project: (project.folder / ".env").write_text("holdfast_migrations=x"),
    "another version": lambda project: project.query(
        "UPDATE alembic_version SET version_num = 'r1'"
    ),
    "a second version": lambda project: project.query("INSERT INTO alembic_version VALUES ('r1')"),
    "no version": lambda project: project.query("DELETE FROM alembic_version"),
    "no version table": lambda project: project.query("DROP TABLE alembic_version"),
    "another version table": lambda project: project.query(
        "ALTER TABLE alembic_version SET SCHEMA holdfast;"
        "CREATE TABLE alembic_version AS TABLE holdfast.alembic_version"
    ),
    "a newer head by plain Alembic": migrated_elsewhere,
    "a revision half-way": lambda project: project.query(
        "INSERT INTO holdfast.unfinished VALUES ('r2', 'down', '', true, '[]', '[]')"
    ),
    "a statement in the journal": lambda project: project.query(
        "INSERT INTO holdfast.queue (sql, new_relations, settings, queued_on, call)"
        " VALUES ('', '', '', '', 1)"
    ),
    "a call in the journal": lambda project: project.query(
        "INSERT INTO holdfast.calls (sql, occurrence) VALUES ('', 1)"
    ),
    "a later entry of the history": lambda project: project.query(
        "INSERT INTO holdfast.history (revision, description, direction, checksum, outcome, client,"
        " holdfast_version) VALUES ('r2', '', 'down', '', 'failed', '', '')"
    ),
    "a revision that runs": lambda project: project.query(
        "UPDATE holdfast.history SET outcome = 'running' WHERE revision = 'r2'"
    ),
    "another layout": lambda project: project.query(
        "COMMENT ON TABLE holdfast.leader IS 'layout 99'"
    ),
    "no schema of ours": lambda project: project.query("DROP SCHEMA holdfast CASCADE"),
    "a constraint NOT VALID": lambda project: project.query(
        "ALTER TABLE a ADD CONSTRAINT c CHECK (id > 0) NOT VALID"
    ),
    "an INVALID index": lambda project: project.query(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_looked_at_in_full(
    up_to_date: Project, change: Callable[[Project], object]
) -> None:
    """Each of these by itself leads to the full way."""
    change(up_to_date)
    assert head_if_up_to_date() is None


ENVIRONMENTS = {
    "no URL": {"DATABASE_URL": ""},
    "another database": {"HOLDFAST_URL": "postgresql://postgres@/postgres"},
    "another profile": {"HOLDFAST_PROFILE": "development"},
    "a pooler": {"HOLDFAST_POOLER": "true"},
    "a setting that does not exist": {"HOLDFAST_PROFIL": "test"},
    "a name in small letters": {"holdfast_url": "postgresql://postgres@/postgres"},
    "a variable of libpq": {"PGOPTIONS": "-c search_path=pg_catalog"},
    "no password file": {"HOLDFAST_PASSWORD_FILE": "nowhere"},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_other_settings_are_looked_at_in_full(
    up_to_date: Project, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is concluded from a run under other settings."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert head_if_up_to_date() is None


@pytest.mark.parametrize("name", ["DATABASE_URL", "HOLDFAST_URL", "database_url"])
def test_a_file_env_is_read_as_the_settings_read_it(
    up_to_date: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL in .env alone is known at a glance, too; one in the environment comes before it."""
    (up_to_date.folder / ".env").write_text(f"{name}=postgresql://nobody@/nowhere\nOTHER=1\n")
    assert head_if_up_to_date() == "r2"
    (up_to_date.folder / ".env").write_text(f"{name}={up_to_date.database}\n")
    monkeypatch.delenv("DATABASE_URL")
    assert head_if_up_to_date() == "r2"


@pytest.mark.parametrize(
    "url",
    [
        "{url}&sslmode=require",
        "{url}&application_name=a+b",
        "postgresql://one:1,two:2/d",
        "mysql://a",
    ],
)
def test_urls_of_which_the_settings_know_more(
    up_to_date: Project, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS in the URL, several hosts, what two readers read differently: the settings are asked."""
    monkeypatch.setenv("DATABASE_URL", url.format(url=up_to_date.database))
    assert project_at(Path.cwd(), file=None) is None


def test_while_somebody_migrates(up_to_date: Project) -> None:
    """The lock of a migrator is seen."""
    with psycopg.connect(up_to_date.database) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [KEY])
        assert head_if_up_to_date() is None
    assert head_if_up_to_date() == "r2"


def test_arguments_for_env_py(up_to_date: Project) -> None:
    """With -x, --to or --accept-edited the project's own env.py decides."""
    ways = (["-x", "a=b", "run"], ["run", "--to", "r2"], ["run", "--accept-edited"])
    for arguments in each(ways, here=1):
        assert "'alembic'" in holdfast(*arguments)[-1]


def env_with(replaced: str, by: str) -> str:
    assert replaced in BY_SETTINGS
    return BY_SETTINGS.replace(replaced, by)


UNKNOWN = {
    "a URL of its own": SYNC_ENV + "# not create_migration_engine",
    "settings in code": env_with("Settings()", "Settings(application_name='own')"),
    "settings of its own": env_with(
        "with create", "class Own(Settings): ...\n\nwith create"
    ).replace("(Settings())", "(Own())"),
    "a variable that it sets": env_with(
        "with create", "import os\nos.environ['HOLDFAST_APPLICATION_NAME'] = 'own'\nwith create"
    ),
    "another version table": env_with("=connection)", "=connection, version_table='own')"),
    "a version table elsewhere": env_with(
        "=connection)", "=connection, version_table_schema='public')"
    ),
    "two databases": BY_SETTINGS
    + BY_SETTINGS.replace("Settings())", "Settings(url=OTHER))").replace(
        "from alembic", "import os\nOTHER = os.environ['DATABASE_URL']\nfrom alembic", 1
    ),
}


@pytest.mark.parametrize("env", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_where_only_env_py_knows(
    project: Project, env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full run leaves no record where env.py has anything to say about the database."""
    project.env(SYNC_ENV)
    (project.folder / "env.py").write_text(env)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    for _ in range(2):
        monkeypatch.setenv("HOLDFAST_APPLICATION_NAME", "")  # another process
        upgrade(project.config, "head")
    assert project.query("SELECT to_regclass('holdfast.up_to_date')") == [(None,)]


def test_not_recorded_below_the_head_nor_edited(project: Project) -> None:
    """A run to a revision below leaves no record; nor does one that finds an edited file."""
    (project.folder / "env.py").write_text(BY_SETTINGS)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("pass")
    upgrade(project.config, "r1")
    assert head_if_up_to_date() is None
    upgrade(project.config, "head")
    edit("# edited\n")(project)
    upgrade(project.config, "head")
    assert head_if_up_to_date() is None
    assert os.environ["DATABASE_URL"] not in str(project_at(Path.cwd(), file=None))


def test_recorded_again(up_to_date: Project) -> None:
    """What plain Alembic has applied is recorded by the next run that finds nothing to do."""
    up_to_date.revision("op.create_table('b', sa.Column('id', sa.Integer))", "op.drop_table('b')")
    command.upgrade(up_to_date.config, "head")
    assert head_if_up_to_date() is None
    upgrade(up_to_date.config, "head")
    assert head_if_up_to_date() == "r3"
    downgrade(up_to_date.config, "-1")
    assert head_if_up_to_date() is None
    upgrade(up_to_date.config, "head")
    assert head_if_up_to_date() == "r3"
