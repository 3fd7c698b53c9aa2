"""A column or a table with two names: `run --expand` of a rename, until `finish` or `revert`."""

from pathlib import Path

import psycopg
import pytest
from alembic_project import Project
from contract import OBSERVER, kill_at
from everywhere import each
from two_releases import ALSO, executes, let_go, plain_dump, waits

from holdfast.errors.finish import ChangedWhileItWaited, ShadowCarriesMore, StillNeeded
from holdfast.errors.statement import NeedsFinish, NotForTwoReleases
from holdfast.errors.steps import CopyDisturbed
from holdfast.errors.unfinished import NothingToAbandon
from holdfast.migrate.abandon import abandon
from holdfast.migrate.finish import finish
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

# Four kinds of column: NOT NULL or not, with a default or not; of these the nullable one with a default is refused.
COLUMNS = {"plain": "", "required": "NOT NULL", "filled": "NOT NULL DEFAULT 5"}
# What is written, and what both names have then: a value, `null` as the column takes it, or `default`.
FORMS = (
    ("INSERT INTO {t} (id, a) VALUES (99, 7)", 7),
    ("INSERT INTO {t} (id, b) VALUES (99, 7)", 7),
    ("INSERT INTO {t} (id) VALUES (99)", "default"),
    ("INSERT INTO {t} (id, a) VALUES (99, NULL)", "null"),
    ("INSERT INTO {t} (id, b) VALUES (99, NULL)", "default"),  # as if it were left out
    ("INSERT INTO {t} (id, a) VALUES (99, DEFAULT)", "default"),
    ("INSERT INTO {t} (id, b) VALUES (99, DEFAULT)", "default"),
    ("INSERT INTO {t} (id, a, b) VALUES (99, 3, 3)", 3),
    ("INSERT INTO {t} (id, a, b) VALUES (99, 3, 4)", 4),  # the new name wins
    ("UPDATE {t} SET a = 7 WHERE id = 98", 7),
    ("UPDATE {t} SET b = 7 WHERE id = 98", 7),
    ("UPDATE {t} SET a = NULL WHERE id = 98", "null"),
    ("UPDATE {t} SET b = NULL WHERE id = 98", "null"),
    ("UPDATE {t} SET a = DEFAULT WHERE id = 98", "default"),
    ("UPDATE {t} SET b = DEFAULT WHERE id = 98", "null"),
    ("UPDATE {t} SET a = 7, b = 7 WHERE id = 98", 7),
    ("UPDATE {t} SET a = 7, b = 8 WHERE id = 98", "23000"),
    ("UPDATE {t} SET a = b, b = a WHERE id = 98", 98),
    ("UPDATE {t} SET n = n + 1 WHERE id = 98", 98),
    ("INSERT INTO {t} (id, a) VALUES (98, 6) ON CONFLICT (id) DO UPDATE SET a = excluded.a", 6),
    ("INSERT INTO {t} (id, b) VALUES (98, 6) ON CONFLICT (id) DO UPDATE SET b = excluded.b", 6),
    ("INSERT INTO {t} (id, b) VALUES (98, 6) ON CONFLICT (id) DO UPDATE SET n = 1", 98),
    ("INSERT INTO {t} (id, b) VALUES (97, 98) ON CONFLICT (b) DO UPDATE SET n = 1", 98),
    ("INSERT INTO {t} (id, a) VALUES (97, 98) ON CONFLICT (a) DO UPDATE SET n = 1", 98),
)


def expected(outcome: object, kind: str) -> object:
    """What a form gives for this kind of column."""
    if outcome == "default":
        outcome = 5 if kind == "filled" else "null"
    return (None if kind == "plain" else "23502") if outcome == "null" else outcome


def test_forms_of_write(project: Project) -> None:
    """Whatever a release writes, by either name: both names have the value that plain SQL would give."""
    project.revision(
        executes(
            *(
                f"CREATE TABLE t_{kind} (id int PRIMARY KEY, a int {column} UNIQUE, n int DEFAULT 0)"
                for kind, column in COLUMNS.items()
            ),
            *(f"INSERT INTO t_{kind} VALUES (98, 98)" for kind in COLUMNS),
        )
    )
    project.revision(executes(*(f"ALTER TABLE t_{kind} RENAME a TO b" for kind in COLUMNS)))
    upgrade(project.config, "r1")
    upgrade(project.config, "head", expand=True)
    wrong = []
    with psycopg.connect(project.database) as connection:
        for kind in COLUMNS:
            for form, outcome in FORMS:
                found = written(connection, form.format(t=f"t_{kind}"), table=f"t_{kind}")
                if found != expected(outcome, kind):
                    wrong.append((kind, form, found, expected(outcome, kind)))
    assert wrong == []


