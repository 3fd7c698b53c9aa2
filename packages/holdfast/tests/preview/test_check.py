"""The gate for CI: each rule finds what breaks it, and nothing where nothing is wrong."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from alembic_project import Project
from everywhere import each
from models_env import give_models

from holdfast.cli.check import as_annotation, as_lines, as_sarif
from holdfast.migrate.run import upgrade
from holdfast.preview.check import CheckFinding, check
from holdfast.scratch.databases import Postgres

MODELS = "sa.Table('t', metadata, sa.Column('a', sa.Integer))"
Findings = tuple[CheckFinding, ...]


@pytest.fixture(autouse=True, scope="module")
def scratch(postgres: Postgres) -> Iterator[None]:
    """The server of the test run as the scratch server."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
        yield


@pytest.fixture
def history(project: Project) -> Project:
    return in_order(project)


@pytest.fixture(scope="module")
def make_history(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Project]]:
    """For what several tests read of one check: it is made once."""
    with ExitStack() as databases:
        yield lambda: in_order(
            Project(
                folder=tmp_path_factory.mktemp("history") / "project",
                database=databases.enter_context(postgres.database()),
            )
        )


def in_order(project: Project) -> Project:
    """One revision in order, and its models."""
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))", "op.drop_table('t')")
    give_models(project, MODELS)
    return project


# In the memory of one run of env.py, as Alembic's own memo of enum types is.
REMEMBER = "op.get_context().impl.memo['run'] = 'begun'"
RECALL = """
if 'run' not in op.get_context().impl.memo:
    op.execute('CREATE TABLE t ()')
"""
DROP_B = "op.drop_column('t', 'b')"


def found_in(project: Project, since: str | None = None) -> list[tuple[str, str]]:
    return [(each.rule, each.message) for each in check(project.config, since=since)]


@pytest.fixture(scope="module")
def of_good_revisions(make_history: Callable[[], Project]) -> tuple[Project, Findings]:
    """A history of nothing but good ones, and what is found in it."""
    history = make_history()
    history.revision("op.create_index('i', 't', ['a'])", "op.drop_index('i')")
    history.revision("op.execute('CREATE TABLE u (a int, b int)')", "op.drop_table('u')")
    history.revision(
        "op.alter_column('u', 'a', server_default='1')",
        "op.drop_column('u', 'a')\nop.add_column('u', sa.Column('a', sa.Integer))",
    )
    columns = "sa.Column('a', sa.Integer, server_default='1'), sa.Column('b', sa.Integer)"
    index = f"t = {MODELS}\nsa.Index('i', t.c.a)"
    give_models(history, f"{index}\nsa.Table('u', metadata, {columns})")
    return history, check(history.config)


def test_nothing_found(of_good_revisions: tuple[Project, Findings]) -> None:
    """Without a database of the project's."""
    history, found = of_good_revisions
    assert found == ()
    assert history.query("SELECT FROM pg_tables WHERE schemaname = 'public'") == []


def test_a_column_that_comes_back_elsewhere(of_good_revisions: tuple[Project, Findings]) -> None:
    """The order of columns is no difference, whatever brings it about (here the way back of r4)."""
    _, found = of_good_revisions
    assert found == ()


def test_two_heads(history: Project) -> None:
    """Both are named."""
    history.revision("pass")
    history.file("r3").write_text(history.file("r2").read_text().replace("r2", "r3"))
    [(rule, message)] = found_in(history)
    assert rule == "one-head"
    assert message.startswith("the history has 2 heads: r")


def test_models_differ(history: Project) -> None:
    """With the lines that are missing."""
    give_models(history, "sa.Table('t', metadata, sa.Column('a', sa.Integer, server_default='1'))")
    lines = (
        "the models have what no migration has; `holdfast generate NAME` writes:\n"
        'op.alter_column("t", "a", server_default=sa.text("1"))'
    )
    assert found_in(history) == [("models", lines)]


