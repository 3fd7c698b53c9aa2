"""The doctor on servers with one defect each: it asks the server, not the settings."""

import asyncio
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from alembic_project import Project
from click.testing import CliRunner
from pooler import pooler, socket_of
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, NullPool, make_url
from sqlalchemy import create_engine as sa_create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tls_proxy import tls_proxy

from holdfast.cli import holdfast
from holdfast.doctor.check import Severity
from holdfast.doctor.checks import CHECKS
from holdfast.doctor.examine import Finding, examine
from holdfast.engine.connection.reach import Reach
from holdfast.engine.create_engine import create_engine
from holdfast.engine.environment import stamp
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.migrate.run import upgrade
from holdfast.observe.server import look_at_connection

CA = trustme.CA()


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"app_{secrets.token_hex(4)}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        connection.execute("GRANT CREATE ON SCHEMA public TO public")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM public")
        connection.execute(
            f'REVOKE TEMP ON DATABASE "{connection.info.dbname}" FROM public'.encode()
        )
        yield name
        connection.execute(f"DROP OWNED BY {name}".encode())
        connection.execute(f"DROP ROLE {name}".encode())


def settings(url: str, **values: Any) -> Settings:
    given = {"profile": "production", "application_name": "shop", "migrate_on_start": "off"}
    return Settings(url=url, **given | values)


def as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def of(found: tuple[Finding, ...], name: str) -> tuple[Severity, str]:
    [verdict] = [finding.verdict for finding in found if finding.check.name == name]
    return verdict.severity, verdict.says


def bad(found: tuple[Finding, ...]) -> dict[str, Severity]:
    return {
        finding.check.name: finding.verdict.severity
        for finding in found
        if finding.verdict.severity is not Severity.OK
    }


def test_nothing_to_say(database: str, role: str) -> None:
    """An ordinary role, a stamped database, our own connection."""
    stamp(create_engine(settings(database), poolclass=NullPool), profile=Profile.PRODUCTION)
    assert bad(examine(settings(as_role(database, role)), None)) == {}


def test_every_check_has_a_name_of_its_own() -> None:
    """HOLDFAST_ALLOW names them, and they come in the order of their numbers."""
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert [check.number for check in CHECKS] == sorted(check.number for check in CHECKS)


def test_roles(database: str, role: str) -> None:
    """A superuser is refused in production; more rights than needed are listed."""
    name = conninfo_to_dict(database)["dbname"]
    assert of(examine(settings(database), None), "superuser") == (
        Severity.REFUSE,
        "the application connects as the superuser postgres: one injected statement owns the server",
    )
    assert of(examine(settings(database, profile="test"), None), "superuser")[0] is Severity.OK
    execute(
        database,
        f"ALTER ROLE {role} CREATEDB BYPASSRLS",
        "CREATE TABLE product (id integer)",
        f"ALTER TABLE product OWNER TO {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        f'GRANT TEMP ON DATABASE "{name}" TO {role}',
    )
    assert of(examine(settings(as_role(database, role)), None), "rights") == (
        Severity.WARN,
        (
            f"{role}: CREATEDB, BYPASSRLS, owns 1 table, may create in the schema, "
            "may create temporary tables"
        ),
    )


@pytest.mark.parametrize(
    ("defect", "check", "severity", "says"),
    [
        (
            "default_transaction_read_only = on",
            "writable",
            Severity.WARN,
            "the application's connection is on a server that is read-only",
        ),
        (
            "default_transaction_read_only = on",
            "migrations-writable",
            Severity.REFUSE,
            "migrations would run on a server that is read-only",
        ),
        (
            "log_min_duration_statement = 500",
            "sql-log",
            Severity.WARN,
            "the server's log holds statements with the values of their parameters",
        ),
        (
            "idle_session_timeout = '1min'",
            "idle-sessions",
            Severity.WARN,
            "the server ends sessions after 60 s of idleness, our pool keeps them longer",
        ),
    ],
)
def test_parameters_of_the_server(
    database: str, defect: str, check: str, severity: Severity, says: str
) -> None:
    """As they are in force in our session, whoever set them."""
    name = conninfo_to_dict(database)["dbname"]
    execute(database, f'ALTER DATABASE "{name}" SET {defect}')
    assert of(examine(settings(database), None), check) == (severity, says)