def written(connection: psycopg.Connection, form: str, *, table: str) -> object:
    """The value under both names after one form of write, or its SQLSTATE; it is rolled back."""
    try:
        connection.execute(form.encode())
        row = connection.execute(
            f"SELECT a, b, a IS NOT DISTINCT FROM b FROM {table} ORDER BY id DESC LIMIT 1".encode()
        ).fetchone()
        assert row is not None
        assert row[2], f"{form}: {row}"
        return row[0]
    except psycopg.Error as error:
        return error.sqlstate
    finally:
        connection.rollback()


LADEN = """
    CREATE SCHEMA "odd shop";
    CREATE TABLE p (id bigint PRIMARY KEY);
    INSERT INTO p SELECT generate_series(1, 300);
    CREATE TABLE "odd shop"."the ""table" (
        id serial PRIMARY KEY,
        "a column with a name of sixty-three bytes, which is the most...." bigint NOT NULL DEFAULT 5
          CONSTRAINT positive CHECK ("a column with a name of sixty-three bytes, which is the most...." > 0)
          REFERENCES p ON DELETE CASCADE,
        z text, upper_z text GENERATED ALWAYS AS (upper(z)) STORED,
        UNIQUE ("a column with a name of sixty-three bytes, which is the most....", id)
    );
    SET search_path = "odd shop", public;
    ALTER TABLE "the ""table" RENAME "a column with a name of sixty-three bytes, which is the most...." TO a;
    CREATE TABLE ch (x bigint, y int, FOREIGN KEY (x, y) REFERENCES "the ""table" (a, id));
    CREATE INDEX by_expression ON "the ""table" ((a + 1)) WHERE a > 3;
    CREATE VIEW seen AS SELECT a FROM "the ""table";
    COMMENT ON COLUMN "the ""table".a IS 'hallo';
    GRANT SELECT (a) ON "the ""table" TO PUBLIC;
    CREATE STATISTICS about ON a, z FROM "the ""table";
    CREATE FUNCTION greatest_a() RETURNS bigint BEGIN ATOMIC SELECT max(a) FROM "the ""table"; END;
    CREATE FUNCTION trimmed() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN new.z := trim(new.z); RETURN new; END';
    CREATE TRIGGER trimmed BEFORE UPDATE OF a ON "the ""table" FOR EACH ROW EXECUTE FUNCTION trimmed();
    INSERT INTO "the ""table" (a, z) SELECT n, ' x' FROM generate_series(1, 300) AS n;
    INSERT INTO ch SELECT a, id FROM "the ""table";
    RESET search_path;
"""
LONG = "b" * 63


@pytest.fixture
def laden(project: Project) -> Project:
    """A table with all that can hang on a column, in another schema, with names that want quotes."""
    project.revision(f"op.get_bind().exec_driver_sql({LADEN.replace('%', '%%')!r})")
    project.revision(
        executes(f'ALTER TABLE "odd shop"."the ""table" RENAME COLUMN a TO {LONG}'),
        executes(f'ALTER TABLE "odd shop"."the ""table" RENAME COLUMN {LONG} TO a'),
    )
    upgrade(project.config, "r1")
    return project


def test_renamed_column_ends_as_plain(laden: Project, postgres: Postgres, tmp_path: Path) -> None:
    """Whatever hangs on the column: after `finish` the schema is that of plain Alembic to the byte."""
    upgrade(laden.config, "head", expand=True)
    table = '"odd shop"."the ""table"'
    laden.query(f"UPDATE {table} SET {LONG} = 7, z = ' new' WHERE id = 7")
    laden.query(f"UPDATE {table} SET a = 8, z = ' old' WHERE id = 8")
    assert laden.query(f"SELECT a, {LONG}, z FROM {table} WHERE id IN (7, 8) ORDER BY id") == [
        (7, 7, "new"),
        (8, 8, "old"),
    ]
    finish(laden.config, yes=True)
    assert waits(laden) == []
    assert schema_dump(laden.database) == plain_dump(laden, postgres, tmp_path)
    assert laden.query(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace"
    ) == [(0,)]