def test_not_reversible(history: Project) -> None:
    """A way back that fails, one that is missing, one that forgets something."""
    history.revision(
        "op.create_table('u', sa.Column('a', sa.Integer))", "raise NotImplementedError"
    )
    history.revision("op.create_table('v', sa.Column('a', sa.Integer))")
    history.revision(
        "op.execute('CREATE TABLE IF NOT EXISTS w (a int)')\n"
        "op.execute('COMMENT ON TABLE w IS NULL')",
        "op.execute(\"COMMENT ON TABLE w IS 'kept'\")",
    )
    history.revision(
        "op.execute('CREATE SEQUENCE IF NOT EXISTS s')",
        "op.execute('ALTER SEQUENCE s INCREMENT 2')",
    )
    give_models(
        history,
        MODELS + "".join(f"\nsa.Table('{n}', metadata, sa.Column('a', sa.Integer))" for n in "uvw"),
    )
    assert found_in(history) == [
        ("reversible", "revision r2: down fails: NotImplementedError"),
        ("reversible", 'revision r3: up again fails: relation "v" already exists'),
        (
            "reversible",
            "revision r5: up, down and up again differs from up:\n-    INCREMENT BY 1\n+    INCREMENT BY 2",
        ),
    ]


@pytest.fixture(scope="module")
def of_refused_revisions(make_history: Callable[[], Project]) -> tuple[Project, Findings]:
    """Revisions that have no online form, of which one is allowed, then a rename that nobody has allowed."""
    history = make_history()
    for name, allowed in (
        ("b", ""),
        ("c", "  # holdfast: allow it is small until 2999-01-01"),
        ("d", "  # holdfast: allow it was small until 2020-01-01"),
    ):
        add = f"op.execute('ALTER TABLE t ADD {name} int GENERATED ALWAYS AS (a) STORED')"
        history.revision(f"{add}{allowed}", f"op.drop_column('t', '{name}')")
    history.revision(
        "op.alter_column('t', 'a', new_column_name='z')",
        "op.alter_column('t', 'z', new_column_name='a')",
    )
    columns = ", ".join(
        f"sa.Column({name!r}, sa.Integer, sa.Computed('z', persisted=True))" for name in "bcd"
    )
    give_models(history, MODELS.replace("'a', sa.Integer)", f"'z', sa.Integer), {columns}"))
    return history, check(history.config)


def test_not_online(of_refused_revisions: tuple[Project, Findings]) -> None:
    """Every refused statement, those behind the first included; an exemption counts until its day."""
    history, found = of_refused_revisions
    assert {each.rule for each in found} == {"online"}
    of_columns = [(each.file.stem, each.line) for each in found if each.file.stem != "r5"]
    assert of_columns == [("r2", 11), ("r4", 11)]
    assert [each.file.stem for each in check(history.config, since="r3")] == ["r4", "r5"]


def test_breaks_running_code(of_refused_revisions: tuple[Project, Findings]) -> None:
    """A rename that nobody has allowed."""
    _, found = of_refused_revisions
    assert [each.rule for each in found if each.file.stem == "r5"] == ["online"]


BODIES = {
    "DO behind comments": (
        "/* why */ -- and how\nDO $$ BEGIN LOCK TABLE t; PERFORM count(*) FROM t; END $$"
    ),
    "DO": "DO $$ BEGIN ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0); END $$",
    "DO, EXECUTE": "DO $$ BEGIN EXECUTE 'ALTER TABLE t ALTER a TYPE bigint'; END $$",
    "function": "SELECT long()",
    "DO, LOCK TABLE": "DO $$ BEGIN LOCK TABLE t IN ACCESS EXCLUSIVE MODE; PERFORM count(*) FROM t; END $$",
    "DO, LOCK TABLE and a write": "DO $$ BEGIN LOCK TABLE t; UPDATE t SET a = a; END $$",
}
LONG = """
    CREATE FUNCTION long() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      ALTER TABLE t ALTER a SET NOT NULL; END $$
"""