@pytest.mark.parametrize(
    ("values", "check", "severity", "says"),
    [
        (
            {"timeouts": {"lock": "0s", "statement": "0s"}},
            "timeouts",
            Severity.WARN,
            "without a limit in our session: lock_timeout, statement_timeout",
        ),
        (
            {"replicas": 6},
            "pool-budget",
            Severity.REFUSE,
            "6 pools of 20 are 120 connections, the server has 94 for us",
        ),
        (
            {},
            "pool-budget",
            Severity.OK,
            "4 pools (HOLDFAST_REPLICAS: how many there are) of 20 fit into 94 connections",
        ),
        (
            {"pool": {"min": 1, "max": 1}},
            "pool-of-one",
            Severity.WARN,
            "a pool of one: a request that needs a second connection waits for itself",
        ),
        (
            {"application_name": "holdfast"},
            "application-name",
            Severity.WARN,
            "the server knows our sessions as 'holdfast'",
        ),
        (
            {"log_sql": "statements"},
            "sql-log",
            Severity.WARN,
            "every statement is logged by this process",
        ),
    ],
)
def test_settings(
    database: str, values: dict[str, Any], check: str, severity: Severity, says: str
) -> None:
    """What came of them."""
    assert of(examine(settings(database, **values), None), check) == (severity, says)


def test_the_environment(database: str) -> None:
    """No stamp yet, the right one, the wrong one; made by synchronisation."""
    assert of(examine(settings(database), None), "environment")[0] is Severity.WARN
    stamp(create_engine(settings(database), poolclass=NullPool), profile=Profile.PRODUCTION)
    assert of(examine(settings(database), None), "environment")[0] is Severity.OK
    execute(database, "UPDATE holdfast.environment SET synchronized_at = '2026-02-03'")
    assert of(examine(settings(database), None), "synchronized") == (
        Severity.WARN,
        "the schema was made from the models on 2026-02-03",
    )
    name = conninfo_to_dict(database)["dbname"]
    assert of(examine(settings(database, profile="development"), None), "environment") == (
        Severity.REFUSE,
        f"A development process was pointed at the production database {name}.",
    )


def test_a_pooler(database: str) -> None:
    """Found by the process id; fine where it was said."""
    name = conninfo_to_dict(database)["dbname"]
    with pooler(socket_of(database)) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        silent = examine(settings(url, tls="remote"), None)
        said = examine(settings(url, tls="remote", pooler=True), None)
    assert of(silent, "pooler")[0] is Severity.REFUSE
    assert of(said, "pooler") == (Severity.OK, "a pooler, and it is taken into account")
    assert of(silent, "network-timeout") == (
        Severity.OK,
        "a silent connection is given up after 5000 ms",
    )
    assert of(silent, "password")[0] is Severity.WARN
    assert of(silent, "tls") == (
        Severity.WARN,
        "passwords and data are not encrypted; the other end is on this machine",
    )


async def _looked_at_by_asyncpg(url: URL) -> Reach:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        return (await connection.run_sync(look_at_connection)).way


def test_how_far_the_other_end_is(database: str) -> None:
    """Whatever driver env.py uses: by the socket of the connection, not by what the server says of its own end."""
    with tls_proxy(socket_of(database), None) as port:
        url = make_url(database).set(host="127.0.0.1", port=port, query={})
        with sa_create_engine(
            url.set(drivername="postgresql+psycopg2"), poolclass=NullPool
        ).connect() as connection:
            assert look_at_connection(connection).way is Reach.LOOPBACK
        by_asyncpg = url.set(drivername="postgresql+asyncpg", query={"ssl": "disable"})
        assert asyncio.run(_looked_at_by_asyncpg(by_asyncpg)) is Reach.LOOPBACK
    socket = make_url(database).set(drivername="postgresql+psycopg2")
    with sa_create_engine(socket, poolclass=NullPool).connect() as connection:
        assert look_at_connection(connection).way is Reach.SOCKET