def test_renamed_column_is_taken_back(laden: Project) -> None:
    """A revert before `finish`: the old name alone, with what both have written."""
    before = schema_dump(laden.database)
    upgrade(laden.config, "head", expand=True)
    laden.query('DELETE FROM "odd shop".ch')
    laden.query(f'UPDATE "odd shop"."the ""table" SET {LONG} = 9 WHERE id = 7')
    downgrade(laden.config, "-1")
    assert schema_dump(laden.database) == before
    assert waits(laden) == []
    assert laden.query('SELECT a FROM "odd shop"."the ""table" WHERE id = 7') == [(9,)]


def test_what_would_be_lost_is_refused(project: Project) -> None:
    """Whatever is put on the new name, by a revision or by hand: said, and never lost."""
    project.revision(
        executes(
            "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)", "INSERT INTO t VALUES (1, 1)"
        )
    )
    upgrade(project.config, "head")
    project.revision(executes("ALTER TABLE t RENAME a TO b"))
    upgrade(project.config, "head", expand=True)
    for later in (
        "CREATE INDEX i ON t (b)",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0)",
        "ALTER TABLE t ALTER b SET NOT NULL",
        "ALTER TABLE t ALTER b TYPE bigint",
        "ALTER TABLE t ADD COLUMN a text",
        "ALTER TABLE t RENAME TO u",
        "GRANT SELECT (b) ON t TO PUBLIC",
        "CREATE VIEW v AS SELECT * FROM t",
    ):
        name = project.revision(executes(later))
        with pytest.raises(NeedsFinish, match="holdfast finish"):
            upgrade(project.config, "head")
        project.file(name).unlink()
        project.revisions.pop()
    project.revision(executes("ALTER TABLE t ADD COLUMN z text", "CREATE INDEX j ON t (z)"))
    upgrade(project.config, "head")  # has nothing to do with it
    project.query("GRANT UPDATE (b) ON t TO PUBLIC")
    with pytest.raises(ShadowCarriesMore, match="a privilege"):
        finish(project.config, yes=True)
    project.query("REVOKE UPDATE (b) ON t FROM PUBLIC; CREATE INDEX by_hand ON t (b)")
    with pytest.raises(ShadowCarriesMore, match="by_hand"):
        finish(project.config, yes=True)
    project.query(
        "DROP INDEX by_hand; ALTER TABLE t DISABLE TRIGGER ALL; ALTER TABLE t ENABLE TRIGGER ALL"
    )
    with pytest.raises(CopyDisturbed):
        finish(project.config, yes=True)


BY_HAND = {
    "DROP TABLE t": None,
    "ALTER TABLE t DROP COLUMN b CASCADE": ChangedWhileItWaited,
    "ALTER TABLE t RENAME a TO other": ChangedWhileItWaited,
    "ALTER TABLE t RENAME TO other": None,
    "DROP VIEW old": None,
    "DROP TABLE new CASCADE": None,
    "DROP VIEW old; CREATE TABLE old (id int)": None,
    "CREATE VIEW onto AS SELECT id FROM old": StillNeeded,
}


def test_changed_by_hand_while_it_waits(project: Project) -> None:
    """Whatever a person does to it meanwhile: `finish` lets go what is left, or says what to do, in words of ours."""
    project.revision(
        executes(
            "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)", "CREATE TABLE old (id int)"
        ),
        "pass",
    )
    project.revision(executes("ALTER TABLE t RENAME a TO b", "ALTER TABLE old RENAME TO new"))
    for change, error in each(list(BY_HAND.items()), here=2):
        upgrade(project.config, "r1")
        upgrade(project.config, "head", expand=True)
        project.query(change)
        if error is None:
            finish(project.config, yes=True)
        else:
            with pytest.raises(error) as caught:
                finish(project.config, yes=True)
            if isinstance(caught.value, ChangedWhileItWaited):
                project.query(f"{caught.value.clear}; DELETE FROM holdfast.waiting")
            else:
                project.query("DROP VIEW onto")
                finish(project.config, yes=True)
        assert waits(project) == []
        assert project.query("SELECT proname FROM pg_proc WHERE proname ~ ' of '") == []
        project.query(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA holdfast CASCADE"
        )