@pytest.mark.parametrize("way", each(list(BODIES), here=1))
def test_a_body_that_works_under_a_lock(project: Project, way: str) -> None:
    """Whatever it is written in: what it was seen to do to a table in use is refused, unless its author allows it."""
    project.revision(
        f"op.create_table('t', sa.Column('a', sa.Integer))\nop.execute({LONG!r})",
        "op.execute('DROP FUNCTION long()')\nop.drop_table('t')",
    )
    project.revision(f"op.execute({BODIES[way]!r})")
    project.revision("op.execute('DO $$ BEGIN ALTER TABLE t ADD COLUMN b text; END $$')")
    project.revision(
        "with op.get_bind().engine.begin() as other:\n"
        f"    other.execute(sa.text({BODIES['DO, LOCK TABLE']!r}))"
    )
    found = [each for each in check(project.config) if each.rule == "online"]
    assert [each.file.stem for each in found] == ["r2", "r4"]
    assert "while it holds ACCESS EXCLUSIVE on public.t" in found[0].message


ROWS = {
    "DO": "DO $$ BEGIN UPDATE t SET a = 1 WHERE a IS NULL; END $$",
    "DO, EXECUTE": "DO $$ BEGIN EXECUTE 'DELETE FROM t WHERE a < 0'; END $$",
    "function": "SELECT fill()",
}
FILL = (
    "CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$ UPDATE t SET a = 1 WHERE a IS NULL $$"
)