def test_tls(database: str, tmp_path: Path) -> None:
    """Verified here, ends before the server; an unknown authority is refused, or it proves nothing."""
    ca = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(ca)
    name = conninfo_to_dict(database)["dbname"]
    with tls_proxy(socket_of(database), CA.issue_cert("localhost")) as port:
        url = f"postgresql://postgres@localhost:{port}/{name}?hostaddr=127.0.0.1"
        verified = examine(settings(url, tls_ca=str(ca)), None, prove_tls=True)
        blind = examine(settings(url, tls="encrypt-only"), None, prove_tls=True)
        unproven = examine(settings(url, tls="encrypt-only"), None)
    assert of(verified, "server") == (
        Severity.OK,
        f"by its certificate, which a CA of {ca} signed, an unknown one was refused",
    )
    assert of(verified, "tls") == (
        Severity.WARN,
        "TLS ends before the server: pg_stat_ssl knows of none on its side",
    )
    assert of(blind, "server")[0] is Severity.REFUSE
    assert of(unproven, "server")[0] is Severity.WARN
    assert of(unproven, "channel-binding")[0] is Severity.WARN


def test_leftovers(database: str) -> None:
    """An INVALID index and a constraint that is NOT VALID, each with its way out."""
    execute(
        database,
        "CREATE TABLE a (id integer, b integer)",
        "INSERT INTO a VALUES (1, 1), (1, 1)",
        "ALTER TABLE a ADD CONSTRAINT a_check CHECK (b > 0) NOT VALID",
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(database, "CREATE UNIQUE INDEX CONCURRENTLY a_id_key ON a (id)")
    [verdict] = [
        finding.verdict
        for finding in examine(settings(database), None)
        if finding.check.name == "leftovers"
    ]
    assert verdict.severity is Severity.WARN
    assert verdict.says == (
        "INVALID index public.a_id_key on public.a; NOT VALID constraint a_check on public.a"
    )
    assert verdict.remedy == (
        "REINDEX INDEX CONCURRENTLY public.a_id_key; "
        "ALTER TABLE public.a VALIDATE CONSTRAINT a_check;"
    )


def history(project: Project) -> dict[str, Severity]:
    """What the checks of the migrations say, without the rest."""
    found = examine(settings(project.database), project.config)
    names = {"known", "unchanged", "one-head", "half-way", "owner", "migrations-pooler"}
    return {name: severity for name, severity in bad(found).items() if name in names}


def test_migrations_in_order(project: Project) -> None:
    """Pending is no defect."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    assert history(project) == {}
    upgrade(project.config, "head")
    assert history(project) == {}


def test_a_database_of_somebody_else(project: Project) -> None:
    """Tables and no revision."""
    project.query("SELECT 1; CREATE TABLE a (id integer)")
    assert history(project) == {"known": Severity.REFUSE}


def test_an_edited_file_and_a_revision_of_the_future(project: Project) -> None:
    """Both are refused."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    upgrade(project.config, "head")
    project.file("r1").write_text(project.file("r1").read_text() + "# edited\n")
    assert history(project) == {"unchanged": Severity.REFUSE}
    project.query("UPDATE alembic_version SET version_num = 'r9'")
    assert history(project) == {"unchanged": Severity.REFUSE}


def test_two_heads(project: Project) -> None:
    """Found in the files; branches that the project wants are none too many, as for `run` and `check`."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    other = project.file("r1").read_text().replace("r1", "r2").replace("'a'", "'b'")
    project.file("r2").write_text(f"{other}\n\nbranch_labels = ('shop',)\n")
    assert history(project) == {"one-head": Severity.REFUSE}
    first = project.file("r1")
    first.write_text(f"{first.read_text()}\n\nbranch_labels = ('blog',)\n")
    with (project.folder / "alembic.ini").open("a") as ini:
        ini.write("branches = shop, blog\n")
    assert "one-head" not in history(project)


def test_a_failed_revision(project: Project) -> None:
    """Nothing of it is left: to look at, not to refuse."""
    project.revision("op.execute('SELECT 1/0')")
    with pytest.raises(Exception, match="division by zero"):
        upgrade(project.config, "head")
    assert history(project) == {"half-way": Severity.WARN}


def test_migrations_that_are_not_the_owner(project: Project, role: str) -> None:
    """Their tables would belong to two roles, and ALTER TABLE fails on the other's."""
    project.query("SELECT 1; CREATE TABLE a (id integer)")
    project.database = as_role(project.database, role)
    project.env((project.folder / "env.py").read_text())
    assert history(project) == {"known": Severity.REFUSE, "owner": Severity.REFUSE}


def test_migrations_through_a_pooler(project: Project) -> None:
    """Refused, unless the settings say that there is no other way."""
    name = conninfo_to_dict(project.database)["dbname"]
    with pooler(socket_of(project.database)) as port:
        project.database = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        project.env((project.folder / "env.py").read_text())
        found = examine(settings(project.database, tls="remote"), project.config)
        pooled = examine(
            settings(project.database, tls="remote", pooler="transaction"), project.config
        )
    assert of(found, "migrations-pooler")[0] is Severity.REFUSE
    assert of(pooled, "migrations-pooler")[0] is Severity.WARN  # by a lease


def test_command(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DATABASE_URL the connection of env.py is looked at; exit status 0, 1 and 3."""
    monkeypatch.setenv("HOLDFAST_PROFILE", "development")

    def doctor(*arguments: str) -> tuple[int, str]:
        command = ["-c", str(project.folder / "alembic.ini"), "doctor", *arguments]
        ended = CliRunner().invoke(holdfast, command, catch_exceptions=False)
        return ended.exit_code, ended.output

    status, text = doctor()
    assert (status, text.splitlines()[-1]) == (0, "0 refuse, 0 warn, 27 ok")
    assert text.splitlines()[0] == (
        "ok      2 the environment of the database: not stamped: no application has started with holdfast.Database"
    )
    monkeypatch.setenv("HOLDFAST_PROFILE", "production")
    status, document = doctor("--format", "json")
    assert status == 3
    assert json.loads(document)["severity"] == "refuse"
    monkeypatch.setenv("HOLDFAST_PROFILE", "development")
    monkeypatch.setenv("DATABASE_URL", project.database)
    assert doctor()[0] == 1  # the sessions have no name of their own


def test_the_documentation_has_every_check() -> None:
    """With its number, its name, and whether it keeps a process from starting."""
    page = (Path(__file__).parents[4] / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `([\w-]+)` \|.*\| (.*) \|$", page, re.MULTILINE)
    assert [(int(number), name) for number, name, _ in rows] == [
        (check.number, check.name) for check in CHECKS
    ]
    assert {name for _, name, worst in rows if "*start*" in worst} == {
        *(check.name for check in CHECKS if check.at_start),
        "migrations-writable",
    }


def test_keys_that_run_out(database: str) -> None:
    """By the share that is used, whichever is narrower, column or sequence; and references narrower than their key."""
    execute(
        database,
        "CREATE TABLE a (id serial PRIMARY KEY); SELECT setval('a_id_seq', 1500000000)",
        "CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
        "CREATE TABLE c (id serial PRIMARY KEY); ALTER TABLE c ALTER id TYPE bigint",
        "SELECT setval('c_id_seq', 2000000000)",
        "CREATE TABLE d (c_id int REFERENCES c)",
    )
    assert of(examine(settings(database), None), "keys") == (
        Severity.WARN,
        (
            "public.a.id has used 70% of its numbers; public.c.id has used 93% of its numbers;"
            " public.d.c_id (integer) is narrower than c.id (bigint)"
        ),
    )
    [remedy] = [
        finding.verdict.remedy
        for finding in examine(settings(database), None)
        if finding.check.name == "keys"
    ]
    assert "ALTER SEQUENCE public.c_id_seq AS bigint;" in remedy


MODELS_OF_KEYS = """
from sqlalchemy import BigInteger, Column, Integer, MetaData, SmallInteger, Table, TypeDecorator
class Number(TypeDecorator):
    impl, cache_ok = Integer, True
class Large(TypeDecorator):
    impl, cache_ok = BigInteger, True
models = MetaData()
Table("t", models, Column("id", Integer), Column("a", Number), Column("b", Large), Column("c", BigInteger),
    Column("d", BigInteger().with_variant(Integer, "sqlite")), Column("e", Integer), Column("not there", Integer))
Table("t", models, Column("Q", SmallInteger), schema="s x")
Table("nowhere", models, Column("id", Integer))
"""


def test_what_is_narrower_than_a_bigint(project: Project) -> None:
    """Whatever stands beside a bigint column and ends before it: its sequence while it is young, the models."""
    execute(
        project.database,
        "CREATE TABLE t (id serial PRIMARY KEY, a int8, b int8, c int8, d int8, e int)",
        'ALTER TABLE t ALTER id TYPE bigint; CREATE SCHEMA "s x"; CREATE TABLE "s x".t ("Q" int8)',
    )
    env = project.folder / "env.py"
    given = env.read_text().replace(
        "context.configure(", "context.configure(target_metadata=models, "
    )
    env.write_text(MODELS_OF_KEYS + given)
    assert of(examine(settings(project.database), project.config), "keys") == (
        Severity.WARN,
        (
            "public.t.id is bigint, and public.t_id_seq, which numbers it, is integer;"
            " the models say INTEGER of public.t.id, which is bigint;"
            " the models say INTEGER of public.t.a, which is bigint;"
            ' the models say SMALLINT of "s x".t."Q", which is bigint'
        ),
    )


@pytest.mark.parametrize(
    ("defect", "check", "severity", "says", "remedy"),
    [
        (
            "SELECT 1",
            "migration-rights",
            Severity.WARN,
            "ROLE may create nothing in schema public: no table, and no index on its own ones",
            "As the owner of the schema: GRANT CREATE ON SCHEMA public TO ROLE;",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO ROLE",
            "migration-rights",
            Severity.REFUSE,
            "ROLE may not make or write the tables in schema holdfast, in which a run keeps its journal",
            (
                "As an administrator of the database: CREATE SCHEMA IF NOT EXISTS holdfast; GRANT USAGE, CREATE ON"
                " SCHEMA holdfast TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA holdfast TO ROLE;"
            ),
        ),
        (
            "ALTER ROLE ROLE CONNECTION LIMIT 2",
            "migration-connections",
            Severity.REFUSE,
            "a run needs 3 connections, ROLE or its database may have 2",
            "ALTER ROLE ROLE CONNECTION LIMIT 7; or ALTER DATABASE likewise.",
        ),
        (
            "ALTER ROLE ROLE CONNECTION LIMIT 5",
            "migration-connections",
            Severity.WARN,
            (
                "a run has up to 6 connections, ROLE or its database may have 5: with fewer, a guard that does not"
                " respond goes unnoticed, the sessions that a run waits for are not named, or a second Ctrl-C"
                " cancels nothing"
            ),
            "ALTER ROLE ROLE CONNECTION LIMIT 7; or ALTER DATABASE likewise.",
        ),
        (
            "ALTER ROLE ROLE SET statement_timeout = '2s'; ALTER ROLE ROLE SET transaction_timeout = '2s'",
            "migration-limits",
            Severity.WARN,
            (
                "in force for migrations: statement_timeout = 2s. Builds, validation and batches lift it; for what a"
                " revision executes itself it holds"
            ),
            "ALTER ROLE ROLE SET statement_timeout = 0;",
        ),
        (
            "SELECT 1",
            "migration-limits",
            Severity.OK,
            "no timeout of the server, the database or the role ends a statement of a migration",
            "",
        ),
    ],
)
def test_the_role_of_migrations(
    database: str,
    role: str,
    tmp_path: Path,
    defect: str,
    check: str,
    severity: Severity,
    says: str,
    remedy: str,
) -> None:
    """What it lacks for a run, whichever it is, with the statement that gives it."""
    execute(database, re.sub(r"\bROLE$", role, defect.replace("ROLE ROLE", f"ROLE {role}")))
    project = Project(folder=tmp_path / "project", database=as_role(database, role))
    found = examine(settings(as_role(database, role)), project.config)
    [verdict] = [each.verdict for each in found if each.check.name == check]
    named = (
        each.replace("ROLE ROLE", f"ROLE {role}").replace("ROLE may", f"{role} may")
        for each in (says, remedy)
    )
    assert (verdict.severity, verdict.says, verdict.remedy) == (
        severity,
        *(re.sub(r"\bROLE( or its|;)", rf"{role}\1", each) for each in named),
    )