def test_given_up_half_way(laden: Project) -> None:
    """`abandon` in the middle of an expand takes the second name away; a finish that was killed goes on."""
    before = schema_dump(laden.database)
    with (laden.folder / "alembic.ini").open("a") as ini:
        ini.write("expand = true\n")
    laden.query(OBSERVER + ALSO)
    for entry in each((6, 3, 9), here=1):
        assert kill_at(laden, entry)
        abandon(laden.config)
        assert waits(laden) == []
        assert schema_dump(laden.database) == before
    upgrade(laden.config, "head", expand=True)
    assert kill_at(laden, 1, does=let_go)
    with pytest.raises(NothingToAbandon):
        abandon(laden.config)
    finish(laden.config, yes=True)
    assert waits(laden) == []


REFUSED = {
    "a published table": "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE PUBLICATION p FOR TABLE t",
    "a nullable column with a default": "CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 1)",
    "a generated column": "CREATE TABLE t (id int PRIMARY KEY, a int GENERATED ALWAYS AS (id + 1) STORED)",
    "a partitioned table": "CREATE TABLE t (id int, a int) PARTITION BY LIST (id)",
    "an inherited table": "CREATE TABLE t (id int, a int); CREATE TABLE u () INHERITS (t)",
    "a domain": "CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t (id int, a d)",
    "a constraint trigger": "CREATE TABLE t (id int, a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE"
    " plpgsql AS 'BEGIN RETURN new; END'; CREATE CONSTRAINT TRIGGER c AFTER UPDATE OF a ON t"
    " FOR EACH ROW EXECUTE FUNCTION f()",
}


@pytest.mark.parametrize("case", each(list(REFUSED), here=3))
def test_refused_before_anything_runs(project: Project, case: str) -> None:
    """A column that cannot have two names is refused with its reason, and nothing has happened."""
    project.revision(f"op.execute({REFUSED[case]!r})")
    upgrade(project.config, "head")
    then = schema_dump(project.database)
    project.revision(executes("CREATE TABLE other (id int)", "ALTER TABLE t RENAME a TO b"))
    with pytest.raises(NotForTwoReleases):
        upgrade(project.config, "head", expand=True)
    assert schema_dump(project.database) == then


def test_a_published_table_keeps_its_name(project: Project) -> None:
    """Whoever publishes it, by name, by schema or with all: its subscribers know it by that name."""
    project.revision(executes("CREATE TABLE t (id int PRIMARY KEY)"))
    upgrade(project.config, "head")
    project.revision(executes("ALTER TABLE t RENAME TO u"))
    for by in ("FOR TABLE t", "FOR TABLES IN SCHEMA public", "FOR ALL TABLES"):
        project.query(f"CREATE PUBLICATION p {by}")
        with pytest.raises(NotForTwoReleases, match="publication p sends the table"):
            upgrade(project.config, "head", expand=True)
        project.query("DROP PUBLICATION p")


RENAMED = """
    CREATE TABLE old (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n int UNIQUE, v text DEFAULT 'd');
    INSERT INTO old (n) SELECT generate_series(1, 50);
    GRANT SELECT, INSERT ON old TO PUBLIC;
    GRANT UPDATE (v) ON old TO PUBLIC;
    ALTER TABLE old ENABLE ROW LEVEL SECURITY;
"""


def test_renamed_table(project: Project, postgres: Postgres, tmp_path: Path) -> None:
    """Both names read and write one table until `finish`; a revert has the old name alone; privileges are copied."""
    project.revision(f"op.execute({RENAMED!r})")
    upgrade(project.config, "head")
    before = schema_dump(project.database)
    project.revision(
        executes("ALTER TABLE old RENAME TO new"), executes("ALTER TABLE new RENAME TO old")
    )
    upgrade(project.config, "head", expand=True)
    project.query("INSERT INTO old (n) VALUES (7) ON CONFLICT (n) DO UPDATE SET v = 'old'")
    project.query("UPDATE new SET v = v || ' new' WHERE n = 7")
    assert project.query("SELECT v FROM old WHERE n = 7") == [("old new",)]
    [acl] = project.query(
        "SELECT c.relacl, a.attacl FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attname = 'v'"
        " WHERE c.oid = 'old'::regclass"
    )
    assert "=ar/" in str(acl[0])
    assert "=w/" in str(acl[1])
    project.revision(executes("ALTER TABLE new ALTER n TYPE bigint"))
    with pytest.raises(NeedsFinish):
        upgrade(project.config, "head")
    project.file(project.revisions.pop()).unlink()
    downgrade(project.config, "-1")
    assert schema_dump(project.database) == before
    upgrade(project.config, "head", expand=True)
    finish(project.config, yes=True)
    assert schema_dump(project.database) == plain_dump(project, postgres, tmp_path)