@pytest.fixture(scope="module")
def of_bodies(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with postgres.database() as url:
        project = Project(folder=tmp_path_factory.mktemp("bodies") / "project", database=url)
        project.revision(f"op.create_table('t', sa.Column('a', sa.Integer))\nop.execute({FILL!r})")
        for body in ROWS.values():
            project.revision(f"op.execute({body!r})")
        allowed = "  # holdfast: allow at night until 2099-01-01"
        project.revision(f"op.execute({ROWS['DO']!r}){allowed}")
        project.revision("op.execute('UPDATE t SET a = 1 WHERE a IS NULL')")
        project.revision("op.execute('DO $$ BEGIN INSERT INTO t VALUES (1); END $$')")
        yield project


def test_a_body_that_writes_rows(of_bodies: Project) -> None:
    """Whatever it is written in: rows of a table in use that it finds by reading all are a warning."""
    found = [each for each in check(of_bodies.config) if each.rule == "online"]
    assert [(each.file.stem, each.is_warning) for each in found] == [
        ("r2", True),
        ("r3", True),
        ("r4", True),
    ]
    assert "reads every row of public.t and holds what it writes there" in found[0].message


@pytest.mark.everywhere
def test_not_online_behind_something_that_was_done(history: Project) -> None:
    """The rest of the history is looked at all the same."""
    history.revision(
        "op.create_index('i', 't', ['a'])\n"
        "op.get_bind().execute(sa.text('SELECT count(*) FROM t'))\n"
        "op.execute('ALTER TABLE t ADD c int GENERATED ALWAYS AS (a) STORED')",
        "op.drop_column('t', 'c'); op.drop_index('i')",
    )
    history.revision(
        "op.alter_column('t', 'a', new_column_name='b')",
        "op.alter_column('t', 'b', new_column_name='a')",
    )
    give_models(
        history,
        "t = sa.Table('t', metadata, sa.Column('b', sa.Integer), "
        "sa.Column('c', sa.Integer, sa.Computed('b', persisted=True)))\nsa.Index('i', t.c.b)",
    )
    assert [(each.rule, each.file.stem) for each in check(history.config)] == [
        ("online", "r2"),
        ("online", "r3"),
    ]


@pytest.fixture(scope="module")
def of_a_failure(make_history: Callable[[], Project]) -> tuple[Project, Findings]:
    """A second revision that PostgreSQL refuses."""
    history = make_history()
    history.revision("op.execute('SELECT 1/0')")
    return history, check(history.config)


def test_does_not_replay(of_a_failure: tuple[Project, Findings]) -> None:
    """The server's own words."""
    _, found = of_a_failure
    assert [(each.rule, each.message) for each in found] == [
        ("replays", "revision r2: division by zero")
    ]


def test_what_the_running_release_may_use(history: Project) -> None:
    """Whatever goes while it runs: a warning at its revision, in each format; not what is new, allowed, or waits."""
    history.revision(
        "op.execute('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$')\n"
        "op.add_column('t', sa.Column('b', sa.Integer))",
        "op.drop_column('t', 'b'); op.execute('DROP FUNCTION f')",
    )
    history.revision(
        "op.create_table('made', sa.Column('a', sa.Integer)); op.drop_table('made')\n"
        "op.execute('ALTER FUNCTION f RENAME TO g')\n"
        "op.drop_column('t', 'b')",
        "op.add_column('t', sa.Column('b', sa.Integer)); op.execute('ALTER FUNCTION g RENAME TO f')",
    )
    waits = "with --expand the drop waits until that release is gone"
    message = (
        "revision r3: breaks the running release: it may use the function f; keep the old name, too, until that"
        f" release is gone\nbreaks the running release: it may use the column b of t; {waits}"
    )
    [finding] = found = check(history.config)
    assert (finding.rule, finding.message, finding.is_warning) == ("releases", message, True)
    assert as_sarif(found)["runs"][0]["results"][0]["level"] == "warning"
    text = message.replace("%", "%25").replace("\n", "%0A")
    assert as_annotation(finding).startswith("::warning file=")
    assert as_annotation(finding).endswith(f",title=releases::{text}")
    assert "\n".join(as_lines(found)).endswith("found 1: warnings only")
    with (history.folder / "alembic.ini").open("a") as ini:
        ini.write("expand = true\n")
    source = history.file("r3").read_text()
    allowed = "    op.execute('ALTER FUNCTION f RENAME TO g')  # holdfast: allow nobody calls it until 2099-01-01"
    history.file("r3").write_text(
        source.replace("    op.execute('ALTER FUNCTION f RENAME TO g')", allowed)
    )
    assert check(history.config) == ()


def test_edited_since_applied(history: Project) -> None:
    """Only with a database at hand."""
    upgrade(history.config, "head")
    file = history.file("r1")
    file.write_text(file.read_text() + "\n# edited\n")
    assert check(history.config, since="r1") == ()
    found = check(history.config, since="r1", with_database=True)
    assert [each.rule for each in found] == ["unedited"]


@pytest.mark.everywhere
def test_one_run_only(history: Project) -> None:
    """A revision that counts on what an earlier one left in memory is told apart from one that always fails."""
    history.revision("pass")
    file = history.file("r1")
    file.write_text(file.read_text().replace("def upgrade():", "def upgrade():\n    " + REMEMBER))
    history.revision(f"{RECALL}\nop.add_column('t', sa.Column('b', sa.Integer))", DROP_B)
    history.revision("op.add_column('t', sa.Column('c', sa.Integer))", "op.drop_column('t', 'c')")
    columns = ", ".join(f"sa.Column('{name}', sa.Integer)" for name in "abc")
    give_models(history, f"sa.Table('t', metadata, {columns})")
    said = "It passes in one run from an empty database, and fails in a run that begins later."
    assert found_in(history) == [("replays", f'revision r3: relation "t" already exists\n{said}')]


def test_models_that_postgresql_refuses(history: Project) -> None:
    """A finding with its words, no traceback."""
    give_models(history, f"{MODELS}\nsa.Table('u', metadata, sa.Column('a', sa.ForeignKey('t.a')))")
    [(rule, message)] = found_in(history)
    assert (rule, message.splitlines()[0]) == (
        "models",
        (
            "The models cannot be created in an empty schema: there is no unique constraint matching given "
            'keys for referenced table "t"'
        ),
    )


def test_sarif(of_a_failure: tuple[Project, Findings]) -> None:
    """What code scanning services read."""
    history, found = of_a_failure
    [run] = as_sarif(found)["runs"]  # type: ignore[index]  # a document
    assert run["results"] == [
        {
            "ruleId": "replays",
            "ruleIndex": 1,
            "level": "error",
            "message": {"text": "revision r2: division by zero"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": history.file("r2").as_uri()},
                        "region": {"startLine": 10},
                    }
                }
            ],
        }
    ]
